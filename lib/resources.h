/* linux.resources, divided between the host and the guest (DESIGN section 9). */
#pragma once

#include <stdint.h>

struct oci_resources;

struct hv_size;

/* Tell in the log what has no effect; dirs: of the host's cgroup; vm: what the virtual machine has,
 * or will have. r may be NULL. */
void resources_warn(const struct oci_resources *r, char *const *dirs, const struct hv_size *vm);
/* Make it the guest's: without what is the host's alone (block devices by number, swappiness), the
 * host's processors and memory nodes replaced by the guest's. cpus: those that the guest has. */
void resources_for_guest(struct oci_resources *r, unsigned cpus);
