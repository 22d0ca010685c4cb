/* The vcrt program: parse, call libvcrt, print. A subcommand is one file that ends in its
 * "const struct command"; table.c lists them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "cmd/opt.h"
#include "lib/base/error.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/vcrt.h"

struct globals {
	const char *root, *log, *log_format, *config;
	const char *criu, *rootless; /* part of the interface, without effect */
	bool debug, systemd_cgroup, version;
};

struct command {
	const char *name;
	const char *args;        /* as USAGE shows them, NULL: none */
	const char *help;        /* one line, NULL: none */
	const char *description; /* the rest of --help: lines without a final newline, or NULL */
	const struct opt *opts;  /* NULL: none but --help */
	size_t values_size;      /* of the struct that opts points into */
	int min_args, max_args;  /* max_args -1: any number */
	bool stop_early;         /* see opt_parse() */
	bool hidden;             /* not shown in lists: for callers, not for people */
	bool raw; /* no look at options: argv is that of the process, less the global options */
	int fail_status; /* exit status after a failure of run, 0: 1 */

	/* Returns the exit status of the program, or -errno with err filled. argv is followed by
	 * NULL. */
	int (*run)(const struct globals *g, const void *values, int argc, char **argv,
	           struct error *err);
};

extern const struct command cmd_builder, cmd_check, cmd_checkpoint, cmd_create, cmd_delete, cmd_env,
	cmd_events, cmd_exec, cmd_features, cmd_help, cmd_kill, cmd_list, cmd_monitor, cmd_pause,
	cmd_ps, cmd_restore, cmd_resume, cmd_run, cmd_shim, cmd_spec, cmd_start, cmd_state,
	cmd_template, cmd_update;

extern const struct command *const cmd_table[];   /* NULL-terminated, in the order of --help */
const struct command *cmd_find(const char *name); /* NULL: no such command */

extern const struct opt global_opts[];

extern const char cmd_version[]; /* "0.1.0" */
extern const char cmd_commit[];

/* help.c */
void help_print_global(FILE *out);
void help_print_command(const struct command *c, FILE *out);
void help_print_version(FILE *out); /* what --version says */

/* The library's errors have the layout of ours (checked in table.c). */
static inline struct vcrt_error *lib_err(struct error *err)
{
	return (struct vcrt_error *)err;
}

/* The runtime as the global options ask for it; owned by the caller. */
struct vcrt *cmd_open(const struct globals *g, struct error *err);
void vcrt_closep(struct vcrt **v);
#define auto_vcrt auto_(vcrt_closep)

/* The same for a verb about a container. That it exists is checked before anything else that may be
 * wrong, as by runc: clients look for that message. */
struct vcrt *cmd_open_for(const struct globals *g, const char *id, struct error *err);

/* For verbs that are one call of the library about one container. */
int cmd_call(const struct globals *g, const char *id,
             int (*call)(struct vcrt *, const char *, struct vcrt_error *), struct error *err);

/* -f: 1 for "json", 0 for "table", or -EINVAL. */
int cmd_parse_format(const char *format, struct error *err);

/* NULL for an option that was not given, or given as "": callers pass on empty variables. */
const char *cmd_given(const char *s);
