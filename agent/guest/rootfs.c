/* The root file system itself: its own mount, what is hidden in it, and the way in. */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "oci/oci.h"

int rootfs_prepare(struct mount_state *ms, struct error *err)
{
	const char *path = ms->l->spec->root->path;

	/* Nothing that is mounted from here on may show in the agent's namespace. */
	if (!ms->l->ready && mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return error_sys(err, "make the mounts private");
	ms->rootfd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (ms->rootfd < 0)
		return error_sys(err, "root.path '%s'", path);
	if (move_mount(ms->rootfd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_sys(err, "mount the root file system '%s'", path);
	return 0;
}

int mount_tmpfs(unsigned attributes, struct error *err)
{
	auto_close int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	bool is_readonly = attributes & MOUNT_ATTR_RDONLY;
	int fd;

	if (fs < 0 || (is_readonly && fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0) ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return error_sys(err, "create an empty tmpfs");
	fd = fsmount(fs, FSMOUNT_CLOEXEC, attributes);
	return fd < 0 ? error_sys(err, "mount an empty tmpfs") : fd;
}

/* The first file gets the mount itself, the others copies of it, which can only be made of one that
 * is in place. */
static int mask_file(struct mount_state *ms, int target, const char *path, struct error *err)
{
	if (ms->null_is_placed)
		return mount_bind_fd(ms->null, target, false, path, err);
	ms->null_is_placed = true;
	return mount_attach(ms->null, target, path, err);
}

static int mask(struct mount_state *ms, int target, const char *path, struct error *err)
{
	struct stat st;

	if (fstat(target, &st) < 0)
		return error_sys(err, "examine '%s'", path);
	if (!S_ISDIR(st.st_mode))
		return mask_file(ms, target, path, err);
	if (ms->empty >= 0)
		return mount_bind_fd(ms->empty, target, false, path, err);
	ms->empty = ready_take_empty(ms->l, err);
	return ms->empty < 0 ? ms->empty : mount_attach(ms->empty, target, path, err);
}

/* What is mounted below keeps its own attributes, as with the native runtimes. */
static int make_readonly(struct mount_state *unused, int target, const char *path,
                         struct error *err)
{
	auto_close int tree = open_tree(
		target, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	(void)unused;
	if (tree < 0)
		return error_sys(err, "copy the mount '%s'", path);
	if (mount_set(tree, MOUNT_ATTR_RDONLY, 0, false, err) < 0)
		return -err->code;
	return mount_attach(tree, target, path, err);
}

/* Paths that do not exist need not be hidden. */
static int hide(struct mount_state *ms, char *const *paths,
                int (*how)(struct mount_state *ms, int target, const char *path, struct error *err),
                struct error *err)
{
	for (size_t i = 0; paths && paths[i]; i++) {
		auto_close int target = fs_try_in_root(ms->rootfd, paths[i], O_PATH, 0);

		if (target == -ENOENT || target == -ENOTDIR)
			continue;
		if (target < 0) {
			errno = -target;
			return error_sys(err, "open '%s'", paths[i]);
		}
		if (how(ms, target, paths[i], err) < 0)
			return -err->code;
	}
	return 0;
}

int rootfs_hide(struct mount_state *ms, struct error *err)
{
	const struct oci_linux *x = ms->l->spec->linux_;

	if (hide(ms, x->readonly_paths, make_readonly, err) < 0)
		return error_wrap(err, "linux.readonlyPaths");
	if (hide(ms, x->masked_paths, mask, err) < 0)
		return error_wrap(err, "linux.maskedPaths");
	return 0;
}

/* Without pivot_root(2) the agent's mounts stay in the namespace, out of sight. Whole ones of proc
 * and sysfs among them would be the kernel's reason to let a user namespace mount others without
 * what is masked in the container's. */
static int drop_agents(const char *path, struct error *err)
{
	auto_close int target = -1, dir = -1;

	if (umount2(path, MNT_DETACH) == 0)
		return 0;
	/* Locked, since the namespace belongs to a user namespace: covered, then. */
	target = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (target < 0)
		return error_sys(err, "open '%s' of the agent", path);
	dir = mount_tmpfs(MOUNT_ATTR_RDONLY, err);
	return dir < 0 ? dir : mount_attach(dir, target, path, err);
}

static int pivot(struct mount_state *ms, struct error *err)
{
	if (fchdir(ms->rootfd) < 0)
		return error_sys(err, "enter the root file system");
	if (!ms->l->ct->no_pivot && syscall(SYS_pivot_root, ".", ".") == 0) {
		/* The old root now lies on top of the new one. */
		if (umount2(".", MNT_DETACH) < 0)
			return error_sys(err, "unmount the agent's root");
		return 0;
	}
	if (!ms->l->ct->no_pivot && errno != EINVAL)
		return error_sys(err, "pivot_root");
	/* As the caller asked, or the agent's root is the initial ramfs, which cannot be moved
	 * away. */
	if (drop_agents("/sys", err) < 0 || drop_agents("/proc", err) < 0)
		return -err->code;
	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0)
		return error_sys(err, "move the root file system to '/'");
	if (chroot(".") < 0)
		return error_sys(err, "change the root");
	return 0;
}

static int make_cwd(const char *cwd, struct error *err)
{
	auto_free char *why = NULL;
	struct stat st;

	if (stat(cwd, &st) == 0 && !S_ISDIR(st.st_mode))
		error_set(err, ENOTDIR, "a file");
	else if (fs_exists(cwd) || fs_mkdir_p(cwd, 0755, err) == 0)
		return 0;
	why = error_text(err->code);
	return error_set(err, err->code, "mkdir %s: %s", cwd, why);
}

int rootfs_enter(struct mount_state *ms, struct error *err)
{
	/* What shall be seen in place of masked files is out of reach after that. */
	ms->null = devices_null(ms, err);
	if (ms->null < 0 || pivot(ms, err) < 0)
		return -err->code;
	return chdir("/") < 0 ? error_sys(err, "enter '/'") : 0;
}

int rootfs_finish(struct mount_state *ms, struct error *err)
{
	const struct launch *l = ms->l;
	const char *word = l->spec->linux_->rootfs_propagation;
	unsigned long flags;

	if (word && word[0]) {
		if (mount_propagation(word, &flags) < 0)
			return error_set(err, EINVAL, "linux.rootfsPropagation: unknown value '%s'",
			                 word);
		if (mount(NULL, "/", NULL, flags, NULL) < 0)
			return error_sys(err, "linux.rootfsPropagation");
		if ((flags & MS_REC) && mounts_propagate(ms, err) < 0)
			return -err->code;
	}
	return make_cwd(l->process->cwd, err);
}
