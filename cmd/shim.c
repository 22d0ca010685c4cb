/* Hidden: stands for one container process; started by libvcrt with descriptors that only it
 * knows to prepare. */
#include "cmd/cmd.h"

static int shim_run(const struct globals *g, const void *values, int argc, char **argv,
                    struct error *err)
{
	(void)g;
	(void)values;
	(void)err;
	return vcrt_shim_main(argc, argv);
}

const struct command cmd_shim = {
	.name = "shim",
	.max_args = -1,
	.hidden = true,
	.raw = true,
	.run = shim_run,
};
