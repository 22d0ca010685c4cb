#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lib/namespaces.h"
#include "lib/sandbox.h"
#include "lib/shim.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
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

char *namespace_path(pid_t pid, int flag)
{
	return str_fmt("/proc/%d/ns/%s", (int)pid, file_of(flag));
}

/* Is it the namespace of this process, or of the host's first (1)? To open that one may not be
 * allowed. */
static bool is_namespace_of(const struct oci_namespace *n, pid_t pid)
{
	int flag = oci_namespace_flag(n->type);
	auto_free char *path = namespace_path(pid, flag);
	struct ns_id a, b;

	return ns_id_of(n->path, flag, &a) == 0 && ns_id_of(path, flag, &b) == 0 &&
	       ns_id_is(&a, &b);
}

static bool has_path(const struct oci_namespace *n)
{
	return n->path && *n->path;
}

bool namespace_is_joined(const struct oci_namespace *n)
{
	return has_path(n) && !is_namespace_of(n, getpid());
}

/* What the links of /proc lead to has no name: "net:[4026531840]". */
bool namespace_is_pinned(const struct oci_namespace *n)
{
	auto_free char *name = realpath(n->path, NULL);

	return name != NULL;
}

int namespace_refuse(const struct oci_namespace *n, struct error *err)
{
	return error_set(err, ENOTSUP, "linux.namespaces: '%s' is no %s namespace of a sandbox",
	                 n->path, n->type);
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
	auto_close int fd = -1;

	if (str_eq(n->type, "network") && (is_namespace_of(n, 1) || is_namespace_of(n, getpid())))
		return refuse_host_network(n->path, err);
	if (!namespace_is_joined(n))
		return 0;
	fd = open_namespace(n, err);
	if (fd < 0)
		return fd;
	return oci_namespace_flag(n->type) & STANDIN ? 0 : namespace_refuse(n, err);
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
		struct oci_namespace *n = &guest->linux_->namespaces[i];

		if (has_path(n) && !namespace_is_joined(n)) {
			oci_spec_del_namespace(guest, i);
		} else {
			free(n->path);
			n->path = NULL;
		}
	}
}

int namespaces_of_shim(const struct oci_spec *spec, struct shim_namespaces *ns, struct error *err)
{
	/* The host's processes are never the container's: what it shares is the guest's, or other
	 * containers'. */
	ns->create = CLONE_NEWNS | CLONE_NEWPID;
	for (size_t i = 0; i < spec->linux_->n_namespaces; i++) {
		const struct oci_namespace *n = &spec->linux_->namespaces[i];
		int fd;

		if (!has_path(n)) {
			ns->create |= oci_namespace_flag(n->type) & STANDIN;
		} else if (namespace_is_joined(n)) {
			fd = open_namespace(n, err);
			if (fd < 0)
				return fd;
			ns->join[ns->n_join++] = fd;
			if (str_eq(n->type, "pid"))
				ns->create &= ~CLONE_NEWPID;
		}
	}
	return 0;
}

static void add_name(struct json *j, const char *key, const char *name)
{
	if (*name && !str_eq(name, "(none)")) /* the kernel's word for no name */
		json_set(j, key, json_new_string(name));
}

/* The names of a UTS namespace that was given are those of its counterpart in the guest. */
static int add_names(struct json *j, const char *path, struct error *err)
{
	auto_close int own = open("/proc/thread-self/ns/uts", O_RDONLY | O_CLOEXEC);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct utsname names;

	if (own < 0 || fd < 0 || setns(fd, CLONE_NEWUTS) < 0)
		return error_sys(err, "linux.namespaces: enter '%s'", path);
	uname(&names);
	if (setns(own, CLONE_NEWUTS) < 0)
		return error_sys(err, "linux.namespaces: come back from '%s'", path);
	add_name(j, "hostname", names.nodename);
	add_name(j, "domainname", names.domainname);
	return 0;
}

struct json *namespaces_describe(const struct oci_spec *spec, pid_t shim, struct error *err)
{
	auto_json struct json *list = json_new_array();

	for (size_t i = 0; i < spec->linux_->n_namespaces; i++) {
		const struct oci_namespace *n = &spec->linux_->namespaces[i];
		int flag = oci_namespace_flag(n->type), r;
		auto_free char *path = namespace_path(shim, flag);
		struct ns_id id;
		struct json *j;

		if (!(flag & STANDIN) || (has_path(n) && !namespace_is_joined(n)))
			continue;
		r = ns_id_of(path, flag, &id);
		if (r < 0) {
			error_set(err, -r, "look at '%s': %s", path, strerror(-r));
			return NULL;
		}
		j = ns_id_to_json(&id);
		json_set(j, "joined", json_new_bool(has_path(n)));
		json_add(list, j);
		if (flag == CLONE_NEWUTS && has_path(n) && add_names(j, path, err) < 0)
			return NULL;
	}
	return steal_ptr(&list);
}
