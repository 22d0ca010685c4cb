#include "cmd/cmd.h"

static int state_run(const struct globals *g, const void *values, int argc, char **argv,
                     struct error *err)
{
	auto_vcrt struct vcrt *v = cmd_open(g, err);
	auto_free char *json = NULL;

	(void)values;
	(void)argc;
	if (!v || vcrt_container_state_json(v, argv[0], &json, lib_err(err)) < 0)
		return -err->code;
	fputs(json, stdout); /* no newline, as runc */
	return 0;
}

const struct command cmd_state = {
	.name = "state",
	.args = "<container-id>",
	.help = "print the state of a container as JSON",
	.min_args = 1,
	.max_args = 1,
	.run = state_run,
};
