#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/guest/work.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"

#define CHUNK 4096
#define MAX_RESULT (4u << 20) /* bytes; as much as fits into an answer to the host */

struct work {
	struct work_plan plan;
	struct loop_source *source, *timer;
	int fd;
	pid_t pid;
	struct buf text; /* an int (0 or an errno value), then the result or a message */
};

static void work_free(struct work *w)
{
	loop_remove(&w->source);
	loop_remove(&w->timer);
	close_fd(&w->fd);
	buf_done(&w->text);
	free(w);
}

void work_cancel(struct work **w)
{
	if (!*w)
		return;
	kill((*w)->pid, SIGKILL); /* whoever reaps the agent's children reaps it */
	work_free(*w);
	*w = NULL;
}

static void work_end(struct work *w, struct error *err)
{
	struct work_plan plan = w->plan;
	struct buf text = w->text;
	int code = EIO;

	w->text = (struct buf){ 0 };
	work_free(w);
	if (!err->code && text.len >= sizeof(code))
		memcpy(&code, text.data, sizeof(code));
	if (!err->code && text.len < sizeof(code))
		error_set(err, EIO, "%s: the helper process died", plan.what);
	else if (!err->code && code != 0)
		error_set(err, code, "%.*s", (int)(text.len - sizeof(code)),
		          text.data + sizeof(code));
	if (err->code)
		plan.done(plan.arg, NULL, 0, err);
	else
		plan.done(plan.arg, text.data + sizeof(code), text.len - sizeof(code), err);
	buf_done(&text);
}

static void on_readable(int fd, uint32_t events, void *arg)
{
	struct work *w = arg;
	auto_error struct error err = { 0 };
	ssize_t n = read(fd, buf_space(&w->text, CHUNK), CHUNK);

	(void)events;
	if (n > 0)
		w->text.len += (size_t)n;
	if (n > 0 && w->text.len <= MAX_RESULT)
		return;
	if (n > 0) {
		kill(w->pid, SIGKILL);
		error_set(&err, EMSGSIZE, "%s: the result is too long", w->plan.what);
	}
	work_end(w, &err);
}

static void on_timeout(void *arg)
{
	struct work *w = arg;
	auto_error struct error err = { 0 };

	kill(w->pid, SIGKILL);
	error_set(&err, ETIMEDOUT, "%s: not done within %u seconds", w->plan.what,
	          w->plan.limit_ms / 1000);
	work_end(w, &err);
}

/* Warnings go on to the agent's log; any other descriptor would keep a pipe of somebody open. */
static void __attribute__((noreturn)) child(const struct work_plan *plan, int out)
{
	auto_error struct error err = { 0 };
	struct buf text = { 0 };
	int keep[3], code = 0;
	size_t n = 0;

	keep[n++] = out;
	if (plan->keep >= 0)
		keep[n++] = plan->keep;
	if (log_fd() > STDERR_FILENO)
		keep[n++] = log_fd();
	fs_close_from(3, keep, n);
	buf_add(&text, &code, sizeof(code));
	if (plan->fn(plan->in, &text, &err) < 0) {
		text.len = 0;
		buf_add(&text, &err.code, sizeof(err.code));
		buf_adds(&text, err.msg ? err.msg : strerror(err.code));
	}
	(void)fs_write_all(out, text.data, text.len);
	_exit(0);
}

struct work *work_start(struct loop *loop, const struct work_plan *plan, struct error *err)
{
	auto_close int ours = -1, theirs = -1;
	struct work *w;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0) {
		error_sys(err, "%s: make a pipe", plan->what);
		return NULL;
	}
	ours = ends[0];
	theirs = ends[1];
	pid = fork();
	if (pid < 0) {
		error_sys(err, "%s: fork", plan->what);
		return NULL;
	}
	if (pid == 0)
		child(plan, theirs);
	w = xzalloc(sizeof(*w));
	w->plan = *plan;
	w->pid = pid;
	w->fd = steal_fd(&ours);
	w->source = loop_add_fd(loop, w->fd, EPOLLIN, on_readable, w);
	w->timer = loop_add_timer(loop, plan->limit_ms, on_timeout, w);
	return w;
}
