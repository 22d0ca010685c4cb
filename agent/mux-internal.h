/* The inside of the multiplexer: mux.c (the connection and what it receives), mux-out.c (what it
 * sends), mux-stream.c (streams as their owners see them). */
#pragma once

#include "agent/mux.h"
#include "agent/protocol.h"
#include "lib/base/error.h"

/* A payload that makes a frame of 32 KiB with its header: a virtio-serial port takes no more in one
 * write, and each write is a notification of the VMM. */
#define MUX_CHUNK (PROTOCOL_MAX_DATA - PROTOCOL_HEADER)
/* Bytes of a stream that wait in this process for the connection to take them. */
#define MUX_QUEUE (64 * 1024)
/* A peer that reads no control frames while we must send more than this is not a peer. */
#define MUX_MAX_BACKLOG (4 * PROTOCOL_MAX_CONTROL)
/* Grants are saved up to this size: one credit frame for many reads. */
#define MUX_GRANT (PROTOCOL_WINDOW / 4)

/* Bytes that come in at the back and leave from the front. Unlike struct buf it clears nothing and
 * holds no memory while it is empty. */
struct fifo {
	uint8_t *data;
	size_t head, len, cap; /* bytes head to len are there */
};

static inline size_t fifo_len(const struct fifo *q)
{
	return q->len - q->head;
}

static inline const uint8_t *fifo_data(const struct fifo *q)
{
	return q->data + q->head;
}

uint8_t *fifo_space(struct fifo *q, size_t len); /* follow with q->len += n, or fifo_drop(q, 0) */
void fifo_add(struct fifo *q, const void *data, size_t len);
void fifo_drop(struct fifo *q, size_t len);
void fifo_clear(struct fifo *q);

/* Whole frames on their way out. */
struct frames {
	struct fifo fifo;
	size_t left; /* of the first frame, when part of it has been written; else 0 */
};

struct mux_stream {
	struct mux *mux;
	uint32_t id;
	const struct mux_reader_events *reader; /* NULL: this side writes */
	const struct mux_writer_events *writer;
	void *arg;
	bool is_orphan;  /* the owner has let go */
	bool has_eof;    /* FRAME_EOF was received (reader) or queued (writer) */
	bool has_close;  /* FRAME_CLOSE was queued (reader) or received (writer) */
	uint32_t window; /* bytes that may still be sent, by the peer or by us */

	struct fifo input;  /* reader: not taken yet */
	uint32_t taken;     /* reader: not granted again yet */
	bool is_told_eof;   /* reader: eof() was called */
	bool is_delivering; /* reader: data() is running */

	struct frames output; /* writer: frames for which there was credit */
	struct fifo tail;     /* writer: bytes before EOF that wait for credit */
	bool wants_eof;       /* writer: EOF follows the tail */
	bool is_starved;      /* writer: the owner has seen no room */
	bool is_told_closed;  /* writer: closed() was called or is not needed */
};

struct mux {
	struct loop *loop;
	struct loop_source *source;
	struct loop_source *fail_timer;
	int fd;
	bool is_socket;
	const struct mux_events *events;
	void *arg;

	struct fifo input;
	struct frames hello, control;
	struct frames *partial; /* has a frame of which only a part was written: goes on first */
	bool has_hello;         /* of the peer: only now anything but our hello is sent */
	bool is_blocked;        /* the descriptor took no more */
	bool asks_out;          /* EPOLLOUT is asked of the loop */

	struct mux_stream **streams; /* sorted by id */
	size_t n_streams, next;      /* next: whose turn it is to write */

	struct error error;
	bool has_failed, has_ended, is_freed;
	unsigned depth; /* callbacks that are running: nothing is freed below them */
};

/* mux-fifo.c: see above. mux.c: */
void mux_enter(struct mux *m);
void mux_leave(struct mux *m);
void mux_io_failed(struct mux *m, const char *what); /* with errno */
int mux_breach(struct mux *m, const struct mux_stream *s, const char *what);

/* mux-out.c: */
void frames_add(struct frames *q, const struct frame *f, const void *payload);
void mux_send_frame(struct mux *m, enum frame_type type, uint32_t stream, uint32_t value);
void mux_flush(struct mux *m);
void mux_update_events(struct mux *m);

/* mux-stream.c: */
struct mux_stream *mux_find_stream(const struct mux *m, uint32_t id);
int mux_stream_frame(struct mux *m, const struct frame *f, const uint8_t *payload);
void mux_fill_from_tail(struct mux_stream *s);
bool mux_has_news(const struct mux *m);
void mux_tell_writers(struct mux *m);
void mux_sweep(struct mux *m);
void mux_drop_queues(struct mux_stream *s);
void mux_stream_destroy(struct mux_stream *s);
