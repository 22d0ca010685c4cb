/* What the stand-in takes of a container's mounts: for the share with the guest, and for its own
 * mount namespace, which clients enter to copy files into a running container (CLIENTS.md section
 * 7). Of the latter, mounts of the host are the same there and in the guest. What only the guest
 * has is an empty read-only file system there: a copy into it must fail and not get lost. */
#pragma once

#include <stdbool.h>

struct ctl_out;
struct error;
struct json;

struct shim_view {
	/* Of the set-up message: {type: "bind", name, path, recursive, readonly, all_readonly,
	 * dest}, {type: "overlay", name, path, data, dest} or {type: "proc"|"tmpfs", dest}. */
	const struct json *mounts;
	bool is_readonly;
	int root;   /* the root file system, -1 before shim_view_enter() */
	int *trees; /* one for each of the mounts, or -1 */
};
#define SHIM_VIEW_NONE ((struct shim_view){ .root = -1 })

/* Clone the root and what is taken of the host. answer gets "trees", an array of {name, file, fd},
 * for the share; the view has clones of its own. */
int shim_view_take(struct shim_view *v, const char *rootfs, struct ctl_out *answer,
                   struct error *err);
/* Make the root file system this process's root, in its own mount namespace. */
int shim_view_enter(struct shim_view *v, const char *rootfs, struct error *err);
/* Mount the rest in it: once the guest has made the container, and with it the mount points. */
int shim_view_show(struct shim_view *v, struct error *err);
void shim_view_done(struct shim_view *v);
