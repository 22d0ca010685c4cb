/* The few uses of mount_setattr(2) that the library needs; glibc 2.36 has the call itself. */
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <sys/mount.h>

static inline int mount_set_readonly(int tree, bool recursive)
{
	struct mount_attr a = { .attr_set = MOUNT_ATTR_RDONLY };
	unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);

	return mount_setattr(tree, "", flags, &a, sizeof(a));
}

static inline int mount_set_private(int tree)
{
	struct mount_attr a = { .propagation = MS_PRIVATE };

	return mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &a, sizeof(a));
}

static inline int mount_set_inert(int tree)
{
	struct mount_attr a = { .attr_set =
		                        MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC };

	return mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &a, sizeof(a));
}
