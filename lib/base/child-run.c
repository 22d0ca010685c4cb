#include "lib/base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"

#define DRAIN_CHUNK 4096

struct capture {
	int fd; /* read end, -1: not captured or at its end */
	size_t max;
	struct buf text;
};

struct run {
	const struct child_opts *opts;
	struct capture out, errout;
	pid_t pid;
	int pidfd;
};

/* The input as a file that nobody has to feed: no SIGPIPE, no dead lock with the output. */
static int input_open(const char *input, struct error *err)
{
	auto_close int fd = memfd_create("input", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return error_sys(err, "create a memory file");
	r = fs_write_all(fd, input, strlen(input));
	if (r < 0)
		return error_set(err, -r, "write a memory file: %s", strerror(-r));
	if (lseek(fd, 0, SEEK_SET) < 0)
		return error_sys(err, "rewind a memory file");
	return steal_fd(&fd);
}

static int capture_open(struct capture *c, bool wanted, size_t max, int *child_end,
                        struct error *err)
{
	int ends[2];

	c->fd = -1;
	c->max = max;
	if (!wanted)
		return 0;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_sys(err, "pipe");
	c->fd = ends[0];
	*child_end = ends[1];
	/* Only our end: the child expects an ordinary pipe. */
	if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0)
		return error_sys(err, "make a pipe non-blocking");
	return 0;
}

/* Take what is there; beyond max it is dropped, so that the child does not wait for us. Returns
 * whether there may be more at once. */
static bool capture_read(struct capture *c)
{
	char chunk[DRAIN_CHUNK];
	size_t room = c->max - c->text.len;
	ssize_t n;

	if (c->fd < 0)
		return false;
	n = read(c->fd, chunk, sizeof(chunk));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return errno == EINTR;
	if (n <= 0) {
		close_fd(&c->fd);
		return false;
	}
	buf_add(&c->text, chunk, (size_t)n < room ? (size_t)n : room);
	return true;
}

static int spawn(struct run *run, const char *input, bool out, size_t max, bool errout,
                 struct error *err)
{
	struct child_opts opts = *run->opts;
	auto_free struct child_fd *fds = xcalloc(opts.n_fds + 3, sizeof(*fds));
	auto_close int in = -1;
	auto_close int out_end = -1;
	auto_close int errout_end = -1;

	if (capture_open(&run->out, out, max, &out_end, err) < 0 ||
	    capture_open(&run->errout, errout, max, &errout_end, err) < 0)
		return -err->code;
	for (size_t i = 0; i < opts.n_fds; i++)
		fds[i] = opts.fds[i];
	if (input) {
		in = input_open(input, err);
		if (in < 0)
			return in;
		fds[opts.n_fds++] = (struct child_fd){ in, STDIN_FILENO };
	}
	if (out)
		fds[opts.n_fds++] = (struct child_fd){ out_end, STDOUT_FILENO };
	if (errout)
		fds[opts.n_fds++] = (struct child_fd){ errout_end, STDERR_FILENO };
	opts.fds = fds;
	return child_spawn(&opts, &run->pid, &run->pidfd, err);
}

/* Until the child is gone; false when the time is over before that. */
static bool collect(struct run *run, unsigned timeout_ms)
{
	uint64_t end = loop_now_ms() + timeout_ms;

	for (;;) {
		struct pollfd p[] = {
			{ .fd = run->pidfd, .events = POLLIN },
			{ .fd = run->out.fd, .events = POLLIN },
			{ .fd = run->errout.fd, .events = POLLIN },
		};
		uint64_t now = loop_now_ms();

		if (timeout_ms && now >= end)
			return false;
		if (poll(p, ARRAY_SIZE(p), timeout_ms ? (int)(end - now) : -1) < 0)
			continue;
		if (p[1].revents)
			capture_read(&run->out);
		if (p[2].revents)
			capture_read(&run->errout);
		if (p[0].revents)
			return true;
	}
}

/* A process that outlives the child may hold the pipes: take what the child left, and no more than
 * a pipe can hold, then stop. */
static void collect_rest(struct capture *c)
{
	long size = c->fd < 0 ? 0 : fcntl(c->fd, F_GETPIPE_SZ);

	for (; size > 0 && capture_read(c); size -= DRAIN_CHUNK)
		;
}

static int finish(struct run *run, bool in_time, unsigned timeout_ms, int *status,
                  struct error *err)
{
	pid_t r;

	if (!in_time && run->opts->keeps_orphans)
		child_kill_tree(run->pid);
	else if (!in_time)
		kill(run->opts->new_session ? -run->pid : run->pid, SIGKILL);
	do
		r = waitpid(run->pid, status, 0);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return error_sys(err, "wait for '%s'", run->opts->path);
	collect_rest(&run->out);
	collect_rest(&run->errout);
	if (!in_time)
		return error_set(err, ETIMEDOUT, "run '%s': not finished after %u ms, killed",
		                 run->opts->path, timeout_ms);
	return 0;
}

int child_run(const struct child_opts *opts, const char *input, size_t max, unsigned timeout_ms,
              int *status, char **out, char **errout, struct error *err)
{
	struct run run = { .opts = opts, .out.fd = -1, .errout.fd = -1, .pidfd = -1 };
	int r = spawn(&run, input, out != NULL, max, errout != NULL, err);

	if (r == 0)
		r = finish(&run, collect(&run, timeout_ms), timeout_ms, status, err);
	if (r == 0 && out)
		*out = buf_steal(&run.out.text);
	if (r == 0 && errout)
		*errout = buf_steal(&run.errout.text);
	buf_done(&run.out.text);
	buf_done(&run.errout.text);
	close_fd(&run.out.fd);
	close_fd(&run.errout.fd);
	close_fd(&run.pidfd);
	return r;
}
