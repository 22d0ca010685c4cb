#include "cmd/cmd.h"

struct kill_values {
	bool all;
};

static const struct opt kill_opts[] = {
	{ "all", 'a', OPT_BOOL, offsetof(struct kill_values, all), NULL,
	  "send the signal to every process of the container" },
	{ 0 },
};

static int kill_run(const struct globals *g, const void *values, int argc, char **argv,
                    struct error *err)
{
	const struct kill_values *o = values;
	auto_vcrt struct vcrt *v = cmd_open_for(g, argv[0], err);
	int signal;

	if (!v)
		return -err->code;
	signal = vcrt_signal_parse(argc > 1 && *argv[1] ? argv[1] : "SIGTERM", lib_err(err));
	if (signal < 0)
		return signal;
	return vcrt_container_kill(v, argv[0], signal, o->all, lib_err(err));
}

const struct command cmd_kill = {
	.name = "kill",
	.args = "<container-id> [signal]",
	.help = "send a signal (default: SIGTERM) to a container's process",
	.description = "The signal is a number or a name, KILL or SIGKILL.\n\n"
		       "EXAMPLE:\n"
		       "       # vcrt kill ubuntu01 KILL",
	.opts = kill_opts,
	.values_size = sizeof(struct kill_values),
	.min_args = 1,
	.max_args = 2,
	.run = kill_run,
};
