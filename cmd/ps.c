#include "cmd/cmd.h"

#include <inttypes.h>

#include "cmd/ps-columns.h"

struct ps_values {
	const char *format;
};

static const struct opt ps_opts[] = {
	{ "format", 'f', OPT_STRING, offsetof(struct ps_values, format), "table",
	  "'table' (of the processes in the virtual machine) or 'json' (of pids on the host)" },
	{ 0 },
};

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
	struct ps_table table = { 0 };
	int json, n;

	(void)argc;
	v = cmd_open_for(g, argv[0], err);
	if (!v)
		return -err->code;
	json = cmd_parse_format(o->format, err);
	if (json < 0)
		return json;
	if (!json && ps_table_parse(&table, argv + 1, err) < 0) {
		ps_table_done(&table);
		return -err->code;
	}
	n = vcrt_container_ps(v, argv[0], &list, lib_err(err));
	if (n >= 0 && json)
		print_json(list, (size_t)n);
	else if (n >= 0)
		ps_table_print(&table, list, (size_t)n, stdout);
	if (n >= 0)
		vcrt_processes_free(list, (size_t)n);
	ps_table_done(&table);
	return n < 0 ? n : 0;
}

const struct command cmd_ps = {
	.name = "ps",
	.args = "<container-id> [ps options]",
	.help = "show the processes of a container",
	.description =
		"The pids of the table are those in the virtual machine. Of the options of ps\n"
		"are known: -e, -A, -a, -d, -x, -f, x, u and -o with a list of columns.",
	.opts = ps_opts,
	.values_size = sizeof(struct ps_values),
	.min_args = 1,
	.max_args = -1,
	.stop_early = true,
	.run = ps_run,
};
