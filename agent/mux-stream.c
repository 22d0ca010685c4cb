/* Streams: credit, delivery to readers, room for writers, and when a stream may be forgotten. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/mux-internal.h"

static bool is_dead(const struct mux_stream *s)
{
	return !s->mux || s->mux->has_failed;
}

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Index of the stream, or of the place where it would be. */
static size_t stream_index(const struct mux *m, uint32_t id)
{
	size_t low = 0, high = m->n_streams;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (m->streams[mid]->id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct mux_stream *mux_find_stream(const struct mux *m, uint32_t id)
{
	size_t i = stream_index(m, id);

	return i < m->n_streams && m->streams[i]->id == id ? m->streams[i] : NULL;
}

static struct mux_stream *add_stream(struct mux *m, uint32_t id, void *arg)
{
	size_t at = stream_index(m, id);
	struct mux_stream *s;

	if (id == 0 || m->n_streams >= PROTOCOL_MAX_STREAMS || mux_find_stream(m, id))
		return NULL;
	s = xzalloc(sizeof(*s));
	s->mux = m;
	s->id = id;
	s->arg = arg;
	s->window = PROTOCOL_WINDOW;
	m->streams = xreallocarray(m->streams, m->n_streams + 1, sizeof(*m->streams));
	memmove(m->streams + at + 1, m->streams + at, (m->n_streams - at) * sizeof(*m->streams));
	m->streams[at] = s;
	m->n_streams++;
	return s;
}

void mux_stream_destroy(struct mux_stream *s)
{
	fifo_clear(&s->input);
	fifo_clear(&s->output.fifo);
	fifo_clear(&s->tail);
	free(s);
}

/* Forget the streams that have no owner and about which the peer has said its last word. */
void mux_sweep(struct mux *m)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->n_streams; i++) {
		struct mux_stream *s = m->streams[i];
		bool is_over = s->has_eof && s->has_close && fifo_len(&s->output.fifo) == 0;

		if (s->is_orphan && (is_over || m->has_failed))
			mux_stream_destroy(s);
		else
			m->streams[kept++] = s;
	}
	m->n_streams = kept;
}

void mux_stream_free(struct mux_stream **sp)
{
	struct mux_stream *s = steal_ptr(sp);
	struct mux *m;

	if (!s)
		return;
	m = s->mux;
	if (!m) {
		mux_stream_destroy(s);
		return;
	}
	mux_enter(m);
	s->is_orphan = true;
	if (s->reader)
		mux_reader_close(s);
	else
		mux_writer_eof(s);
	mux_leave(m);
}

size_t mux_streams_left(const struct mux *m)
{
	return PROTOCOL_MAX_STREAMS - m->n_streams;
}

int mux_refuse_stream(struct mux *m, uint32_t id, bool reads)
{
	static const struct mux_reader_events no_reader;
	static const struct mux_writer_events no_writer;
	struct mux_stream *s;

	s = reads ? mux_add_reader(m, id, &no_reader, NULL)
	          : mux_add_writer(m, id, &no_writer, NULL);
	if (!s)
		return mux_fail(m, EPROTO, "the peer broke the protocol: stream %u is not free",
		                id);
	mux_stream_free(&s);
	return 0;
}

/* Readers */

struct mux_stream *mux_add_reader(struct mux *m, uint32_t id, const struct mux_reader_events *e,
                                  void *arg)
{
	struct mux_stream *s = add_stream(m, id, arg);

	if (s)
		s->reader = e;
	return s;
}

void mux_reader_close(struct mux_stream *s)
{
	fifo_clear(&s->input);
	if (is_dead(s) || s->has_close)
		return;
	mux_enter(s->mux);
	s->has_close = true;
	mux_send_frame(s->mux, FRAME_CLOSE, s->id, 0);
	mux_leave(s->mux);
}

/* Offer bytes to the owner; grant again what it took. */
static size_t offer(struct mux_stream *s, const uint8_t *data, size_t len)
{
	size_t n;

	s->is_delivering = true;
	n = s->reader->data(s->arg, data, len);
	s->is_delivering = false;
	if (s->has_close || s->mux->has_failed)
		return len; /* nobody wants the rest */
	n = min_size(n, len);
	s->taken += (uint32_t)n;
	if (s->taken >= MUX_GRANT && !s->has_eof) {
		mux_send_frame(s->mux, FRAME_CREDIT, s->id, s->taken);
		s->window += s->taken;
		s->taken = 0;
	}
	return n;
}

static void offer_eof(struct mux_stream *s)
{
	if (!s->has_eof || s->has_close || s->is_told_eof || fifo_len(&s->input) > 0)
		return;
	s->is_told_eof = true;
	s->has_close = true;
	mux_send_frame(s->mux, FRAME_CLOSE, s->id, 0);
	s->reader->eof(s->arg);
}

void mux_reader_resume(struct mux_stream *s)
{
	if (is_dead(s) || s->is_delivering)
		return;
	mux_enter(s->mux);
	while (fifo_len(&s->input) > 0) {
		size_t offered = fifo_len(&s->input);
		size_t n = offer(s, fifo_data(&s->input), offered);

		if (s->has_close)
			break;
		fifo_drop(&s->input, n);
		if (n < offered)
			break;
	}
	if (s->has_close)
		fifo_clear(&s->input);
	else
		offer_eof(s);
	mux_leave(s->mux);
}

static int receive_data(struct mux_stream *s, const uint8_t *data, size_t len)
{
	size_t n = 0;

	if (s->has_eof)
		return mux_breach(s->mux, s, "data after its end");
	if (len > s->window)
		return mux_breach(s->mux, s, "more data than was granted");
	s->window -= (uint32_t)len;
	if (s->has_close)
		return 0;
	if (fifo_len(&s->input) == 0)
		n = offer(s, data, len);
	if (n < len)
		fifo_add(&s->input, data + n, len - n);
	return 0;
}

static int receive_eof(struct mux_stream *s)
{
	if (s->has_eof)
		return mux_breach(s->mux, s, "a second end");
	s->has_eof = true;
	offer_eof(s);
	return 0;
}

/* Writers */

struct mux_stream *mux_add_writer(struct mux *m, uint32_t id, const struct mux_writer_events *e,
                                  void *arg)
{
	struct mux_stream *s = add_stream(m, id, arg);

	if (s)
		s->writer = e;
	return s;
}

size_t mux_writer_room(const struct mux_stream *s)
{
	size_t queued = fifo_len(&s->output.fifo);

	if (is_dead(s) || s->has_close || s->wants_eof || fifo_len(&s->tail) > 0)
		return 0;
	return min_size(s->window, queued < MUX_QUEUE ? MUX_QUEUE - queued : 0);
}

void *mux_write_space(struct mux_stream *s, size_t *len)
{
	*len = min_size(mux_writer_room(s), MUX_CHUNK);
	if (*len == 0)
		return NULL;
	return fifo_space(&s->output.fifo, PROTOCOL_HEADER + *len) + PROTOCOL_HEADER;
}

void mux_write_commit(struct mux_stream *s, size_t len)
{
	struct fifo *q = &s->output.fifo;
	struct frame f = { .type = FRAME_DATA, .stream = s->id, .length = (uint32_t)len };

	if (len == 0) {
		fifo_drop(q, 0);
		return;
	}
	frame_encode(&f, q->data + q->len);
	q->len += PROTOCOL_HEADER + len;
	s->window -= (uint32_t)len;
	mux_enter(s->mux);
	mux_leave(s->mux);
	s->is_starved = mux_writer_room(s) == 0;
}

/* What was written beyond the credit goes on as credit comes, and then the end. */
void mux_fill_from_tail(struct mux_stream *s)
{
	struct frame f = { .stream = s->id };

	while (fifo_len(&s->tail) > 0 && s->window > 0) {
		f.type = FRAME_DATA;
		f.length = (uint32_t)min_size(min_size(fifo_len(&s->tail), MUX_CHUNK), s->window);
		frames_add(&s->output, &f, fifo_data(&s->tail));
		fifo_drop(&s->tail, f.length);
		s->window -= f.length;
	}
	if (s->wants_eof && !s->has_eof && fifo_len(&s->tail) == 0) {
		f.type = FRAME_EOF;
		f.length = 0;
		frames_add(&s->output, &f, NULL);
		s->has_eof = true;
	}
}

void mux_write(struct mux_stream *s, const void *data, size_t len)
{
	const uint8_t *next = data;

	if (is_dead(s) || s->has_close || s->wants_eof)
		return;
	while (len > 0) {
		size_t n;
		void *space = mux_write_space(s, &n);

		if (!space)
			break;
		n = min_size(n, len);
		memcpy(space, next, n);
		mux_write_commit(s, n);
		next += n;
		len -= n;
	}
	if (len == 0 || is_dead(s))
		return;
	fifo_add(&s->tail, next, len);
	mux_enter(s->mux);
	mux_fill_from_tail(s);
	mux_leave(s->mux);
	s->is_starved = mux_writer_room(s) == 0;
}

void mux_writer_wake(struct mux_stream *s)
{
	if (is_dead(s) || s->wants_eof)
		return;
	s->is_starved = true;
	mux_update_events(s->mux);
}

void mux_writer_eof(struct mux_stream *s)
{
	if (is_dead(s) || s->wants_eof)
		return;
	mux_enter(s->mux);
	s->wants_eof = true;
	s->is_told_closed = true;
	mux_fill_from_tail(s);
	mux_leave(s->mux);
}

static int receive_credit(struct mux_stream *s, uint32_t value)
{
	if (s->has_close)
		return mux_breach(s->mux, s, "credit after it was closed");
	if (value > PROTOCOL_WINDOW - s->window)
		return mux_breach(s->mux, s, "more credit than was used");
	s->window += value;
	mux_fill_from_tail(s);
	return 0;
}

static int receive_close(struct mux_stream *s)
{
	if (s->has_close)
		return mux_breach(s->mux, s, "a second close");
	s->has_close = true;
	fifo_clear(&s->tail);
	s->wants_eof = true;
	mux_fill_from_tail(s);
	return 0;
}

static bool has_news(const struct mux_stream *s)
{
	if (s->reader || s->is_orphan)
		return false;
	return (s->has_close && !s->is_told_closed) || (s->is_starved && mux_writer_room(s) > 0);
}

bool mux_has_news(const struct mux *m)
{
	for (size_t i = 0; !m->has_failed && i < m->n_streams; i++) {
		if (has_news(m->streams[i]))
			return true;
	}
	return false;
}

/* Called with the mux entered, so that streams may come, but none goes away. */
void mux_tell_writers(struct mux *m)
{
	for (size_t i = 0; !m->has_failed && i < m->n_streams; i++) {
		struct mux_stream *s = m->streams[i];

		if (!has_news(s))
			continue;
		s->is_starved = false;
		if (s->has_close) {
			s->is_told_closed = true;
			s->writer->closed(s->arg);
		} else {
			s->writer->writable(s->arg);
		}
	}
}

int mux_stream_frame(struct mux *m, const struct frame *f, const uint8_t *payload)
{
	struct mux_stream *s = mux_find_stream(m, f->stream);
	bool is_for_reader = f->type == FRAME_DATA || f->type == FRAME_EOF;

	if (!s)
		return mux_fail(m, EPROTO, "the peer broke the protocol: unknown stream %u",
		                f->stream);
	if (is_for_reader != (s->reader != NULL))
		return mux_breach(m, s, "a frame that goes the other way");
	switch (f->type) {
	case FRAME_DATA:
		return receive_data(s, payload, f->length);
	case FRAME_EOF:
		return receive_eof(s);
	case FRAME_CREDIT:
		return receive_credit(s, f->value);
	default:
		return receive_close(s);
	}
}
