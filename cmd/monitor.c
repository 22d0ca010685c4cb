/* Hidden: owns one virtual machine; started by libvcrt with descriptors that only it
 * knows to prepare. */
#include "cmd/cmd.h"

static int monitor_run(const struct globals *g, const void *values, int argc, char **argv,
                       struct error *err)
{
	(void)g;
	(void)values;
	(void)err;
	return vcrt_monitor_main(argc, argv);
}

const struct command cmd_monitor = {
	.name = "monitor",
	.max_args = -1,
	.hidden = true,
	.raw = true,
	.run = monitor_run,
};
