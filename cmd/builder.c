/* Hidden: makes a template that nobody waits for; started by libvcrt with a configuration. */
#include "cmd/cmd.h"

static int builder_run(const struct globals *g, const void *values, int argc, char **argv,
                       struct error *err)
{
	auto_vcrt struct vcrt *v = cmd_open(g, err);

	(void)values;
	(void)argc;
	(void)argv;
	return v ? vcrt_template_build(v, lib_err(err)) : -err->code;
}

const struct command cmd_builder = {
	.name = "builder",
	.hidden = true,
	.run = builder_run,
};
