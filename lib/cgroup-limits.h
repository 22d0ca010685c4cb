/* Limits in the host's cgroup of a sandbox (DESIGN section 9). The guest's kernel enforces
 * linux.resources on the container exactly; the host's holds the whole sandbox, shims, monitor and
 * VMM, to what that may cost at most, whatever the guest does. What names devices, processors or
 * memory nodes of the host is enforced here alone. */
#pragma once

#include <stdint.h>

#include "lib/unit-properties.h"
#include "lib/base/changes.h"

struct error;
struct oci_resources;

#define CGROUP_SWAPPINESS "memory.swappiness" /* version 1 only */

/* What a VM takes on the host; bytes. */
struct cgroup_room {
	uint64_t vm;  /* memory of the virtual machine */
	uint64_t vmm; /* what the VMM may need besides */
};

/* Borrowed. */
struct cgroup_place {
	char *const *dirs; /* the cgroup's directory in each hierarchy, of version 1 or 2 */
	const char *unit;  /* the systemd unit whose cgroup it is, NULL: no unit's */
};

/* What there was before. */
struct cgroup_undo {
	struct changes files;
	struct unit_properties properties;
};
#define auto_cgroup_undo auto_(cgroup_undo_done)
void cgroup_undo_done(struct cgroup_undo *undo); /* forget */

/* undo: to take it back, may be NULL. 0 or -errno with err naming the member of linux.resources. A
 * limit that the host has no file for is left to the guest; of a device it is an error (ENOTSUP). A
 * unit is told of its limits before they are written, as it writes them, too. */

/* memory, cpu.cpus, cpu.mems, pids. Memory may be what the guest's own limit is, but never less
 * than the VM has: a guest within its limits is never killed. Processes (threads of the VMM,
 * shims) come on top of the container's. */
int cgroup_limit_space(const struct cgroup_place *place, const struct oci_resources *r,
                       const struct cgroup_room *room, struct cgroup_undo *undo, struct error *err);
/* The rest of cpu, blockIO: when the VM has booted, which must not take forever. A VMM with next
 * to no processor time could not even carry out a kill: it keeps a fifth of a processor, and a
 * quarter of the usual shares; it is never idle. */
int cgroup_limit_speed(const struct cgroup_place *place, const struct oci_resources *r,
                       struct cgroup_undo *undo, struct error *err);
/* A limit of memory, where there is one, is at least the room: before the VM grows, in the cgroups
 * of all that are in it. */
int cgroup_limit_room(const struct cgroup_place *place, const struct cgroup_room *room,
                      struct cgroup_undo *undo, struct error *err);
/* Bring back what there was, and forget it; what cannot be brought back is told in the log. */
void cgroup_limit_undo(const struct cgroup_place *place, struct cgroup_undo *undo);
