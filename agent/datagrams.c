#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/datagrams.h"
#include "agent/mux-internal.h"
#include "agent/records.h"

#define NUMBER 4u /* bytes of the number of a conversation */

struct datagrams {
	struct mux *mux;
	struct mux_stream *in, *out;
	struct fifo record; /* what has come of one */
	const struct datagrams_events *events;
	void *arg;
};

static void deliver(struct datagrams *d)
{
	struct fifo record = d->record;
	const uint8_t *body = fifo_data(&record) + RECORD_HEADER;

	d->record = (struct fifo){ 0 };
	d->events->received(d->arg, protocol_get32(body), body + NUMBER,
	                    fifo_len(&record) - RECORD_HEADER - NUMBER);
	fifo_clear(&record);
}

static size_t on_data(void *arg, const uint8_t *data, size_t len)
{
	struct datagrams *d = arg;
	size_t used = 0;

	while (used < len) {
		size_t missing;

		used += record_take(&d->record, data + used, len - used);
		missing = record_missing(&d->record);
		if (fifo_len(&d->record) == RECORD_HEADER &&
		    (missing < NUMBER || missing > NUMBER + DATAGRAM_MAX)) {
			mux_breach(d->mux, d->in, "a datagram of a wrong length");
			return len;
		}
		if (missing == 0)
			deliver(d);
	}
	return used;
}

/* The other side never ends these streams by itself: there will be no more, and that is all. */
static void on_over(void *arg)
{
	(void)arg;
}

static void on_writable(void *arg)
{
	struct datagrams *d = arg;

	d->events->writable(d->arg);
}

static const struct mux_reader_events in_events = { .data = on_data, .eof = on_over };
static const struct mux_writer_events out_events = { .writable = on_writable, .closed = on_over };

struct datagrams *datagrams_new(struct mux *m, uint32_t in, uint32_t out,
                                const struct datagrams_events *e, void *arg)
{
	struct datagrams *d = xzalloc(sizeof(*d));

	*d = (struct datagrams){ .mux = m, .events = e, .arg = arg };
	d->in = mux_add_reader(m, in, &in_events, d);
	d->out = d->in ? mux_add_writer(m, out, &out_events, d) : NULL;
	if (d->out)
		return d;
	datagrams_free(d);
	return NULL;
}

bool datagrams_have_room(const struct datagrams *d)
{
	return mux_writer_room(d->out) > 0;
}

void datagrams_send(struct datagrams *d, uint32_t conversation, const void *data, size_t len)
{
	auto_free uint8_t *record = xmalloc(RECORD_HEADER + NUMBER + len);

	protocol_put32(record, (uint32_t)(NUMBER + len));
	protocol_put32(record + RECORD_HEADER, conversation);
	if (len > 0)
		memcpy(record + RECORD_HEADER + NUMBER, data, len);
	mux_write(d->out, record, RECORD_HEADER + NUMBER + len);
}

void datagrams_free(struct datagrams *d)
{
	if (!d)
		return;
	mux_stream_free(&d->in);
	mux_stream_free(&d->out);
	fifo_clear(&d->record);
	free(d);
}
