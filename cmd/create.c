#include "cmd/create.h"

static const struct opt create_opts[] = {
	CREATE_OPTS(0),
	{ 0 },
};

void create_fill(struct vcrt_create_options *out, const struct create_values *values,
                 const char *id)
{
	*out = (struct vcrt_create_options){
		.id = id,
		.bundle = cmd_given(values->bundle),
		.pid_file = cmd_given(values->pid_file),
		.console_socket = cmd_given(values->console_socket),
		.stdio = { 0, 1, 2 },
		.pidfd_socket = cmd_given(values->pidfd_socket),
		.preserve_fds = values->preserve_fds,
		.no_pivot = values->no_pivot,
		.no_new_keyring = values->no_new_keyring,
	};
}

static int create_run(const struct globals *g, const void *values, int argc, char **argv,
                      struct error *err)
{
	auto_vcrt struct vcrt *v = cmd_open(g, err);
	struct vcrt_create_options options;

	(void)argc;
	if (!v)
		return -err->code;
	create_fill(&options, values, argv[0]);
	return vcrt_container_create(v, &options, NULL, lib_err(err));
}

const struct command cmd_create = {
	.name = "create",
	.args = "<container-id>",
	.help = "create a container",
	.description =
		"Starts a virtual machine and makes the container's\n"
		"process in it. The process waits; \"vcrt start\" lets it run. The id is a name "
		"of\n"
		"your choice that no other container has.",
	.opts = create_opts,
	.values_size = sizeof(struct create_values),
	.min_args = 1,
	.max_args = 1,
	.run = create_run,
};
