/* The connection: what is received, how it ends, and when memory may go. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/mux-internal.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"

/* Asked of the descriptor at a time: two full frames. A virtio-serial port gives one page at most,
 * whatever is asked. A round of the loop reads so often, so that other descriptors have a turn. */
#define READ_SIZE (2 * PROTOCOL_MAX_DATA)
#define READS_PER_ROUND 16

void mux_enter(struct mux *m)
{
	m->depth++;
}

static void destroy(struct mux *m)
{
	loop_remove(&m->source);
	loop_remove(&m->fail_timer);
	close_fd(&m->fd);
	for (size_t i = 0; i < m->n_streams; i++) {
		if (m->streams[i]->is_orphan)
			mux_stream_destroy(m->streams[i]);
		else
			m->streams[i]->mux = NULL;
	}
	free(m->streams);
	fifo_clear(&m->input);
	fifo_clear(&m->hello.fifo);
	fifo_clear(&m->control.fifo);
	error_clear(&m->error);
	free(m);
}

/* Every call and every event ends here: write what has been queued, forget what is over. */
void mux_leave(struct mux *m)
{
	if (m->depth == 1) {
		if (!m->has_failed && !m->is_freed)
			mux_flush(m);
		mux_sweep(m);
	}
	m->depth--;
	if (m->depth == 0 && m->is_freed)
		destroy(m);
}

/* The end: tell the owner, once, from the loop and not from within one of its own calls. */
static void end(struct mux *m)
{
	if (m->has_ended || m->is_freed)
		return;
	m->has_ended = true;
	loop_remove(&m->source);
	loop_remove(&m->fail_timer);
	close_fd(&m->fd);
	m->events->closed(m->arg, &m->error);
}

static void on_fail_timer(void *arg)
{
	struct mux *m = arg;

	mux_enter(m);
	end(m);
	mux_leave(m);
}

int mux_fail(struct mux *m, int code, const char *fmt, ...)
{
	va_list ap;
	auto_free char *why = NULL;

	if (m->has_failed)
		return -code;
	m->has_failed = true;
	if (code != 0) {
		va_start(ap, fmt);
		why = str_vfmt(fmt, ap);
		va_end(ap);
		error_set(&m->error, code, "%s", why);
	}
	m->fail_timer = loop_add_timer(m->loop, 0, on_fail_timer, m);
	return -code;
}

/* A peer that died with something unread resets the connection: that is its end, too. */
void mux_io_failed(struct mux *m, const char *what)
{
	bool is_end = errno == ECONNRESET || errno == EPIPE;

	mux_fail(m, is_end ? 0 : errno, "%s the peer: %s", what, strerror(errno));
}

int mux_breach(struct mux *m, const struct mux_stream *s, const char *what)
{
	return mux_fail(m, EPROTO, "the peer broke the protocol: stream %u: %s", s->id, what);
}

static void handle_frame(struct mux *m, const struct frame *f, const uint8_t *payload)
{
	if (!m->has_hello && f->type != FRAME_HELLO) {
		mux_fail(m, EPROTO, "the peer broke the protocol: no hello");
	} else if (f->type == FRAME_HELLO && m->has_hello) {
		mux_fail(m, EPROTO, "the peer broke the protocol: a second hello");
	} else if (f->type == FRAME_HELLO || f->type == FRAME_CONTROL) {
		m->events->control(m->arg, (const char *)payload, f->length,
		                   f->type == FRAME_HELLO);
		m->has_hello = true;
	} else {
		mux_stream_frame(m, f, payload);
	}
}

/* The length of the frame that the input begins with, 0: not there yet. */
static size_t first_frame(struct mux *m, struct frame *f)
{
	size_t have = fifo_len(&m->input);
	const char *why;

	if (m->has_failed || m->is_freed || have < PROTOCOL_HEADER)
		return 0;
	if (frame_decode(fifo_data(&m->input), f, &why) < 0) {
		mux_fail(m, EPROTO, "the peer broke the protocol: %s", why);
		return 0;
	}
	return have < PROTOCOL_HEADER + f->length ? 0 : PROTOCOL_HEADER + f->length;
}

static void read_input(struct mux *m)
{
	for (int i = 0; i < READS_PER_ROUND && !m->has_failed && !m->is_freed; i++) {
		ssize_t n = read(m->fd, fifo_space(&m->input, READ_SIZE), READ_SIZE);
		struct frame f;
		size_t len;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			mux_io_failed(m, "read from");
		else if (n == 0 && fifo_len(&m->input) > 0)
			mux_fail(m, EPROTO, "the peer ended in the middle of a frame");
		else if (n == 0)
			mux_fail(m, 0, "end of file");
		if (n > 0)
			m->input.len += (size_t)n;
		while ((len = first_frame(m, &f)) > 0) {
			handle_frame(m, &f, fifo_data(&m->input) + PROTOCOL_HEADER);
			fifo_drop(&m->input, len);
		}
		if (n <= 0 || (m->is_socket && n < READ_SIZE))
			break;
	}
	fifo_drop(&m->input, 0); /* an idle connection holds no buffer */
}

static void on_fd(int fd, uint32_t events, void *arg)
{
	struct mux *m = arg;

	(void)fd;
	mux_enter(m);
	if (events & EPOLLOUT)
		m->is_blocked = false;
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		read_input(m);
	if (!m->is_freed) {
		mux_flush(m);
		mux_tell_writers(m);
	}
	if (m->has_failed)
		end(m);
	mux_leave(m);
}

struct mux *mux_new(struct loop *loop, int fd, const struct mux_events *events, void *arg)
{
	struct mux *m = xzalloc(sizeof(*m));
	struct stat st;

	m->loop = loop;
	m->fd = fd;
	m->events = events;
	m->arg = arg;
	m->is_socket = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0)
		m->source = loop_add_fd(loop, fd, EPOLLIN, on_fd, m);
	if (!m->source)
		mux_fail(m, errno, "watch the connection to the peer: %s", strerror(errno));
	return m;
}

void mux_free(struct mux *m)
{
	if (!m)
		return;
	m->is_freed = true;
	m->has_failed = true;
	if (m->depth == 0)
		destroy(m);
}
