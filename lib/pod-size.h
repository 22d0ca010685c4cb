/* How large a pod is going to be, as its sandbox container's annotations say: the containers come
 * when the VM runs already. */
#pragma once

#include <stdint.h>

struct oci_spec;

struct pod_size {
	uint64_t memory; /* bytes, 0: nothing is said */
	unsigned cpus;   /* at most those of the host, 0: nothing is said */
};
/* io.kubernetes.cri.sandbox-memory, -cpu-quota and -cpu-period (containerd), PodLinuxResources of
 * io.kubernetes.cri-o (CRI-O). What is no number there says nothing. */
struct pod_size pod_size_of(const struct oci_spec *spec);
