/* How large a virtual machine is: the configured size, which templates have, or as much more as its
 * containers' limits add up to, within the configured maxima (DESIGN section 9). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hypervisor/hypervisor.h"
#include "lib/cgroup-limits.h"

struct config;
struct json;
struct oci_resources;

/* What a container may use at most. */
struct vm_need {
	uint64_t memory_mib;    /* 0: no limit */
	uint64_t quota, period; /* microseconds; quota 0: no limit, period 0: the usual one */
};
/* Take what the resources (NULL: none) say; what they do not stays. */
void vm_need_update(struct vm_need *n, const struct oci_resources *r);
/* Each of them the larger one of both. */
void vm_need_raise(struct vm_need *n, const struct vm_need *other);
uint64_t vm_bytes_to_mib(uint64_t limit); /* rounded up; 0: none, or too large for one */
struct json *vm_need_to_json(const struct vm_need *n);
void vm_need_from_json(struct vm_need *n, const struct json *j); /* NULL: no limits */

/* What containers may use together, as far as they have limits. */
struct vm_sum {
	uint64_t memory_mib, millicpus;
};
void vm_sum_add(struct vm_sum *sum, const struct vm_need *n);

/* The size that fits, in what a VM of the configured size can grow to. Memory that has to come is
 * counted in steps; a container that may use all of its limit leaves the guest's kernel some. */
struct hv_size vm_size_for(const struct config *c, const struct vm_sum *sum);
/* The same for memory as such. */
unsigned vm_size_step(const struct config *c, uint64_t mib);
/* To what a VM can grow: what is configured, else what the host has. */
struct hv_size vm_size_max(const struct config *c);
/* The same as a VM is told when it starts: what a template has must not depend on how much memory
 * the host happens to have today. */
struct hv_size vm_size_reach(const struct config *c);
struct hv_size vm_size_larger(struct hv_size a, struct hv_size b);
bool vm_size_is_within(struct hv_size a, struct hv_size b);
struct json *vm_size_to_json(struct hv_size s);
struct hv_size vm_size_from_json(const struct json *j); /* what is missing is 0 */

/* What a VM takes on the host. */
struct cgroup_room vm_room(const struct config *c, unsigned memory_mib);
