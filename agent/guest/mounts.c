/* The mounts of config.json. Every mount is made detached, gets its attributes, and is then moved
 * onto a descriptor of its destination: no path is resolved twice, nothing is ever half done. */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "oci/oci.h"

int mount_attach(int tree, int target, const char *path, struct error *err)
{
	if (move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return error_sys(err, "mount on '%s'", path);
	return 0;
}

int mount_attach_at(int tree, const char *path, struct error *err)
{
	auto_close int target = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return target < 0 ? error_sys(err, "open '%s' of the agent", path)
	                  : mount_attach(tree, target, path, err);
}

int mount_bind_fd(int source, int target, bool recursive, const char *path, struct error *err)
{
	auto_close int tree = -1;

	tree = open_tree(source, "",
	                 AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
	                         (recursive ? AT_RECURSIVE : 0));
	if (tree < 0)
		return error_sys(err, "copy the mount for '%s'", path);
	return mount_attach(tree, target, path, err);
}

int mount_set(int tree, uint64_t set, uint64_t clear, bool recursive, struct error *err)
{
	struct mount_attr attr = { .attr_set = set, .attr_clr = clear };

	if (!(set | clear))
		return 0;
	if (mount_setattr(tree, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attr,
	                  sizeof(attr)) < 0)
		return error_sys(err, "set mount attributes");
	return 0;
}

static bool is_bind(const struct oci_mount *m, const struct mount_options *o)
{
	return (o->flags & MS_BIND) || str_eq(m->type, "bind");
}

static bool is_cgroup(const struct oci_mount *m)
{
	return str_eq(m->type, "cgroup") || str_eq(m->type, "cgroup2");
}

/* A source lies in the share, where others than the container's creator may plant links. The
 * trailing descriptor counts as a use of the directory, so that a file system behind it is there.
 */
static int clone_source(const char *path, bool recursive)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC | O_DIRECTORY,
		                .resolve = RESOLVE_NO_SYMLINKS };
	auto_close int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	if (fd < 0 && errno == ENOTDIR) {
		how.flags &= ~(uint64_t)O_DIRECTORY;
		fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	}
	if (fd < 0)
		return -1;
	return open_tree(fd, "",
	                 AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
	                         (recursive ? AT_RECURSIVE : 0));
}

/* The words of the native runtimes, with which users search. What a bind's source is called on the
 * host is not known here. */
static int mount_failed(const struct oci_mount *m, bool is_bound, struct error *err)
{
	if (is_bound || !m->source || !m->source[0])
		return error_wrap(err, "error mounting to rootfs at \"%s\"", m->destination);
	return error_wrap(err, "error mounting \"%s\" to rootfs at \"%s\"", m->source,
	                  m->destination);
}

/* Without a cgroup namespace the container gets its own part of the VM's hierarchy. */
static bool is_bound_cgroup(const struct launch *l, const struct oci_mount *m)
{
	return is_cgroup(m) && !(l->ct->ns.create & CLONE_NEWCGROUP);
}

int mounts_open_sources(struct mount_state *ms, struct error *err)
{
	const struct oci_spec *spec = ms->l->spec;
	const struct container *ct = ms->l->ct;
	auto_free char *cgroup = str_fmt("%s%s", ct->guest->cgroup_root, ct->cgroup.path);

	ms->sources = xcalloc(spec->n_mounts + 1, sizeof(int));
	ms->readonly = xcalloc(spec->n_mounts + 1, sizeof(int));
	for (size_t i = 0; i < spec->n_mounts; i++) {
		const struct oci_mount *m = &spec->mounts[i];
		bool is_own = is_bound_cgroup(ms->l, m);
		struct mount_options o;

		ms->sources[i] = -1;
		if (mount_options_parse(m->options, &o, err) < 0)
			return mount_failed(m, false, err);
		mount_options_done(&o);
		if (!is_own && (!is_bind(m, &o) || (o.flags & MS_REMOUNT)))
			continue;
		ms->sources[i] = is_own ? clone_source(cgroup, false)
		                        : clone_source(m->source, o.flags & MS_REC);
		if (ms->sources[i] < 0) {
			error_sys(err, "open the source");
			return mount_failed(m, !is_own, err);
		}
	}
	return 0;
}

/* What the kernel has to say about a refused file system, if anything. */
static int fs_error(int fs, const char *what, struct error *err)
{
	int code = errno;
	char text[256];
	ssize_t n = read(fs, text, sizeof(text) - 1);

	if (n > 2) { /* "e message" */
		text[n] = '\0';
		text[strcspn(text, "\n")] = '\0';
		return error_set(err, code, "%s: %s (%s)", what, strerror(code), text + 2);
	}
	errno = code;
	return error_sys(err, "%s", what);
}

static const struct {
	unsigned long flag;
	const char *key;
} super_flags[] = {
	{ MS_SYNCHRONOUS, "sync" },
	{ MS_DIRSYNC, "dirsync" },
	{ MS_LAZYTIME, "lazytime" },
	{ MS_MANDLOCK, "mand" },
};

static int set_data(int fs, char *const *data, struct error *err)
{
	for (size_t i = 0; data && data[i]; i++) {
		auto_free char *key = str_dup(data[i]), *what = NULL;
		char *value = strchr(key, '=');
		int ret;

		if (value)
			*value++ = '\0';
		ret = value ? fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0)
		            : fsconfig(fs, FSCONFIG_SET_FLAG, key, NULL, 0);
		if (ret < 0) {
			what = str_fmt("mount option '%s'", data[i]);
			return fs_error(fs, what, err);
		}
	}
	return 0;
}

/* tmpfs is made writable: mount points and devices are created in it before it is sealed. */
static bool is_sealed_later(const struct oci_mount *m, const struct mount_options *o)
{
	return (o->flags & MS_RDONLY) && str_eq(m->type, "tmpfs");
}

int mounts_new_filesystem(const char *type, const struct oci_mount *m,
                          const struct mount_options *o, struct error *err)
{
	auto_close int fs = fsopen(type, FSOPEN_CLOEXEC);
	uint64_t set, clear;
	int fd;

	if (fs < 0 && errno == ENODEV)
		return error_set(err, ENODEV, "the guest kernel has no file system '%s'", type);
	if (fs < 0)
		return error_sys(err, "file system '%s'", type);
	mount_options_attr(o, &set, &clear);
	if (m->source && m->source[0] &&
	    fsconfig(fs, FSCONFIG_SET_STRING, "source", m->source, 0) < 0)
		return fs_error(fs, "mount source", err);
	for (size_t i = 0; i < ARRAY_SIZE(super_flags); i++)
		if ((o->flags & super_flags[i].flag) &&
		    fsconfig(fs, FSCONFIG_SET_FLAG, super_flags[i].key, NULL, 0) < 0)
			return fs_error(fs, super_flags[i].key, err);
	if (is_sealed_later(m, o))
		set &= ~(uint64_t)MOUNT_ATTR_RDONLY;
	else if ((o->flags & MS_RDONLY) && fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0)
		return fs_error(fs, "ro", err);
	if (set_data(fs, o->data, err) < 0)
		return -err->code;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return fs_error(fs, "create the file system", err);
	fd = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)set);
	return fd < 0 ? fs_error(fs, "mount the file system", err) : fd;
}

static int clone_path(const char *path, const struct mount_options *o, struct error *err)
{
	auto_close int tree = -1;
	uint64_t set, clear;

	tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return error_sys(err, "copy the mount '%s'", path);
	mount_options_attr(o, &set, &clear);
	if (mount_set(tree, set, clear, false, err) < 0)
		return -err->code;
	return steal_fd(&tree);
}

/* sysfs belongs to the VM's network namespace, and a user namespace may only bind what there is.
 * The agent's will not do: the cgroups of the whole VM are mounted in it, and could not be left
 * out. */
int mounts_sysfs(const struct oci_spec *spec, unsigned clone_flags, int *fd, struct error *err)
{
	const struct mount_options none = { 0 };

	*fd = -1;
	for (size_t i = 0; *fd < 0 && i < spec->n_mounts; i++) {
		const struct oci_mount *m = &spec->mounts[i];

		if (!(clone_flags & CLONE_NEWUSER) || !str_eq(m->type, "sysfs"))
			continue;
		*fd = mounts_new_filesystem("sysfs", m, &none, err);
		if (*fd < 0)
			return error_wrap(err, "mounts: '%s'", m->destination);
	}
	return 0;
}

static int make_filesystem(struct launch *l, const char *type, const struct oci_mount *m,
                           const struct mount_options *o, struct error *err)
{
	int fd = ready_take(l, type, m, o, err);

	if (fd >= 0 || err->code)
		return fd;
	fd = mounts_new_filesystem(type, m, o, err);
	if (fd == -EPERM && str_eq(m->type, "sysfs") && l->sysfs >= 0) {
		error_clear(err);
		return clone_path("/sys", o, err);
	}
	return fd;
}

/* Returns the detached mount. */
static int make_tree(struct mount_state *ms, size_t i, struct mount_options *o, struct error *err)
{
	const struct oci_mount *m = &ms->l->spec->mounts[i];
	uint64_t set, clear;
	int tree;

	if (is_cgroup(m)) {
		strv_free(o->data); /* options of version 1 hierarchies: there is only version 2 */
		o->data = NULL;
	}
	if (is_cgroup(m) && !is_bound_cgroup(ms->l, m))
		return make_filesystem(ms->l, "cgroup2", m, o, err);
	if (!is_cgroup(m) && !is_bind(m, o))
		return make_filesystem(ms->l, m->type, m, o, err);
	tree = ms->sources[i];
	mount_options_attr(o, &set, &clear);
	if (mount_set(tree, set, clear, false, err) < 0)
		return -err->code;
	ms->sources[i] = -1;
	return tree;
}

static bool has_mode(char *const *data)
{
	for (size_t i = 0; data && data[i]; i++)
		if (str_starts(data[i], "mode="))
			return true;
	return false;
}

/* A tmpfs without a mode looks like the directory it covers (covers: there was one), and may start
 * with its content. */
static int fill_tmpfs(int tree, int target, bool covers, const struct mount_options *o,
                      struct error *err)
{
	auto_close int from = -1, to = -1;
	struct stat st;

	to = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to < 0)
		return error_sys(err, "open the new tmpfs");
	if (covers && !has_mode(o->data) && fstat(target, &st) == 0 &&
	    fchmod(to, st.st_mode & 07777) < 0)
		return error_sys(err, "set the mode of the new tmpfs");
	if (!o->copy_up)
		return 0;
	from = openat(target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from < 0)
		return error_sys(err, "open the directory to copy up");
	return copy_tree(from, to, err);
}

static int set_propagation(int tree, const struct mount_options *o, struct error *err)
{
	for (size_t i = 0; i < o->n_propagation; i++) {
		struct mount_attr attr = { .propagation = o->propagation[i] & ~MS_REC };
		unsigned flags = o->propagation[i] & MS_REC ? AT_RECURSIVE : 0;

		if (mount_setattr(tree, "", AT_EMPTY_PATH | flags, &attr, sizeof(attr)) < 0)
			return error_sys(err, "set the mount propagation");
	}
	return 0;
}

/* MS_BIND: attributes of the mount, those that are not named stay; else of the file system. */
static int remount(struct mount_state *ms, const struct oci_mount *m, const struct mount_options *o,
                   struct error *err)
{
	auto_close int target = fs_open_in_root(ms->rootfd, m->destination, O_PATH, 0, err);
	auto_free char *path = NULL, *data = strv_join(o->data, ",");
	uint64_t set, clear;

	if (target < 0)
		return target;
	if (o->flags & MS_BIND) {
		mount_options_attr(o, &set, &clear);
		if (mount_set(target, set, clear, o->flags & MS_REC, err) < 0)
			return error_wrap(err, "remount");
	} else {
		path = str_fmt("/proc/self/fd/%d", target);
		if (mount("none", path, NULL, o->flags, data && data[0] ? data : NULL) < 0)
			return error_sys(err, "remount");
	}
	if (mount_set(target, o->rec_set, o->rec_clear, true, err) < 0)
		return -err->code;
	return set_propagation(target, o, err);
}

/* The only flag of a file system that fsconfig(2) cannot set. */
static int set_iversion(struct mount_state *ms, const struct oci_mount *m,
                        const struct mount_options *o, struct error *err)
{
	const unsigned long sealed = is_sealed_later(m, o) ? MS_RDONLY : 0;
	struct mount_options again = { .flags = (o->flags & ~sealed) | MS_REMOUNT };

	return remount(ms, m, &again, err);
}

/* Programs trust what they find in these, and an image must not say where that is: no link leads
 * there. -ENOENT without an error: it is missing. */
static int open_ordinary(struct mount_state *ms, const struct oci_mount *m, struct error *err)
{
	auto_free char *path = str_dup(m->destination);
	size_t len = strlen(path);
	int fd;

	while (len > 1 && path[len - 1] == '/') /* a slash at the end would follow a link */
		path[--len] = '\0';
	fd = fs_try_in_root(ms->rootfd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd == -ENOTDIR)
		return error_set(err, ENOTDIR,
		                 "filesystem \"%s\" must be mounted on ordinary directory",
		                 m->type);
	return fd < 0 ? -ENOENT : fd;
}

/* Looked up once: on the share each step of a path is a request to the host. -errno, without an
 * error if it is to be made. */
static int open_existing(struct mount_state *ms, const struct oci_mount *m, bool is_new,
                         struct error *err)
{
	const char *type = is_new ? m->type : NULL;

	if (str_eq(type, "tmpfs"))
		return fs_try_in_root(ms->rootfd, m->destination, O_PATH | O_DIRECTORY, 0);
	return str_eq(type, "proc") || str_eq(type, "sysfs") ? open_ordinary(ms, m, err) : -ENOENT;
}

static int place(struct mount_state *ms, const struct oci_mount *m, int tree,
                 const struct mount_options *o, struct error *err)
{
	bool is_tmpfs = !is_bind(m, o) && str_eq(m->type, "tmpfs");
	auto_close int target = open_existing(ms, m, !is_bind(m, o), err);
	bool covers = target >= 0;
	struct stat from, to;

	if (fstat(tree, &from) < 0)
		return error_sys(err, "examine the source");
	if (target < 0 && !err->code)
		target = fs_make_in_root(ms->rootfd, m->destination, S_ISDIR(from.st_mode), err);
	if (err->code)
		return -err->code;
	if (!S_ISDIR(from.st_mode)) {
		if (fstat(target, &to) < 0)
			return error_sys(err, "examine the destination");
		if (S_ISDIR(to.st_mode))
			return error_set(err, EISDIR, "a file cannot be mounted on a directory");
	}
	if (is_tmpfs && fill_tmpfs(tree, target, covers, o, err) < 0)
		return -err->code;
	if (mount_set(tree, o->rec_set, o->rec_clear, true, err) < 0 ||
	    mount_attach(tree, target, m->destination, err) < 0)
		return -err->code;
	if ((o->flags & MS_I_VERSION) && !is_bind(m, o) && set_iversion(ms, m, o, err) < 0)
		return -err->code;
	return set_propagation(tree, o, err);
}

static int mount_one(struct mount_state *ms, size_t i, struct mount_options *o, struct error *err)
{
	const struct oci_mount *m = &ms->l->spec->mounts[i];
	auto_close int tree = -1;

	if (o->flags & MS_REMOUNT)
		return remount(ms, m, o, err);
	tree = make_tree(ms, i, o, err);
	if (tree < 0)
		return tree;
	if (place(ms, m, tree, o, err) < 0)
		return -err->code;
	if (!is_bind(m, o) && is_sealed_later(m, o))
		ms->readonly[ms->n_readonly++] = steal_fd(&tree);
	return 0;
}

int mounts_make(struct mount_state *ms, struct error *err)
{
	const struct oci_spec *spec = ms->l->spec;

	for (size_t i = 0; i < spec->n_mounts; i++) {
		const struct oci_mount *m = &spec->mounts[i];
		struct mount_options o;
		int ret = mount_options_parse(m->options, &o, err);

		if (ret == 0)
			ret = mount_one(ms, i, &o, err);
		mount_options_done(&o);
		if (ret < 0)
			return mount_failed(m, is_bind(m, &o), err);
	}
	return 0;
}

int mounts_propagate(struct mount_state *ms, struct error *err)
{
	const struct oci_spec *spec = ms->l->spec;

	for (size_t i = 0; i < spec->n_mounts; i++) {
		const struct oci_mount *m = &spec->mounts[i];
		auto_close int target = -1;
		struct mount_options o;
		int ret = mount_options_parse(m->options, &o, err);

		if (ret == 0 && o.n_propagation > 0) {
			target = fs_open_in_root(ms->rootfd, m->destination, O_PATH, 0, err);
			ret = target < 0 ? target : set_propagation(target, &o, err);
		}
		mount_options_done(&o);
		if (ret < 0)
			return mount_failed(m, is_bind(m, &o), err);
	}
	return 0;
}

int mounts_seal(struct mount_state *ms, struct error *err)
{
	const struct oci_root *root = ms->l->spec->root;

	for (size_t i = 0; i < ms->n_readonly; i++)
		if (mount_set(ms->readonly[i], MOUNT_ATTR_RDONLY, 0, false, err) < 0)
			return error_wrap(err, "make a tmpfs read-only");
	if (root->readonly && mount_set(ms->rootfd, MOUNT_ATTR_RDONLY, 0, false, err) < 0)
		return error_wrap(err, "root.readonly");
	return 0;
}
