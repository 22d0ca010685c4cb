#include "cmd/cmd.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "lib/base/json.h"

#define NSEC_PER_MSEC 1000000

struct events_values {
	int64_t interval; /* ns */
	bool stats;
};

static const struct opt events_opts[] = {
	{ "interval", 0, OPT_TIME, offsetof(struct events_values, interval), "5s",
	  "set the stats collection interval" },
	{ "stats", 0, OPT_BOOL, offsetof(struct events_values, stats), NULL,
	  "display the container's stats then exit" },
	{ 0 },
};

/* Clients read line by line. */
static int print_event(void *arg, const char *json)
{
	(void)arg;
	return puts(json) < 0 || fflush(stdout) != 0;
}

static int print_stats(struct vcrt *v, const char *id, struct error *err)
{
	auto_free char *data = NULL, *quoted = NULL;
	auto_json struct json *name = json_new_string(id);

	if (vcrt_container_stats(v, id, &data, lib_err(err)) < 0)
		return -err->code;
	quoted = json_print(name, false);
	printf("{\"type\":\"stats\",\"id\":%s,\"data\":%s}\n", quoted, data);
	return 0;
}

static int events_run(const struct globals *g, const void *values, int argc, char **argv,
                      struct error *err)
{
	const struct events_values *o = values;
	int64_t ms = o->interval / NSEC_PER_MSEC;
	auto_vcrt struct vcrt *v = cmd_open_for(g, argv[0], err);

	(void)argc;
	if (!v)
		return -err->code;
	if (o->interval <= 0)
		return error_set(err, EINVAL, "duration interval must be greater than 0");
	if (o->stats)
		return print_stats(v, argv[0], err);
	ms = ms < 1 ? 1 : ms > INT_MAX ? INT_MAX : ms;
	return vcrt_container_events(v, argv[0], (unsigned)ms, print_event, NULL, lib_err(err));
}

const struct command cmd_events = {
	.name = "events",
	.args = "<container-id>",
	.help = "display container events such as OOM notifications, cpu, memory, and IO usage "
		"statistics",
	.description = "The events command displays information about the container, as counted in "
		       "its\nvirtual machine. By default the information is displayed once every "
		       "5 seconds.",
	.opts = events_opts,
	.values_size = sizeof(struct events_values),
	.min_args = 1,
	.max_args = 1,
	.run = events_run,
};
