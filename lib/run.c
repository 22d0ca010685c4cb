#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "lib/console.h"
#include "lib/ctl.h"
#include "lib/notify.h"
#include "lib/standin.h"
#include "lib/verbs.h"
#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/log.h"

static void send_size(const struct created *c)
{
	struct ctl_out out = { .json = json_new_object() };
	auto_error struct error err = { 0 };
	unsigned short h, w;

	if (c->tty >= 0 && console_size(c->tty, &h, &w)) {
		json_set(out.json, "op", json_new_string("winsize"));
		json_set(out.json, "height", json_new_u64(h));
		json_set(out.json, "width", json_new_u64(w));
		/* A monitor that is gone is seen as the shim's end. */
		ctl_send(c->monitor, &out, &err);
	}
	ctl_out_done(&out);
}

static void pass_signal(const struct created *c, int signo)
{
	if (signo == SIGWINCH && c->tty >= 0)
		send_size(c);
	else if (signo != SIGCHLD && signo != SIGPIPE && signo != SIGURG)
		kill(c->shim, signo);
}

/* 1 when the shim, our child, has ended, 0 when not, -1 (ECHILD) when somebody else has reaped it.
 */
static int has_ended(const struct created *c, int *status)
{
	pid_t pid = waitpid(c->shim, status, WNOHANG);

	return pid < 0 ? -1 : pid == c->shim;
}

/* Who waits for the container to be ready is told when it is, and of this process: the one that
 * ends with the container. */
static void pass_ready(struct notify *n)
{
	auto_error struct error err = { 0 };

	if (notify_take(n, getpid(), &err) < 0)
		log_warn("%s, ignoring", err.msg);
}

/* A signal; what the monitor says until then is passed on. */
static ssize_t next_signal(int signals, struct notify *n, struct signalfd_siginfo *info)
{
	struct pollfd p[] = { { .fd = signals, .events = POLLIN }, { .events = POLLIN } };

	do {
		p[1].fd = n->monitor;
		if (poll(p, 2, -1) < 0)
			return -1;
		if (p[1].revents)
			pass_ready(n);
	} while (!p[0].revents);
	return read(signals, info, sizeof(*info));
}

/* Until the shim has ended, which says everything: the monitor may be gone by then. Its end is one
 * more blocked signal. */
static int wait_for_shim(const struct created *c, struct notify *ready, struct error *err)
{
	auto_phase struct log_phase phase = log_phase_begin("container");
	struct signalfd_siginfo info;
	auto_close int signals = -1;
	sigset_t all;
	int status, ended;

	sigfillset(&all);
	signals = signalfd(-1, &all, SFD_CLOEXEC);
	if (signals < 0)
		return error_sys(err, "wait for the container");
	send_size(c);
	while ((ended = has_ended(c, &status)) == 0) {
		ssize_t n = next_signal(signals, ready, &info);

		if (n == sizeof(info))
			pass_signal(c, (int)info.ssi_signo);
		else if (n < 0 && errno != EINTR)
			return error_sys(err, "wait for the container");
	}
	if (ended < 0)
		return error_sys(err, "wait for the container");
	return child_exit_code(status);
}

static int start_and_wait(struct vcrt *v, const char *id, const struct created *c, int *exit_code,
                          struct error *err)
{
	struct notify ready = NOTIFY_NONE;
	int code = -1;

	if (verb_start_for_run(v, id, &ready, err) == 0)
		code = wait_for_shim(c, &ready, err);
	notify_close(&ready);
	if (code >= 0)
		*exit_code = code;
	return -err->code;
}

static int run_foreground(struct vcrt *v, const struct vcrt_run_options *o, struct created *c,
                          int *exit_code, struct error *err)
{
	auto_error struct error ignored = { 0 };
	struct termios saved;

	if (c->tty < 0) {
		start_and_wait(v, o->create.id, c, exit_code, err);
	} else if (console_make_raw(c->tty, &saved, err) == 0) {
		start_and_wait(v, o->create.id, c, exit_code, err);
		tcsetattr(c->tty, TCSADRAIN, &saved);
	}
	if (err->code)
		verb_delete(v, o->create.id, true, &ignored);
	else if (!o->keep)
		verb_delete(v, o->create.id, true, err);
	/* Our child, too; it has ended with the container. */
	if (c->monitor_pid > 0)
		waitpid(c->monitor_pid, NULL, WNOHANG);
	created_done(c);
	return -err->code;
}

static int run_detached(struct vcrt *v, const struct vcrt_run_options *o, struct error *err)
{
	auto_error struct error ignored = { 0 };
	struct notify ready = NOTIFY_NONE;
	struct created c = CREATED_NONE;

	if (verb_create(v, &o->create, false, &c, err) < 0)
		return -err->code;
	created_done(&c);
	if (verb_start_for_run(v, o->create.id, &ready, err) < 0)
		verb_delete(v, o->create.id, true, &ignored);
	else if (notify_wait(&ready, c.shim, &ignored) < 0)
		log_warn("%s, ignoring", ignored.msg);
	notify_close(&ready);
	return -err->code;
}

int verb_run(struct vcrt *v, const struct vcrt_run_options *o, int *exit_code, struct error *err)
{
	struct created c = CREATED_NONE;
	sigset_t before;

	if (o->detach) {
		*exit_code = 0;
		return run_detached(v, o, err);
	}
	/* From the first moment signals are the container's: what comes early waits for it, but for
	 * those that end a start (create.c). */
	sigprocmask(SIG_SETMASK, NULL, &before);
	standin_block_signals();
	if (verb_create(v, &o->create, true, &c, err) == 0)
		run_foreground(v, o, &c, exit_code, err);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return -err->code;
}
