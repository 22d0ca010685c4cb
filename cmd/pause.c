#include "cmd/cmd.h"

static int pause_run(const struct globals *g, const void *values, int argc, char **argv,
                     struct error *err)
{
	(void)values;
	(void)argc;
	return cmd_call(g, argv[0], vcrt_container_pause, err);
}

const struct command cmd_pause = {
	.name = "pause",
	.args = "<container-id>",
	.help = "freeze the processes of a container",
	.description =
		"The virtual machine and other containers in it go on. \"vcrt resume\" is the way\n"
		"back.",
	.min_args = 1,
	.max_args = 1,
	.run = pause_run,
};
