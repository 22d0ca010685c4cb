#include "lib/shim-view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/ctl.h"
#include "lib/mountapi.h"
#include "lib/share.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

static size_t count(const struct shim_view *v)
{
	return v->mounts ? json_len(v->mounts) : 0;
}

static bool is_directory(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ---- taking ---- */

/* Two clones of what the guest gets of a mount. at: the root file system, see share_overlay(). */
static int take_mount(const struct json *m, const char *at, int trees[2], struct error *err)
{
	const char *path = json_get_string(m, "path");
	bool recursive = json_get_bool(m, "recursive", true);
	enum share_readonly readonly = json_get_bool(m, "all_readonly", false) ? SHARE_ALL_READONLY
	                               : json_get_bool(m, "readonly", false)   ? SHARE_READONLY
	                                                                       : SHARE_WRITABLE;

	if (str_eq(json_get_string(m, "type"), "overlay"))
		return share_overlay(path, json_get_string(m, "data"), at, trees, err);
	for (int i = 0; i < 2; i++) {
		trees[i] = share_clone(path, recursive, readonly, NULL, err);
		if (trees[i] < 0)
			return -err->code;
	}
	return 0;
}

/* The tree is the answer's. */
static int answer_tree(struct ctl_out *answer, struct json *list, const char *name, int tree,
                       struct error *err)
{
	struct json *t = json_new_object();

	json_add(list, t);
	json_set(t, "name", json_new_string(name));
	json_set(t, "file", json_new_bool(!is_directory(tree)));
	if (ctl_out_fd(answer, t, "fd", tree, err) < 0) {
		close(tree);
		return -err->code;
	}
	return 0;
}

/* One of the mounts, of the host's, with its name in the share. */
static int take(const struct json *m, const char *name, const char *rootfs, int *tree,
                struct ctl_out *answer, struct json *list, struct error *err)
{
	const char *path = json_get_string(m, "path"), *dest = json_get_string(m, "dest");
	int trees[2] = { -1, -1 };
	int r = take_mount(m, rootfs, trees, err);

	*tree = trees[0];
	if (r == 0)
		return answer_tree(answer, list, name, trees[1], err);
	if (err->code == ENOENT && !json_get_string(m, "data"))
		return error_set(err, ENOENT,
		                 "error mounting \"%s\" to rootfs at \"%s\": stat %s: no such file "
		                 "or directory",
		                 path, dest, path);
	return error_wrap(err, "error mounting \"%s\" to rootfs at \"%s\"", path, dest);
}

int shim_view_take(struct shim_view *v, const char *rootfs, struct ctl_out *answer,
                   struct error *err)
{
	struct json *list = json_new_array();
	int root = share_clone(rootfs, true, SHARE_WRITABLE, NULL, err);

	json_set(answer->json, "trees", list);
	if (root < 0 || answer_tree(answer, list, "rootfs", root, err) < 0)
		return error_wrap(err, "root file system");
	v->trees = xcalloc(count(v) + 1, sizeof(*v->trees));
	for (size_t i = 0; i < count(v); i++)
		v->trees[i] = -1;
	for (size_t i = 0; i < count(v); i++) {
		const struct json *m = json_at(v->mounts, i);
		const char *name = json_get_string(m, "name");

		/* Without these the guest makes it. */
		if (name && json_get_string(m, "path") &&
		    take(m, name, rootfs, &v->trees[i], answer, list, err) < 0)
			return -err->code;
	}
	return 0;
}

int shim_view_enter(struct shim_view *v, const char *rootfs, struct error *err)
{
	auto_close int tree = -1;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_sys(err, "make the shim's mounts private");
	tree = share_clone(rootfs, true, SHARE_WRITABLE, NULL, err);
	if (tree < 0)
		return -err->code;
	if (move_mount(tree, "", AT_FDCWD, rootfs, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_sys(err, "attach the root file system in the shim");
	v->root = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (v->root < 0)
		return error_sys(err, "open '%s'", rootfs);
	if (fchdir(v->root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return error_sys(err, "pivot the shim to '%s'", rootfs);
	return 0;
}

/* ---- showing ---- */

/* A tmpfs or proc of this process's own. Returns its tree, or -1. */
static int make_own(const char *type)
{
	auto_close int fs = fsopen(type, FSOPEN_CLOEXEC);

	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return fsmount(fs, FSMOUNT_CLOEXEC,
	               MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

static bool is_own_tmpfs(const struct shim_view *v, dev_t dev)
{
	struct stat st;

	for (size_t i = 0; i < count(v); i++)
		if (v->trees[i] >= 0 && fstat(v->trees[i], &st) == 0 && st.st_dev == dev &&
		    str_eq(json_get_string(json_at(v->mounts, i), "type"), "tmpfs"))
			return true;
	return false;
}

/* Is the nearest directory above, of those that exist, in a tmpfs of ours? */
static bool lies_in_own_tmpfs(const struct shim_view *v, const char *path)
{
	auto_free char *above = str_dup(path);
	char *slash;

	while ((slash = strrchr(above, '/')) && slash > above) {
		auto_error struct error missing = { 0 };
		auto_close int fd = -1;
		struct stat st;

		*slash = '\0';
		fd = fs_open_in_root(v->root, above, O_PATH, 0, &missing);
		if (fd >= 0)
			return fstat(fd, &st) == 0 && is_own_tmpfs(v, st.st_dev);
	}
	return false;
}

/* Destinations are resolved in the container's root, whose links are hostile. The guest has made
 * those that were missing, but cannot do so in a tmpfs of ours; others lie in what only the guest
 * has, as below /sys. */
static int open_destination(const struct shim_view *v, const char *path, bool is_dir)
{
	auto_error struct error err = { 0 };
	int fd = fs_open_in_root(v->root, path, O_PATH, 0, &err);

	if (fd >= 0 || !lies_in_own_tmpfs(v, path))
		return fd;
	error_clear(&err);
	return fs_make_in_root(v->root, path, is_dir, &err);
}

/* This view is a help for clients, not what the container sees: what cannot be shown is left out.
 */
static void show_mount(const struct shim_view *v, const struct json *m, int *tree)
{
	auto_close int at = -1;

	if (*tree < 0)
		*tree = make_own(json_get_string(m, "type"));
	if (*tree < 0 || mount_set_private(*tree) < 0)
		return;
	at = open_destination(v, json_get_string(m, "dest"), is_directory(*tree));
	if (at >= 0)
		move_mount(*tree, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

int shim_view_show(struct shim_view *v, struct error *err)
{
	for (size_t i = 0; i < count(v); i++)
		show_mount(v, json_at(v->mounts, i), &v->trees[i]);
	for (size_t i = 0; i < count(v); i++)
		if (str_eq(json_get_string(json_at(v->mounts, i), "type"), "tmpfs") &&
		    v->trees[i] >= 0 && mount_set_readonly(v->trees[i], false) < 0)
			return error_sys(err, "make a tmpfs of the shim read-only");
	if (v->is_readonly && mount_set_readonly(v->root, false) < 0)
		return error_sys(err, "make the shim's root read-only");
	return 0;
}

void shim_view_done(struct shim_view *v)
{
	for (size_t i = 0; v->trees && i < count(v); i++)
		close_fd(&v->trees[i]);
	free(v->trees);
	close_fd(&v->root);
	*v = SHIM_VIEW_NONE;
}
