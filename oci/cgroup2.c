/* linux.resources speaks of cgroup version 1. These are the conversions to version 2 that runc and
 * crun use, so that numbers mean the same everywhere. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "lib/base/error.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define FIELD "linux.resources."
#define DEFAULT_PERIOD 100000 /* microseconds */

static uint64_t clamp(uint64_t n, uint64_t min, uint64_t max)
{
	return n < min ? min : n > max ? max : n;
}

static int refuse(const char *field, struct error *err)
{
	return error_set(err, ENOTSUP, FIELD "%s: not supported with cgroup version 2", field);
}

int oci_cgroup2_check(const struct oci_resources *r, struct error *err)
{
	const struct oci_network *net = r ? r->network : NULL;
	const struct oci_cpu *c = r ? r->cpu : NULL;
	const struct oci_block_io *b = r ? r->block_io : NULL;

	if (net && (net->class_id || net->n_priorities > 0))
		return refuse("network", err);
	if (c && (c->realtime_runtime != 0 || c->realtime_period != 0))
		return refuse("cpu.realtimeRuntime, realtimePeriod", err);
	return b && b->leaf_weight ? refuse("blockIO.leafWeight", err) : 0;
}

uint64_t oci_cpu_weight(uint64_t shares)
{
	return shares ? 1 + ((clamp(shares, 2, 262144) - 2) * 9999) / 262142 : 0;
}

uint64_t oci_io_weight(uint16_t weight)
{
	return weight ? 1 + (clamp(weight, 10, 1000) - 10) * 9999 / 990 : 0;
}

int oci_swap_max(const struct oci_memory *m, int64_t *max, struct error *err)
{
	*max = -1;
	if (!m->has_swap || m->swap == 0) /* no limit for memory means none for both */
		return m->has_limit && m->limit < 0;
	if (m->swap < 0)
		return 1;
	if (m->limit <= 0)
		return error_set(err, EINVAL,
		                 FIELD "memory.swap: cannot be set without memory.limit");
	if (m->swap < m->limit)
		return error_set(err, EINVAL,
		                 FIELD "memory.swap: must not be less than memory.limit");
	*max = m->swap - m->limit;
	return 1;
}

char *oci_cpu_max(const struct oci_cpu *c, const char *now)
{
	uint64_t period = DEFAULT_PERIOD;
	int64_t quota = -1;

	/* Of quota and period one may change alone; the kernel's file has both. */
	if (now && sscanf(now, "%" SCNd64 " %" SCNu64, &quota, &period) != 2) {
		quota = -1;
		if (sscanf(now, "max %" SCNu64, &period) != 1)
			period = DEFAULT_PERIOD;
	}
	if (!c->quota && !c->period)
		return NULL;
	if (c->quota)
		quota = c->quota;
	if (c->period)
		period = c->period;
	return quota > 0 ? str_fmt("%" PRId64 " %" PRIu64, quota, period)
	                 : str_fmt("max %" PRIu64, period);
}
