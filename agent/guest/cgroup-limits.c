/* linux.resources on cgroup version 2. The specification speaks of version 1; the conversions are
 * those that runc and crun use, so that numbers mean the same everywhere. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define FIELD "linux.resources."

static bool has_file(const struct cgroup *cg, const char *file)
{
	return faccessat(cg->fd, file, F_OK, 0) == 0;
}

static int put(const struct cgroup *cg, const char *field, const char *file, const char *value,
               struct error *err)
{
	if (!has_file(cg, file))
		return error_set(err, ENOTSUP, FIELD "%s: the guest kernel has no '%s'", field,
		                 file);
	if (fs_write_value_at(cg->fd, file, value, err) < 0)
		return error_wrap(err, FIELD "%s", field);
	return 0;
}

static int put_i64(const struct cgroup *cg, const char *field, const char *file, int64_t value,
                   struct error *err)
{
	auto_free char *text = value < 0 ? str_dup("max") : str_fmt("%" PRId64, value);

	return put(cg, field, file, text, err);
}

static int refuse(const char *field, struct error *err)
{
	return error_set(err, ENOTSUP, FIELD "%s: not supported with cgroup version 2", field);
}

/* [2, 262144] to [1, 10000]; 0 is "not set". */
uint64_t cgroup_cpu_weight(uint64_t shares)
{
	if (shares == 0)
		return 0;
	if (shares < 2)
		shares = 2;
	if (shares > 262144)
		shares = 262144;
	return 1 + ((shares - 2) * 9999) / 262142;
}

/* [10, 1000] to [1, 10000]; 0 is "not set". */
uint64_t cgroup_io_weight(uint16_t weight)
{
	if (weight == 0)
		return 0;
	if (weight < 10)
		weight = 10;
	if (weight > 1000)
		weight = 1000;
	return 1 + ((uint64_t)weight - 10) * 9999 / 990;
}

/* Version 1 counts memory and swap together, version 2 swap alone. -1: no limit. */
int cgroup_swap_max(int64_t limit, int64_t swap, int64_t *out, struct error *err)
{
	if (swap < 0) {
		*out = -1;
		return 0;
	}
	if (limit <= 0)
		return error_set(err, EINVAL,
		                 FIELD "memory.swap: cannot be set without memory.limit");
	if (swap < limit)
		return error_set(err, EINVAL,
		                 FIELD "memory.swap: must not be less than memory.limit");
	*out = swap - limit;
	return 0;
}

static int limit_swap(const struct cgroup *cg, const struct oci_memory *m, struct error *err)
{
	int64_t max;

	if (!m->has_swap || m->swap == 0) {
		if (!(m->has_limit && m->limit < 0))
			return 0;
		max = -1; /* no limit for memory means none for both */
	} else if (cgroup_swap_max(m->has_limit ? m->limit : 0, m->swap, &max, err) < 0) {
		return -err->code;
	}
	if (!has_file(cg, "memory.swap.max")) /* a kernel without swap keeps every limit of it */
		return 0;
	return put_i64(cg, "memory.swap", "memory.swap.max", max, err);
}

static int limit_memory(const struct cgroup *cg, const struct oci_memory *m, struct error *err)
{
	if (!m)
		return 0;
	if (limit_swap(cg, m, err) < 0)
		return -err->code;
	if (m->has_limit && m->limit != 0 &&
	    put_i64(cg, "memory.limit", "memory.max", m->limit, err) < 0)
		return -err->code;
	if (m->has_reservation && m->reservation != 0 &&
	    put_i64(cg, "memory.reservation", "memory.low", m->reservation, err) < 0)
		return -err->code;
	if ((m->has_kernel && m->kernel > 0) || (m->has_kernel_tcp && m->kernel_tcp > 0))
		log_warn(FIELD "memory.kernel, kernelTCP: kernel memory has no limit of its own "
		               "with cgroup version 2, ignoring");
	if (m->has_swappiness)
		log_warn(FIELD "memory.swappiness: cgroup version 2 has no such thing, ignoring");
	if (m->disable_oom_killer)
		log_warn(FIELD "memory.disableOOMKiller: cgroup version 2 cannot, ignoring");
	return 0;
}

static int limit_cpu_max(const struct cgroup *cg, const struct oci_cpu *c, struct error *err)
{
	auto_free char *text = NULL;
	uint64_t period = c->period ? c->period : 100000;

	if (!c->quota && !c->period)
		return 0;
	text = c->quota > 0 ? str_fmt("%" PRId64 " %" PRIu64, c->quota, period)
	                    : str_fmt("max %" PRIu64, period);
	return put(cg, "cpu.quota", "cpu.max", text, err);
}

static int limit_cpu(const struct cgroup *cg, const struct oci_cpu *c, struct error *err)
{
	if (!c)
		return 0;
	if (c->realtime_runtime != 0 || c->realtime_period != 0)
		return refuse("cpu.realtimeRuntime, realtimePeriod", err);
	if (c->has_idle && c->idle != 0 && put_i64(cg, "cpu.idle", "cpu.idle", c->idle, err) < 0)
		return -err->code;
	/* An idle group has no weight. */
	if (c->shares && !c->idle &&
	    put_i64(cg, "cpu.shares", "cpu.weight", (int64_t)cgroup_cpu_weight(c->shares), err) < 0)
		return -err->code;
	if (limit_cpu_max(cg, c, err) < 0)
		return -err->code;
	if (c->burst && put_i64(cg, "cpu.burst", "cpu.max.burst", (int64_t)c->burst, err) < 0)
		return -err->code;
	if (c->cpus && c->cpus[0] && put(cg, "cpu.cpus", "cpuset.cpus", c->cpus, err) < 0)
		return -err->code;
	if (c->mems && c->mems[0] && put(cg, "cpu.mems", "cpuset.mems", c->mems, err) < 0)
		return -err->code;
	return 0;
}

/* BFQ takes version 1's range, the other policy the range of version 2. device: "" or "8:0 ". */
static int put_weight(const struct cgroup *cg, const char *field, const char *device,
                      uint16_t weight, struct error *err)
{
	bool bfq = has_file(cg, "io.bfq.weight");
	auto_free char *text = NULL;

	if (weight == 0)
		return 0;
	text = bfq ? str_fmt("%s%u", device, (unsigned)weight)
	           : str_fmt("%s%" PRIu64, device[0] ? device : "default ",
	                     cgroup_io_weight(weight));
	return put(cg, field, bfq ? "io.bfq.weight" : "io.weight", text, err);
}

static int put_throttle(const struct cgroup *cg, const char *field,
                        const struct oci_throttle_device *v, size_t n, const char *key,
                        struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		auto_free char *text = v[i].rate ? str_fmt("%" PRId64 ":%" PRId64 " %s=%" PRIu64,
		                                           v[i].major, v[i].minor, key, v[i].rate)
		                                 : str_fmt("%" PRId64 ":%" PRId64 " %s=max",
		                                           v[i].major, v[i].minor, key);

		if (put(cg, field, "io.max", text, err) < 0)
			return -err->code;
	}
	return 0;
}

static int limit_io(const struct cgroup *cg, const struct oci_block_io *b, struct error *err)
{
	if (!b)
		return 0;
	if (b->leaf_weight)
		return refuse("blockIO.leafWeight", err);
	if (put_weight(cg, "blockIO.weight", "", b->weight, err) < 0)
		return -err->code;
	for (size_t i = 0; i < b->n_weight_device; i++) {
		const struct oci_weight_device *w = &b->weight_device[i];
		auto_free char *device = str_fmt("%" PRId64 ":%" PRId64 " ", w->major, w->minor);

		if (w->leaf_weight)
			return refuse("blockIO.weightDevice: leafWeight", err);
		if (put_weight(cg, "blockIO.weightDevice", device, w->weight, err) < 0)
			return -err->code;
	}
	if (put_throttle(cg, "blockIO.throttleReadBpsDevice", b->throttle_read_bps_device,
	                 b->n_throttle_read_bps_device, "rbps", err) < 0 ||
	    put_throttle(cg, "blockIO.throttleWriteBpsDevice", b->throttle_write_bps_device,
	                 b->n_throttle_write_bps_device, "wbps", err) < 0 ||
	    put_throttle(cg, "blockIO.throttleReadIOPSDevice", b->throttle_read_iops_device,
	                 b->n_throttle_read_iops_device, "riops", err) < 0)
		return -err->code;
	return put_throttle(cg, "blockIO.throttleWriteIOPSDevice", b->throttle_write_iops_device,
	                    b->n_throttle_write_iops_device, "wiops", err);
}

static int limit_hugepages(const struct cgroup *cg, const struct oci_resources *r,
                           struct error *err)
{
	for (size_t i = 0; i < r->n_hugepage_limits; i++) {
		const struct oci_hugepage_limit *h = &r->hugepage_limits[i];
		auto_free char *file = str_fmt("hugetlb.%s.max", h->page_size);
		auto_free char *reserved = str_fmt("hugetlb.%s.rsvd.max", h->page_size);
		auto_free char *text = str_fmt("%" PRIu64, h->limit);

		if (strchr(h->page_size, '/'))
			return error_set(err, EINVAL, FIELD "hugepageLimits: bad page size");
		if (put(cg, "hugepageLimits", file, text, err) < 0)
			return -err->code;
		if (has_file(cg, reserved) && put(cg, "hugepageLimits", reserved, text, err) < 0)
			return -err->code;
	}
	return 0;
}

static int limit_rdma(const struct cgroup *cg, const struct oci_resources *r, struct error *err)
{
	for (size_t i = 0; i < r->n_rdma; i++) {
		const struct oci_rdma *d = &r->rdma[i];
		auto_buf struct buf text = { 0 };

		buf_adds(&text, d->key);
		if (d->has_hca_handles)
			buf_addf(&text, " hca_handle=%u", d->hca_handles);
		if (d->has_hca_objects)
			buf_addf(&text, " hca_object=%u", d->hca_objects);
		if (put(cg, "rdma", "rdma.max", text.data, err) < 0)
			return -err->code;
	}
	return 0;
}

static int limit_unified(const struct cgroup *cg, const struct oci_resources *r, struct error *err)
{
	for (size_t i = 0; i < r->n_unified; i++) {
		const struct oci_pair *p = &r->unified[i];

		if (strchr(p->key, '/') || p->key[0] == '.')
			return error_set(err, EINVAL, FIELD "unified: bad file name '%s'", p->key);
		if (put(cg, "unified", p->key, p->value, err) < 0)
			return -err->code;
	}
	return 0;
}

int cgroup_limit(const struct cgroup *cg, const struct oci_resources *r, struct error *err)
{
	const struct oci_network *net = r ? r->network : NULL;

	if (!r)
		return 0;
	if (net && (net->class_id || net->n_priorities > 0))
		return refuse("network", err);
	if (limit_memory(cg, r->memory, err) < 0 || limit_cpu(cg, r->cpu, err) < 0 ||
	    limit_io(cg, r->block_io, err) < 0 || limit_hugepages(cg, r, err) < 0 ||
	    limit_rdma(cg, r, err) < 0)
		return -err->code;
	if (r->pids && r->pids->limit != 0 &&
	    put_i64(cg, "pids.limit", "pids.max", r->pids->limit, err) < 0)
		return -err->code;
	return limit_unified(cg, r, err); /* last: the most exact words win */
}
