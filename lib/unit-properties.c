#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/unit-properties.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define USEC_PER_SEC 1000000
#define QUOTA_STEP 10000 /* a percent of a second */

void unit_properties_done(struct unit_properties *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->v[i].name);
		free(p->v[i].text);
		free(p->v[i].bytes);
	}
	free(p->v);
	*p = (struct unit_properties){ 0 };
}

struct unit_property *unit_property_add(struct unit_properties *p, const char *name, char type)
{
	struct unit_property *x = NULL;

	for (size_t i = 0; i < p->n; i++)
		if (str_eq(p->v[i].name, name))
			x = &p->v[i];
	if (x) {
		free(x->name);
		free(x->text);
		free(x->bytes);
	} else {
		p->v = xreallocarray(p->v, p->n + 1, sizeof(*p->v));
		x = &p->v[p->n++];
	}
	*x = (struct unit_property){ .name = str_dup(name), .type = type };
	return x;
}

/* "max" of version 2, -1 of version 1, and version 1's page-aligned largest number are no limit. */
static void add_number(struct unit_properties *p, const char *name, const char *content)
{
	uint64_t n;

	if (str_eq(content, "max") || str_eq(content, "-1"))
		n = UINT64_MAX;
	else if (str_to_u64(content, 0, UINT64_MAX, &n) < 0)
		return;
	unit_property_add(p, name, 't')->number = n >= INT64_MAX / 4096 * 4096 ? UINT64_MAX : n;
}

static void add_weight(struct unit_properties *p, const char *name, const char *content)
{
	add_number(p, name, str_starts(content, "default ") ? strchr(content, ' ') + 1 : content);
}

/* A bit for each processor or node, the first one in the lowest bit of the first byte. */
static void add_list(struct unit_properties *p, const char *name, const char *content)
{
	unsigned char bits[OCI_MAX_CPU / 8 + 1] = { 0 };
	struct unit_property *x;
	unsigned first, last;
	size_t len = 0;
	int r;

	while ((r = oci_next_cpus(&content, &first, &last)) == 1) {
		for (unsigned i = first; i <= last; i++)
			bits[i / 8] |= (unsigned char)(1 << i % 8);
		len = last / 8 + 1 > len ? last / 8 + 1 : len;
	}
	if (r < 0)
		return;
	x = unit_property_add(p, name, 'a');
	x->bytes = len ? xmemdup(bits, len) : NULL;
	x->len = len;
}

/* "QUOTA PERIOD" in microseconds. systemd counts the quota for each second, and once did so in
 * whole percents: it is rounded up to one, as by runc. */
static void add_quota(struct unit_properties *p, const char *name, const char *content)
{
	uint64_t quota, period, each = UINT64_MAX;

	if (sscanf(content, "%" SCNu64 " %" SCNu64, &quota, &period) == 2 && period > 0) {
		if (quota <= UINT64_MAX / USEC_PER_SEC) {
			each = quota * USEC_PER_SEC / period;
			each = (each + QUOTA_STEP - 1) / QUOTA_STEP * QUOTA_STEP;
		}
	} else if (sscanf(content, "max %" SCNu64, &period) != 1) {
		return;
	}
	unit_property_add(p, "CPUQuotaPeriodUSec", 't')->number = period;
	unit_property_add(p, name, 't')->number = each;
}

void unit_properties_add(struct unit_properties *p, const char *file, const char *content)
{
	static const struct {
		const char *file, *property;
		void (*add)(struct unit_properties *p, const char *name, const char *content);
	} table[] = {
		{ "memory.max", "MemoryMax", add_number },
		{ "memory.limit_in_bytes", "MemoryLimit", add_number },
		{ "memory.low", "MemoryLow", add_number },
		{ "memory.swap.max", "MemorySwapMax", add_number },
		{ "cpu.weight", "CPUWeight", add_number },
		{ "cpu.shares", "CPUShares", add_number },
		{ "cpu.max", "CPUQuotaPerSecUSec", add_quota },
		{ "cpuset.cpus", "AllowedCPUs", add_list },
		{ "cpuset.mems", "AllowedMemoryNodes", add_list },
		{ "pids.max", "TasksMax", add_number },
		{ "io.weight", "IOWeight", add_weight },
		{ "blkio.weight", "BlockIOWeight", add_number },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (str_eq(table[i].file, file))
			table[i].add(p, table[i].property, content);
}
