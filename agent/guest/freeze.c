/* Standing still: pause and resume, and the signal that nobody may fork away from. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"

#define FREEZE_MS 10000 /* a process in the middle of a system call that hangs does not freeze */
#define SIGNAL_ROUNDS 16

/* One request on its way. */
struct freeze {
	struct container *ct;
	bool frozen;
	int fd; /* cgroup.events */
	struct loop_source *source, *timer;
	guest_done_fn done;
	void *arg;
};

static void freeze_finish(struct freeze *f, const struct error *err)
{
	guest_done_fn done = f->done;
	void *arg = f->arg;

	f->ct->freeze = NULL;
	loop_remove(&f->source);
	loop_remove(&f->timer);
	close_fd(&f->fd);
	free(f);
	done(arg, err);
}

void container_end_freeze(struct container *ct, int code)
{
	auto_error struct error err = { 0 };

	if (!ct->freeze)
		return;
	error_set(&err, code, "container '%s' is gone", ct->id);
	freeze_finish(ct->freeze, &err);
}

/* What was on its way to its program has stood still, too. */
static void rearm_launches(struct container *ct)
{
	for (struct process *p = ct->processes; p; p = p->next)
		if (p->launch)
			launch_rearm(p->launch);
}

static bool try_finish(struct freeze *f)
{
	auto_error struct error err = { 0 };

	if (cgroup_is_frozen(&f->ct->cgroup) != f->frozen)
		return false;
	if (!f->frozen)
		rearm_launches(f->ct);
	freeze_finish(f, &err);
	return true;
}

static void on_event(int fd, uint32_t events, void *arg)
{
	char buf[256];

	(void)events;
	if (pread(fd, buf, sizeof(buf), 0) < 0) /* arms the notification again */
		log_debug("cgroup.events cannot be read");
	try_finish(arg);
}

static void on_timeout(void *arg)
{
	struct freeze *f = arg;
	auto_error struct error err = { 0 }, thaw = { 0 };

	/* What is not paused must run. */
	f->ct->is_frozen = false;
	if (cgroup_freeze(&f->ct->cgroup, false, &thaw) < 0)
		log_warn("container '%s': %s, ignoring", f->ct->id, thaw.msg);
	rearm_launches(f->ct);
	error_set(&err, ETIMEDOUT, "the cgroup '%s' does not %s in time", f->ct->cgroup.path,
	          f->frozen ? "freeze" : "thaw");
	freeze_finish(f, &err);
}

static int freeze_start(struct container *ct, bool frozen, struct freeze **out, struct error *err)
{
	auto_close int fd = openat(ct->cgroup.fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	struct freeze *f;
	char buf[256];

	if (fd < 0 || pread(fd, buf, sizeof(buf), 0) < 0)
		return error_sys(err, "read 'cgroup.events'");
	if (cgroup_freeze(&ct->cgroup, frozen, err) < 0)
		return -err->code;
	ct->is_frozen = frozen;
	f = xzalloc(sizeof(*f));
	*f = (struct freeze){ .ct = ct, .frozen = frozen, .fd = steal_fd(&fd) };
	f->source = loop_add_fd(ct->guest->loop, f->fd, EPOLLPRI, on_event, f);
	f->timer = loop_add_timer(ct->guest->loop, FREEZE_MS, on_timeout, f);
	*out = ct->freeze = f;
	return 0;
}

void guest_freeze(struct guest *g, const char *container, bool frozen, guest_done_fn done,
                  void *arg)
{
	auto_error struct error err = { 0 };
	struct container *ct = container_find(g, container);
	struct freeze *f;

	if (!ct)
		error_set(&err, ENOENT, "container '%s' does not exist", container);
	else if (ct->freeze)
		error_set(&err, EBUSY, "container '%s' is being paused or resumed", container);
	if (err.code || freeze_start(ct, frozen, &f, &err) < 0) {
		done(arg, &err);
		return;
	}
	f->done = done;
	f->arg = arg;
	try_finish(f);
}

static bool is_among(const pid_t *pids, size_t n, pid_t pid)
{
	for (size_t i = 0; i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

/* A process that is told to freeze cannot fork any more, whether it stands still already or not; a
 * fork that was past that point shows up in the next round. */
static int signal_each(struct container *ct, int signo, struct error *err)
{
	auto_free pid_t *before = NULL;
	size_t n_before = 0;
	bool is_news = true;

	for (int round = 0; is_news && round < SIGNAL_ROUNDS; round++) {
		size_t n;
		pid_t *pids = cgroup_pids(&ct->cgroup, &n, err);

		if (!pids)
			return -err->code;
		is_news = false;
		for (size_t i = 0; i < n; i++) {
			if (is_among(before, n_before, pids[i]))
				continue;
			kill(pids[i], signo); /* it may have died: nothing to say */
			is_news = true;
		}
		free(before);
		before = pids;
		n_before = n;
	}
	return 0;
}

int container_signal_all(struct container *ct, int signo, struct error *err)
{
	auto_error struct error thaw = { 0 };

	if (signo == SIGKILL)
		return cgroup_kill(&ct->cgroup, err);
	if (ct->is_frozen) /* it stays so */
		return signal_each(ct, signo, err);
	if (cgroup_freeze(&ct->cgroup, true, err) == 0)
		signal_each(ct, signo, err);
	if (cgroup_freeze(&ct->cgroup, false, &thaw) < 0 && !err->code)
		return error_move(err, &thaw);
	return -err->code;
}
