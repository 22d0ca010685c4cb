#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include "agent/guest/sandbox.h"
#include "agent/guest/writer.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"

#define LIMIT_MS 30000 /* a share that hangs must not hide that a container has ended */

struct writer {
	struct loop *loop;
	void (*done)(void *arg);
	void *arg;
	pid_t pid; /* 0: there is no process */
	int sock;
	struct loop_source *source, *timer;
	bool is_busy;
};

/* What hangs here hangs alone. Ends with the agent's end of the socket. */
static void __attribute__((noreturn)) child(int sock)
{
	bool has_submounts;
	int share = -1;

	fs_close_from(3, &sock, 1);
	while (recv(sock, &has_submounts, sizeof(has_submounts), 0) == sizeof(has_submounts)) {
		sandbox_sync(&share, has_submounts);
		if (send(sock, &has_submounts, sizeof(has_submounts), MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}

static void give_up(struct writer *w)
{
	loop_remove(&w->source);
	close_fd(&w->sock);
	if (w->pid > 0)
		kill(w->pid, SIGKILL); /* whoever reaps the agent's children reaps it */
	w->pid = 0;
}

static void finish(struct writer *w, const char *problem)
{
	if (problem) {
		log_warn("write back the share: %s, ignoring", problem);
		give_up(w);
	}
	loop_disarm(w->timer);
	if (!w->is_busy)
		return;
	w->is_busy = false;
	w->done(w->arg);
}

static void on_answer(int fd, uint32_t events, void *arg)
{
	char answer;

	(void)events;
	finish(arg, recv(fd, &answer, 1, MSG_DONTWAIT) == 1 ? NULL : "the helper process died");
}

static void on_timeout(void *arg)
{
	finish(arg, "not done within 30 seconds");
}

struct writer *writer_new(struct loop *loop, void (*done)(void *arg), void *arg)
{
	struct writer *w = xzalloc(sizeof(*w));

	*w = (struct writer){ .loop = loop, .done = done, .arg = arg, .sock = -1 };
	w->timer = loop_add_timer(loop, 0, on_timeout, w);
	loop_disarm(w->timer);
	return w;
}

void writer_free(struct writer *w)
{
	if (!w)
		return;
	give_up(w);
	loop_remove(&w->timer);
	free(w);
}

int writer_prepare(struct writer *w, struct error *err)
{
	auto_close int ours = -1, theirs = -1;
	int pair[2];

	if (w->pid > 0)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_sys(err, "write back the share: create a socket pair");
	ours = pair[0];
	theirs = pair[1];
	w->pid = fork();
	if (w->pid < 0) {
		w->pid = 0;
		return error_sys(err, "write back the share: fork");
	}
	if (w->pid == 0)
		child(theirs);
	w->sock = steal_fd(&ours);
	w->source = loop_add_fd(w->loop, w->sock, EPOLLIN, on_answer, w);
	return 0;
}

int writer_start(struct writer *w, struct error *err)
{
	bool has_submounts = sandbox_has_submounts();

	if (writer_prepare(w, err) < 0)
		return -err->code;
	if (send(w->sock, &has_submounts, sizeof(has_submounts), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		error_sys(err, "write back the share: ask for it");
		give_up(w);
		return -err->code;
	}
	w->is_busy = true;
	loop_rearm(w->timer, LIMIT_MS);
	return 0;
}
