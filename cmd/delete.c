#include "cmd/cmd.h"

struct delete_values {
	bool force;
};

static const struct opt delete_opts[] = {
	{ "force", 'f', OPT_BOOL, offsetof(struct delete_values, force), NULL,
	  "kill the container first if it runs; an unknown id is no error" },
	{ 0 },
};

static int delete_run(const struct globals *g, const void *values, int argc, char **argv,
                      struct error *err)
{
	const struct delete_values *o = values;
	auto_vcrt struct vcrt *v = cmd_open(g, err);

	(void)argc;
	if (!v)
		return -err->code;
	return vcrt_container_delete(v, argv[0], o->force, lib_err(err));
}

const struct command cmd_delete = {
	.name = "delete",
	.args = "<container-id>",
	.help = "remove all that belongs to a stopped container",
	.description =
		"Returns when everything is gone: processes, mounts, cgroups, files. With the\n"
		"last container of a virtual machine goes the machine.",
	.opts = delete_opts,
	.values_size = sizeof(struct delete_values),
	.min_args = 1,
	.max_args = 1,
	.run = delete_run,
};
