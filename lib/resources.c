#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cgroup-limits.h"
#include "lib/resources.h"
#include "lib/vm-size.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define FIELD "linux.resources."

static bool has_swappiness(char *const *dirs)
{
	for (; dirs && *dirs; dirs++) {
		auto_free char *path = str_fmt("%s/" CGROUP_SWAPPINESS, *dirs);

		if (fs_exists(path))
			return true;
	}
	return false;
}

static void warn_of_accesses(const struct oci_resources *r)
{
	for (size_t i = 0; r && i < r->n_devices; i++)
		if (r->devices[i].access && strchr(r->devices[i].access, 'a'))
			log_warn(FIELD "devices[%zu].access: 'a' is none of r, w and m, ignoring",
			         i);
}

/* What the VM has less than the container may use. */
static void warn_of_size(const struct oci_resources *r, const struct hv_size *vm)
{
	struct vm_need need = { 0 };
	struct vm_sum sum = { 0 };

	vm_need_update(&need, r);
	vm_sum_add(&sum, &need);
	if (sum.memory_mib > vm->memory_mib)
		log_warn(FIELD "memory.limit: %" PRIu64 " MiB, but the virtual machine has only "
		               "%u MiB, ignoring",
		         sum.memory_mib, vm->memory_mib);
	if (sum.millicpus > vm->cpus * UINT64_C(1000))
		log_warn(FIELD "cpu.quota: more than the virtual machine's %u processors, ignoring",
		         vm->cpus);
}

void resources_warn(const struct oci_resources *r, char *const *dirs, const struct hv_size *vm)
{
	const struct oci_memory *m = r ? r->memory : NULL;

	warn_of_accesses(r);
	warn_of_size(r, vm);
	if (!m)
		return;
	if (m->kernel > 0 || m->kernel_tcp > 0)
		log_warn("Kernel memory settings are ignored and will be removed");
	if (m->has_swappiness && !has_swappiness(dirs))
		log_warn(FIELD "memory.swappiness: not possible with cgroup version 2, ignoring");
	if (m->disable_oom_killer)
		log_warn(FIELD "memory.disableOOMKiller: not possible with cgroup version 2, "
		               "ignoring");
	if (m->has_use_hierarchy && !m->use_hierarchy)
		log_warn(FIELD "memory.useHierarchy: cgroup version 2 always does, ignoring");
}

/* ---- processors ---- */

/* "0-3,7": how many there are, and the highest. false: it is no such list. */
static bool read_list(const char *list, unsigned *count, unsigned *highest)
{
	unsigned first, last;
	int r;

	*count = *highest = 0;
	while ((r = oci_next_cpus(&list, &first, &last)) == 1) {
		*count += last - first + 1;
		*highest = last > *highest ? last : *highest;
	}
	return r == 0;
}

/* The numbers stay when the guest has them, else it is as many. What is no list is for the kernel
 * to refuse. */
static void localise(char **list, unsigned n)
{
	unsigned count, highest;

	if (!*list || !**list || !read_list(*list, &count, &highest) || highest < n)
		return;
	free(*list);
	count = count < n ? count : n;
	*list = count > 1 ? str_fmt("0-%u", count - 1) : str_dup("0");
}

/* Only what is not said of single devices. */
static struct oci_block_io *without_devices(struct oci_block_io *b)
{
	const struct oci_block_io plain = { .has_weight = b->has_weight,
		                            .weight = b->weight,
		                            .has_leaf_weight = b->has_leaf_weight,
		                            .leaf_weight = b->leaf_weight };

	oci_block_io_free(b);
	return xmemdup(&plain, sizeof(plain));
}

void resources_for_guest(struct oci_resources *r, unsigned cpus)
{
	if (!r)
		return;
	if (r->cpu) {
		localise(&r->cpu->cpus, cpus);
		localise(&r->cpu->mems, 1);
	}
	if (r->block_io)
		r->block_io = without_devices(r->block_io);
}
