/* Containers and processes: finding them, signals, and what happens when one ends. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "agent/guest/notify.h"
#include "agent/guest/work.h"
#include "lib/base/child.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "oci/oci.h"

struct guest *guest_new(struct loop *loop, const char *cgroup_root,
                        const struct guest_events *events, void *arg)
{
	struct guest *g = xzalloc(sizeof(*g));

	g->loop = loop;
	g->events = events;
	g->arg = arg;
	g->cgroup_root = str_dup(cgroup_root);
	namespaces_keep_own(g);
	return g;
}

int guest_warm(struct guest *g, struct error *err)
{
	return device_programs_warm(g, err) < 0 ? -err->code : spare_make(g, err);
}

void guest_free(struct guest *g)
{
	if (!g)
		return;
	while (g->containers)
		container_free(g->containers);
	guest_network_done(g);
	namespaces_forget(g->own);
	device_programs_done(g);
	spare_free(g->spare);
	free(g->cgroup_root);
	free(g);
}

struct container *container_find(struct guest *g, const char *id)
{
	struct container *ct = g->containers;

	while (ct && !str_eq(ct->id, id))
		ct = ct->next;
	return ct;
}

struct process *process_find(struct container *ct, const char *name)
{
	struct process *p = ct->processes;

	while (p && !str_eq(p->name, name))
		p = p->next;
	return p;
}

struct process *process_add(struct container *ct, const char *name, pid_t pid, int pidfd)
{
	struct process *p = xzalloc(sizeof(*p));
	struct process **end = &ct->processes;

	p->name = str_dup(name);
	p->pid = pid;
	p->pidfd = pidfd;
	while (*end) /* the container's own stays first */
		end = &(*end)->next;
	*end = p;
	return p;
}

static void process_free(struct process *p)
{
	launch_free(p->launch);
	free(p->name);
	close_fd(&p->pidfd);
	free(p);
}

void process_forget(struct container *ct, struct process *p)
{
	struct process **link = &ct->processes;

	while (*link != p)
		link = &(*link)->next;
	*link = p->next;
	process_free(p);
}

void container_free(struct container *ct)
{
	struct container **link = &ct->guest->containers;

	while (*link && *link != ct)
		link = &(*link)->next;
	if (*link)
		*link = ct->next;
	while (ct->processes) {
		struct process *p = ct->processes;

		ct->processes = p->next;
		process_free(p);
	}
	loop_remove(&ct->sync_source);
	loop_remove(&ct->oom_timer);
	loop_remove(&ct->oom_source);
	loop_remove(&ct->delete_timer);
	container_end_freeze(ct, ECANCELED);
	close_fd(&ct->sync);
	close_fd(&ct->oom_fd);
	namespaces_done(&ct->ns);
	namespaces_forget(ct->shared);
	network_forget_container(ct->guest, ct->id);
	free(ct->text);
	seccomp_filter_done(&ct->seccomp);
	cgroup_done(&ct->cgroup);
	notify_free(ct->notify);
	shm_release(ct->guest, ct->spec);
	oci_spec_free(ct->spec);
	free(ct->bundle);
	free(ct->id);
	free(ct);
}

void container_read_oom(struct container *ct)
{
	char text[512];
	ssize_t n = ct->oom_fd >= 0 ? pread(ct->oom_fd, text, sizeof(text) - 1, 0) : 0;
	uint64_t kills;

	if (ct->oom_fd >= 0) {
		text[n > 0 ? n : 0] = '\0';
		kills = cgroup_stat_of(text, "oom_kill");
	} else {
		kills = cgroup_stat(&ct->cgroup, "memory.events", "oom_kill");
	}
	if (kills <= ct->oom_kills)
		return;
	ct->oom_kills = kills;
	ct->guest->events->oom(ct->guest->arg, ct->id);
}

static struct container *find_pid(struct guest *g, pid_t pid, struct process **out)
{
	for (struct container *ct = g->containers; ct; ct = ct->next)
		for (struct process *p = ct->processes; p; p = p->next)
			if (p->pid == pid) {
				*out = p;
				return ct;
			}
	return NULL;
}

/* Without a PID namespace of its own nothing ends with the container's first process by itself. */
static void kill_rest(struct container *ct)
{
	auto_error struct error err = { 0 };

	if ((ct->ns.create & CLONE_NEWPID) || ct->cgroup.fd < 0)
		return;
	if (cgroup_kill(&ct->cgroup, &err) < 0)
		log_warn("container '%s': %s, ignoring", ct->id, err.msg);
}

static bool is_known(const struct guest *g, const struct container *ct)
{
	const struct container *c = g->containers;

	while (c && c != ct)
		c = c->next;
	return c != NULL;
}

void guest_child_exited(struct guest *g, pid_t pid, int wait_status)
{
	struct process *p = NULL;
	struct container *ct = find_pid(g, pid, &p);
	auto_free char *name = NULL;

	if (ct && p->launch) {
		launch_exited(p->launch);
		ct = find_pid(g, pid, &p); /* gone if its program has never run */
	}
	if (!ct) {
		spare_exited(g, pid);
		return;
	}
	if (!p->name[0])
		kill_rest(ct);
	container_read_oom(ct); /* before the exit that it explains */
	if (!p->name[0])
		notify_drain(ct->notify);
	name = steal_ptr(&p->name);
	process_forget(ct, p);
	g->events->exited(g->arg, ct->id, name, child_exit_code(wait_status));
	if (is_known(g, ct)) /* unless the callback had it deleted */
		container_try_delete(ct);
}

int guest_signal(struct guest *g, const char *container, const char *process, int signo, bool all,
                 struct error *err)
{
	struct container *ct = container_find(g, container);
	struct process *p = ct ? process_find(ct, process) : NULL;

	if (!ct)
		return error_set(err, ENOENT, "container '%s' does not exist", container);
	if (all)
		return container_signal_all(ct, signo, err);
	if (!p)
		return error_set(err, ESRCH, "process '%s' of container '%s' is gone", process,
		                 container);
	if (syscall(SYS_pidfd_send_signal, p->pidfd, signo, NULL, 0) < 0)
		return error_sys(err, "send signal %d to container '%s'", signo, container);
	return 0;
}
