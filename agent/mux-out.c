/* What a mux sends: finished frames in queues, control before data, one stream after the other. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/mux-internal.h"
#include "lib/base/loop.h"

void frames_add(struct frames *q, const struct frame *f, const void *payload)
{
	uint8_t *space = fifo_space(&q->fifo, PROTOCOL_HEADER + f->length);

	frame_encode(f, space);
	if (f->length > 0)
		memcpy(space + PROTOCOL_HEADER, payload, f->length);
	q->fifo.len += PROTOCOL_HEADER + f->length;
}

void mux_send_frame(struct mux *m, enum frame_type type, uint32_t stream, uint32_t value)
{
	struct frame f = { .type = (uint16_t)type, .stream = stream, .value = value };

	if (!m->has_failed)
		frames_add(&m->control, &f, NULL);
}

static void send_text(struct mux *m, struct frames *q, enum frame_type type, const char *text,
                      size_t len, size_t max)
{
	struct frame f = { .type = (uint16_t)type, .length = (uint32_t)len };

	if (m->has_failed)
		return;
	if (len == 0 || len > max)
		mux_fail(m, EMSGSIZE, "message of %zu bytes for the peer (at most %zu)", len, max);
	else if (fifo_len(&q->fifo) + len > MUX_MAX_BACKLOG)
		mux_fail(m, ETIMEDOUT, "the peer does not read its control messages");
	else
		frames_add(q, &f, text);
	mux_flush(m);
}

void mux_send_hello(struct mux *m, const char *text)
{
	send_text(m, &m->hello, FRAME_HELLO, text, strlen(text), PROTOCOL_MAX_HELLO);
}

void mux_skip_hello(struct mux *m)
{
	m->has_hello = true;
}

void mux_send_control(struct mux *m, const char *text, size_t len)
{
	send_text(m, &m->control, FRAME_CONTROL, text, len, PROTOCOL_MAX_CONTROL);
}

bool mux_is_idle(const struct mux *m)
{
	if (m->has_failed)
		return true;
	if (fifo_len(&m->hello.fifo) > 0 || fifo_len(&m->control.fifo) > 0)
		return false;
	for (size_t i = 0; i < m->n_streams; i++) {
		const struct mux_stream *s = m->streams[i];

		if (fifo_len(&s->output.fifo) > 0 || fifo_len(&s->tail) > 0)
			return false;
	}
	return true;
}

/* The queue whose turn it is, NULL when there is nothing to write. */
static struct frames *next_queue(struct mux *m)
{
	if (m->partial)
		return m->partial;
	if (fifo_len(&m->hello.fifo) > 0)
		return &m->hello;
	if (!m->has_hello)
		return NULL;
	if (fifo_len(&m->control.fifo) > 0)
		return &m->control;
	for (size_t n = 0; n < m->n_streams; n++) {
		struct mux_stream *s = m->streams[m->next++ % m->n_streams];

		m->next %= m->n_streams;
		if (fifo_len(&s->output.fifo) > 0)
			return &s->output;
	}
	return NULL;
}

/* len bytes of the queue have been written. */
static void written(struct mux *m, struct frames *q, size_t len)
{
	while (len > 0) {
		size_t step;

		if (q->left == 0) {
			const char *why;
			struct frame f;

			(void)frame_decode(fifo_data(&q->fifo), &f, &why); /* our own */
			q->left = PROTOCOL_HEADER + f.length;
		}
		step = len < q->left ? len : q->left;
		fifo_drop(&q->fifo, step);
		q->left -= step;
		len -= step;
	}
	m->partial = q->left > 0 ? q : NULL;
}

static ssize_t write_some(const struct mux *m, const struct frames *q)
{
	ssize_t n;

	do {
		if (m->is_socket)
			n = send(m->fd, fifo_data(&q->fifo), fifo_len(&q->fifo), MSG_NOSIGNAL);
		else
			n = write(m->fd, fifo_data(&q->fifo), fifo_len(&q->fifo));
	} while (n < 0 && errno == EINTR);
	return n;
}

void mux_flush(struct mux *m)
{
	struct frames *q;

	while (!m->has_failed && !m->is_blocked && (q = next_queue(m))) {
		ssize_t n = write_some(m, q);

		if (n > 0)
			written(m, q, (size_t)n);
		else if (n < 0 && errno != EAGAIN)
			mux_io_failed(m, "write to");
		else
			m->is_blocked = true;
	}
	mux_update_events(m);
}

void mux_update_events(struct mux *m)
{
	bool wants_out = m->is_blocked || mux_has_news(m);

	if (!m->source || wants_out == m->asks_out)
		return;
	m->asks_out = wants_out;
	loop_set_events(m->source, EPOLLIN | (wants_out ? EPOLLOUT : 0));
}
