#include "cmd/create.h"

struct run_values {
	struct create_values create;
	bool detach, keep, no_subreaper; /* the last: of no effect, we never become one */
};

static const struct opt run_opts[] = {
	CREATE_OPTS(offsetof(struct run_values, create)),
	{ "detach", 'd', OPT_BOOL, offsetof(struct run_values, detach), NULL,
	  "return as soon as the container runs" },
	{ "keep", 0, OPT_BOOL, offsetof(struct run_values, keep), NULL,
	  "do not delete the container when it has ended" },
	{ "no-subreaper", 0, OPT_BOOL, offsetof(struct run_values, no_subreaper), NULL,
	  "for compatibility: processes of the container are never orphaned on the host" },
	{ 0 },
};

static int run_run(const struct globals *g, const void *values, int argc, char **argv,
                   struct error *err)
{
	const struct run_values *o = values;
	auto_vcrt struct vcrt *v = cmd_open(g, err);
	struct vcrt_run_options options = {
		.detach = o->detach,
		.keep = o->keep,
	};
	int code = 0;

	(void)argc;
	if (!v)
		return -err->code;
	create_fill(&options.create, &o->create, argv[0]);
	if (vcrt_container_run(v, &options, &code, lib_err(err)) < 0)
		return -err->code;
	return code;
}

const struct command cmd_run = {
	.name = "run",
	.args = "<container-id>",
	.help = "create and run a container",
	.description =
		"Does the work of create and start, waits for the end of the container, and\n"
		"deletes it. The exit status is that of the container: 128 + n when signal n\n"
		"has ended it.",
	.opts = run_opts,
	.values_size = sizeof(struct run_values),
	.min_args = 1,
	.max_args = 1,
	.run = run_run,
};
