/* Messages between a stream and a socket that keeps their boundaries (mux.h). */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "agent/pump-internal.h"
#include "agent/records.h"
#include "lib/base/log.h"

/* A datagram may get lost, and some errors only tell of an earlier one that was. */
static bool may_go_on(const struct pump *p)
{
	return p->is_lossy && errno != EPIPE && errno != ENOTCONN && errno != ECONNREFUSED &&
	       errno != ECONNRESET;
}

/* From the stream to the socket */

/* Send the record that is there as a whole. False: it has to wait, or nothing is sent any more. */
static bool send_record(struct pump *p)
{
	size_t len = fifo_len(&p->record) - RECORD_HEADER;
	ssize_t n;

	do
		n = send(p->fd, fifo_data(&p->record) + RECORD_HEADER, len,
		         MSG_DONTWAIT | MSG_NOSIGNAL | MSG_EOR);
	while (n < 0 && errno == EINTR);
	p->is_blocked = n < 0 && errno == EAGAIN;
	if (p->is_blocked) {
		loop_set_events(p->source, EPOLLOUT);
		return false;
	}
	if (n < 0 && !may_go_on(p)) {
		pump_end(p);
		return false;
	}
	p->bytes += len;
	fifo_clear(&p->record);
	return true;
}

static size_t to_socket_data(void *arg, const uint8_t *data, size_t len)
{
	struct pump *p = arg;
	size_t used = 0;

	while (!p->is_done && !p->is_blocked && used < len) {
		size_t missing;

		used += record_take(&p->record, data + used, len - used);
		missing = record_missing(&p->record);
		if (fifo_len(&p->record) == RECORD_HEADER && missing > PUMP_MAX_RECORD) {
			log_warn("a message of %zu bytes ends the socket that it was meant for",
			         missing);
			pump_end(p);
		} else if (missing == 0) {
			send_record(p);
		}
	}
	return used;
}

static void to_socket_eof(void *arg)
{
	struct pump *p = arg;

	if (p->is_blocked)
		p->is_last = true;
	else
		pump_end(p);
}

static void to_socket_event(int fd, uint32_t events, void *arg)
{
	struct pump *p = arg;
	int code = 0;
	socklen_t size = sizeof(code);

	if (!(events & EPOLLOUT)) {
		/* What a datagram socket tells once; reading it lets the socket go on. */
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size);
		errno = code;
		if ((events & EPOLLHUP) || !may_go_on(p))
			pump_end(p);
		return;
	}
	loop_set_events(p->source, 0);
	if (!send_record(p))
		return;
	if (p->is_last)
		pump_end(p);
	else
		mux_reader_resume(p->stream);
}

static const struct mux_reader_events to_socket_events = {
	.data = to_socket_data,
	.eof = to_socket_eof,
};

/* From the socket to the stream */

static bool has_hung_up(const struct pump *p)
{
	struct pollfd ask = { .fd = p->fd, .events = POLLRDHUP };

	return poll(&ask, 1, 0) > 0 && (ask.revents & (POLLRDHUP | POLLHUP));
}

static ssize_t receive(const struct pump *p, void *data, size_t len, int flags)
{
	ssize_t n;

	do
		n = recv(p->fd, data, len, flags | MSG_DONTWAIT | MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	return n;
}

/* Send one message on. 1: done; 0: there is none now; -1: there will be none any more. */
static int pass_message(struct pump *p)
{
	ssize_t n = receive(p, NULL, 0, MSG_PEEK);
	auto_free uint8_t *record = NULL;

	if (n < 0)
		return errno == EAGAIN ? 0 : may_go_on(p) ? 1 : -1;
	if (n == 0 && has_hung_up(p))
		return -1;
	if (n > PUMP_MAX_RECORD) {
		log_warn("a message of %zd bytes is too long for a container, ignoring it", n);
		(void)receive(p, NULL, 0, 0);
		return p->is_lossy ? 1 : -1;
	}
	record = xmalloc(RECORD_HEADER + (size_t)n);
	if (receive(p, record + RECORD_HEADER, (size_t)n, 0) != n)
		return p->is_lossy ? 1 : -1; /* another reader was faster */
	protocol_put32(record, (uint32_t)n);
	mux_write(p->stream, record, RECORD_HEADER + (size_t)n);
	p->bytes += (uint64_t)n;
	return 1;
}

static void from_socket_event(int fd, uint32_t events, void *arg)
{
	struct pump *p = arg;
	int r = 1;

	(void)fd;
	(void)events;
	for (int i = 0; i < PUMP_READS && r > 0 && mux_writer_room(p->stream) > 0; i++)
		r = pass_message(p);
	if (r < 0)
		pump_at_end(p);
	else if (mux_writer_room(p->stream) == 0)
		loop_remove(&p->source);
}

static void from_socket_writable(void *arg)
{
	pump_watch(arg, EPOLLIN, from_socket_event);
}

static void from_socket_closed(void *arg)
{
	pump_end(arg);
}

static const struct mux_writer_events from_socket_events = {
	.writable = from_socket_writable,
	.closed = from_socket_closed,
};

void pump_drain_records(struct pump *p)
{
	uint64_t before = p->bytes;

	while (p->bytes - before < PUMP_FINISH_MAX && pass_message(p) > 0)
		;
}

static struct pump *records_new(struct loop *loop, int fd, pump_done_fn done, void *arg)
{
	struct pump *p = pump_new(loop, fd, done, arg);
	int type = SOCK_SEQPACKET;
	socklen_t size = sizeof(type);

	getsockopt(p->fd, SOL_SOCKET, SO_TYPE, &type, &size);
	p->has_records = true;
	p->is_lossy = type == SOCK_DGRAM;
	return p;
}

struct pump *pump_records_to_fd(struct loop *loop, struct mux *m, uint32_t stream, int fd,
                                pump_done_fn done, void *arg)
{
	return pump_read_stream(records_new(loop, fd, done, arg), m, stream, &to_socket_events,
	                        to_socket_event);
}

struct pump *pump_records_from_fd(struct loop *loop, struct mux *m, uint32_t stream, int fd,
                                  pump_done_fn done, void *arg)
{
	return pump_write_stream(records_new(loop, fd, done, arg), m, stream, &from_socket_events,
	                         from_socket_event);
}
