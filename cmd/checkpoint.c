/* Hidden: clients call checkpoint and restore with many options and show what they answer. */
#include "cmd/cmd.h"

#include <errno.h>

static int checkpoint_run(const struct globals *g, const void *values, int argc, char **argv,
                          struct error *err)
{
	(void)g;
	(void)values;
	(void)argc;
	(void)argv;
	return error_set(err, ENOTSUP,
	                 "checkpoint and restore are not supported: the processes run in a "
	                 "virtual machine, out of reach of CRIU");
}

const struct command cmd_checkpoint = {
	.name = "checkpoint",
	.max_args = -1,
	.raw = true,
	.run = checkpoint_run,
};

const struct command cmd_restore = {
	.name = "restore",
	.max_args = -1,
	.raw = true,
	.run = checkpoint_run,
};
