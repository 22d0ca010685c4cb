/* Frames and streams over one descriptor, driven by a loop; used by host and guest alike. It never
 * blocks: what cannot be written waits in per-stream queues, control frames first. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct loop;
struct mux;
struct mux_stream;

struct mux_events {
	/* One control frame (or the peer's hello), as text with its length and no NUL after it.
	 * mux_fail() refuses it. */
	void (*control)(void *arg, const char *text, size_t len, bool is_hello);
	/* The connection ended: err->code 0 is an orderly end of file, else a breach or I/O error.
	 * Called once; every stream is dead afterwards, their owners must still free them. */
	void (*closed)(void *arg, const struct error *err);
};

/* fd becomes the mux's own. It is set non-blocking. Nothing but our hello is written before the
 * hello of the peer has been received and control() has returned from it. */
struct mux *mux_new(struct loop *loop, int fd, const struct mux_events *events, void *arg);
void mux_free(struct mux *m);
void mux_send_hello(struct mux *m, const char *text);
/* The peer is the clone of one that has exchanged hellos already: neither side sends another. */
void mux_skip_hello(struct mux *m);
void mux_send_control(struct mux *m, const char *text, size_t len);
/* End the connection as for a breach: closed() follows from the loop. code 0 is an orderly end.
 * Returns -code. */
int mux_fail(struct mux *m, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool mux_is_idle(const struct mux *m); /* nothing left to write */

/* Streams. NULL when the number is 0, in use, or one too many. A stream without an owner lives on
 * until the peer has ended it, too.
 *
 * A stream that this side reads. data() takes what it can and returns how many bytes it took (the
 * rest is offered again after mux_reader_resume()); credit is granted as bytes are taken. eof()
 * comes after the last byte was taken. */
struct mux_reader_events {
	size_t (*data)(void *arg, const uint8_t *data, size_t len);
	void (*eof)(void *arg);
};
struct mux_stream *mux_add_reader(struct mux *m, uint32_t id, const struct mux_reader_events *e,
                                  void *arg);
void mux_reader_resume(struct mux_stream *s);
void mux_reader_close(struct mux_stream *s); /* tell the writer to stop; drop what is queued */

/* A stream that this side writes. mux_writer_room() is how much may be written now (credit and
 * queue); writable() is called when room appears after having been 0. closed(): the reader is gone.
 */
struct mux_writer_events {
	void (*writable)(void *arg);
	void (*closed)(void *arg);
};
struct mux_stream *mux_add_writer(struct mux *m, uint32_t id, const struct mux_writer_events *e,
                                  void *arg);
size_t mux_writer_room(const struct mux_stream *s);
/* More than there is room for is kept and sent as credit comes: meant for the last bytes only. */
void mux_write(struct mux_stream *s, const void *data, size_t len);
/* Without a copy: a place for at most *len bytes (NULL: no room), then how many (0 is fine) were
 * put there. No other call for this mux in between. */
void *mux_write_space(struct mux_stream *s, size_t *len);
void mux_write_commit(struct mux_stream *s, size_t len);
void mux_writer_wake(struct mux_stream *s); /* have writable() called from the loop */
void mux_writer_eof(struct mux_stream *s);

/* Forget the stream. Safe in its own callbacks. A reader that had not seen EOF is closed first; a
 * writer that had not sent EOF sends it. *s becomes NULL. */
void mux_stream_free(struct mux_stream **s);
/* How many more streams there may be; some are left for what processes are started with. */
#define MUX_SPARE_STREAMS 256
size_t mux_streams_left(const struct mux *m);
/* A stream of which nothing is wanted: end it in the way that protocol.h describes. reads: this
 * side would be its reader. -EPROTO: the number is refused, and the connection is ended for it. */
int mux_refuse_stream(struct mux *m, uint32_t id, bool reads);

/* One direction of stdio between a stream and a descriptor, with everything a descriptor can be: a
 * pipe, terminal, socket, regular file, /dev/null, a pipe whose reader is gone. The descriptor
 * becomes the pump's; its shared status flags are never changed (DESIGN section 1: it may be the
 * user's terminal), so pipes and terminals are reopened non-blocking through /proc/self/fd and
 * sockets use MSG_DONTWAIT. done() is called once, after the last byte went out and the descriptor
 * was closed (writer side of the stream: after EOF was sent). */
struct pump;
/* The stream number is refused: NULL, and fd is closed. Nothing moves before the loop runs again,
 * so the request that names the stream is sent after this, but in the same callback. */
typedef void (*pump_done_fn)(void *arg);
struct pump *pump_to_fd(struct loop *loop, struct mux *m, uint32_t stream, int fd,
                        pump_done_fn done, void *arg);
struct pump *pump_from_fd(struct loop *loop, struct mux *m, uint32_t stream, int fd,
                          pump_done_fn done, void *arg);
/* A pump may be made with fd -1: what comes is held until its descriptor (taken) is there. */
void pump_set_fd(struct pump *p, int fd);
/* Right after it was made with fd -1: a pipe end (taken) that is non-blocking and shared with
 * nobody, and so needs not be opened again. */
void pump_set_own_pipe(struct pump *p, int fd);
/* The same for a socket that keeps the boundaries of messages (SOCK_SEQPACKET, SOCK_DGRAM): in the
 * stream each message is a record, its length as four bytes, little endian, before it. One of more
 * than PUMP_MAX_RECORD bytes is lost on a datagram socket and the end of any other; from the peer
 * it is the end, too. */
#define PUMP_MAX_RECORD (256 * 1024)
struct pump *pump_records_to_fd(struct loop *loop, struct mux *m, uint32_t stream, int fd,
                                pump_done_fn done, void *arg);
struct pump *pump_records_from_fd(struct loop *loop, struct mux *m, uint32_t stream, int fd,
                                  pump_done_fn done, void *arg);
/* pump_from_fd and its like: called when the descriptor has come to its end, before the stream is
 * told. */
void pump_on_end(struct pump *p, pump_done_fn ending);
/* pump_from_fd and its like: the process that wrote to fd is gone. Read what is in the pipe now,
 * send EOF, and finish even if some other process still holds the other end. */
void pump_finish(struct pump *p);
bool pump_is_done(const struct pump *p);
/* To a descriptor only: there are bytes that the descriptor does not take now. */
bool pump_is_blocked(const struct pump *p);
/* From a descriptor: it is done, or will be, since nobody reads the stream any more. */
bool pump_is_unwanted(const struct pump *p);
uint64_t pump_bytes(const struct pump *p); /* moved so far: progress for stall timers */
void pump_free(struct pump *p); /* closes everything; done() is not called; NULL is fine */
