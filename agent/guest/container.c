/* The life of a container: create, start, delete. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "agent/guest/modules.h"
#include "agent/guest/notify.h"
#include "agent/guest/work.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define MOUNT_MS 50      /* more for each mount */
#define HOOK_MS 3600000  /* for hooks that have no timeout of their own, or a longer one */
#define ROLLBACK_MS 2000 /* for what a hook left behind to be gone */
#define DELETE_MS 30000  /* for killed processes to be gone */
#define DELETE_POLL_MS 2 /* between looks at the cgroup */
#define MANY_MOUNTS 500
#define MOUNT_NAMESPACES 16384 /* for what the container may want by itself */
#define MOUNT_NAMESPACES_LIMIT "/proc/sys/user/max_mnt_namespaces"
#define NOTIFY_ROOT "/run/vcrt/notify"

static unsigned setup_time(const struct oci_spec *spec)
{
	uint64_t ms = LAUNCH_MS + spec->n_mounts * MOUNT_MS;

	for (size_t i = 0; spec->hooks && i < spec->hooks->n_create_container; i++) {
		const struct oci_hook *h = &spec->hooks->create_container[i];

		ms += h->has_timeout && h->timeout < HOOK_MS / 1000 ? (uint64_t)h->timeout * 1000
		                                                    : HOOK_MS;
	}
	return (unsigned)ms;
}

static void oom_event(int fd, uint32_t events, void *arg)
{
	(void)fd;
	(void)events;
	container_read_oom(arg);
}

/* When the answer is on its way: nobody needs to wait for this. */
static void watch_oom(void *arg)
{
	struct container *ct = arg;

	loop_remove(&ct->oom_timer);
	ct->oom_fd = openat(ct->cgroup.fd, "memory.events", O_RDONLY | O_CLOEXEC);
	if (ct->oom_fd < 0) /* no memory controller, nothing to tell */
		return;
	container_read_oom(ct); /* a change since then is an event */
	ct->oom_source = loop_add_fd(ct->guest->loop, ct->oom_fd, EPOLLPRI, oom_event, ct);
}

/* Undo of guest_create(): the launch has cleaned up its process already, but a hook may have left
 * some. */
static void container_rollback(struct container *ct)
{
	auto_error struct error err = { 0 };

	if (ct->cgroup.fd >= 0 && cgroup_is_populated(&ct->cgroup)) {
		uint64_t end = loop_now_ms() + ROLLBACK_MS;

		if (cgroup_kill(&ct->cgroup, &err) < 0)
			log_warn("%s, ignoring", err.msg);
		while (cgroup_is_populated(&ct->cgroup) && loop_now_ms() < end)
			poll(NULL, 0, DELETE_POLL_MS);
	}
	if (ct->cgroup.fd >= 0 && cgroup_remove(&ct->cgroup, ct->guest->cgroup_root) < 0)
		log_warn("container '%s': its cgroup cannot be removed, ignoring", ct->id);
	container_free(ct);
}

static void create_settled(struct launch *l)
{
	struct container *ct = l->ct;
	pid_t pid = -l->why.code;

	if (!l->why.code) {
		pid = l->self->pid;
		if (!ct->was_waiting)
			namespaces_keep(ct, pid);
		ct->sync = steal_fd(&l->sock);
		namespaces_done(&ct->ns);
		ct->oom_timer = loop_add_timer(ct->guest->loop, 0, watch_oom, ct);
	} else if (!ct->delete_done) {
		container_rollback(ct);
	}
	l->done(l->arg, pid, steal_fd(&l->master), &l->why);
}

/* done() is called once the container's process waits, or could not be made. */
static int container_launch(struct container *ct, const struct guest_io *io, guest_launched_fn done,
                            void *arg, struct error *err)
{
	unsigned clone_flags = namespaces_of_clone(&ct->ns);
	auto_close int devices = -1, sysfs = -1;
	struct launch *l;

	if (!ct->was_waiting)
		devices = devices_store(ct->spec->linux_, err);
	if (err->code || mounts_sysfs(ct->spec, clone_flags, &sysfs, err) < 0)
		return -err->code;
	l = xzalloc(sizeof(*l));
	*l = (struct launch){ .ct = ct,
		              .spec = ct->spec,
		              .process = ct->spec->process,
		              .io = *io,
		              .child = init_child,
		              .clone_flags = clone_flags,
		              .born = &ct->ns,
		              .target = -1,
		              .devices = devices,
		              .sysfs = sysfs,
		              .wait_ms = setup_time(ct->spec),
		              .settled = create_settled,
		              .done = done,
		              .arg = arg,
		              .sock = -1,
		              .master = -1 };
	caps_from_oci(ct->spec->process->capabilities, false, &l->caps);
	if (launch_start(l, "", err) < 0) {
		launch_free(l);
		return -err->code;
	}
	l->devices = l->sysfs = -1;
	return 0;
}

/* To the kernel, a mount that is not attached yet is a mount namespace, of which it allows as many
 * as suit the size of the VM's memory: some 1700 with 256 MiB. */
static int allow_mounts(size_t n, struct error *err)
{
	auto_free char *limit = NULL;

	if (n < MANY_MOUNTS)
		return 0;
	limit = str_fmt("%zu", n + MOUNT_NAMESPACES);
	return fs_write_value(MOUNT_NAMESPACES_LIMIT, limit, err);
}

static int make_cgroup(struct container *ct, struct error *err)
{
	const char *wanted = ct->spec->linux_->cgroups_path;
	auto_free char *path = wanted && wanted[0] ? str_dup(wanted) : str_fmt("/%s", ct->id);

	return cgroup_create(&ct->cgroup, ct->guest->cgroup_root, path, err);
}

static int container_prepare(struct container *ct, const struct guest_options *options,
                             const struct guest_io *io, struct error *err)
{
	const struct oci_linux *x = ct->spec->linux_;

	if (modules_for(ct->spec, err) < 0)
		return -err->code;
	devices_leave_out(ct->spec);
	if (shm_use(ct->spec, err) < 0 || allow_mounts(ct->spec->n_mounts, err) < 0 ||
	    namespaces_plan(&ct->ns, ct->guest, x, err) < 0 || sysctl_apply(ct, false, err) < 0)
		return -err->code;
	if (!spare_take(ct, options, io) && make_cgroup(ct, err) < 0)
		return -err->code;
	if (cgroup_limit(&ct->cgroup, x->resources, NULL, err) < 0 ||
	    cgroup_give(&ct->cgroup, ct->spec, ct->ns.create, err) < 0)
		return -err->code;
	return cgroup_limit_devices(ct->guest, &ct->cgroup, x->resources, err);
}

static struct container *container_new(struct guest *g, const char *id, struct oci_spec *spec)
{
	struct container *ct = xzalloc(sizeof(*ct));

	ct->guest = g;
	ct->id = str_dup(id);
	ct->spec = spec;
	ct->cgroup.fd = ct->sync = ct->oom_fd = -1;
	namespaces_none(ct->shared);
	ct->next = g->containers;
	g->containers = ct;
	return ct;
}

static void on_ready(void *arg)
{
	struct container *ct = arg;

	ct->guest->events->ready(ct->guest->arg, ct->id);
}

static int make_notify(struct container *ct, struct error *err)
{
	auto_free char *name = str_fmt(
		"%016llx", (unsigned long long)str_hash(STR_HASH_SEED, ct->id, strlen(ct->id)));

	ct->notify = notify_new(ct->guest->loop, NOTIFY_ROOT, name, ct->spec, on_ready, ct, err);
	return -err->code;
}

void guest_create(struct guest *g, const char *container, struct oci_spec *spec,
                  const struct guest_options *options, const struct guest_io *io,
                  guest_launched_fn done, void *arg)
{
	auto_oci_spec struct oci_spec *owned = spec;
	auto_error struct error err = { 0 };
	struct container *ct = NULL;

	if (container_find(g, container))
		error_set(&err, EEXIST, "container '%s' exists already", container);
	if (!err.code && check_spec(spec, &err) == 0) {
		ct = container_new(g, container, steal_ptr(&owned));
		ct->no_pivot = options->no_pivot;
		ct->no_new_keyring = options->no_new_keyring;
		ct->bundle = str_dup(options->bundle ? options->bundle : "/");
		if (seccomp_filter_from_json(options->seccomp, &ct->seccomp, &err) == 0 &&
		    (!options->notify || make_notify(ct, &err) == 0))
			container_prepare(ct, options, io, &err);
	}
	if (!err.code && container_launch(ct, io, done, arg, &err) == 0)
		return;
	if (ct)
		container_rollback(ct);
	done(arg, -err.code, -1, &err);
}

/* ---- start ---- */

static void start_finished(struct container *ct, const struct error *err)
{
	guest_done_fn done = ct->start_done;

	loop_remove(&ct->sync_source);
	close_fd(&ct->sync);
	ct->start_done = NULL;
	done(ct->start_arg, err);
}

static void start_report(int fd, uint32_t events, void *arg)
{
	auto_error struct error err = { 0 };
	enum report_type type = REPORT_ERROR;
	int passed;
	int ret = report_receive(fd, 0, &type, &passed, &err);

	(void)events;
	close_fd(&passed);
	/* End of file: the socket was closed by execve(). */
	if (ret == 0 && type != REPORT_ERROR)
		error_set(&err, EPROTO, "unexpected report of the container's process");
	start_finished(arg, &err);
}

void guest_start(struct guest *g, const char *container, guest_done_fn done, void *arg)
{
	auto_error struct error err = { 0 };
	struct container *ct = container_find(g, container);
	struct process *init = NULL;

	if (!ct)
		error_set(&err, ENOENT, "container '%s' does not exist", container);
	else if ((init = process_find(ct, "")) && init->launch)
		error_set(&err, EBUSY, "cannot start a container that is being created");
	else if (!init)
		error_set(&err, ESRCH, "cannot start a container that has stopped");
	else if (ct->sync < 0 || ct->start_done)
		error_set(&err, EBUSY, "cannot start an already running container");
	else if (report_send(ct->sync, REPORT_START, NULL, -1) < 0)
		error_set(&err, ESRCH, "cannot start a container that has stopped");
	if (err.code) {
		done(arg, &err);
		return;
	}
	ct->start_done = done;
	ct->start_arg = arg;
	ct->sync_source = loop_add_fd(g->loop, ct->sync, EPOLLIN, start_report, ct);
}

/* ---- delete ---- */

static void delete_finished(struct container *ct, const struct error *err)
{
	guest_done_fn done = ct->delete_done;
	void *arg = ct->delete_arg;

	ct->delete_done = NULL;
	if (!err->code) {
		container_end_freeze(ct, ECANCELED);
		container_free(ct);
	}
	done(arg, err);
}

void container_try_delete(struct container *ct)
{
	auto_error struct error err = { 0 };
	int ret = -EBUSY;

	if (!ct->delete_done)
		return;
	if (!ct->processes) {
		if (ct->start_done)
			start_finished(ct, &err);
		ret = cgroup_remove(&ct->cgroup, ct->guest->cgroup_root);
	}
	if (ret == 0) {
		delete_finished(ct, &err);
	} else if (loop_now_ms() >= ct->delete_deadline) {
		loop_remove(&ct->delete_timer);
		error_set(&err, -ret, "container '%s': its processes do not end: %s", ct->id,
		          strerror(-ret));
		delete_finished(ct, &err);
	} else if (ct->delete_timer) {
		loop_rearm(ct->delete_timer, DELETE_POLL_MS);
	}
}

static void delete_tick(void *arg)
{
	container_try_delete(arg);
}

void guest_delete(struct guest *g, const char *container, guest_done_fn done, void *arg)
{
	auto_error struct error err = { 0 };
	struct container *ct = container_find(g, container);

	if (!ct)
		error_set(&err, ENOENT, "container '%s' does not exist", container);
	else if (ct->delete_done)
		error_set(&err, EBUSY, "container '%s' is being deleted", container);
	else if (cgroup_kill(&ct->cgroup, &err) < 0)
		error_wrap(&err, "delete container '%s'", container);
	if (err.code) {
		done(arg, &err);
		return;
	}
	ct->delete_done = done;
	ct->delete_arg = arg;
	ct->delete_deadline = loop_now_ms() + DELETE_MS;
	ct->delete_timer = loop_add_timer(g->loop, DELETE_POLL_MS, delete_tick, ct);
	container_try_delete(ct);
}
