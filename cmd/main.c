/* vcrt: global options, the choice of the command, and the one place that prints an error. */
#include "cmd/cmd.h"

#include <signal.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/log.h"

#define EXIT_UNKNOWN_COMMAND 3 /* as runc */

/* A caller may have closed 0, 1 or 2: nothing that we open must take their place. */
static void keep_stdio(void)
{
	int fd;

	for (fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) < 0)
			_exit(EXIT_FAILURE);
	}
}

/* With a log file the message also goes to standard error, for callers that read only that. */
static int fail(const struct error *err, int status)
{
	fflush(stdout); /* its text comes first where both end in one place */
	log_error("%s", err->msg);
	if (!log_is_stderr())
		fprintf(stderr, "%s\n", err->msg);
	return status;
}

static int open_log(const struct globals *g, struct error *err)
{
	const char *path = g->log && *g->log ? g->log : NULL;
	bool json = str_eq(g->log_format, "json");

	if (log_open(path, json ? LOG_JSON : LOG_TEXT, g->debug, err) < 0)
		return -err->code;
	if (!json && !str_eq(g->log_format, "text"))
		return error_set(err, EINVAL, "invalid log-format: %s", g->log_format);
	return 0;
}

static int bad_usage(const struct command *c, const struct error *err)
{
	if (c) {
		printf("Incorrect Usage: %s\n\n", err->msg);
		help_print_command(c, stdout);
	} else {
		printf("Incorrect Usage. %s\n\n", err->msg);
		help_print_global(stdout);
	}
	return fail(err, EXIT_FAILURE);
}

static int check_count(const struct command *c, int argc, struct error *err)
{
	bool exact = c->min_args == c->max_args;

	if (argc >= c->min_args && (c->max_args < 0 || argc <= c->max_args))
		return 0;
	printf("Incorrect Usage.\n\n");
	help_print_command(c, stdout);
	if (!exact && argc > c->max_args && c->max_args >= 0)
		return error_set(err, EINVAL, "vcrt: \"%s\" requires a maximum of %d argument(s)",
		                 c->name, c->max_args);
	return error_set(err, EINVAL, "vcrt: \"%s\" requires %s %d argument(s)", c->name,
	                 exact ? "exactly" : "a minimum of", c->min_args);
}

/* What was printed has arrived, or it is an error: a full disk must not look like success. */
static int flush_output(struct error *err)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	return error_sys(err, "write 'standard output'");
}

static int run_parsed(const struct globals *g, const struct command *c, const void *values,
                      int argc, char **argv, bool help)
{
	auto_error struct error err = { 0 };
	int r;

	if (help) {
		help_print_command(c, stdout);
		return 0;
	}
	if (check_count(c, argc, &err) < 0)
		return fail(&err, EXIT_FAILURE);
	log_debug("vcrt %s (%s): %s", cmd_version, cmd_commit, c->name);
	r = c->run(g, values, argc, argv, &err);
	if (r < 0)
		return fail(&err, c->fail_status ? c->fail_status : EXIT_FAILURE);
	return r;
}

static int run_command(const struct globals *g, const struct command *c, int argc, char **argv)
{
	auto_free void *values = xzalloc(c->values_size + 1); /* a command may have none */
	auto_error struct error err = { 0 };
	bool help = false;
	int n, status;

	n = opt_parse(c->opts, values, c->stop_early, argc, argv, &help, &err);
	if (n < 0)
		status = bad_usage(c, &err);
	else
		status = run_parsed(g, c, values, n, argv, help);
	log_phases_write("verb");
	opt_done(c->opts, values);
	return status;
}

static int run_globals(struct globals *g, int argc, char **argv)
{
	auto_error struct error err = { 0 }, log_err = { 0 };
	const struct command *c;
	bool help = false;
	int n;

	/* The log file comes first, since callers take its absence for a crash. */
	n = opt_parse(global_opts, g, true, argc - 1, argv + 1, &help, &err);
	if (open_log(g, &log_err) < 0)
		return fail(&log_err, EXIT_FAILURE);
	if (n < 0)
		return bad_usage(NULL, &err);
	if (g->version && !help) {
		help_print_version(stdout);
		return 0;
	}
	if (help || n == 0) {
		help_print_global(stdout);
		return 0;
	}
	c = cmd_find(argv[1]);
	if (!c) {
		error_set(&err, ENOENT, "No help topic for '%s'", argv[1]);
		return fail(&err, EXIT_UNKNOWN_COMMAND);
	}
	if (c->raw)
		return run_parsed(g, c, NULL, n + 1, argv, false);
	return run_command(g, c, n - 1, argv + 2);
}

int main(int argc, char **argv)
{
	auto_error struct error err = { 0 };
	struct globals g = { 0 };
	int status;

	log_set_zero(log_now_us());
	keep_stdio();
	/* A caller that ignores it would have the kernel reap what we wait for. */
	signal(SIGCHLD, SIG_DFL);
	status = run_globals(&g, argc, argv);
	if (status == 0 && flush_output(&err) < 0)
		status = fail(&err, EXIT_FAILURE);
	return status;
}
