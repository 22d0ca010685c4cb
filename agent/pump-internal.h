/* What the pumps of bytes (pump.c) and of records (pump-records.c) share. */
#pragma once

#include "agent/mux-internal.h"
#include "lib/base/loop.h"

/* Reads per event, so that one busy process does not keep the loop for itself. */
#define PUMP_READS 4
/* What pump_finish() takes at most: the largest pipe an unprivileged process can have. */
#define PUMP_FINISH_MAX (1024 * 1024)

enum fd_kind {
	FD_NONBLOCK, /* open file description of our own, O_NONBLOCK */
	FD_SOCKET,   /* MSG_DONTWAIT */
	FD_FILE,     /* regular file, /dev/null: never blocks, epoll refuses it */
	FD_POLLED,   /* blocking, used only when poll has just said so */
};

struct pump {
	struct loop *loop;
	struct loop_source *source;
	struct mux_stream *stream;
	int fd;
	enum fd_kind kind;
	size_t polled_write; /* FD_POLLED: bytes per write */
	bool is_to_fd;
	bool is_done;
	bool is_blocked;
	uint64_t bytes;
	pump_done_fn ending, done;
	void *arg;

	bool has_records;   /* the stream is made of records, the descriptor a socket of messages */
	bool is_lossy;      /* a message that does not get through is lost, as its kind may be */
	bool is_last;       /* to the descriptor: the record is the last one */
	struct fifo record; /* to the descriptor: what has come of a record, with its header */
};

/* A pump that is not connected yet. fd becomes its own. */
struct pump *pump_new(struct loop *loop, int fd, pump_done_fn done, void *arg);
/* Connect it; when the stream is refused it is freed and NULL is returned. */
struct pump *pump_read_stream(struct pump *p, struct mux *m, uint32_t stream,
                              const struct mux_reader_events *e, loop_fd_fn fn);
struct pump *pump_write_stream(struct pump *p, struct mux *m, uint32_t stream,
                               const struct mux_writer_events *e, loop_fd_fn fn);
/* Watch the descriptor. What epoll refuses never blocks. */
void pump_watch(struct pump *p, uint32_t events, loop_fd_fn fn);
/* The end of the descriptor, of the stream, or of both. */
void pump_end(struct pump *p);
/* The descriptor has nothing more to say. */
void pump_at_end(struct pump *p);

/* pump-records.c: send on what has arrived at the socket, for pump_finish(). */
void pump_drain_records(struct pump *p);
