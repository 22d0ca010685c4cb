/* The directory that a sandbox's containers share with the guest (DESIGN section 7).
 *
 * It lives in the mount namespace of the monitor, whose root is a small file system made for the
 * purpose: nothing of the host is visible there but what the VMM needs, so neither monitor nor VMM
 * pins a mount of the host. Stand-ins clone mount trees of the host, verbs hand them over; they are
 * attached below SHARE_DIR and reach the VMM's own, still smaller namespace by propagation. */
#pragma once

#include <stdbool.h>

struct error;

#define SHARE_DIR "/share"

/* ---- in the stand-in ---- */

/* Clone the mount tree at path (a directory or file; the last component may be a link), detached.
 * recursive: with everything mounted below. readonly: the clone is read-only, all of it or (as
 * the option "ro" of a bind means it) only what is not mounted below. Returns its descriptor.
 * *is_file (may be NULL) says that it is no directory. */
enum share_readonly { SHARE_WRITABLE, SHARE_READONLY, SHARE_ALL_READONLY };
int share_clone(const char *path, bool recursive, enum share_readonly readonly, bool *is_file,
                struct error *err);

/* Make an overlay with these options of its own; trees are two detached clones of it, the caller's
 * also after a failure. It is mounted on the directory at for a moment, in this process's mount
 * namespace, which becomes private: what it is made of may be there, too. */
int share_overlay(const char *source, const char *data, const char *at, int trees[2],
                  struct error *err);

/* ---- in the monitor ---- */

struct share_view {
	const char *stage; /* an empty directory of the host to build on; seen by nobody else */
	/* Files of the host that stay visible, at their paths; NULL: none. */
	const char *vmm, *kernel, *initrd, *fs_server, *preload;
	/* Of a template, not there afterwards if that is removed meanwhile; or (is_template) of
	 * what becomes one. */
	const char *memory;
	bool is_template;
};
/* Move this process to a mount namespace with a root of its own. */
int share_enter(const struct share_view *view, struct error *err);
/* In the VMM's process, born in new mount and pid namespaces, before exec: make its mounts slaves
 * of the monitor's, and show it of /proc its own process only. serves_share: leave it the share. */
int share_prepare_vmm(bool serves_share, struct error *err);
/* The same for the process of the share's server. It reads settings below /proc/sys, so all of
 * /proc is there, but read-only. */
int share_prepare_server(struct error *err);

/* Make SHARE_DIR/KEY/ and attach trees in it. name: "rootfs", "m0", ... */
int share_add(const char *key, const char *name, int tree, bool is_file, struct error *err);
/* Drop everything of KEY; the host's mounts are released when this returns. */
void share_remove(const char *key);
