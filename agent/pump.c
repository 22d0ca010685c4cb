/* Bytes between a stream and a descriptor of any kind (mux.h). */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/pump-internal.h"
#include "lib/base/str.h"

/* What a blocking descriptor takes without blocking once poll says "writable": a pipe has a free
 * page then, a terminal takes at least a few bytes. */
#define POLLED_PIPE PIPE_BUF
#define POLLED_OTHER 128
#define FINISH_CHUNK (64 * 1024)
/* The multiplexer of the pseudo terminals: opening it again makes another terminal. */
#define PTMX_DEV makedev(5, 2)

/* Make fd (owned) one that can be used without blocking and without touching its shared flags. */
static int prepare_fd(struct pump *p, int fd)
{
	char path[32];
	struct stat st;
	int mine, flags = fcntl(fd, F_GETFL);

	p->kind = FD_POLLED;
	p->polled_write = POLLED_OTHER;
	if (flags < 0 || fstat(fd, &st) < 0)
		return fd;
	if (S_ISSOCK(st.st_mode))
		p->kind = FD_SOCKET;
	else if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
		p->kind = FD_FILE;
	if (S_ISFIFO(st.st_mode))
		p->polled_write = POLLED_PIPE;
	if (p->kind != FD_POLLED)
		return fd;
	if (S_ISFIFO(st.st_mode) || (isatty(fd) && st.st_rdev != PTMX_DEV)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		mine = open(path, (flags & O_ACCMODE) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (mine >= 0) {
			close(fd);
			p->kind = FD_NONBLOCK;
			return mine;
		}
	}
	if (flags & O_NONBLOCK)
		p->kind = FD_NONBLOCK;
	return fd;
}

/* Several pumps may share one pipe, so what epoll said a while ago does not count. */
static bool is_ready(const struct pump *p, short events)
{
	struct pollfd ask = { .fd = p->fd, .events = events };

	if (p->kind != FD_POLLED || poll(&ask, 1, 0) > 0)
		return true;
	errno = EAGAIN;
	return false;
}

static ssize_t write_some(const struct pump *p, const uint8_t *data, size_t len)
{
	if (!is_ready(p, POLLOUT))
		return -1;
	if (p->kind == FD_POLLED && len > p->polled_write)
		len = p->polled_write;
	if (p->kind == FD_SOCKET)
		return send(p->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return write(p->fd, data, len);
}

static ssize_t read_some(const struct pump *p, void *data, size_t len)
{
	ssize_t n;

	if (!is_ready(p, POLLIN))
		return -1;
	do {
		if (p->kind == FD_SOCKET)
			n = recv(p->fd, data, len, MSG_DONTWAIT);
		else
			n = read(p->fd, data, len);
	} while (n < 0 && errno == EINTR);
	return n;
}

void pump_end(struct pump *p)
{
	if (p->is_done)
		return;
	p->is_done = true;
	loop_remove(&p->source);
	close_fd(&p->fd);
	fifo_clear(&p->record);
	mux_stream_free(&p->stream);
	if (p->done)
		p->done(p->arg);
}

void pump_at_end(struct pump *p)
{
	if (p->ending)
		p->ending(p->arg);
	pump_end(p);
}

void pump_watch(struct pump *p, uint32_t events, loop_fd_fn fn)
{
	if (p->kind == FD_FILE || p->source)
		return;
	p->source = loop_add_fd(p->loop, p->fd, events, fn, p);
	if (!p->source)
		p->kind = FD_FILE;
}

/* From the stream to the descriptor */

static size_t to_fd_data(void *arg, const uint8_t *data, size_t len)
{
	struct pump *p = arg;
	size_t sent = 0;

	if (p->fd < 0)
		return 0;

	while (sent < len) {
		ssize_t n = write_some(p, data + sent, len - sent);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			pump_end(p); /* EPIPE, EIO, ENOSPC: nobody gets what follows */
			return sent;
		}
		sent += (size_t)n;
		p->bytes += (uint64_t)n;
	}
	p->is_blocked = sent < len;
	if (p->is_blocked && p->source)
		loop_set_events(p->source, EPOLLOUT);
	return sent;
}

static void to_fd_eof(void *arg)
{
	pump_end(arg);
}

static void to_fd_event(int fd, uint32_t events, void *arg)
{
	struct pump *p = arg;

	(void)fd;
	if (!(events & EPOLLOUT)) {
		pump_end(p); /* EPOLLERR, EPOLLHUP: the reader is gone */
		return;
	}
	loop_set_events(p->source, 0);
	mux_reader_resume(p->stream);
}

static const struct mux_reader_events to_fd_events = {
	.data = to_fd_data,
	.eof = to_fd_eof,
};

/* From the descriptor to the stream */

static void from_fd_event(int fd, uint32_t events, void *arg)
{
	struct pump *p = arg;

	(void)fd;
	(void)events;
	for (int i = 0; i < PUMP_READS; i++) {
		size_t len;
		void *space = mux_write_space(p->stream, &len);
		ssize_t n;

		if (!space)
			break;
		n = read_some(p, space, len);
		mux_write_commit(p->stream, n > 0 ? (size_t)n : 0);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			pump_at_end(p); /* end of file; a terminal says EIO */
			return;
		}
		p->bytes += (uint64_t)n;
		if ((size_t)n < len)
			break;
	}
	if (mux_writer_room(p->stream) == 0)
		loop_remove(&p->source); /* not only muted: a hang-up would be told for ever */
	else if (p->kind == FD_FILE)
		mux_writer_wake(p->stream);
}

static void from_fd_writable(void *arg)
{
	struct pump *p = arg;

	if (p->fd < 0)
		return;
	pump_watch(p, EPOLLIN, from_fd_event);
	if (p->kind == FD_FILE)
		from_fd_event(p->fd, EPOLLIN, p);
}

static void from_fd_closed(void *arg)
{
	pump_end(arg);
}

static const struct mux_writer_events from_fd_events = {
	.writable = from_fd_writable,
	.closed = from_fd_closed,
};

static void drain_bytes(struct pump *p)
{
	auto_free uint8_t *chunk = xmalloc(FINISH_CHUNK);
	size_t total = 0;
	ssize_t n = 1;

	while (n > 0 && total < PUMP_FINISH_MAX) {
		n = read_some(p, chunk, FINISH_CHUNK);
		if (n <= 0)
			break;
		mux_write(p->stream, chunk, (size_t)n);
		total += (size_t)n;
	}
	p->bytes += total;
}

void pump_finish(struct pump *p)
{
	if (p->is_done || p->is_to_fd)
		return;
	loop_remove(&p->source);
	if (p->has_records)
		pump_drain_records(p);
	else if (p->fd >= 0)
		drain_bytes(p);
	pump_end(p);
}

void pump_on_end(struct pump *p, pump_done_fn ending)
{
	p->ending = ending;
}

struct pump *pump_new(struct loop *loop, int fd, pump_done_fn done, void *arg)
{
	struct pump *p = xzalloc(sizeof(*p));

	p->loop = loop;
	p->fd = fd < 0 ? -1 : prepare_fd(p, fd);
	p->done = done;
	p->arg = arg;
	return p;
}

static void start(struct pump *p, loop_fd_fn fn)
{
	if (p->fd < 0)
		return;
	pump_watch(p, p->is_to_fd ? 0 : EPOLLIN, fn);
	if (!p->is_to_fd && p->kind == FD_FILE)
		mux_writer_wake(p->stream);
}

struct pump *pump_read_stream(struct pump *p, struct mux *m, uint32_t stream,
                              const struct mux_reader_events *e, loop_fd_fn fn)
{
	p->is_to_fd = true;
	p->stream = mux_add_reader(m, stream, e, p);
	if (!p->stream) {
		pump_free(p);
		return NULL;
	}
	/* A pipe without a reader raises SIGPIPE. What we run gets it back (child.h). */
	signal(SIGPIPE, SIG_IGN);
	start(p, fn);
	return p;
}

struct pump *pump_write_stream(struct pump *p, struct mux *m, uint32_t stream,
                               const struct mux_writer_events *e, loop_fd_fn fn)
{
	p->stream = mux_add_writer(m, stream, e, p);
	if (!p->stream) {
		pump_free(p);
		return NULL;
	}
	start(p, fn);
	return p;
}

struct pump *pump_to_fd(struct loop *loop, struct mux *m, uint32_t stream, int fd,
                        pump_done_fn done, void *arg)
{
	return pump_read_stream(pump_new(loop, fd, done, arg), m, stream, &to_fd_events,
	                        to_fd_event);
}

struct pump *pump_from_fd(struct loop *loop, struct mux *m, uint32_t stream, int fd,
                          pump_done_fn done, void *arg)
{
	return pump_write_stream(pump_new(loop, fd, done, arg), m, stream, &from_fd_events,
	                         from_fd_event);
}

static void set_fd(struct pump *p, int fd)
{
	p->fd = fd;
	start(p, p->is_to_fd ? to_fd_event : from_fd_event);
	if (p->is_to_fd)
		mux_reader_resume(p->stream);
}

void pump_set_fd(struct pump *p, int fd)
{
	if (p->is_done)
		close(fd);
	else
		set_fd(p, prepare_fd(p, fd));
}

void pump_set_own_pipe(struct pump *p, int fd)
{
	p->kind = FD_NONBLOCK;
	set_fd(p, fd);
}

bool pump_is_blocked(const struct pump *p)
{
	return p->is_blocked && !p->is_done;
}

bool pump_is_done(const struct pump *p)
{
	return p->is_done;
}

bool pump_is_unwanted(const struct pump *p)
{
	return p->is_done || p->stream->has_close;
}

uint64_t pump_bytes(const struct pump *p)
{
	return p->bytes;
}

void pump_free(struct pump *p)
{
	if (!p)
		return;
	p->done = NULL;
	pump_end(p);
	free(p);
}
