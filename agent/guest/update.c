/* Other limits for a container that runs: what is asked for, all of it or none. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/changes.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define FILE_MAX (64 * 1024)

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

int guest_update(struct guest *g, const char *container, struct oci_resources *resources,
                 struct error *err)
{
	auto_oci_resources struct oci_resources *owned = resources;
	struct container *ct = container_find(g, container);

	if (!ct)
		return error_set(err, ENOENT, "container '%s' does not exist", container);
	return cgroup_update(&ct->cgroup, owned, err);
}
