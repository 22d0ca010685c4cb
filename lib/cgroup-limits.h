/* Limits in the host's cgroup of a sandbox (DESIGN section 9). The guest's kernel enforces
 * linux.resources on the container exactly; the host's holds the whole sandbox, shims, monitor and
 * VMM, to what that may cost at most, whatever the guest does. What names devices, processors or
 * memory nodes of the host is enforced here alone. */
#pragma once

#include <stdint.h>

struct changes;
struct error;
struct oci_resources;

#define CGROUP_SWAPPINESS "memory.swappiness" /* version 1 only */

/* What a VM takes on the host; bytes. */
struct cgroup_room {
	uint64_t vm;  /* memory of the virtual machine */
	uint64_t vmm; /* what the VMM may need besides */
};

/* dirs: the cgroup's directory in each hierarchy, of version 1 or 2. undo: to take it back, may be
 * NULL. 0 or -errno with err naming the member of linux.resources. A limit that the host has no
 * file for is left to the guest; of a device it is an error (ENOTSUP). */

/* memory, cpu.cpus, cpu.mems, pids. Memory may be what the guest's own limit is, but never less
 * than the VM has: a guest within its limits is never killed. Processes (threads of the VMM,
 * shims) come on top of the container's. */
int cgroup_limit_space(char *const *dirs, const struct oci_resources *r,
                       const struct cgroup_room *room, struct changes *undo, struct error *err);
/* The rest of cpu, blockIO: when the VM has booted, which must not take forever. A VMM with next
 * to no processor time could not even carry out a kill: it keeps a fifth of a processor, and a
 * quarter of the usual shares; it is never idle. */
int cgroup_limit_speed(char *const *dirs, const struct oci_resources *r, struct changes *undo,
                       struct error *err);
