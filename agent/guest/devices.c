/* /dev: what every container has (config-linux.md, "Default Devices") and linux.devices.
 *
 * A node is made where it belongs. Where that cannot be, it is bound there from the store, a file
 * system that the agent has made with all of them: a user namespace may make no devices, and the 9p
 * share refuses them. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define STORE "/run/vcrt/devices" /* of the agent; the container never sees it */
#define NULL_NAME "null"

static const struct {
	const char *path;
	unsigned major, minor;
} default_devices[] = {
	{ "/dev/null", 1, 3 },   { "/dev/zero", 1, 5 },    { "/dev/full", 1, 7 },
	{ "/dev/random", 1, 8 }, { "/dev/urandom", 1, 9 }, { "/dev/tty", 5, 0 },
};

static const struct {
	const char *name, *target;
} default_links[] = {
	{ "fd", "/proc/self/fd" },       { "stdin", "/proc/self/fd/0" },
	{ "stdout", "/proc/self/fd/1" }, { "stderr", "/proc/self/fd/2" },
	{ "ptmx", "pts/ptmx" },
};

struct node {
	const char *path;
	mode_t mode; /* with the file type */
	dev_t dev;
	uid_t uid; /* as the container sees them */
	gid_t gid;
};

static struct node configured_node(const struct oci_device *d)
{
	struct node n = {
		.path = d->path,
		.mode = d->has_file_mode ? d->file_mode & 07777 : 0666,
		.dev = makedev((unsigned)d->major, (unsigned)d->minor),
		.uid = d->uid,
		.gid = d->gid,
	};

	switch (d->type[0]) {
	case 'c':
	case 'u':
		n.mode |= S_IFCHR;
		break;
	case 'b':
		n.mode |= S_IFBLK;
		break;
	default:
		n.mode |= S_IFIFO;
		n.dev = 0;
	}
	return n;
}

/* Those of config.json, then the default ones for which it has nothing else. Owned by the caller;
 * the paths are the document's. */
static struct node *list_nodes(const struct oci_linux *x, size_t *n)
{
	struct node *list = xcalloc(x->n_devices + ARRAY_SIZE(default_devices), sizeof(*list));

	*n = 0;
	for (size_t i = 0; i < x->n_devices; i++)
		list[(*n)++] = configured_node(&x->devices[i]);
	for (size_t i = 0; i < ARRAY_SIZE(default_devices); i++) {
		size_t j = 0;

		while (j < x->n_devices && !str_eq(x->devices[j].path, default_devices[i].path))
			j++;
		if (j == x->n_devices)
			list[(*n)++] = (struct node){
				.path = default_devices[i].path,
				.mode = S_IFCHR | 0666,
				.dev = makedev(default_devices[i].major, default_devices[i].minor),
			};
	}
	return list;
}

/* ---- what the VM has ---- */

/* The last rule that names no device decides about all of them. */
static bool allows_all(const struct oci_resources *r)
{
	bool allows = false;

	for (size_t i = 0; r && i < r->n_devices; i++) {
		const struct oci_device_cgroup *rule = &r->devices[i];

		if (!rule->has_major && !rule->has_minor && (!rule->type || rule->type[0] == 'a'))
			allows = rule->allow;
	}
	return allows;
}

/* A FIFO is no device. */
static bool vm_has(const struct oci_device *d)
{
	auto_free char *path = str_fmt("/sys/dev/%s/%" PRId64 ":%" PRId64,
	                               d->type[0] == 'b' ? "block" : "char", d->major, d->minor);

	return d->type[0] == 'p' || fs_exists(path);
}

void devices_leave_out(struct oci_spec *spec)
{
	struct oci_linux *x = spec->linux_;
	const bool is_inventory = allows_all(x->resources);
	auto_strv char **missing = NULL;
	auto_free char *names = NULL;

	for (size_t i = 0; i < x->n_devices;) {
		if (vm_has(&x->devices[i])) {
			i++;
			continue;
		}
		strv_push(&missing, x->devices[i].path);
		if (is_inventory)
			oci_spec_del_device(spec, i);
		else
			i++;
	}
	if (!missing)
		return;
	names = strv_join(missing, ", ");
	log_warn("linux.devices: the virtual machine does not have %s, ignoring", names);
}

/* ---- the store ---- */

/* Names in the store are places in the list. */
static void name_in_store(char name[static 24], size_t i)
{
	snprintf(name, 24, "%zu", i);
}

int devices_store(const struct oci_linux *x, struct error *err)
{
	size_t n;
	auto_free struct node *list = list_nodes(x, &n);
	auto_close int store = mount_tmpfs(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, err);

	if (store < 0 || fs_mkdir_p(STORE, 0700, err) < 0)
		return -err->code;
	for (size_t i = 0; i < n; i++) {
		uid_t uid = idmap_to_outside(x->uid_mappings, x->n_uid_mappings, list[i].uid);
		gid_t gid = idmap_to_outside(x->gid_mappings, x->n_gid_mappings, list[i].gid);
		char name[24];

		name_in_store(name, i);
		if (mknodat(store, name, list[i].mode, list[i].dev) < 0 ||
		    fchownat(store, name, uid, gid, 0) < 0 ||
		    fchmodat(store, name, list[i].mode & 07777, 0) < 0)
			return error_sys(err, "device '%s': create a node", list[i].path);
	}
	/* Of the VM's root: not the user namespace's to change. */
	if (mknodat(store, NULL_NAME, S_IFCHR | 0666, makedev(1, 3)) < 0 ||
	    fchmodat(store, NULL_NAME, 0666, 0) < 0)
		return error_sys(err, "create a null device");
	return steal_fd(&store);
}

int devices_attach_store(int store, struct error *err)
{
	return mount_attach_at(store, STORE, err);
}

int devices_null(struct mount_state *ms, struct error *err)
{
	int fd = open_tree(ms->l->devices, NULL_NAME, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	return fd < 0 ? error_sys(err, "copy the mount of a null device") : fd;
}

/* ---- nodes ---- */

static bool is_node(const struct stat *st, const struct node *n)
{
	return (st->st_mode & S_IFMT) == (n->mode & S_IFMT) &&
	       (S_ISFIFO(n->mode) || st->st_rdev == n->dev);
}

/* An empty file nobody may read: what bind_node() leaves in a root file system. */
static bool is_placeholder(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_size == 0 && (st->st_mode & 07777) == 0;
}

static int bind_node(struct mount_state *ms, int dir, const char *name, size_t i,
                     const struct node *n, struct error *err)
{
	auto_close int source = -1, target = -1;
	char stored[24];
	int fd = openat(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0);

	if (fd < 0 && errno != EEXIST)
		return error_sys(err, "create a place for '%s'", n->path);
	close_fd(&fd);
	name_in_store(stored, i);
	source = openat(ms->l->devices, stored, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	target = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (source < 0 || target < 0)
		return error_sys(err, "open '%s'", n->path);
	return mount_bind_fd(source, target, false, n->path, err);
}

/* A node that is there already is the image's, or was made for the same configuration before. */
static int take_existing(struct mount_state *ms, int dir, const char *name, size_t i,
                         const struct node *n, struct error *err)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_sys(err, "examine '%s'", n->path);
	if (is_placeholder(&st))
		return bind_node(ms, dir, name, i, n, err);
	if (!is_node(&st, n))
		return error_set(err, EEXIST, "'%s' exists and is something else", n->path);
	return 0;
}

static int make_node(struct mount_state *ms, size_t i, const struct node *n, struct error *err)
{
	auto_free char *parent = str_dup(n->path);
	char *slash = strrchr(parent, '/');
	const char *name = n->path + (slash ? slash + 1 - parent : 0);
	auto_close int dir = -1;

	if (!slash || !name[0])
		return error_set(err, EINVAL, "'%s' is not an absolute path of a file", n->path);
	*slash = '\0';
	dir = fs_make_in_root(ms->rootfd, parent[0] ? parent : "/", true, err);
	if (dir < 0)
		return dir;
	if (mknodat(dir, name, n->mode, n->dev) < 0)
		return errno == EEXIST ? take_existing(ms, dir, name, i, n, err)
		                       : bind_node(ms, dir, name, i, n, err);
	if (fchownat(dir, name, n->uid, n->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return error_sys(err, "set the owner of '%s'", n->path);
	return 0;
}

static int make_nodes(struct mount_state *ms, struct error *err)
{
	const struct oci_linux *x = ms->l->spec->linux_;
	size_t n;
	auto_free struct node *list = list_nodes(x, &n);

	for (size_t i = 0; i < n; i++) {
		if (make_node(ms, i, &list[i], err) == 0)
			continue;
		return i < x->n_devices ? error_wrap(err, "linux.devices[%zu]", i)
		                        : error_wrap(err, "default device");
	}
	return 0;
}

static int make_links(int dev, struct error *err)
{
	/* An image may bring a node of its own, which would belong to the VM's devpts. */
	unlinkat(dev, "ptmx", 0);
	for (size_t i = 0; i < ARRAY_SIZE(default_links); i++)
		if (symlinkat(default_links[i].target, dev, default_links[i].name) < 0 &&
		    errno != EEXIST)
			return error_sys(err, "create the link '/dev/%s'", default_links[i].name);
	return 0;
}

/* /dev of the caller: not ours to fill. */
static bool dev_is_bound(const struct oci_spec *spec)
{
	const struct oci_mount *m = oci_spec_find_mount(spec, "/dev");
	struct mount_options o;
	auto_error struct error err = { 0 };
	bool bound;

	if (!m)
		m = oci_spec_find_mount(spec, "/dev/");
	if (!m || mount_options_parse(m->options, &o, &err) < 0)
		return false;
	bound = (o.flags & MS_BIND) || str_eq(m->type, "bind");
	mount_options_done(&o);
	return bound;
}

int devices_make(struct mount_state *ms, struct error *err)
{
	auto_close int dev = -1;

	if (ms->l->dev_is_filled)
		return ready_trim_dev(ms, err);
	if (dev_is_bound(ms->l->spec))
		return 0;
	if (make_nodes(ms, err) < 0)
		return -err->code;
	dev = fs_make_in_root(ms->rootfd, "/dev", true, err);
	return dev < 0 ? dev : make_links(dev, err);
}

int devices_fill(int dev, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(default_devices); i++)
		if (mknodat(dev, strrchr(default_devices[i].path, '/') + 1, S_IFCHR | 0666,
		            makedev(default_devices[i].major, default_devices[i].minor)) < 0)
			return error_sys(err, "create '%s'", default_devices[i].path);
	return make_links(dev, err);
}
