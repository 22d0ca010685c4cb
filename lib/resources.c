#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cgroup-limits.h"
#include "lib/resources.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define FIELD "linux.resources."
/* What the guest's kernel and agent need for themselves: measured 80 MiB with 512 MiB of memory,
 * and 1/64 of all memory for the kernel's list of pages; the rest is for what it caches. */
#define GUEST_OWN_MIB 128
#define PAGE_LIST_PART 60
#define NO_LIMIT_MIB (INT64_MAX >> 21) /* engines write "no limit" as nearly the largest number */

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

/* 0: no limit. */
static uint64_t to_mib(uint64_t limit)
{
	uint64_t mib = (limit + (1u << 20) - 1) >> 20;

	return mib < NO_LIMIT_MIB ? mib : 0;
}

/* The container's limit of memory, 0: none. */
static uint64_t limit_mib(const struct oci_resources *r)
{
	return to_mib(r && r->memory && r->memory->limit > 0 ? (uint64_t)r->memory->limit : 0);
}

void resources_warn(const struct oci_resources *r, char *const *dirs, uint64_t vm_mib)
{
	const struct oci_memory *m = r ? r->memory : NULL;

	warn_of_accesses(r);
	if (!m)
		return;
	if (limit_mib(r) > vm_mib)
		log_warn(FIELD "memory.limit: %" PRIu64 " MiB, but the virtual machine has only "
		               "%" PRIu64 " MiB, ignoring",
		         limit_mib(r), vm_mib);
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

/* ---- memory ---- */

unsigned resources_vm_memory(const struct oci_resources *r, uint64_t pod, unsigned base,
                             unsigned max)
{
	uint64_t mib = limit_mib(r), pod_mib = to_mib(pod), need;

	if (mib < pod_mib)
		mib = pod_mib;
	if (mib == 0)
		return base;
	if (max == 0)
		max = (unsigned)(((uint64_t)sysconf(_SC_PHYS_PAGES) *
		                  (uint64_t)sysconf(_SC_PAGESIZE)) >>
		                 20);
	need = mib + mib / PAGE_LIST_PART + GUEST_OWN_MIB;
	if (need <= base || max <= base)
		need = base;
	else if (need > max)
		need = max;
	return (unsigned)need;
}
