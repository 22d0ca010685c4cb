/* linux.namespaces on the host: which ones the stand-in gets, and which paths mean something for a
 * container whose namespaces are the guest's. */
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/namespaces.h"
#include "lib/shim.h"
#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

/* What the stand-in has of its own where the container does; the others it cannot have, or must
 * have in every case. */
#define STANDIN (CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID)

static const char *file_of(int flag)
{
	static const struct {
		int flag;
		const char *name;
	} files[] = {
		{ CLONE_NEWNS, "mnt" },    { CLONE_NEWNET, "net" },       { CLONE_NEWPID, "pid" },
		{ CLONE_NEWIPC, "ipc" },   { CLONE_NEWUTS, "uts" },       { CLONE_NEWUSER, "user" },
		{ CLONE_NEWTIME, "time" }, { CLONE_NEWCGROUP, "cgroup" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (files[i].flag == flag)
			return files[i].name;
	return "";
}

/* Is it the namespace of this process ("self"), or of the host's first ("1")? To open that one may
 * not be allowed. */
static bool is_namespace_of(const struct oci_namespace *n, const char *pid)
{
	auto_free char *path = str_fmt("/proc/%s/ns/%s", pid, file_of(oci_namespace_flag(n->type)));
	struct stat a, b;

	return stat(n->path, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

static bool has_path(const struct oci_namespace *n)
{
	return n->path && *n->path;
}

/* Returns a descriptor of the namespace. */
static int open_namespace(const struct oci_namespace *n, struct error *err)
{
	/* Not to wait for the other side of a FIFO. */
	auto_close int fd = open(n->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return error_sys(err, "linux.namespaces: open '%s'", n->path);
	if (ioctl(fd, NS_GET_NSTYPE) != oci_namespace_flag(n->type))
		return error_set(err, EINVAL, "linux.namespaces: '%s' is no %s namespace", n->path,
		                 n->type);
	return steal_fd(&fd);
}

static int refuse_host_network(const char *what, struct error *err)
{
	return error_set(err, ENOTSUP,
	                 "linux.namespaces: %s: the host's network cannot be used by a container "
	                 "in a virtual machine",
	                 what);
}

static int check(const struct oci_namespace *n, struct error *err)
{
	bool is_net = str_eq(n->type, "network");
	auto_close int fd = -1;

	if (is_net && (is_namespace_of(n, "1") || is_namespace_of(n, "self")))
		return refuse_host_network(n->path, err);
	if (is_namespace_of(n, "self"))
		return 0;
	fd = open_namespace(n, err);
	if (fd < 0 || is_net)
		return -err->code;
	return error_set(err, ENOTSUP, "linux.namespaces: '%s' is no %s namespace of a sandbox",
	                 n->path, n->type);
}

int namespaces_check(const struct oci_spec *spec, struct error *err)
{
	for (size_t i = 0; i < spec->linux_->n_namespaces; i++) {
		const struct oci_namespace *n = &spec->linux_->namespaces[i];

		if (has_path(n) && check(n, err) < 0)
			return -err->code;
	}
	if (!oci_namespace_find(spec, "network"))
		return refuse_host_network("no network namespace", err);
	return 0;
}

void namespaces_localise(struct oci_spec *guest)
{
	for (size_t i = guest->linux_ ? guest->linux_->n_namespaces : 0; i-- > 0;) {
		const struct oci_namespace *n = &guest->linux_->namespaces[i];

		if (str_eq(n->type, "network") || has_path(n))
			oci_spec_del_namespace(guest, i);
	}
}

int namespaces_of_shim(const struct oci_spec *spec, struct shim_namespaces *ns, struct error *err)
{
	/* The host's processes are never the container's: what it shares is the guest's. */
	ns->create = CLONE_NEWNS | CLONE_NEWPID;
	for (size_t i = 0; i < spec->linux_->n_namespaces; i++) {
		const struct oci_namespace *n = &spec->linux_->namespaces[i];
		int flag = oci_namespace_flag(n->type), fd;

		if (!has_path(n)) {
			ns->create |= flag & STANDIN;
			continue;
		}
		if (flag != CLONE_NEWNET)
			continue;
		fd = open_namespace(n, err);
		if (fd < 0)
			return fd;
		ns->join[ns->n_join++] = fd;
	}
	return 0;
}
