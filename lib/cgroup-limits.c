#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "lib/cgroup-limits.h"
#include "lib/systemd.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define FIELD "linux.resources."
#define FILE_MAX 4096
#define DEFAULT_PERIOD 100000 /* microseconds */
/* Threads of the VMM: 64 for files, as many in virtiofsd, one for each processor, some more; each
 * exec has a shim, and a process in the guest that counts there. */
#define PIDS_ROOM 256
#define QUOTA_PART 5     /* at least a fifth of a processor */
#define LEAST_SHARES 256 /* a quarter of what a cgroup has without a word */

struct target {
	char *const *dirs;
	struct changes *undo; /* NULL: it is not remembered */
	/* Of a unit: nothing is written, but noted what would be, and what there is. */
	struct unit_properties *now, *before;
};

/* The first line of a file, NULL when it cannot be read. */
static char *read_line(const char *path)
{
	auto_error struct error ignored = { 0 };
	char *text = NULL;

	if (fs_read(path, FILE_MAX, &text, NULL, &ignored) == 0)
		text[strcspn(text, "\n")] = '\0';
	return text;
}

static void note(const struct target *t, const char *file, const char *before, const char *now)
{
	unit_properties_add(t->before, file, before ? before : "");
	unit_properties_add(t->now, file, now);
}

/* Write to this file of each hierarchy that has it: how many that were, or -errno. otherwise: as
 * of changes_write(). */
static int put_line(const struct target *t, const char *field, const char *file, const char *value,
                    const char *otherwise, struct error *err)
{
	int n = 0;

	for (char *const *dir = t->dirs; dir && *dir; dir++) {
		auto_free char *path = str_fmt("%s/%s", *dir, file);

		if (!fs_exists(path))
			continue;
		n++;
		if (t->now) {
			auto_free char *before = read_line(path);

			note(t, file, before, value);
			continue;
		}
		if (changes_write(t->undo, AT_FDCWD, path, value, otherwise, err) < 0)
			return error_wrap(err, FIELD "%s", field);
	}
	return n;
}

static int put(const struct target *t, const char *field, const char *file, const char *value,
               struct error *err)
{
	return put_line(t, field, file, value, NULL, err);
}

static int put_number(const struct target *t, const char *field, const char *file, int64_t value,
                      struct error *err)
{
	auto_free char *text = str_fmt("%" PRId64, value);

	return put(t, field, file, text, err);
}

/* Version 2 (and pids everywhere) has a word for "no limit". */
static int put_v2(const struct target *t, const char *field, const char *file, int64_t value,
                  struct error *err)
{
	return value < 0 ? put(t, field, file, "max", err) : put_number(t, field, file, value, err);
}

/* The first line of a file, NULL when no hierarchy has it. */
static char *get(const struct target *t, const char *file)
{
	char *text = NULL;

	for (char *const *dir = t->dirs; !text && dir && *dir; dir++) {
		auto_free char *path = str_fmt("%s/%s", *dir, file);

		text = read_line(path);
	}
	return text;
}

/* ---- memory ---- */

static int64_t sum(uint64_t a, uint64_t b)
{
	return a > INT64_MAX - b ? INT64_MAX : (int64_t)(a + b);
}

/* Whether version 1 has a limit of memory and swap that is less than bytes. */
static bool swap_is_below(const struct target *t, int64_t bytes)
{
	auto_free char *now = get(t, "memory.memsw.limit_in_bytes");
	uint64_t n;

	return now && bytes > 0 && str_to_u64(now, 0, UINT64_MAX, &n) == 0 && n < (uint64_t)bytes;
}

/* In version 1 memory and swap together must never be less than memory. both: their new limit, 0:
 * as it is. */
static int limit_v1(const struct target *t, int64_t limit, int64_t both, struct error *err)
{
	static const char memsw[] = "memory.memsw.limit_in_bytes";
	bool both_first = limit < 0 || swap_is_below(t, limit);

	if (both == 0 && both_first)
		both = limit;
	if (both && both_first && put_number(t, "memory.swap", memsw, both, err) < 0)
		return -err->code;
	if (limit && put_number(t, "memory.limit", "memory.limit_in_bytes", limit, err) < 0)
		return -err->code;
	return both && !both_first ? put_number(t, "memory.swap", memsw, both, err) : 0;
}

static int limit_memory(const struct target *t, const struct oci_memory *m,
                        const struct cgroup_room *room, struct error *err)
{
	int64_t limit = m->limit, swap;
	int has_swap = oci_swap_max(m, &swap, err);

	if (has_swap < 0)
		return has_swap;
	if (limit > 0)
		limit = sum((uint64_t)limit > room->vm ? (uint64_t)limit : room->vm, room->vmm);
	if (limit_v1(t, limit,
	             !has_swap  ? 0
	             : swap < 0 ? -1
	                        : sum((uint64_t)limit, (uint64_t)swap),
	             err) < 0)
		return -err->code;
	if (has_swap && put_v2(t, "memory.swap", "memory.swap.max", swap, err) < 0)
		return -err->code;
	if (limit && put_v2(t, "memory.limit", "memory.max", limit, err) < 0)
		return -err->code;
	/* Neither takes anything away from anybody. */
	if (m->reservation &&
	    (put_number(t, "memory.reservation", "memory.soft_limit_in_bytes", m->reservation,
	                err) < 0 ||
	     put_v2(t, "memory.reservation", "memory.low", m->reservation, err) < 0))
		return -err->code;
	if (m->has_swappiness &&
	    put_number(t, "memory.swappiness", CGROUP_SWAPPINESS, (int64_t)m->swappiness, err) < 0)
		return -err->code;
	return 0;
}

/* A limit that is less than bytes; 0: there is none. */
static int64_t smaller_limit(const struct target *t, const char *file, int64_t bytes)
{
	auto_free char *now = get(t, file);
	uint64_t n;

	return now && str_to_u64(now, 0, INT64_MAX, &n) == 0 && n < (uint64_t)bytes ? (int64_t)n
	                                                                            : 0;
}

static int limit_room(const struct target *t, const struct oci_resources *unused,
                      const struct cgroup_room *room, struct error *err)
{
	int64_t bytes = sum(room->vm, room->vmm);
	int64_t v1 = smaller_limit(t, "memory.limit_in_bytes", bytes);
	int64_t both = smaller_limit(t, "memory.memsw.limit_in_bytes", INT64_MAX - 4096);

	(void)unused;
	/* As much swap as before. */
	if (v1 && limit_v1(t, bytes, both > v1 ? sum((uint64_t)both, (uint64_t)(bytes - v1)) : 0,
	                   err) < 0)
		return -err->code;
	if (smaller_limit(t, "memory.max", bytes))
		return put_number(t, "memory.limit", "memory.max", bytes, err) < 0 ? -err->code : 0;
	return 0;
}

static int limit_space(const struct target *t, const struct oci_resources *r,
                       const struct cgroup_room *room, struct error *err)
{
	const struct oci_cpu *c = r->cpu;

	if (r->memory && limit_memory(t, r->memory, room, err) < 0)
		return -err->code;
	if (c && c->cpus && *c->cpus && put(t, "cpu.cpus", "cpuset.cpus", c->cpus, err) < 0)
		return -err->code;
	if (c && c->mems && *c->mems && put(t, "cpu.mems", "cpuset.mems", c->mems, err) < 0)
		return -err->code;
	if (r->pids && r->pids->limit &&
	    put_v2(t, "pids.limit", "pids.max",
	           r->pids->limit < 0 ? -1 : sum((uint64_t)r->pids->limit, PIDS_ROOM), err) < 0)
		return -err->code;
	return 0;
}

/* ---- processors ---- */

/* Quota and period as they are, in version 2's words. NULL: the host has none. */
static char *present_quota(const struct target *t)
{
	auto_free char *v1 = get(t, "cpu.cfs_quota_us"), *period = get(t, "cpu.cfs_period_us");

	if (!v1 || !period)
		return get(t, "cpu.max");
	return str_fmt("%s %s", *v1 == '-' ? "max" : v1, period);
}

static uint64_t period_of(const char *quota)
{
	const char *space = quota ? strchr(quota, ' ') : NULL;
	uint64_t n;

	return space && str_to_u64(space + 1, 1, INT64_MAX, &n) == 0 ? n : DEFAULT_PERIOD;
}

/* Which of them may go first depends on what there was, and on the parent. */
static int limit_quota_v1(const struct target *t, uint64_t period, int64_t quota, struct error *err)
{
	static const char quota_file[] = "cpu.cfs_quota_us", period_file[] = "cpu.cfs_period_us";

	if (period && put_number(t, "cpu.period", period_file, sum(period, 0), err) < 0 && !quota)
		return -err->code;
	if (quota && put_number(t, "cpu.quota", quota_file, quota, err) < 0)
		return -err->code;
	if (!err->code)
		return 0;
	error_clear(err);
	return put_number(t, "cpu.period", period_file, sum(period, 0), err);
}

static int limit_quota(const struct target *t, const struct oci_cpu *c, struct error *err)
{
	auto_free char *now = present_quota(t), *text = NULL;
	int64_t least = (int64_t)((c->period ? c->period : period_of(now)) / QUOTA_PART);
	struct oci_cpu host = { .quota = c->quota, .period = c->period };
	int n;

	if (host.quota > 0 && host.quota < least)
		host.quota = least;
	if (limit_quota_v1(t, host.period, host.quota, err) < 0)
		return -err->code;
	text = oci_cpu_max(&host, now);
	n = text ? put(t, "cpu.quota", "cpu.max", text, err) : 1;
	/* For systemd it is one thing in both versions. */
	if (n == 0 && t->now)
		note(t, "cpu.max", now, text);
	return n < 0 ? n : 0;
}

/* An idle group has no shares; the VM is none on the host, so that it can always answer. */
static int limit_shares(const struct target *t, uint64_t shares, struct error *err)
{
	uint64_t n = shares < LEAST_SHARES ? LEAST_SHARES : shares;

	if (put_number(t, "cpu.shares", "cpu.shares", sum(n, 0), err) < 0)
		return -err->code;
	return put_number(t, "cpu.shares", "cpu.weight", (int64_t)oci_cpu_weight(n), err);
}

static int limit_cpu(const struct target *t, const struct oci_cpu *c, struct error *err)
{
	uint64_t shares = c->idle ? LEAST_SHARES : c->shares;

	if (shares && limit_shares(t, shares, err) < 0)
		return -err->code;
	if (limit_quota(t, c, err) < 0)
		return -err->code;
	if (c->burst &&
	    (put_number(t, "cpu.burst", "cpu.cfs_burst_us", sum(c->burst, 0), err) < 0 ||
	     put_number(t, "cpu.burst", "cpu.max.burst", sum(c->burst, 0), err) < 0))
		return -err->code;
	return 0;
}

/* ---- block devices ---- */

/* BFQ has version 1's range of weights, also in version 2. device: "" or "8:0 ". */
static int limit_weight(const struct target *t, const char *field, const char *device,
                        uint16_t weight, struct error *err)
{
	const bool all = !*device;
	const char *const bfq_v1 = all ? "blkio.bfq.weight" : "blkio.bfq.weight_device";
	const struct {
		const char *file, *otherwise;
	} files[] = { { all ? "blkio.weight" : "blkio.weight_device", "0" },
		      { bfq_v1, "0" },
		      { "io.bfq.weight", "default" } };
	auto_free char *text = str_fmt("%s%u", device, (unsigned)weight);
	auto_free char *v2 =
		str_fmt("%s%" PRIu64, all ? "default " : device, oci_io_weight(weight));
	auto_free char *v2_default = str_fmt("%sdefault", device);
	int n, sum_n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		auto_free char *otherwise = str_fmt("%s%s", device, files[i].otherwise);

		n = put_line(t, field, files[i].file, text, all ? NULL : otherwise, err);
		if (n < 0)
			return n;
		sum_n += n;
	}
	n = put_line(t, field, "io.weight", v2, all ? NULL : v2_default, err);
	return n < 0 ? n : sum_n + n;
}

static int refuse_device(const char *field, struct error *err)
{
	return error_set(err, ENOTSUP, FIELD "%s: the host has no cgroup that can do that", field);
}

struct throttle {
	const char *field, *v1, *v2;
	const struct oci_throttle_device *devices;
	size_t n;
};

static int limit_device(const struct target *t, const struct throttle *th,
                        const struct oci_throttle_device *d, struct error *err)
{
	auto_free char *id = str_fmt("%" PRId64 ":%" PRId64, d->major, d->minor);
	auto_free char *v1 = str_fmt("%s %" PRIu64, id, d->rate), *v1_none = str_fmt("%s 0", id);
	auto_free char *v2 = d->rate ? str_fmt("%s %s=%" PRIu64, id, th->v2, d->rate)
	                             : str_fmt("%s %s=max", id, th->v2);
	auto_free char *v2_none = str_fmt("%s rbps=max wbps=max riops=max wiops=max", id);
	int a = put_line(t, th->field, th->v1, v1, v1_none, err);
	int b = a < 0 ? a : put_line(t, th->field, "io.max", v2, v2_none, err);

	if (b < 0)
		return b;
	return a + b > 0 ? 0 : refuse_device(th->field, err);
}

static int limit_devices(const struct target *t, const struct oci_block_io *b, struct error *err)
{
	const struct throttle all[] = {
		{ "blockIO.throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps",
		  b->throttle_read_bps_device, b->n_throttle_read_bps_device },
		{ "blockIO.throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps",
		  b->throttle_write_bps_device, b->n_throttle_write_bps_device },
		{ "blockIO.throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops",
		  b->throttle_read_iops_device, b->n_throttle_read_iops_device },
		{ "blockIO.throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops",
		  b->throttle_write_iops_device, b->n_throttle_write_iops_device },
	};

	for (const struct throttle *th = all; th < all + ARRAY_SIZE(all); th++)
		for (size_t i = 0; i < th->n; i++)
			if (limit_device(t, th, &th->devices[i], err) < 0)
				return -err->code;
	return 0;
}

static int limit_io(const struct target *t, const struct oci_block_io *b, struct error *err)
{
	/* Without a file for it the guest, which has one, does what it can. */
	if (b->weight && limit_weight(t, "blockIO.weight", "", b->weight, err) < 0)
		return -err->code;
	for (size_t i = 0; i < b->n_weight_device; i++) {
		const struct oci_weight_device *w = &b->weight_device[i];
		const char *field = "blockIO.weightDevice";
		auto_free char *device = str_fmt("%" PRId64 ":%" PRId64 " ", w->major, w->minor);
		int n;

		if (w->leaf_weight)
			return error_set(err, ENOTSUP, FIELD "%s: leafWeight is not supported",
			                 field);
		n = w->weight ? limit_weight(t, field, device, w->weight, err) : 1;
		if (n <= 0)
			return n < 0 ? n : refuse_device(field, err);
	}
	return limit_devices(t, b, err);
}

static int limit_speed(const struct target *t, const struct oci_resources *r,
                       const struct cgroup_room *unused, struct error *err)
{
	(void)unused;
	if (r->cpu && limit_cpu(t, r->cpu, err) < 0)
		return -err->code;
	return r->block_io ? limit_io(t, r->block_io, err) : 0;
}

/* ---- whose cgroup it is ---- */

static int set_properties(const char *unit, const struct unit_properties *p, struct error *err)
{
	auto_systemd struct systemd *s = p->n ? systemd_connect(SYSTEMD_TIMEOUT, err) : NULL;

	return s ? systemd_set_properties(s, unit, p, err) : -err->code;
}

/* limit_space, limit_speed or limit_room. */
typedef int limit_fn(const struct target *t, const struct oci_resources *r,
                     const struct cgroup_room *room, struct error *err);

static int tell_unit(const struct cgroup_place *place, limit_fn *limit,
                     const struct oci_resources *r, const struct cgroup_room *room,
                     struct cgroup_undo *undo, struct error *err)
{
	auto_unit_properties struct unit_properties now = { 0 }, before = { 0 };
	const struct target t = { .dirs = place->dirs,
		                  .now = &now,
		                  .before = undo ? &undo->properties : &before };

	if (limit(&t, r, room, err) < 0)
		return -err->code;
	return set_properties(place->unit, &now, err);
}

static int apply(const struct cgroup_place *place, limit_fn *limit, const struct oci_resources *r,
                 const struct cgroup_room *room, struct cgroup_undo *undo, struct error *err)
{
	const struct target t = { .dirs = place->dirs, .undo = undo ? &undo->files : NULL };

	if (place->unit && tell_unit(place, limit, r, room, undo, err) < 0)
		return -err->code;
	return limit(&t, r, room, err);
}

int cgroup_limit_space(const struct cgroup_place *place, const struct oci_resources *r,
                       const struct cgroup_room *room, struct cgroup_undo *undo, struct error *err)
{
	return r ? apply(place, limit_space, r, room, undo, err) : 0;
}

int cgroup_limit_speed(const struct cgroup_place *place, const struct oci_resources *r,
                       struct cgroup_undo *undo, struct error *err)
{
	return r ? apply(place, limit_speed, r, NULL, undo, err) : 0;
}

int cgroup_limit_room(const struct cgroup_place *place, const struct cgroup_room *room,
                      struct cgroup_undo *undo, struct error *err)
{
	return apply(place, limit_room, NULL, room, undo, err);
}

void cgroup_limit_undo(const struct cgroup_place *place, struct cgroup_undo *undo)
{
	auto_error struct error err = { 0 };

	if (place->unit && set_properties(place->unit, &undo->properties, &err) < 0)
		log_warn("set back what was changed: %s, ignoring", err.msg);
	changes_undo(&undo->files);
	cgroup_undo_done(undo);
}

void cgroup_undo_done(struct cgroup_undo *undo)
{
	changes_done(&undo->files);
	unit_properties_done(&undo->properties);
}
