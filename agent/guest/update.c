/* Other limits for a container that runs: what is asked for, all of it or none. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define FILE_MAX (64 * 1024)

/* What an update may write, in an order in which old values can be written again. */
static const char *const limit_files[] = {
	"memory.swap.max", "memory.max", "memory.low", "cpu.max",
	"cpu.max.burst",   "cpu.idle",   "cpu.weight", "cpuset.cpus",
	"cpuset.mems",     "pids.max",   "io.weight",  "io.bfq.weight",
};

struct saved {
	char **files, **values;
};

static char *read_line(const struct cgroup *cg, const char *file)
{
	auto_error struct error ignored = { 0 };
	char *text = NULL;

	if (fs_read_at(cg->fd, file, FILE_MAX, &text, NULL, &ignored) == 0)
		text[strcspn(text, "\n")] = '\0';
	return text;
}

static void save(const struct cgroup *cg, const char *file, struct saved *s)
{
	char *value = read_line(cg, file);

	if (!value)
		return;
	strv_push(&s->files, file);
	strv_take(&s->values, value);
}

static void save_all(const struct cgroup *cg, const struct oci_resources *r, struct saved *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(limit_files); i++)
		save(cg, limit_files[i], s);
	for (size_t i = 0; i < r->n_unified; i++)
		save(cg, r->unified[i].key, s);
}

static void restore(const struct cgroup *cg, const struct saved *s)
{
	for (size_t i = 0; s->files && s->files[i]; i++) {
		auto_error struct error err = { 0 };
		auto_free char *now = read_line(cg, s->files[i]);
		auto_free char *line = str_fmt("%s\n", s->values[i]); /* also writes "nothing" */

		if (!str_eq(now, s->values[i]) &&
		    fs_write_value_at(cg->fd, s->files[i], line, &err) < 0)
			log_warn("set back the limits of a container: %s, ignoring", err.msg);
	}
}

/* Of quota and period one may change alone; the kernel's file has both. */
static void keep_cpu_max(const struct cgroup *cg, struct oci_cpu *c)
{
	auto_free char *now = read_line(cg, "cpu.max");
	uint64_t period;
	int64_t quota;

	if (!now || !c->quota == !c->period)
		return;
	if (sscanf(now, "%" SCNd64 " %" SCNu64, &quota, &period) != 2) {
		quota = -1;
		if (sscanf(now, "max %" SCNu64, &period) != 1)
			return;
	}
	if (!c->quota)
		c->quota = quota;
	else
		c->period = period;
}

/* memory.checkBeforeUpdate: rather fail than have processes killed. */
static int check_usage(const struct cgroup *cg, const struct oci_memory *m, struct error *err)
{
	auto_free char *now = read_line(cg, "memory.current");
	uint64_t usage;

	if (!m->check_before_update || !now || str_to_u64(now, 0, INT64_MAX, &usage) < 0)
		return 0;
	if (m->swap > 0 && (uint64_t)m->swap <= usage)
		return error_set(err, EBUSY,
		                 "rejecting memory+swap limit %" PRId64 " <= usage %" PRIu64,
		                 m->swap, usage);
	if (m->limit > 0 && (uint64_t)m->limit <= usage)
		return error_set(err, EBUSY, "rejecting memory limit %" PRId64 " <= usage %" PRIu64,
		                 m->limit, usage);
	return 0;
}

int cgroup_update(const struct cgroup *cg, struct oci_resources *r, struct error *err)
{
	struct saved old = { 0 };

	if (r->memory && check_usage(cg, r->memory, err) < 0)
		return -err->code;
	if (r->cpu)
		keep_cpu_max(cg, r->cpu);
	if (r->n_devices)
		log_warn("linux.resources.devices: an update leaves them as they are, ignoring");
	save_all(cg, r, &old);
	if (cgroup_limit(cg, r, err) < 0)
		restore(cg, &old);
	strv_free(old.files);
	strv_free(old.values);
	return -err->code;
}

int guest_update(struct guest *g, const char *container, struct oci_resources *resources,
                 struct error *err)
{
	auto_oci_resources struct oci_resources *owned = resources;
	struct container *ct = container_find(g, container);

	if (!ct)
		return error_set(err, ENOENT, "container '%s' does not exist", container);
	return cgroup_update(&ct->cgroup, owned, err);
}
