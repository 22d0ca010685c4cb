#include "cmd/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/units.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"

#define DEFAULT_PERIOD 100000 /* us */

struct update_values {
	const char *resources;
	int64_t blkio_weight, pids_limit;
	const char *cpu_period, *cpu_quota, *cpu_share, *cpu_rt_period, *cpu_rt_runtime;
	const char *cpuset_cpus, *cpuset_mems;
	const char *kernel_memory, *kernel_memory_tcp;
	const char *memory, *memory_reservation, *memory_swap;
	const char *l3_cache_schema, *mem_bw_schema;
};

#define AT(member) offsetof(struct update_values, member)

static const struct opt update_opts[] = {
	{ "resources", 'r', OPT_STRING, AT(resources), NULL,
	  "path to the file containing the resources to update or '-' to read from the standard "
	  "input" },
	{ "blkio-weight", 0, OPT_INT, AT(blkio_weight), NULL,
	  "Specifies per cgroup weight, range is from 10 to 1000" },
	{ "cpu-period", 0, OPT_STRING, AT(cpu_period), NULL,
	  "CPU CFS period to be used for hardcapping (in usecs). 0 to use system default" },
	{ "cpu-quota", 0, OPT_STRING, AT(cpu_quota), NULL,
	  "CPU CFS hardcap limit (in usecs). Allowed cpu time in a given period" },
	{ "cpu-share", 0, OPT_STRING, AT(cpu_share), NULL,
	  "CPU shares (relative weight vs. other containers)" },
	{ "cpu-rt-period", 0, OPT_STRING, AT(cpu_rt_period), NULL,
	  "CPU realtime period (in usecs); not with cgroup version 2" },
	{ "cpu-rt-runtime", 0, OPT_STRING, AT(cpu_rt_runtime), NULL,
	  "CPU realtime hardcap limit (in usecs); not with cgroup version 2" },
	{ "cpuset-cpus", 0, OPT_STRING, AT(cpuset_cpus), NULL, "CPU(s) to use" },
	{ "cpuset-mems", 0, OPT_STRING, AT(cpuset_mems), NULL, "Memory node(s) to use" },
	{ "kernel-memory", 0, OPT_STRING, AT(kernel_memory), NULL, NULL },
	{ "kernel-memory-tcp", 0, OPT_STRING, AT(kernel_memory_tcp), NULL, NULL },
	{ "memory", 0, OPT_STRING, AT(memory), NULL, "Memory limit (in bytes)" },
	{ "memory-reservation", 0, OPT_STRING, AT(memory_reservation), NULL,
	  "Memory reservation or soft_limit (in bytes)" },
	{ "memory-swap", 0, OPT_STRING, AT(memory_swap), NULL,
	  "Total memory usage (memory + swap); set '-1' to enable unlimited swap" },
	{ "pids-limit", 0, OPT_INT, AT(pids_limit), NULL,
	  "Maximum number of pids allowed in the container" },
	{ "l3-cache-schema", 0, OPT_STRING, AT(l3_cache_schema), NULL,
	  "L3 cache schema of Intel RDT/CAT: refused, a virtual machine has none" },
	{ "mem-bw-schema", 0, OPT_STRING, AT(mem_bw_schema), NULL,
	  "memory bandwidth schema of Intel RDT/MBA: refused, a virtual machine has none" },
	{ 0 },
};

enum kind { SIZE, SIGNED, UNSIGNED, TEXT };

/* Which option is which member of linux.resources. */
static const struct row {
	const char *option, *object, *key;
	size_t at;
	enum kind kind;
} rows[] = {
	{ "cpuset-cpus", "cpu", "cpus", AT(cpuset_cpus), TEXT },
	{ "cpuset-mems", "cpu", "mems", AT(cpuset_mems), TEXT },
	{ "cpu-period", "cpu", "period", AT(cpu_period), UNSIGNED },
	{ "cpu-rt-period", "cpu", "realtimePeriod", AT(cpu_rt_period), UNSIGNED },
	{ "cpu-share", "cpu", "shares", AT(cpu_share), UNSIGNED },
	{ "cpu-quota", "cpu", "quota", AT(cpu_quota), SIGNED },
	{ "cpu-rt-runtime", "cpu", "realtimeRuntime", AT(cpu_rt_runtime), SIGNED },
	{ "memory", "memory", "limit", AT(memory), SIZE },
	{ "memory-swap", "memory", "swap", AT(memory_swap), SIZE },
	{ "kernel-memory", "memory", "kernel", AT(kernel_memory), SIZE },
	{ "kernel-memory-tcp", "memory", "kernelTCP", AT(kernel_memory_tcp), SIZE },
	{ "memory-reservation", "memory", "reservation", AT(memory_reservation), SIZE },
};

static struct json *number(const struct row *row, const char *s, struct error *err)
{
	int64_t n = -1;
	uint64_t u;
	int r;

	if (row->kind == SIZE) {
		if (!str_eq(s, "-1") && size_parse(s, &n) < 0) {
			error_set(err, EINVAL, "invalid value for %s: invalid size: '%s'",
			          row->option, s);
			return NULL;
		}
		return json_new_i64(n);
	}
	r = row->kind == SIGNED ? str_to_i64(s, INT64_MIN, INT64_MAX, &n)
	                        : str_to_u64(s, 0, UINT64_MAX, &u);
	if (r < 0) {
		/* The words of runc, to the letter. */
		error_set(err, EINVAL, "invalid value for %s: strconv.%s: parsing \"%s\": %s",
		          row->option, row->kind == SIGNED ? "ParseInt" : "ParseUint", s,
		          r == -ERANGE ? "value out of range" : "invalid syntax");
		return NULL;
	}
	return row->kind == SIGNED ? json_new_i64(n) : json_new_u64(u);
}

/* The options as linux.resources; NULL and err when one is wrong. */
static struct json *resources_of(const struct update_values *o, struct error *err)
{
	auto_json struct json *all = json_new_object();
	struct json *cpu = json_new_object(), *memory = json_new_object();

	json_set(all, "cpu", cpu);
	json_set(all, "memory", memory);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *s = cmd_given(*(const char *const *)((const char *)o + rows[i].at));
		struct json *value;

		if (!s)
			continue;
		value = rows[i].kind == TEXT ? json_new_string(s) : number(&rows[i], s, err);
		if (!value)
			return NULL;
		json_set(str_eq(rows[i].object, "cpu") ? cpu : memory, rows[i].key, value);
	}
	/* In the document, 0 is "as it is". */
	if (json_get(cpu, "period") && json_get_i64(cpu, "period", -1) == 0)
		json_set(cpu, "period", json_new_i64(DEFAULT_PERIOD));
	if (o->blkio_weight) {
		json_set(all, "blockIO", json_new_object());
		json_set((struct json *)json_get(all, "blockIO"), "weight",
		         json_new_i64(o->blkio_weight));
	}
	if (o->pids_limit) {
		json_set(all, "pids", json_new_object());
		json_set((struct json *)json_get(all, "pids"), "limit",
		         json_new_i64(o->pids_limit));
	}
	return steal_ptr(&all);
}

static char *read_resources(const char *path, struct error *err)
{
	bool is_stdin = str_eq(path, "-");
	auto_close int fd = is_stdin ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	char *text = NULL;

	if (!is_stdin && fd < 0)
		error_sys(err, "open '%s'", path);
	else
		fs_read_fd(is_stdin ? STDIN_FILENO : fd, is_stdin ? "standard input" : path,
		           VCRT_MAX_RESOURCES, &text, NULL, err);
	return text;
}

static int update_run(const struct globals *g, const void *values, int argc, char **argv,
                      struct error *err)
{
	const struct update_values *o = values;
	auto_vcrt struct vcrt *v = cmd_open_for(g, argv[0], err);
	auto_free char *text = NULL;

	(void)argc;
	if (!v)
		return -err->code;
	if (cmd_given(o->resources)) {
		text = read_resources(o->resources, err);
	} else {
		auto_json struct json *j = resources_of(o, err);

		text = j ? json_print(j, false) : NULL;
	}
	if (!text)
		return -err->code;
	/* A virtual machine has no such hardware. */
	if (cmd_given(o->l3_cache_schema))
		return error_set(err, ENOTSUP, "Intel RDT/CAT: l3 cache schema is not enabled");
	if (cmd_given(o->mem_bw_schema))
		return error_set(err, ENOTSUP,
		                 "Intel RDT/MBA: memory bandwidth schema is not enabled");
	return vcrt_container_update(v, argv[0], text, lib_err(err));
}

const struct command cmd_update = {
	.name = "update",
	.args = "<container-id>",
	.help = "update container resource constraints",
	.description =
		"The limits hold in the container's virtual machine, and with what that needs\n"
		"itself on the host; its size does not change. What is not given, or given as 0,\n"
		"stays as it is.\n"
		"\n"
		"The resources are the object \"linux.resources\" of config.json:\n"
		"\n"
		"       {\"memory\": {\"limit\": 67108864}, \"cpu\": {\"quota\": 50000}}\n"
		"\n"
		"Note: if data is to be read from a file or the standard input, all other\n"
		"options are ignored.",
	.opts = update_opts,
	.values_size = sizeof(struct update_values),
	.min_args = 1,
	.max_args = 1,
	.run = update_run,
};
