/* linux.resources, divided between the host and the guest (DESIGN section 9). */
#pragma once

#include <stdint.h>

struct oci_resources;

/* Tell in the log what has no effect; dirs: of the host's cgroup; vm_mib: the VM's memory. r may be
 * NULL. */
void resources_warn(const struct oci_resources *r, char *const *dirs, uint64_t vm_mib);
/* Make it the guest's: without what is the host's alone (block devices by number, swappiness), the
 * host's processors and memory nodes replaced by the guest's. cpus: those that the guest has. */
void resources_for_guest(struct oci_resources *r, unsigned cpus);
/* Memory that a VM must have for its container to use what memory.limit allows, and for its pod's
 * (bytes, 0: not known): base when that is enough, at most max (0: what the host has), in MiB. */
unsigned resources_vm_memory(const struct oci_resources *r, uint64_t pod, unsigned base,
                             unsigned max);
