/* linux.namespaces, linux.uidMappings and gidMappings, linux.timeOffsets. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "agent/protocol.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

/* Made by the child itself: a cgroup namespace takes the cgroup the process is in as its root,
 * which clone3() enters too late, and a time namespace needs its offsets before it is entered. */
#define LATE (CLONE_NEWCGROUP | CLONE_NEWTIME)

/* What a container can join of another one. */
static const struct {
	int flag;
	const char *file; /* in /proc/PID/ns */
} shared[NS_SHARED] = {
	{ CLONE_NEWNET, "net" },
	{ CLONE_NEWIPC, "ipc" },
	{ CLONE_NEWUTS, "uts" },
	{ CLONE_NEWPID, "pid" },
};

int namespaces_shared(const struct guest *g, const char *container, int flag)
{
	const struct container *ct = g->containers;

	while (ct && !str_eq(ct->id, container))
		ct = ct->next;
	for (size_t i = 0; ct && i < NS_SHARED; i++)
		if (shared[i].flag == flag)
			return ct->shared[i];
	return -1;
}

/* The descriptor of what PROTOCOL_NAMESPACES/CONTAINER/TYPE names, kept by that container. */
static int find_shared(struct guest *g, const struct oci_namespace *n, int flag, struct error *err)
{
	const char *rest = str_starts(n->path, PROTOCOL_NAMESPACES "/")
	                           ? n->path + strlen(PROTOCOL_NAMESPACES "/")
	                           : "";
	const char *slash = strchr(rest, '/');
	auto_free char *id = slash ? str_ndup(rest, (size_t)(slash - rest)) : NULL;
	int fd = -1;

	if (id && str_eq(slash + 1, n->type))
		fd = namespaces_shared(g, id, flag);
	if (fd < 0 && id && str_eq(slash + 1, n->type) && flag == CLONE_NEWNET)
		fd = network_of_container(g, id);
	if (fd >= 0)
		return fd;
	return error_set(err, ENOENT, "linux.namespaces: '%s' is no %s namespace of a container",
	                 n->path, n->type);
}

static int plan_join(struct ns_plan *ns, struct guest *g, const struct oci_namespace *n, int flag,
                     struct error *err)
{
	int fd = find_shared(g, n, flag, err);

	if (fd < 0)
		return fd;
	if (ns->n_joined == NS_MAX_JOIN)
		return error_set(err, EINVAL, "linux.namespaces: too many entries");
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return error_sys(err, "linux.namespaces: keep '%s'", n->path);
	ns->joined[ns->n_joined].fd = fd;
	ns->joined[ns->n_joined++].flag = flag;
	ns->join |= (unsigned)flag;
	return 0;
}

int namespaces_plan(struct ns_plan *ns, struct guest *g, const struct oci_linux *linux_,
                    struct error *err)
{
	for (size_t i = 0; linux_ && i < linux_->n_namespaces; i++) {
		const struct oci_namespace *n = &linux_->namespaces[i];
		int flag = oci_namespace_flag(n->type);

		if (!n->path || !n->path[0])
			ns->create |= (unsigned)flag;
		else if (plan_join(ns, g, n, flag, err) < 0)
			return -err->code;
	}
	return 0;
}

static void keep(pid_t pid, unsigned flags, int fds[NS_SHARED], const char *whose)
{
	for (size_t i = 0; i < NS_SHARED; i++) {
		auto_free char *path = str_fmt("/proc/%d/ns/%s", (int)pid, shared[i].file);

		fds[i] = -1;
		if (!(flags & (unsigned)shared[i].flag))
			continue;
		/* Its process may be gone already, or the agent be out of descriptors. */
		fds[i] = open(path, O_RDONLY | O_CLOEXEC);
		if (fds[i] < 0)
			log_warn("nobody can join '%s' of '%s': %s, ignoring", shared[i].file,
			         whose, strerror(errno));
	}
}

void namespaces_keep(struct container *ct, pid_t pid)
{
	keep(pid, ct->ns.create | ct->ns.join, ct->shared, ct->id);
}

void namespaces_keep_own(struct guest *g)
{
	keep(getpid(), ~0u, g->own, "the agent");
}

void namespaces_none(int fds[NS_SHARED])
{
	for (size_t i = 0; i < NS_SHARED; i++)
		fds[i] = -1;
}

void namespaces_forget(int fds[NS_SHARED])
{
	for (size_t i = 0; i < NS_SHARED; i++)
		close_fd(&fds[i]);
}

void namespaces_done(struct ns_plan *ns)
{
	for (size_t i = 0; i < ns->n_joined; i++)
		close_fd(&ns->joined[i].fd);
	ns->n_joined = 0;
}

unsigned namespaces_of_clone(const struct ns_plan *ns)
{
	return ns->create & ~(unsigned)LATE;
}

/* The PID namespace of a process is that which its parent has set for its children. A process in a
 * user namespace of its own has no right to join what belongs to another one. */
static bool is_born_in(const struct ns_plan *ns, size_t i)
{
	return ns->joined[i].flag == CLONE_NEWPID || (ns->create & CLONE_NEWUSER);
}

int namespaces_enter(const struct ns_plan *ns, struct error *err)
{
	for (size_t i = 0; i < ns->n_joined; i++)
		if (is_born_in(ns, i) && setns(ns->joined[i].fd, ns->joined[i].flag) < 0)
			return error_sys(err, "join the %s namespace of linux.namespaces",
			                 oci_namespace_name(ns->joined[i].flag));
	return 0;
}

int namespaces_return(const struct guest *g, const struct ns_plan *ns, struct error *err)
{
	int ret = 0;

	for (size_t i = 0; i < ns->n_joined; i++)
		for (size_t j = 0; j < NS_SHARED && is_born_in(ns, i); j++)
			if (shared[j].flag == ns->joined[i].flag &&
			    setns(g->own[j], shared[j].flag) < 0)
				ret = error_sys(err, "return to the agent's %s namespace",
				                shared[j].file);
	return ret;
}

int namespaces_join(const struct ns_plan *ns, struct error *err)
{
	for (size_t i = 0; i < ns->n_joined; i++) {
		if (is_born_in(ns, i))
			continue;
		if (setns(ns->joined[i].fd, ns->joined[i].flag) < 0)
			return error_sys(err, "join a namespace of linux.namespaces");
	}
	return 0;
}

static int write_offset(struct buf *b, const char *clock, const struct oci_time_offset *o)
{
	if (o)
		buf_addf(b, "%s %lld %u\n", clock, (long long)o->secs, o->nanosecs);
	return 0;
}

static int enter_time(const struct oci_time_offsets *offsets, struct error *err)
{
	auto_buf struct buf text = { 0 };
	auto_close int fd = -1;

	if (unshare(CLONE_NEWTIME) < 0)
		return error_sys(err, "create a time namespace");
	if (offsets) {
		write_offset(&text, "monotonic", offsets->monotonic);
		write_offset(&text, "boottime", offsets->boottime);
	}
	if (text.len > 0 && fs_write_value("/proc/self/timens_offsets", text.data, err) < 0)
		return error_wrap(err, "linux.timeOffsets");

	/* unshare() moved only the children to come; this moves the process itself. */
	fd = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWTIME) < 0)
		return error_sys(err, "enter the new time namespace");
	return 0;
}

int namespaces_enter_late(const struct container *ct, struct error *err)
{
	if ((ct->ns.create & CLONE_NEWCGROUP) && unshare(CLONE_NEWCGROUP) < 0)
		return error_sys(err, "create a cgroup namespace");
	if (ct->ns.create & CLONE_NEWTIME)
		return enter_time(ct->spec->linux_->time_offsets, err);
	return 0;
}

static int write_map(pid_t pid, const char *file, const struct oci_id_mapping *maps, size_t n,
                     struct error *err)
{
	auto_free char *path = str_fmt("/proc/%d/%s", (int)pid, file);
	auto_buf struct buf text = { 0 };

	for (size_t i = 0; i < n; i++)
		buf_addf(&text, "%u %u %u\n", maps[i].container_id, maps[i].host_id, maps[i].size);
	if (fs_write_value(path, text.data ? text.data : "", err) < 0)
		return error_wrap(err, "set the ID mappings");
	return 0;
}

int idmap_write(pid_t pid, const struct oci_linux *linux_, struct error *err)
{
	if (write_map(pid, "gid_map", linux_->gid_mappings, linux_->n_gid_mappings, err) < 0)
		return -err->code;
	return write_map(pid, "uid_map", linux_->uid_mappings, linux_->n_uid_mappings, err);
}

uint32_t idmap_to_outside(const struct oci_id_mapping *maps, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++)
		if (id >= maps[i].container_id && id - maps[i].container_id < maps[i].size)
			return maps[i].host_id + (id - maps[i].container_id);
	return id;
}
