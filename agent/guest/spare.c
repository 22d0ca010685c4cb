/* The process of the first container, made before its container: while the VM is prepared to be
 * saved as a template. It waits in new namespaces and a cgroup of its own, and gets the document
 * and the descriptors when there is a container that suits it; the rest of its life is that of any
 * other (init.c). What it costs to make a process and a cgroup is so paid once for all clones. */
#include <errno.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "agent/protocol.h"
#include "lib/base/child.h"
#include "lib/base/fd-pass.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define NAMESPACES (CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWCGROUP)
#define NAME "first~container" /* no container is called so */
#define MAX_TEXT (128 * 1024)  /* bytes of a document; longer ones go the other way */
#define MAX_FDS 4
#define READY_MS 10000
#define END_MS 10000
#define DROP_MS 1000 /* a container that did not want it has had its start by then */

struct spare {
	pid_t pid;
	int pidfd, sock;
	struct cgroup cgroup;
	int shared[NS_SHARED];     /* as those of a container */
	struct loop_source *timer; /* until it is dropped */
};

/* Followed by the request to create the container. The descriptors that come along: the share, and
 * those of the standard streams that are not /dev/null. */
struct order {
	struct caps caps;
	bool has_fd[3];
	unsigned short height, width;
};

/* ---- the process ---- */

static int take_fds(struct launch *l, const struct order *o, const int *fds, size_t n_fds,
                    int *share)
{
	size_t n = 0;

	if (n_fds < 1 + (size_t)(o->has_fd[0] + o->has_fd[1] + o->has_fd[2]))
		return -EPROTO;
	*share = fds[n++];
	l->io = (struct guest_io){ .height = o->height, .width = o->width };
	for (int i = 0; i < 3; i++)
		l->io.fd[i] = o->has_fd[i] ? fds[n++] : -1;
	return 0;
}

/* The agent has examined it already. */
static int take_request(struct launch *l, const char *text, size_t len, struct error *err)
{
	struct json *request = json_parse(text, len, false, err); /* lives until the execve */
	struct container *ct = l->ct;

	if (!request)
		return -err->code;
	ct->id = str_dup(json_get_string(request, "container"));
	ct->bundle = str_dup(json_get_string(request, "bundle"));
	ct->no_pivot = json_get_bool(request, "no_pivot", false);
	ct->no_new_keyring = json_get_bool(request, "no_new_keyring", false);
	ct->spec = oci_spec_from_json(json_get_object(request, "spec"), err);
	if (!ct->spec)
		return -err->code;
	/* Those that the machine lacks, or the container would not fit. */
	while (ct->spec->linux_->n_devices > 0)
		oci_spec_del_device(ct->spec, 0);
	l->spec = ct->spec;
	l->process = ct->spec->process;
	return seccomp_filter_from_json(json_get_object(request, "seccomp"), &ct->seccomp, err);
}

static int receive_order(struct launch *l, char *text, int *share, struct error *err)
{
	struct order o;
	struct iovec iov[] = { { &o, sizeof(o) }, { text, MAX_TEXT } };
	int fds[MAX_FDS];
	size_t n_fds = ARRAY_SIZE(fds);
	ssize_t n = fd_pass_receive(l->sync, iov, ARRAY_SIZE(iov), fds, &n_fds, 0);

	if (n == 0 || n == -ECONNRESET)
		_exit(0); /* nobody wants it */
	if (n <= (ssize_t)sizeof(o) || take_fds(l, &o, fds, n_fds, share) < 0)
		return error_set(err, EPROTO, "odd order for the waiting process");
	l->caps = o.caps;
	return take_request(l, text, (size_t)n - sizeof(o), err);
}

/* What init.c does for other containers when it knows their documents. */
static int get_ready(struct launch *l, struct error *err)
{
	const struct oci_linux none = { 0 };

	umask(0);
	/* What the agent mounts from here on is not seen, and the other way round. */
	if (setsid() < 0 || mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return error_sys(err, "make the mounts private");
	l->devices = devices_store(&none, err);
	if (l->devices < 0 || devices_attach_store(l->devices, err) < 0 ||
	    namespaces_enter_late(l->ct, err) < 0)
		return -err->code;
	l->ready = ready_new(err);
	return l->ready ? 0 : -err->code;
}

static void spare_child(struct launch *l)
{
	auto_error struct error err = { 0 };
	char *text = xmalloc(MAX_TEXT);
	int share = -1;

	if (get_ready(l, &err) == 0 && report_send(l->sync, REPORT_READY, NULL, -1) == 0 &&
	    receive_order(l, text, &share, &err) == 0 &&
	    mount_attach_at(share, PROTOCOL_SHARE, &err) == 0) {
		close(share);
		l->child = init_child;
		launch_child(l);
	}
	report_send(l->sync, REPORT_ERROR, &err, -1);
	_exit(1);
}

/* ---- the agent's side ---- */

void spare_free(struct spare *s)
{
	if (!s)
		return;
	loop_remove(&s->timer);
	close_fd(&s->pidfd);
	close_fd(&s->sock);
	cgroup_done(&s->cgroup);
	namespaces_forget(s->shared);
	free(s);
}

static void drop(struct guest *g)
{
	spare_free(steal_ptr(&g->spare));
}

void spare_exited(struct guest *g, pid_t pid)
{
	struct spare *s = g->spare;

	if (!s || s->pid != pid)
		return;
	/* A container that took it has its cgroup. */
	if (s->cgroup.path && cgroup_remove(&s->cgroup, g->cgroup_root) < 0)
		log_debug("the cgroup '%s' cannot be removed", NAME);
	drop(g);
}

static int wait_ready(const struct spare *s, struct error *err)
{
	enum report_type type = REPORT_ERROR;
	int fd, ret = report_receive(s->sock, READY_MS, &type, &fd, err);

	close_fd(&fd);
	if (ret == 0 && type == REPORT_READY)
		return 0;
	return err->code ? -err->code : error_set(err, EIO, "it died");
}

int spare_make(struct guest *g, struct error *err)
{
	struct oci_spec no_spec = { 0 };
	struct oci_process no_process = { 0 };
	struct container ct = {
		.guest = g, .id = (char *)NAME, .spec = &no_spec, .ns.create = NAMESPACES
	};
	struct launch l = { .ct = &ct,
		            .spec = &no_spec,
		            .process = &no_process,
		            .io.fd = { -1, -1, -1 },
		            .child = spare_child,
		            .clone_flags = namespaces_of_clone(&ct.ns),
		            .born = &ct.ns,
		            .target = -1,
		            .devices = -1,
		            .sysfs = -1,
		            .master = -1 };
	struct spare *s = xzalloc(sizeof(*s));

	*s = (struct spare){ .pidfd = -1, .sock = -1, .cgroup.fd = -1 };
	namespaces_none(s->shared);
	g->spare = s;
	if (cgroup_create(&s->cgroup, g->cgroup_root, "/" NAME, err) == 0 &&
	    cgroup_limit_devices(g, &s->cgroup, NULL, err) == 0) {
		ct.cgroup = s->cgroup;
		s->pid = launch_clone(&l, &s->pidfd, &s->sock, err);
		if (s->pid > 0 && wait_ready(s, err) == 0) {
			namespaces_keep(&ct, s->pid);
			memcpy(s->shared, ct.shared, sizeof(s->shared));
			return 0;
		}
	}
	drop(g);
	return error_wrap(err, "make the process of the first container");
}

/* The process does not see what the agent has mounted later, but for the share. */
static bool has_other_sources(const struct oci_spec *spec)
{
	for (size_t i = 0; i < spec->n_mounts; i++) {
		const char *source = spec->mounts[i].source;

		if (source && str_starts(source, "/run/") &&
		    !str_starts(source, PROTOCOL_SHARE "/"))
			return true;
	}
	return false;
}

static bool fits(const struct container *ct, const struct guest_options *o,
                 const struct guest_io *io)
{
	const struct oci_spec *spec = ct->spec;
	const char *path = spec->linux_->cgroups_path;

	return o->request && !ct->next && ct->ns.create == NAMESPACES && ct->ns.n_joined == 0 &&
	       !ct->notify && io->n_extra == 0 && spec->hostname && spec->hostname[0] &&
	       spec->linux_->n_devices == 0 && !has_other_sources(spec) &&
	       !(path && strstr(path, ".."));
}

/* It ends with its socket. */
static void dismiss(void *arg)
{
	struct spare *s = arg;

	close_fd(&s->sock);
}

/* It and its cgroup are gone on return. */
static void end_now(struct guest *g)
{
	struct spare *s = g->spare;

	child_end(&s->pidfd, END_MS);
	spare_exited(g, s->pid);
}

/* Whether ct would meet it, among the processes or the cgroups. */
static bool would_see_it(const struct container *ct)
{
	const unsigned long hiding = CLONE_NEWPID | CLONE_NEWCGROUP;

	return (ct->ns.create & hiding) != hiding;
}

bool spare_take(struct container *ct, const struct guest_options *o, const struct guest_io *io)
{
	struct spare *s = ct->guest->spare;

	if (!s || s->cgroup.fd < 0) /* it is taken */
		return false;
	if (!s->timer && fits(ct, o, io)) { /* a timer: it is going away */
		ct->text = json_print(o->request, false);
		if (strlen(ct->text) <= MAX_TEXT) {
			ct->was_waiting = true;
			ct->cgroup = s->cgroup;
			memcpy(ct->shared, s->shared, sizeof(ct->shared));
			namespaces_none(s->shared);
			s->cgroup = (struct cgroup){ .fd = -1 };
			return true;
		}
		auto_freep(&ct->text);
	}
	if (would_see_it(ct))
		end_now(ct->guest);
	else if (!s->timer)
		s->timer = loop_add_timer(ct->guest->loop, DROP_MS, dismiss, s);
	return false;
}

static int send_order(const struct spare *s, const struct launch *l, int share)
{
	struct order o = { .caps = l->caps, .height = l->io.height, .width = l->io.width };
	int fds[MAX_FDS] = { share };
	struct iovec iov[] = { { &o, sizeof(o) }, { l->ct->text, strlen(l->ct->text) } };
	size_t n = 1;

	for (int i = 0; i < 3; i++) {
		o.has_fd[i] = !l->process->terminal && l->io.fd[i] >= 0;
		if (o.has_fd[i])
			fds[n++] = l->io.fd[i];
	}
	return fd_pass_send(s->sock, iov, ARRAY_SIZE(iov), fds, n, MSG_DONTWAIT) < 0 ? -errno : 0;
}

pid_t spare_order(struct launch *l, int *pidfd, int *sync, struct error *err)
{
	struct guest *g = l->ct->guest;
	struct spare *s = g->spare;
	auto_close int share =
		open_tree(AT_FDCWD, PROTOCOL_SHARE, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	pid_t pid = s->pid;

	if (share < 0)
		return error_sys(err, "copy the mount of the share");
	if (send_order(s, l, share) < 0)
		return error_sys(err, "order the waiting process to become the container's");
	auto_freep(&l->ct->text);
	*pidfd = steal_fd(&s->pidfd);
	*sync = steal_fd(&s->sock);
	drop(g);
	return pid;
}
