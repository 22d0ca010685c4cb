#include "cmd/cmd.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "cmd/columns.h"

struct template_values {
	bool all;
};

static const struct opt template_opts[] = {
	{ "all", 'a', OPT_BOOL, offsetof(struct template_values, all), NULL,
	  "prune: remove every template" },
	{ 0 },
};

static int create(struct vcrt *v, struct error *err)
{
	auto_free char *key = NULL;

	if (vcrt_template_create(v, &key, lib_err(err)) < 0)
		return -err->code;
	puts(key);
	return 0;
}

static char *time_text(int64_t seconds)
{
	char text[32] = "";
	time_t t = (time_t)seconds;
	struct tm tm;

	if (gmtime_r(&t, &tm))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return str_dup(text);
}

static int list(struct vcrt *v, struct error *err)
{
	static const char *const head[] = { "KEY", "MIB", "MADE", "USED", "STATUS" };
	struct columns table = { .n = ARRAY_SIZE(head), .min_width = 12, .padding = 3 };
	struct vcrt_template *t = NULL;
	int n = vcrt_template_list(v, &t, lib_err(err));

	if (n < 0)
		return n;
	columns_add(&table, head);
	for (int i = 0; i < n; i++) {
		auto_free char *mib = str_fmt("%" PRIu64, t[i].bytes >> 20);
		auto_free char *made = time_text(t[i].made), *used = time_text(t[i].used);
		auto_free char *bad = str_fmt("set aside: %s", t[i].problem ? t[i].problem : "");
		const char *row[] = { t[i].key, mib, made, used,
			              t[i].problem    ? bad
			              : t[i].is_stale ? "stale"
			                              : "ready" };

		columns_add(&table, row);
	}
	columns_print(&table, stdout);
	columns_done(&table);
	vcrt_templates_free(t, (size_t)n);
	return 0;
}

static int template_run(const struct globals *g, const void *values, int argc, char **argv,
                        struct error *err)
{
	const struct template_values *o = values;
	const char *what = argv[0];
	bool takes_keys = str_eq(what, "remove");
	auto_vcrt struct vcrt *v = NULL;

	if (takes_keys != (argc > 1))
		return error_set(err, EINVAL,
		                 takes_keys ? "template remove: no key was given"
		                            : "template %s: '%s' is one argument too many",
		                 what, argv[1]);
	if (o->all && !str_eq(what, "prune"))
		return error_set(err, EINVAL, "template %s: --all is for prune", what);
	v = cmd_open(g, err);
	if (!v)
		return -err->code;
	if (str_eq(what, "create"))
		return create(v, err);
	if (str_eq(what, "list"))
		return list(v, err);
	if (str_eq(what, "prune"))
		return vcrt_template_prune(v, o->all, lib_err(err));
	if (!takes_keys)
		return error_set(err, EINVAL, "template: unknown action '%s'", what);
	for (int i = 1; i < argc; i++)
		if (vcrt_template_remove(v, argv[i], lib_err(err)) < 0)
			return -err->code;
	return 0;
}

const struct command cmd_template = {
	.name = "template",
	.args = "create | list | remove KEY... | prune",
	.help = "saved virtual machines that new ones start from",
	.description =
		"create  boots a machine of the configuration and saves it, if there is none yet\n"
		"list    shows the templates, their size in memory and whether they are used\n"
		"remove  removes those with these keys; machines that run from them go on\n"
		"prune   removes those that will not be used any more: made from another kernel,\n"
		"        initrd, VMM or version of vcrt, or set aside after a failure",
	.opts = template_opts,
	.values_size = sizeof(struct template_values),
	.min_args = 1,
	.max_args = -1,
	.run = template_run,
};
