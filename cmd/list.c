#include "cmd/cmd.h"

#include <inttypes.h>

#include "cmd/columns.h"

struct list_values {
	const char *format;
	bool quiet;
};

static const struct opt list_opts[] = {
	{ "format", 'f', OPT_STRING, offsetof(struct list_values, format), "table",
	  "'table' or 'json'" },
	{ "quiet", 'q', OPT_BOOL, offsetof(struct list_values, quiet), NULL, "only print the ids" },
	{ 0 },
};

static void print_table(const struct vcrt_state *list, size_t n)
{
	static const char *const head[] = { "ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER" };
	struct columns table = { .n = ARRAY_SIZE(head), .min_width = 12, .padding = 3 };
	size_t i;

	columns_add(&table, head);
	for (i = 0; i < n; i++) {
		auto_free char *pid = str_fmt("%" PRId64, (int64_t)list[i].pid);
		const char *row[] = { list[i].id,      pid,          list[i].status, list[i].bundle,
			              list[i].created, list[i].owner };

		columns_add(&table, row);
	}
	columns_print(&table, stdout);
	columns_done(&table);
}

static int print_json(struct vcrt *v, struct error *err)
{
	auto_free char *json = NULL;

	if (vcrt_container_list_json(v, &json, lib_err(err)) < 0)
		return -err->code;
	puts(json);
	return 0;
}

static int list_run(const struct globals *g, const void *values, int argc, char **argv,
                    struct error *err)
{
	const struct list_values *o = values;
	auto_vcrt struct vcrt *v = NULL;
	struct vcrt_state *list = NULL;
	int json = o->quiet ? 0 : cmd_parse_format(o->format, err), i, n;

	(void)argc;
	(void)argv;
	if (json < 0)
		return json;
	v = cmd_open(g, err);
	if (!v)
		return -err->code;
	if (json)
		return print_json(v, err);
	n = vcrt_container_list(v, &list, lib_err(err));
	if (n < 0)
		return n;
	for (i = 0; o->quiet && i < n; i++)
		puts(list[i].id);
	if (!o->quiet)
		print_table(list, (size_t)n);
	vcrt_list_free(list, (size_t)n);
	return 0;
}

const struct command cmd_list = {
	.name = "list",
	.help = "list the containers below the root directory",
	.description = "Another directory is chosen with the global option --root:\n\n"
		       "       # vcrt --root DIR list",
	.opts = list_opts,
	.values_size = sizeof(struct list_values),
	.run = list_run,
};
