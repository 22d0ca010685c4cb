#include "cmd/cmd.h"

static int start_run(const struct globals *g, const void *values, int argc, char **argv,
                     struct error *err)
{
	(void)values;
	(void)argc;
	return cmd_call(g, argv[0], vcrt_container_start, err);
}

const struct command cmd_start = {
	.name = "start",
	.args = "<container-id>",
	.help = "run the user's program in a created container",
	.description = "Returns when the program runs. A \"vcrt create\" that is still at work is\n"
		       "waited for. The output goes where that was told.",
	.min_args = 1,
	.max_args = 1,
	.run = start_run,
};
