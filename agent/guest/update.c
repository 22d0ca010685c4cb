/* Other limits for a container that runs: what is asked for, all of it or none. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/guest/engine-internal.h"
#include "agent/guest/work.h"
#include "lib/base/changes.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define FILE_MAX (64 * 1024)
#define UPDATE_MS 30000

/* memory.checkBeforeUpdate: rather fail than have processes killed. */
static int check_usage(const struct cgroup *cg, const struct oci_memory *m, struct error *err)
{
	auto_error struct error ignored = { 0 };
	auto_free char *now = NULL;
	uint64_t usage;

	fs_read_at(cg->fd, "memory.current", FILE_MAX, &now, NULL, &ignored);
	if (now)
		now[strcspn(now, "\n")] = '\0';
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

int cgroup_update(const struct cgroup *cg, const struct oci_resources *r, struct error *err)
{
	auto_changes struct changes done = { 0 };

	if (r->memory && check_usage(cg, r->memory, err) < 0)
		return -err->code;
	if (cgroup_limit(cg, r, &done, err) < 0)
		changes_undo(&done);
	return -err->code;
}

struct update {
	const struct cgroup *cgroup;
	struct oci_resources *resources;
	guest_done_fn done;
	void *arg;
};

/* Child: a limit below what is used makes the kernel reclaim for as long as that takes. */
static int apply(void *in, struct buf *out, struct error *err)
{
	const struct update *u = in;

	(void)out;
	return cgroup_update(u->cgroup, u->resources, err);
}

static void on_applied(void *arg, const char *data, size_t len, const struct error *err)
{
	struct update *u = arg;

	(void)data;
	(void)len;
	u->done(u->arg, err);
	oci_resources_free(u->resources);
	free(u);
}

void guest_update(struct guest *g, const char *container, struct oci_resources *resources,
                  guest_done_fn done, void *arg)
{
	auto_error struct error err = { 0 };
	struct container *ct = container_find(g, container);
	struct update *u = xzalloc(sizeof(*u));
	struct work_plan plan = {
		.what = "update the limits",
		.fn = apply,
		.in = u,
		.keep = ct ? ct->cgroup.fd : -1,
		.limit_ms = UPDATE_MS,
		.done = on_applied,
		.arg = u,
	};

	*u = (struct update){ .resources = resources, .done = done, .arg = arg };
	if (ct)
		u->cgroup = &ct->cgroup;
	else
		error_set(&err, ENOENT, "container '%s' does not exist", container);
	if (!err.code && work_start(g->loop, &plan, &err))
		return;
	on_applied(u, NULL, 0, &err);
}
