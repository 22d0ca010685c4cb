#include "cmd/cmd.h"

#include <errno.h>
#include <inttypes.h>

#include "cmd/columns.h"

struct ps_values {
	const char *format;
};

static const struct opt ps_opts[] = {
	{ "format", 'f', OPT_STRING, offsetof(struct ps_values, format), "table",
	  "'table' (of the processes in the virtual machine) or 'json' (of pids on the host)" },
	{ 0 },
};

static void print_table(const struct vcrt_process *p, size_t n)
{
	static const char *const head[] = {
		"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"
	};
	struct columns table = { .n = ARRAY_SIZE(head), .padding = 2 };
	size_t i;

	columns_add(&table, head);
	for (i = 0; i < n; i++) {
		auto_free char *pid = str_fmt("%" PRId64, (int64_t)p[i].pid);
		auto_free char *ppid = str_fmt("%" PRId64, (int64_t)p[i].ppid);
		auto_free char *c = str_fmt("%d", p[i].c);
		const char *row[] = { p[i].uid,   pid,      ppid,      c,
			              p[i].stime, p[i].tty, p[i].time, p[i].cmd };

		columns_add(&table, row);
	}
	columns_print(&table, stdout);
	columns_done(&table);
}

/* Several processes of the guest may have the same stand-in. */
static bool is_first(const struct vcrt_process *p, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (p[k].shim == p[i].shim)
			return false;
	return p[i].shim > 0;
}

/* Callers look these pids up on the host, so they are those of the stand-ins. */
static void print_json(const struct vcrt_process *p, size_t n)
{
	size_t i, printed = 0;

	for (i = 0; i < n; i++) {
		if (is_first(p, i))
			printf("%s%" PRId64, printed++ ? "," : "[", (int64_t)p[i].shim);
	}
	puts(printed ? "]" : "null");
}

static int ps_run(const struct globals *g, const void *values, int argc, char **argv,
                  struct error *err)
{
	const struct ps_values *o = values;
	auto_vcrt struct vcrt *v = NULL;
	struct vcrt_process *list = NULL;
	int json, n;

	v = cmd_open_for(g, argv[0], err);
	if (!v)
		return -err->code;
	json = cmd_parse_format(o->format, err);
	if (json < 0)
		return json;
	if (argc > 1 && !(argc == 2 && str_eq(argv[1], "-ef")))
		return error_set(err, EINVAL,
		                 "no ps options but '-ef' are supported: the processes run in a "
		                 "virtual machine");
	n = vcrt_container_ps(v, argv[0], &list, lib_err(err));
	if (n < 0)
		return n;
	if (json)
		print_json(list, (size_t)n);
	else
		print_table(list, (size_t)n);
	vcrt_processes_free(list, (size_t)n);
	return 0;
}

const struct command cmd_ps = {
	.name = "ps",
	.args = "<container-id> [-ef]",
	.help = "show the processes of a container",
	.opts = ps_opts,
	.values_size = sizeof(struct ps_values),
	.min_args = 1,
	.max_args = -1,
	.stop_early = true,
	.run = ps_run,
};
