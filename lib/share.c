#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/mountapi.h"
#include "lib/share.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"

int share_clone(const char *path, bool recursive, enum share_readonly readonly, bool *is_file,
                struct error *err)
{
	auto_close int fd = -1;
	struct stat st;

	fd = open_tree(AT_FDCWD, path,
	               OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0));
	if (fd < 0)
		return error_sys(err, "open the mount '%s'", path);
	if (fstat(fd, &st) < 0)
		return error_sys(err, "stat '%s'", path);
	if (readonly != SHARE_WRITABLE &&
	    mount_set_readonly(fd, readonly == SHARE_ALL_READONLY) < 0)
		return error_sys(err, "make the mount of '%s' read-only", path);
	if (is_file)
		*is_file = !S_ISDIR(st.st_mode);
	return steal_fd(&fd);
}

int share_overlay(const char *source, const char *data, const char *at, int trees[2],
                  struct error *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_sys(err, "make the mounts private");
	if (mount(source, at, "overlay", 0, data) < 0)
		return error_sys(err, "mount an overlay with '%s'", data);
	for (int i = 0; i < 2 && !err->code; i++) {
		trees[i] = open_tree(AT_FDCWD, at, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		if (trees[i] < 0)
			error_sys(err, "copy the overlay");
	}
	if (umount2(at, MNT_DETACH) < 0 && !err->code)
		return error_sys(err, "unmount the overlay at '%s'", at);
	return -err->code;
}

/* ---- the monitor's root ---- */

static int make_mount_point(const char *path, bool is_dir, struct error *err)
{
	auto_free char *parent = str_dup(path);
	char *slash = strrchr(parent, '/');
	int fd;

	*slash = '\0';
	if (fs_mkdir_p(is_dir ? path : parent, 0755, err) < 0)
		return -err->code;
	if (is_dir)
		return 0;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_sys(err, "make the mount point '%s'", path);
	close(fd);
	return 0;
}

/* Bind a path of the host to the same path below stage; what the host does not have is left out. A
 * link is copied as a link. */
static int show(const char *stage, const char *path, bool readonly, struct error *err)
{
	auto_free char *to = str_fmt("%s%s", stage, path);
	struct stat st;
	char target[PATH_MAX];
	auto_close int tree = -1;
	ssize_t n;

	if (lstat(path, &st) < 0)
		return 0;
	if (S_ISLNK(st.st_mode)) {
		n = readlink(path, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
		if (n < 0 || (symlink(target, to) < 0 && errno != EEXIST))
			return error_sys(err, "copy the link '%s'", path);
		return 0;
	}
	tree = share_clone(path, true, readonly ? SHARE_ALL_READONLY : SHARE_WRITABLE, NULL, err);
	if (tree < 0 || make_mount_point(to, S_ISDIR(st.st_mode), err) < 0)
		return -err->code;
	if (move_mount(tree, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_sys(err, "mount on '%s'", to);
	return 0;
}

static int show_file(const char *stage, const char *path, bool readonly, struct error *err)
{
	auto_free char *real = realpath(path, NULL);
	auto_free char *to = str_fmt("%s%s", stage, path);
	auto_close int tree = -1;

	/* Below /usr it is there already. */
	if (!real || fs_exists(to))
		return 0;
	tree = share_clone(real, false, readonly ? SHARE_ALL_READONLY : SHARE_WRITABLE, NULL, err);
	if (tree < 0 || make_mount_point(to, false, err) < 0)
		return -err->code;
	if (move_mount(tree, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_sys(err, "mount on '%s'", to);
	return 0;
}

/* A template may be removed at any moment: then its file is not there, as if there had never been
 * one, and no empty one in its place either. */
static int show_memory(const struct share_view *view, struct error *err)
{
	auto_free char *to = str_fmt("%s%s", view->stage, view->memory);

	if (show_file(view->stage, view->memory, !view->is_template, err) == 0)
		return 0;
	if (view->is_template || err->code != ENOENT)
		return -err->code;
	error_clear(err);
	if (unlink(to) < 0 && errno != ENOENT)
		return error_sys(err, "remove '%s'", to);
	return 0;
}

static int build_root(const struct share_view *view, struct error *err)
{
	static const char *const libraries[] = {
		"/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives"
	};
	static const char *const devices[] = { "/dev/null",      "/dev/zero",       "/dev/urandom",
		                               "/dev/random",    "/dev/kvm",        "/dev/net/tun",
		                               "/dev/vhost-net", "/dev/vhost-vsock" };
	const char *files[] = { view->vmm, view->kernel, view->initrd, view->fs_server,
		                view->preload };
	auto_free char *share = str_fmt("%s" SHARE_DIR, view->stage);

	for (size_t i = 0; i < ARRAY_SIZE(libraries); i++)
		if (show(view->stage, libraries[i], true, err) < 0)
			return -err->code;
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		if (show(view->stage, devices[i], false, err) < 0)
			return -err->code;
	/* QEMU's 9p server works on /proc/self/fd, the monitor watches processes. */
	if (show(view->stage, "/proc", false, err) < 0)
		return -err->code;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (files[i] && show_file(view->stage, files[i], true, err) < 0)
			return -err->code;
	if (view->memory && show_memory(view, err) < 0)
		return -err->code;
	if (mkdir(share, 0700) < 0)
		return error_sys(err, "make '%s'", share);
	return 0;
}

static int pivot_to(const char *stage, struct error *err)
{
	if (chdir(stage) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return error_sys(err, "pivot to the monitor's root");
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return error_sys(err, "leave the host's mounts");
	return 0;
}

int share_enter(const struct share_view *view, struct error *err)
{
	if (unshare(CLONE_NEWNS) < 0)
		return error_sys(err, "make a mount namespace");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_sys(err, "make the mounts private");
	if (mount("vcrt", view->stage, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
	          "mode=0700,size=1m") < 0)
		return error_sys(err, "mount the monitor's root");
	if (build_root(view, err) < 0 || pivot_to(view->stage, err) < 0)
		return -err->code;
	/* The share is a mount of its own, so that it alone is shared with the VMM's namespace. */
	if (mount("vcrt-share", SHARE_DIR, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700,size=1m") <
	            0 ||
	    mount(NULL, SHARE_DIR, NULL, MS_SHARED, NULL) < 0)
		return error_sys(err, "mount '%s'", SHARE_DIR);
	return 0;
}

static int follow_monitor(unsigned long flags, const char *proc_options, struct error *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return error_sys(err, "make the mounts slaves of the monitor's");
	if (umount2("/proc", MNT_DETACH) < 0 ||
	    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC | flags, proc_options) <
	            0)
		return error_sys(err, "mount a /proc of its own");
	return 0;
}

int share_prepare_vmm(bool serves_share, struct error *err)
{
	if (follow_monitor(0, "subset=pid,hidepid=invisible", err) < 0)
		return -err->code;
	if (!serves_share && umount2(SHARE_DIR, MNT_DETACH) < 0)
		return error_sys(err, "hide the share from the VMM");
	return 0;
}

int share_prepare_server(struct error *err)
{
	return follow_monitor(MS_RDONLY, NULL, err);
}

/* ---- trees ---- */

int share_add(const char *key, const char *name, int tree, bool is_file, struct error *err)
{
	auto_free char *dir = str_fmt(SHARE_DIR "/%s", key);
	auto_free char *to = str_fmt("%s/%s", dir, name);

	/* The guest's root must be able to pass; what others may do is decided by the tree. */
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return error_sys(err, "make the share '%s'", dir);
	if (make_mount_point(to, !is_file, err) < 0)
		return -err->code;
	/* Our copy must not spread to where it came from, nor follow it: the engine unmounts and
	 * mounts below it as it likes. */
	if (mount_set_private(tree) < 0)
		return error_sys(err, "make the mount of '%s' private", name);
	/* The guest's kernel runs programs and opens devices of the container, never the VMM. */
	if (mount_set_inert(tree) < 0)
		return error_sys(err, "forbid devices and programs in '%s'", name);
	if (move_mount(tree, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_sys(err, "attach '%s' to the share", name);
	return 0;
}

void share_remove(const char *key)
{
	auto_free char *dir = str_fmt(SHARE_DIR "/%s", key);
	auto_error struct error err = { 0 };
	auto_free char *mounts = NULL;
	char *save = NULL;

	/* Every mount below the directory, as the kernel lists them; later ones cover earlier ones.
	 */
	if (fs_read("/proc/self/mounts", 16u << 20, &mounts, NULL, &err) == 0) {
		char **points = NULL;

		for (char *line = strtok_r(mounts, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save)) {
			char *point = strchr(line, ' ');

			if (point && str_starts(point + 1, dir) && point[1 + strlen(dir)] == '/') {
				*strchrnul(point + 1, ' ') = '\0';
				strv_push(&points, point + 1);
			}
		}
		for (size_t i = strv_len(points); i-- > 0;)
			umount2(points[i], MNT_DETACH | UMOUNT_NOFOLLOW);
		strv_free(points);
	}
	fs_remove_tree_at(AT_FDCWD, dir, &err);
}
