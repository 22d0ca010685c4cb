#include "cmd/cmd.h"

#include <string.h>

#include "lib/base/json.h"

struct env_values {
	bool json;
};

static const struct opt env_opts[] = {
	{ "json", 0, OPT_BOOL, offsetof(struct env_values, json), NULL, "print a JSON document" },
	{ 0 },
};

static void print_scalar(const char *path, const struct json *j)
{
	auto_free char *text = NULL;

	if (json_type(j) == JSON_STRING) {
		printf("%s = %s\n", path, json_string(j));
		return;
	}
	text = json_print(j, false);
	printf("%s = %s\n", path, text);
}

/* One line per value, named by its path. Arrays stay in one line. */
static void print_flat(const char *prefix, const struct json *j)
{
	size_t i;

	if (json_type(j) != JSON_OBJECT) {
		print_scalar(prefix, j);
		return;
	}
	for (i = 0; i < json_len(j); i++) {
		auto_free char *path =
			str_fmt("%s%s%s", prefix, *prefix ? "." : "", json_key_at(j, i));

		print_flat(path, json_value_at(j, i));
	}
}

static int env_run(const struct globals *g, const void *values, int argc, char **argv,
                   struct error *err)
{
	const struct env_values *o = values;
	auto_vcrt struct vcrt *v = cmd_open(g, err);
	auto_json struct json *j = NULL;
	auto_free char *text = NULL;

	(void)argc;
	(void)argv;
	if (!v || vcrt_env(v, &text, lib_err(err)) < 0)
		return -err->code;
	if (o->json) {
		puts(text);
		return 0;
	}
	j = json_parse(text, strlen(text), false, err);
	if (!j)
		return error_wrap(err, "environment");
	print_flat("", j);
	return 0;
}

const struct command cmd_env = {
	.name = "env",
	.help = "show what would be used: configuration, programs, images",
	.opts = env_opts,
	.values_size = sizeof(struct env_values),
	.run = env_run,
};
