/* Hidden: clients call checkpoint and restore with many options and show what they answer. */
#include "cmd/cmd.h"

#include <errno.h>

static int checkpoint_run(const struct globals *g, const void *values, int argc, char **argv,
                          struct error *err)
{
	(void)g;
	(void)values;
	for (int i = 2; i < argc; i++) {
		if (str_eq(argv[i], "--help") || str_eq(argv[i], "-h")) {
			help_print_command(cmd_find(argv[1]), stdout);
			return 0;
		}
	}
	return error_set(err, ENOTSUP,
	                 "checkpoint and restore are not supported: the processes run in a "
	                 "virtual machine, out of reach of CRIU");
}

const struct command cmd_checkpoint = {
	.name = "checkpoint",
	.args = "<container-id>",
	.help = "not supported: CRIU cannot see into a virtual machine",
	.hidden = true,
	.max_args = -1,
	.raw = true,
	.run = checkpoint_run,
};

const struct command cmd_restore = {
	.name = "restore",
	.args = "<container-id>",
	.help = "not supported: CRIU cannot see into a virtual machine",
	.hidden = true,
	.max_args = -1,
	.raw = true,
	.run = checkpoint_run,
};
