/* /dev: what every container has (config-linux.md, "Default Devices") and linux.devices. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "oci/oci.h"

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
	uid_t uid;
	gid_t gid;
};

/* A user namespace cannot make devices; it borrows the agent's node of the same name. */
static int borrow_node(struct mount_state *ms, const struct node *n, struct error *err)
{
	auto_close int source = -1, target = -1;
	struct stat st;

	source = open(n->path, O_PATH | O_CLOEXEC);
	if (source < 0 || fstat(source, &st) < 0)
		return error_sys(err, "open '%s' of the guest", n->path);
	if (st.st_rdev != n->dev || (st.st_mode & S_IFMT) != (n->mode & S_IFMT))
		return error_set(err, ENXIO, "'%s' is another device in the guest", n->path);
	target = root_make(ms->rootfd, n->path, false, err);
	if (target < 0)
		return target;
	return mount_bind_fd(source, target, false, n->path, err);
}

static int check_existing(int dir, const char *name, const struct node *n, struct error *err)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_sys(err, "examine '%s'", n->path);
	if ((st.st_mode & S_IFMT) != (n->mode & S_IFMT) ||
	    (!S_ISFIFO(n->mode) && st.st_rdev != n->dev))
		return error_set(err, EEXIST, "'%s' exists and is something else", n->path);
	return 0;
}

static int make_node(struct mount_state *ms, const struct node *n, struct error *err)
{
	auto_free char *parent = str_dup(n->path);
	char *slash = strrchr(parent, '/');
	const char *name = n->path + (slash ? slash + 1 - parent : 0);
	auto_close int dir = -1;

	if (!slash || !name[0])
		return error_set(err, EINVAL, "'%s' is not an absolute path", n->path);
	*slash = '\0';
	dir = root_make(ms->rootfd, parent[0] ? parent : "/", true, err);
	if (dir < 0)
		return dir;
	if (mknodat(dir, name, n->mode, n->dev) < 0) {
		if (errno == EPERM && (ms->l->clone_flags & CLONE_NEWUSER))
			return borrow_node(ms, n, err);
		return errno == EEXIST ? check_existing(dir, name, n, err)
		                       : error_sys(err, "create '%s'", n->path);
	}
	if (fchownat(dir, name, n->uid, n->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return error_sys(err, "set the owner of '%s'", n->path);
	return 0;
}

static int make_defaults(struct mount_state *ms, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(default_devices); i++) {
		struct node n = {
			.path = default_devices[i].path,
			.mode = S_IFCHR | 0666,
			.dev = makedev(default_devices[i].major, default_devices[i].minor),
		};

		if (make_node(ms, &n, err) < 0)
			return error_wrap(err, "default device");
	}
	return 0;
}

static int make_links(struct mount_state *ms, struct error *err)
{
	auto_close int dev = root_make(ms->rootfd, "/dev", true, err);

	if (dev < 0)
		return dev;
	/* An image may bring a node of its own, which would belong to the VM's devpts. */
	unlinkat(dev, "ptmx", 0);
	for (size_t i = 0; i < ARRAY_SIZE(default_links); i++)
		if (symlinkat(default_links[i].target, dev, default_links[i].name) < 0 &&
		    errno != EEXIST)
			return error_sys(err, "create the link '/dev/%s'", default_links[i].name);
	return 0;
}

static int make_configured(struct mount_state *ms, const struct oci_device *d, struct error *err)
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
	return make_node(ms, &n, err);
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
	const struct oci_linux *x = ms->l->spec->linux_;

	if (dev_is_bound(ms->l->spec))
		return 0;
	for (size_t i = 0; i < x->n_devices; i++)
		if (make_configured(ms, &x->devices[i], err) < 0)
			return error_wrap(err, "linux.devices[%zu]", i);
	if (make_defaults(ms, err) < 0)
		return -err->code;
	return make_links(ms, err);
}
