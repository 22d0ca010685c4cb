#include "cmd/cmd.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

_Static_assert(sizeof(struct vcrt_error) == sizeof(struct error) &&
                       offsetof(struct vcrt_error, code) == offsetof(struct error, code) &&
                       offsetof(struct vcrt_error, msg) == offsetof(struct error, msg),
               "lib_err() needs one layout");

const struct command *const cmd_table[] = {
	&cmd_create,   &cmd_start,   &cmd_run,        &cmd_exec,    &cmd_kill,
	&cmd_delete,   &cmd_state,   &cmd_list,       &cmd_ps,      &cmd_pause,
	&cmd_resume,   &cmd_update,  &cmd_events,     &cmd_spec,    &cmd_features,
	&cmd_template, &cmd_check,   &cmd_env,        &cmd_help,    &cmd_monitor,
	&cmd_shim,     &cmd_builder, &cmd_checkpoint, &cmd_restore, NULL,
};

const struct command *cmd_find(const char *name)
{
	size_t i;

	for (i = 0; cmd_table[i]; i++) {
		if (str_eq(cmd_table[i]->name, name))
			return cmd_table[i];
	}
	return str_eq(name, "h") ? &cmd_help : NULL;
}

#define GLOBAL(member) offsetof(struct globals, member)

const struct opt global_opts[] = {
	{ "debug", 0, OPT_BOOL, GLOBAL(debug), NULL,
	  "log more, with a timeline, and keep a log and the console output of a VM that boots" },
	{ "log", 0, OPT_STRING, GLOBAL(log), NULL,
	  "append log records to this file; without it they go to standard error" },
	{ "log-format", 0, OPT_STRING, GLOBAL(log_format), "text",
	  "form of log records, 'text' or 'json'" },
	{ "root", 0, OPT_STRING, GLOBAL(root), NULL,
	  "directory for the state of containers (default: /run/vcrt)" },
	{ "config", 0, OPT_STRING, GLOBAL(config), NULL,
	  "configuration file (default: the one of the system)" },
	{ "systemd-cgroup", 0, OPT_BOOL, GLOBAL(systemd_cgroup), NULL,
	  "cgroupsPath has the form slice:prefix:name" },
	{ "rootless", 0, OPT_STRING, GLOBAL(rootless), "auto",
	  "'true', 'false' or 'auto'; accepted for compatibility, without effect" },
	{ "criu", 0, OPT_STRING, GLOBAL(criu), NULL, "accepted for compatibility, without effect" },
	{ "version", 'v', OPT_BOOL, GLOBAL(version), NULL, "print the version" },
	{ 0 },
};

/* The program that monitors and shims are started from: this one, wherever it lies. */
static char *own_path(struct error *err)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n < 0) {
		error_sys(err, "readlink '/proc/self/exe'");
		return NULL;
	}
	return str_ndup(path, (size_t)n);
}

const char *cmd_given(const char *s)
{
	return s && *s ? s : NULL;
}

/* One line on the user's terminal that goes away again. */
static void show_progress(void *arg, const char *what)
{
	(void)arg;
	if (what)
		fprintf(stderr, "\r%s ...", what);
	else
		fputs("\r\033[K", stderr);
}

struct vcrt *cmd_open(const struct globals *g, struct error *err)
{
	auto_free char *binary = own_path(err);
	struct vcrt_options options = {
		.root = cmd_given(g->root),
		.config = cmd_given(g->config),
		.binary = binary,
		.debug = g->debug,
		.systemd_cgroup = g->systemd_cgroup,
		.progress = isatty(STDERR_FILENO) ? show_progress : NULL,
	};

	if (!binary)
		return NULL;
	return vcrt_open(&options, lib_err(err));
}

struct vcrt *cmd_open_for(const struct globals *g, const char *id, struct error *err)
{
	auto_vcrt struct vcrt *v = cmd_open(g, err);
	struct vcrt_state state;

	if (!v || vcrt_container_state(v, id, &state, lib_err(err)) < 0)
		return NULL;
	vcrt_state_done(&state);
	return steal_ptr(&v);
}

void vcrt_closep(struct vcrt **v)
{
	vcrt_close(*v);
}

int cmd_call(const struct globals *g, const char *id,
             int (*call)(struct vcrt *, const char *, struct vcrt_error *), struct error *err)
{
	auto_vcrt struct vcrt *v = cmd_open(g, err);

	if (!v)
		return -err->code;
	return call(v, id, lib_err(err));
}

int cmd_parse_format(const char *format, struct error *err)
{
	if (str_eq(format, "json"))
		return 1;
	if (str_eq(format, "table"))
		return 0;
	return error_set(err, EINVAL, "invalid format option");
}
