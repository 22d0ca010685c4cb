#include <unistd.h>

#include "lib/config.h"
#include "lib/vm-size.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "oci/oci.h"

/* What the guest's kernel and agent need for themselves: measured 80 MiB with 512 MiB of memory,
 * and 1/64 of all memory for the kernel's list of pages; the rest is for what it caches. */
#define GUEST_OWN_MIB 128
#define PAGE_LIST_PART 60
#define NO_LIMIT_MIB (INT64_MAX >> 21) /* engines write "no limit" as nearly the largest number */
#define USUAL_PERIOD 100000
#define MAX_MILLICPUS (UINT64_C(1000) << 20) /* beyond any host, and far from overflows */
/* Each CPU that may come takes a quarter of a MiB of the guest, and time of its boot. */
#define USUAL_MAX_CPUS 32

/* ---- what containers need ---- */

uint64_t vm_bytes_to_mib(uint64_t limit)
{
	uint64_t mib = (limit >> 20) + (limit % (1u << 20) > 0);

	return mib < NO_LIMIT_MIB ? mib : 0;
}

void vm_need_update(struct vm_need *n, const struct oci_resources *r)
{
	const struct oci_memory *m = r ? r->memory : NULL;
	const struct oci_cpu *c = r ? r->cpu : NULL;

	if (m && m->limit)
		n->memory_mib = m->limit < 0 ? 0 : vm_bytes_to_mib((uint64_t)m->limit);
	if (c && c->quota)
		n->quota = c->quota < 0 ? 0 : (uint64_t)c->quota;
	if (c && c->period)
		n->period = c->period;
}

static uint64_t millicpus(const struct vm_need *n)
{
	uint64_t period = n->period ? n->period : USUAL_PERIOD, cpus = n->quota / period;
	uint64_t rest = n->quota % period;

	if (cpus >= MAX_MILLICPUS / 1000)
		return MAX_MILLICPUS;
	/* Rounded up; a rest too large to be multiplied is of no real period. */
	return cpus * 1000 +
	       (rest > UINT64_MAX / 2000 ? 1000 : (rest * 1000 + period - 1) / period);
}

void vm_need_raise(struct vm_need *n, const struct vm_need *other)
{
	if (n->memory_mib < other->memory_mib)
		n->memory_mib = other->memory_mib;
	if (millicpus(n) >= millicpus(other))
		return;
	n->quota = other->quota;
	n->period = other->period;
}

struct json *vm_need_to_json(const struct vm_need *n)
{
	struct json *j = json_new_object();

	json_set(j, "memory", json_new_u64(n->memory_mib));
	json_set(j, "quota", json_new_u64(n->quota));
	json_set(j, "period", json_new_u64(n->period));
	return j;
}

static uint64_t number(const struct json *j, const char *key, int64_t max)
{
	int64_t n = json_get_i64(j, key, 0);

	return n > 0 && n <= max ? (uint64_t)n : 0;
}

void vm_need_from_json(struct vm_need *n, const struct json *j)
{
	*n = (struct vm_need){ .memory_mib = number(j, "memory", NO_LIMIT_MIB - 1),
		               .quota = number(j, "quota", INT64_MAX),
		               .period = number(j, "period", INT64_MAX) };
}

void vm_sum_add(struct vm_sum *sum, const struct vm_need *n)
{
	sum->memory_mib += n->memory_mib; /* of far less than 2^22 containers */
	sum->millicpus += millicpus(n);
}

/* ---- sizes ---- */

struct hv_size vm_size_max(const struct config *c)
{
	long host = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned cpus = host < USUAL_MAX_CPUS ? (unsigned)host : USUAL_MAX_CPUS;
	struct hv_size max = { c->memory_max_mib ? c->memory_max_mib : config_host_memory(),
		               c->cpus_max ? c->cpus_max : cpus };

	return vm_size_larger(max, (struct hv_size){ c->memory_mib, c->cpus });
}

struct hv_size vm_size_reach(const struct config *c)
{
	struct hv_size max = vm_size_max(c);
	unsigned mib = 1;

	while (!c->memory_max_mib && mib < max.memory_mib)
		mib *= 2;
	return vm_size_larger(max, (struct hv_size){ mib, 0 });
}

unsigned vm_size_step(const struct config *c, uint64_t mib)
{
	unsigned most = vm_size_max(c).memory_mib - c->memory_mib, more;

	if (mib <= c->memory_mib)
		return c->memory_mib;
	mib -= c->memory_mib;
	most -= most % HV_MEMORY_STEP_MIB;
	if (mib > most)
		return c->memory_mib + most;
	more = (unsigned)mib + HV_MEMORY_STEP_MIB - 1;
	return c->memory_mib + more - more % HV_MEMORY_STEP_MIB;
}

struct hv_size vm_size_for(const struct config *c, const struct vm_sum *sum)
{
	const uint64_t mib = sum->memory_mib, cpus = (sum->millicpus + 999) / 1000;
	struct hv_size max = vm_size_max(c), size = { c->memory_mib, c->cpus };

	if (mib)
		size.memory_mib = vm_size_step(c, mib + mib / PAGE_LIST_PART + GUEST_OWN_MIB);
	if (cpus > size.cpus)
		size.cpus = cpus < max.cpus ? (unsigned)cpus : max.cpus;
	return size;
}

struct hv_size vm_size_larger(struct hv_size a, struct hv_size b)
{
	return (struct hv_size){ a.memory_mib > b.memory_mib ? a.memory_mib : b.memory_mib,
		                 a.cpus > b.cpus ? a.cpus : b.cpus };
}

bool vm_size_is_within(struct hv_size a, struct hv_size b)
{
	return a.memory_mib <= b.memory_mib && a.cpus <= b.cpus;
}

struct json *vm_size_to_json(struct hv_size s)
{
	struct json *j = json_new_object();

	json_set(j, "memory", json_new_u64(s.memory_mib));
	json_set(j, "cpus", json_new_u64(s.cpus));
	return j;
}

struct hv_size vm_size_from_json(const struct json *j)
{
	return (struct hv_size){ (unsigned)number(j, "memory", UINT32_MAX),
		                 (unsigned)number(j, "cpus", UINT16_MAX) };
}

/* The VMM needs memory of its own for requests under way, the tables of the guest's memory (1/512,
 * twice) and code that it translates. */
struct cgroup_room vm_room(const struct config *c, unsigned memory_mib)
{
	bool is_emulated = str_eq(c->accel, hv_accel_name(HV_ACCEL_TCG));

	return (struct cgroup_room){
		.vm = (uint64_t)memory_mib << 20,
		.vmm = ((uint64_t)c->memory_overhead_mib + memory_mib / 256 +
		        (is_emulated ? HV_TCG_CODE_MIB : 0))
		       << 20,
	};
}
