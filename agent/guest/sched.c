/* process.scheduler, process.ioPriority and process.execCPUAffinity, set from outside: a container
 * with a cpuset has joined it by its birth. */
#include <errno.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/str.h"
#include "oci/oci.h"

/* struct sched_attr of sched_setattr(2); the headers of Debian 12 clash over it. */
struct sched_attr_v1 {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

struct name {
	const char *name;
	unsigned value;
};

static const struct name policies[] = {
	{ "SCHED_OTHER", 0 }, { "SCHED_FIFO", 1 }, { "SCHED_RR", 2 },       { "SCHED_BATCH", 3 },
	{ "SCHED_ISO", 4 },   { "SCHED_IDLE", 5 }, { "SCHED_DEADLINE", 6 },
};

static const struct name flags[] = {
	{ "SCHED_FLAG_RESET_ON_FORK", 0x01 },  { "SCHED_FLAG_RECLAIM", 0x02 },
	{ "SCHED_FLAG_DL_OVERRUN", 0x04 },     { "SCHED_FLAG_KEEP_POLICY", 0x08 },
	{ "SCHED_FLAG_KEEP_PARAMS", 0x10 },    { "SCHED_FLAG_UTIL_CLAMP_MIN", 0x20 },
	{ "SCHED_FLAG_UTIL_CLAMP_MAX", 0x40 },
};

static const struct name classes[] = {
	{ "IOPRIO_CLASS_RT", IOPRIO_CLASS_RT },
	{ "IOPRIO_CLASS_BE", IOPRIO_CLASS_BE },
	{ "IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE },
};

static int find(const struct name *table, size_t n, const char *name, const char *field,
                unsigned *out, struct error *err)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(table[i].name, name)) {
			*out = table[i].value;
			return 0;
		}
	return error_set(err, EINVAL, "%s: unknown name '%s'", field, name ? name : "");
}

static int set_scheduler(pid_t pid, const struct oci_scheduler *s, struct error *err)
{
	struct sched_attr_v1 attr = {
		.size = sizeof(attr),
		.nice = s->nice,
		.priority = (uint32_t)s->priority,
		.runtime = s->runtime,
		.deadline = s->deadline,
		.period = s->period,
	};
	unsigned bit = 0;

	if (find(policies, ARRAY_SIZE(policies), s->policy, "process.scheduler.policy",
	         &attr.policy, err) < 0)
		return -err->code;
	for (size_t i = 0; s->flags && s->flags[i]; i++) {
		if (find(flags, ARRAY_SIZE(flags), s->flags[i], "process.scheduler.flags", &bit,
		         err) < 0)
			return -err->code;
		attr.flags |= bit;
	}
	if (syscall(SYS_sched_setattr, pid, &attr, 0) < 0)
		return error_sys(err, "process.scheduler: set %s", s->policy);
	return 0;
}

static int set_io_priority(pid_t pid, const struct oci_io_priority *p, struct error *err)
{
	unsigned class;

	if (find(classes, ARRAY_SIZE(classes), p->class, "process.ioPriority.class", &class, err) <
	    0)
		return -err->code;
	if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid,
	            IOPRIO_PRIO_VALUE(class, p->priority)) < 0)
		return error_sys(err, "process.ioPriority: set %s", p->class);
	return 0;
}

int sched_affinity(pid_t pid, const char *list, struct error *err)
{
	const char *rest = list;
	unsigned cpu, last;
	cpu_set_t set;

	if (!list || !*list)
		return 0;
	CPU_ZERO(&set);
	while (oci_next_cpus(&rest, &cpu, &last) == 1)
		for (; cpu <= last; cpu++)
			CPU_SET(cpu, &set);
	if (sched_setaffinity(pid, sizeof(set), &set) < 0)
		return error_sys(err, "run on CPUs '%s'", list);
	return 0;
}

int sched_apply(pid_t pid, const struct oci_process *process, bool is_exec, struct error *err)
{
	if (process->scheduler && set_scheduler(pid, process->scheduler, err) < 0)
		return -err->code;
	if (process->io_priority && set_io_priority(pid, process->io_priority, err) < 0)
		return -err->code;
	/* config.md: "not applicable to the container's init process" */
	if (is_exec && process->exec_cpu_affinity &&
	    sched_affinity(pid, process->exec_cpu_affinity->final, err) < 0)
		return error_wrap(err, "process.execCPUAffinity.final");
	return 0;
}
