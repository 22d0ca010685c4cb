#include "cmd/cmd.h"

static int resume_run(const struct globals *g, const void *values, int argc, char **argv,
                      struct error *err)
{
	(void)values;
	(void)argc;
	return cmd_call(g, argv[0], vcrt_container_resume, err);
}

const struct command cmd_resume = {
	.name = "resume",
	.args = "<container-id>",
	.help = "let the processes of a paused container go on",
	.description = "Undoes \"vcrt pause\".",
	.min_args = 1,
	.max_args = 1,
	.run = resume_run,
};
