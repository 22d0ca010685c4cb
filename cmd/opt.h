/* Options of the command line: one table per command. The parser, --help, the manual page and the
 * shell completion all read it.
 *
 * Grammar, which is that of runc, because its clients are written for it: one or two dashes before
 * a name of any length; "--name value" and "--name=value"; a switch takes a value only after "=";
 * "--" ends the options; of an option given twice the last counts (except in lists). Letters are
 * not bundled. A table ends with OPT_END (a zeroed row); NULL is an empty one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct error;

/* What the option is, and the type of the member that receives it. */
enum opt_kind {
	OPT_END,
	OPT_BOOL,    /* bool */
	OPT_STRING,  /* const char *, pointing into argv */
	OPT_UINT,    /* unsigned */
	OPT_INT,     /* int64_t */
	OPT_TIME,    /* int64_t, nanoseconds; written as 1m30s or 500ms */
	OPT_LIST,    /* char **, see opt_done(); may be given several times */
	OPT_NUMBERS, /* the same, and each is a whole number */
	OPT_HELP,    /* understood in every table without being in it */
};

struct opt {
	const char *name;
	char letter; /* 0: none */
	enum opt_kind kind;
	size_t at;           /* offset of the receiving member */
	const char *initial; /* OPT_STRING, OPT_TIME: value when not given */
	const char *help;    /* one line; NULL hides the option */
};

#define OPT_MAX_UINT 65535u

/* Read the options in argv[0..argc-1] into values, a zeroed struct that the offsets belong to.
 * What is not an option moves to the front of argv, in order and followed by NULL; returns how many
 * that are, or -EINVAL. stop_early: nothing behind the first of them is an option (as for a
 * command that is run in the container). Otherwise known options count there, too, and anything
 * else is an argument. *help: --help was met. */
int opt_parse(const struct opt *opts, void *values, bool stop_early, int argc, char **argv,
              bool *help, struct error *err);

/* Free the lists in values. */
void opt_done(const struct opt *opts, void *values);

/* The OPTIONS part of --help, ending with the line for --help itself. */
void opt_print_help(const struct opt *opts, FILE *out);
/* "--bundle value, -b value": the option as --help shows it. Owned by the caller. */
char *opt_usage(const struct opt *opt);
bool opt_takes_value(const struct opt *opt);
