/* linux.resources on cgroup version 2, as far as it is the guest's (lib/resources.c has taken out
 * what is the host's, and told what has no effect). */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/changes.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define FIELD "linux.resources."
#define LINE_MAX_LEN 4096

struct limits {
	const struct cgroup *cg;
	struct changes *undo;
};

static bool has_file(const struct limits *l, const char *file)
{
	return faccessat(l->cg->fd, file, F_OK, 0) == 0;
}

static int put(const struct limits *l, const char *field, const char *file, const char *value,
               struct error *err)
{
	if (!has_file(l, file))
		return error_set(err, ENOTSUP, FIELD "%s: the guest kernel has no '%s'", field,
		                 file);
	if (changes_write(l->undo, l->cg->fd, file, value, NULL, err) < 0)
		return error_wrap(err, FIELD "%s", field);
	return 0;
}

static int put_i64(const struct limits *l, const char *field, const char *file, int64_t value,
                   struct error *err)
{
	auto_free char *text = value < 0 ? str_dup("max") : str_fmt("%" PRId64, value);

	return put(l, field, file, text, err);
}

static int limit_swap(const struct limits *l, const struct oci_memory *m, struct error *err)
{
	int64_t max;
	int wanted = oci_swap_max(m, &max, err);

	if (wanted <= 0)
		return wanted;
	if (!has_file(l, "memory.swap.max")) /* a kernel without swap keeps every limit of it */
		return 0;
	return put_i64(l, "memory.swap", "memory.swap.max", max, err);
}

static int limit_memory(const struct limits *l, const struct oci_memory *m, struct error *err)
{
	if (!m)
		return 0;
	if (limit_swap(l, m, err) < 0)
		return -err->code;
	if (m->has_limit && m->limit != 0 &&
	    put_i64(l, "memory.limit", "memory.max", m->limit, err) < 0)
		return -err->code;
	if (m->has_reservation && m->reservation != 0 &&
	    put_i64(l, "memory.reservation", "memory.low", m->reservation, err) < 0)
		return -err->code;
	return 0;
}

static int limit_cpu_max(const struct limits *l, const struct oci_cpu *c, struct error *err)
{
	auto_error struct error ignored = { 0 };
	auto_free char *now = NULL, *text = NULL;

	fs_read_at(l->cg->fd, "cpu.max", LINE_MAX_LEN, &now, NULL, &ignored);
	text = oci_cpu_max(c, now);
	return text ? put(l, "cpu.quota", "cpu.max", text, err) : 0;
}

static int limit_cpu(const struct limits *l, const struct oci_cpu *c, struct error *err)
{
	if (!c)
		return 0;
	if (c->has_idle && put_i64(l, "cpu.idle", "cpu.idle", c->idle, err) < 0)
		return -err->code;
	/* An idle group has no weight. */
	if (c->shares && !c->idle &&
	    put_i64(l, "cpu.shares", "cpu.weight", (int64_t)oci_cpu_weight(c->shares), err) < 0)
		return -err->code;
	if (limit_cpu_max(l, c, err) < 0)
		return -err->code;
	if (c->burst && put_i64(l, "cpu.burst", "cpu.max.burst", (int64_t)c->burst, err) < 0)
		return -err->code;
	if (c->cpus && c->cpus[0] && put(l, "cpu.cpus", "cpuset.cpus", c->cpus, err) < 0)
		return -err->code;
	if (c->mems && c->mems[0] && put(l, "cpu.mems", "cpuset.mems", c->mems, err) < 0)
		return -err->code;
	return 0;
}

/* Weights and limits of devices are applied where those are, on the host. */
static int limit_io(const struct limits *l, const struct oci_block_io *b, struct error *err)
{
	auto_free char *text = NULL;
	bool bfq;

	if (!b)
		return 0;
	if (b->n_weight_device || b->n_throttle_read_bps_device || b->n_throttle_write_bps_device ||
	    b->n_throttle_read_iops_device || b->n_throttle_write_iops_device)
		return error_set(err, ENOTSUP, FIELD "blockIO: the guest has no such device");
	if (b->weight == 0)
		return 0;
	bfq = has_file(l, "io.bfq.weight"); /* which takes version 1's range */
	text = bfq ? str_fmt("%u", (unsigned)b->weight)
	           : str_fmt("default %" PRIu64, oci_io_weight(b->weight));
	return put(l, "blockIO.weight", bfq ? "io.bfq.weight" : "io.weight", text, err);
}

static int limit_hugepages(const struct limits *l, const struct oci_resources *r, struct error *err)
{
	for (size_t i = 0; i < r->n_hugepage_limits; i++) {
		const struct oci_hugepage_limit *h = &r->hugepage_limits[i];
		auto_free char *file = str_fmt("hugetlb.%s.max", h->page_size);
		auto_free char *reserved = str_fmt("hugetlb.%s.rsvd.max", h->page_size);
		auto_free char *text = str_fmt("%" PRIu64, h->limit);

		if (strchr(h->page_size, '/'))
			return error_set(err, EINVAL, FIELD "hugepageLimits: bad page size");
		if (put(l, "hugepageLimits", file, text, err) < 0)
			return -err->code;
		if (has_file(l, reserved) && put(l, "hugepageLimits", reserved, text, err) < 0)
			return -err->code;
	}
	return 0;
}

static int limit_rdma(const struct limits *l, const struct oci_resources *r, struct error *err)
{
	for (size_t i = 0; i < r->n_rdma; i++) {
		const struct oci_rdma *d = &r->rdma[i];
		auto_buf struct buf text = { 0 };

		buf_adds(&text, d->key);
		if (d->has_hca_handles)
			buf_addf(&text, " hca_handle=%u", d->hca_handles);
		if (d->has_hca_objects)
			buf_addf(&text, " hca_object=%u", d->hca_objects);
		if (put(l, "rdma", "rdma.max", text.data, err) < 0)
			return -err->code;
	}
	return 0;
}

static int limit_unified(const struct limits *l, const struct oci_resources *r, struct error *err)
{
	for (size_t i = 0; i < r->n_unified; i++) {
		const struct oci_pair *p = &r->unified[i];

		if (strchr(p->key, '/') || p->key[0] == '.')
			return error_set(err, EINVAL, FIELD "unified: bad file name '%s'", p->key);
		if (put(l, "unified", p->key, p->value, err) < 0)
			return -err->code;
	}
	return 0;
}

int cgroup_limit(const struct cgroup *cg, const struct oci_resources *r, struct changes *undo,
                 struct error *err)
{
	const struct limits limits = { .cg = cg, .undo = undo }, *l = &limits;

	if (!r)
		return 0;
	if (oci_cgroup2_check(r, err) < 0 || limit_memory(l, r->memory, err) < 0 ||
	    limit_cpu(l, r->cpu, err) < 0 || limit_io(l, r->block_io, err) < 0 ||
	    limit_hugepages(l, r, err) < 0 || limit_rdma(l, r, err) < 0)
		return -err->code;
	if (r->pids && r->pids->limit != 0 &&
	    put_i64(l, "pids.limit", "pids.max", r->pids->limit, err) < 0)
		return -err->code;
	return limit_unified(l, r, err); /* last: the most exact words win */
}
