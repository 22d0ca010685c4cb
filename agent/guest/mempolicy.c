/* linux.memoryPolicy, with set_mempolicy(2); children and execve() inherit it. */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define SET_BITS (OCI_MAX_CPU + 1)
#define WORD_BITS (8 * sizeof(unsigned long))

/* <linux/mempolicy.h>; the last ones are too new for every version of it. */
static const struct {
	const char *name;
	int value;
} words[] = {
	{ "MPOL_DEFAULT", 0 },
	{ "MPOL_PREFERRED", 1 },
	{ "MPOL_BIND", 2 },
	{ "MPOL_INTERLEAVE", 3 },
	{ "MPOL_LOCAL", 4 },
	{ "MPOL_PREFERRED_MANY", 5 },
	{ "MPOL_WEIGHTED_INTERLEAVE", 6 },
	{ "MPOL_F_STATIC_NODES", 1 << 15 },
	{ "MPOL_F_RELATIVE_NODES", 1 << 14 },
	{ "MPOL_F_NUMA_BALANCING", 1 << 13 },
};

static int add_word(const char *name, int *mode, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (str_eq(words[i].name, name)) {
			*mode |= words[i].value;
			return 0;
		}
	}
	return error_set(err, EINVAL, "linux.memoryPolicy: unknown word '%s'", name);
}

int mempolicy_apply(const struct oci_memory_policy *p, struct error *err)
{
	unsigned long set[SET_BITS / WORD_BITS] = { 0 };
	bool has_nodes = p && p->nodes && p->nodes[0];
	const char *rest = has_nodes ? p->nodes : "";
	unsigned node, last;
	int mode = 0;

	if (!p)
		return 0;
	if (add_word(p->mode, &mode, err) < 0)
		return -err->code;
	for (size_t i = 0; p->flags && p->flags[i]; i++)
		if (add_word(p->flags[i], &mode, err) < 0)
			return -err->code;
	while (oci_next_cpus(&rest, &node, &last) == 1)
		for (; node <= last; node++)
			set[node / WORD_BITS] |= 1ul << node % WORD_BITS;
	/* The kernel reads one bit less than it is told. */
	if (syscall(SYS_set_mempolicy, mode, has_nodes ? set : NULL, has_nodes ? SET_BITS + 1 : 0) <
	    0)
		return error_sys(err,
		                 "linux.memoryPolicy: set %s for the guest's memory nodes '%s'",
		                 p->mode, has_nodes ? p->nodes : "");
	return 0;
}
