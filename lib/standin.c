#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/console.h"
#include "lib/ctl.h"
#include "lib/standin.h"
#include "lib/base/error.h"
#include "lib/base/json.h"

#define CODE_MONITOR_GONE (128 + SIGKILL)

struct standin {
	int ctl, tty;
	unsigned short height, width; /* as last told */
};

void standin_block_signals(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
}

int standin_wait(int fd, int timeout_ms, struct error *err)
{
	struct pollfd p[] = { { .fd = fd, .events = POLLIN }, { .events = POLLIN } };
	struct signalfd_siginfo info;
	auto_close int signals = -1;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	signals = p[1].fd = signalfd(-1, &set, SFD_CLOEXEC);
	while (poll(p, 2, timeout_ms) < 0 && errno == EINTR)
		;
	/* Taken, so that it does not come again when signals are let through. */
	if (p[1].revents && read(signals, &info, sizeof(info)) == sizeof(info))
		return error_set(err, ECANCELED, "interrupted");
	return 0;
}

/* A monitor that is gone is noticed as the end of the connection, not here. */
static void tell(struct standin *s, struct json *json)
{
	auto_error struct error err = { 0 };
	struct ctl_out out = { .json = json };

	ctl_send(s->ctl, &out, &err);
	ctl_out_done(&out);
}

static bool tell_size(struct standin *s)
{
	unsigned short h, w;
	struct json *j;

	if (s->tty < 0 || !console_size(s->tty, &h, &w) || (h == s->height && w == s->width))
		return false;
	s->height = h;
	s->width = w;
	j = json_new_object();
	json_set(j, "op", json_new_string("winsize"));
	json_set(j, "height", json_new_u64(h));
	json_set(j, "width", json_new_u64(w));
	tell(s, j);
	return true;
}

static void pass_signal(struct standin *s, int signo)
{
	struct json *j;

	if (signo == SIGCHLD) {
		/* As first process of a pid namespace we inherit orphans. */
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		return;
	}
	if (signo == SIGPIPE || (signo == SIGWINCH && tell_size(s)))
		return;
	j = json_new_object();
	json_set(j, "op", json_new_string("signal"));
	json_set(j, "signal", json_new_i64(signo));
	tell(s, j);
}

/* True when the message was the last one, with *code. */
static bool handle_message(struct standin *s, int *code)
{
	auto_error struct error err = { 0 };
	auto_ctl_msg struct ctl_msg *m = ctl_recv(s->ctl, -1, &err);

	*code = CODE_MONITOR_GONE;
	if (!m)
		return true;
	if (!json_get(m->json, "exit"))
		return false;
	*code = (int)json_get_i64(m->json, "exit", CODE_MONITOR_GONE);
	return true;
}

int standin_run(int ctl, int tty)
{
	struct standin s = { .ctl = ctl, .tty = tty };
	auto_close int signals = -1;
	sigset_t all;
	int code;

	sigfillset(&all);
	signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	tell_size(&s);
	for (;;) {
		struct pollfd p[] = { { .fd = ctl, .events = POLLIN },
			              { .fd = signals, .events = POLLIN } };
		struct signalfd_siginfo info;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return CODE_MONITOR_GONE;
		while (read(signals, &info, sizeof(info)) == sizeof(info))
			pass_signal(&s, (int)info.ssi_signo);
		if (p[0].revents && handle_message(&s, &code))
			return code;
	}
}
