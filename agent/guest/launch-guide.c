/* A launch after clone, seen from the agent: the new process reports through its socket, and the
 * loop goes on meanwhile. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/loop.h"
#include "oci/oci.h"

#define KILL_WAIT_MS 2000

void launch_free(struct launch *l)
{
	if (!l)
		return;
	loop_remove(&l->source);
	loop_remove(&l->timer);
	close_fd(&l->sock);
	close_fd(&l->master);
	oci_process_free(l->owned);
	free(l->cgroup);
	error_clear(&l->why);
	free(l);
}

/* The outcome is known: the process runs (or waits for its start), or it is gone. */
static void settle(struct launch *l)
{
	struct process *p = l->self;

	loop_remove(&l->source);
	loop_remove(&l->timer);
	p->launch = NULL;
	if (l->why.code)
		process_forget(l->ct, p);
	l->settled(l);
	launch_free(l);
}

/* Nothing is said before the process is gone. One that hangs in the kernel (a dead share) is left
 * to whoever reaps orphans. */
static void give_up(struct launch *l)
{
	loop_remove(&l->source);
	syscall(SYS_pidfd_send_signal, l->self->pidfd, SIGKILL, NULL, 0);
	l->phase = LAUNCH_DYING;
	if (l->is_dead)
		settle(l);
	else
		loop_rearm(l->timer, KILL_WAIT_MS);
}

static void on_timeout(void *arg)
{
	struct launch *l = arg;

	if (l->phase == LAUNCH_DYING) {
		settle(l);
	} else if (l->ct->is_frozen) { /* it stands still, and its time with it */
		loop_rearm(l->timer, l->wait_ms);
	} else {
		error_set(&l->why, ETIMEDOUT, "the new process was not set up within %u seconds",
		          l->wait_ms / 1000);
		give_up(l);
	}
}

static void on_ready(struct launch *l)
{
	if (l->is_dead)
		error_set(&l->why, EIO, "the new process died while it was set up");
	else
		process_apply_outside(l->self->pid, l->process, l->target >= 0, &l->why);
	if (l->why.code) {
		give_up(l);
	} else if (l->target < 0) { /* it waits for "start" */
		settle(l);
	} else {
		report_send(l->sock, REPORT_START, NULL, -1);
		l->phase = LAUNCH_EXEC;
		l->wait_ms = LAUNCH_MS;
		loop_rearm(l->timer, l->wait_ms);
	}
}

/* One report of the process. */
static void step(struct launch *l)
{
	enum report_type type = REPORT_ERROR;
	int fd;
	int ret = report_receive(l->sock, 0, &type, &fd, &l->why);

	if (ret == 0 && type == REPORT_READY && l->phase == LAUNCH_SETUP) {
		l->master = fd;
		on_ready(l);
		return;
	}
	close_fd(&fd);
	if (ret == 1 && l->phase == LAUNCH_EXEC) { /* the socket went away with the old program */
		settle(l);
		return;
	}
	if (ret == 1 || (l->is_dead && ret == -ETIMEDOUT)) {
		error_clear(&l->why);
		error_set(&l->why, EIO, "the new process died while it was set up");
	} else if (ret == 0 && type != REPORT_ERROR) {
		error_set(&l->why, EPROTO, "unexpected report of the new process");
	}
	give_up(l);
}

static void on_report(int fd, uint32_t events, void *arg)
{
	(void)fd;
	(void)events;
	step(arg);
}

void launch_exited(struct launch *l)
{
	/* What it has said before counts; one step settles it now. */
	l->is_dead = true;
	if (l->phase == LAUNCH_DYING)
		settle(l);
	else
		step(l);
}

void launch_rearm(struct launch *l)
{
	if (l->phase != LAUNCH_DYING)
		loop_rearm(l->timer, l->wait_ms);
}

/* What cannot wait until the process is set up. */
static int prepare(struct launch *l)
{
	const struct oci_exec_cpu_affinity *cpus = l->process->exec_cpu_affinity;

	if (l->target >= 0 && cpus && sched_affinity(l->self->pid, cpus->initial, &l->why) < 0)
		return error_wrap(&l->why, "process.execCPUAffinity.initial");
	if (!(l->clone_flags & CLONE_NEWUSER))
		return 0;
	if (idmap_write(l->self->pid, l->spec->linux_, &l->why) < 0)
		return -l->why.code;
	report_send(l->sock, REPORT_GO, NULL, -1); /* its death would be noticed by itself */
	return 0;
}

int launch_start(struct launch *l, const char *name, struct error *err)
{
	auto_close int pidfd = -1;
	pid_t pid = launch_clone(l, &pidfd, &l->sock, err);

	if (pid < 0)
		return pid;
	l->self = process_add(l->ct, name, pid, steal_fd(&pidfd));
	l->self->launch = l;
	l->source = loop_add_fd(l->ct->guest->loop, l->sock, EPOLLIN, on_report, l);
	l->timer = loop_add_timer(l->ct->guest->loop, l->wait_ms, on_timeout, l);
	if (prepare(l) < 0)
		give_up(l);
	return 0;
}
