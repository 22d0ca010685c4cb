#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/mux.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/loop.h"
#include "test/peer.h"

#define PATIENCE_MS 10000
#define SILENCE_MS 30

int peer_init(struct peer *p, struct loop *loop)
{
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	*p = (struct peer){ .loop = loop, .fd = ends[0] };
	return ends[1];
}

void peer_done(struct peer *p)
{
	close_fd(&p->fd);
	buf_done(&p->in);
	free(steal_ptr(&p->payload));
}

/* What is longer than the socket's buffer needs the other side to read meanwhile. */
static void send_all(struct peer *p, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(p->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0) {
			ck_assert_int_eq(errno, EAGAIN);
			ck_assert_int_eq(loop_step(p->loop, 1), 0);
			continue;
		}
		data += n;
		len -= (size_t)n;
	}
}

void peer_send(struct peer *p, enum frame_type type, uint32_t stream, uint32_t value,
               const void *payload, size_t len)
{
	struct frame f = {
		.type = (uint16_t)type,
		.stream = stream,
		.value = value,
		.length = (uint32_t)len,
	};
	uint8_t header[PROTOCOL_HEADER];

	frame_encode(&f, header);
	send_all(p, (const char *)header, sizeof(header));
	send_all(p, payload, len);
}

void peer_hello(struct peer *p)
{
	static const char hello[] = "{\"vcrt\":1}";

	peer_send(p, FRAME_HELLO, 0, 0, hello, strlen(hello));
}

void peer_control(struct peer *p, const char *text)
{
	peer_send(p, FRAME_CONTROL, 0, 0, text, strlen(text));
}

void peer_data(struct peer *p, uint32_t stream, const char *text)
{
	peer_send(p, FRAME_DATA, stream, 0, text, strlen(text));
}

/* Bytes that came, 0: end, -1: none yet. */
static ssize_t receive(struct peer *p)
{
	ssize_t n =
		recv(p->fd, buf_space(&p->in, PROTOCOL_MAX_DATA), PROTOCOL_MAX_DATA, MSG_DONTWAIT);

	if (n > 0)
		p->in.len += (size_t)n;
	return n;
}

static bool has_frame(struct peer *p)
{
	const char *why;

	if (p->in.len < PROTOCOL_HEADER)
		return false;
	ck_assert_msg(frame_decode((uint8_t *)p->in.data, &p->frame, &why) == 0, "%s", why);
	return p->in.len >= PROTOCOL_HEADER + p->frame.length;
}

void peer_expect(struct peer *p, enum frame_type type, uint32_t stream)
{
	uint64_t deadline = loop_now_ms() + PATIENCE_MS;

	while (!has_frame(p)) {
		ck_assert_msg(loop_now_ms() < deadline, "no frame of type %d came", type);
		ck_assert_int_eq(loop_step(p->loop, 1), 0);
		ck_assert_msg(receive(p) != 0, "the connection ended");
	}
	ck_assert_int_eq(p->frame.type, type);
	ck_assert_uint_eq(p->frame.stream, stream);
	p->payload = xrealloc(p->payload, p->frame.length + 1);
	memcpy(p->payload, p->in.data + PROTOCOL_HEADER, p->frame.length);
	p->payload[p->frame.length] = '\0';
	buf_drop(&p->in, PROTOCOL_HEADER + p->frame.length);
}

void peer_expect_silence(struct peer *p)
{
	uint64_t deadline = loop_now_ms() + SILENCE_MS;

	while (loop_now_ms() < deadline) {
		ck_assert_int_eq(loop_step(p->loop, 1), 0);
		(void)receive(p);
	}
	ck_assert_msg(!has_frame(p), "a frame of type %d came", p->frame.type);
}

void peer_expect_end(struct peer *p)
{
	uint64_t deadline = loop_now_ms() + PATIENCE_MS;
	ssize_t n;

	do {
		ck_assert_msg(loop_now_ms() < deadline, "the connection did not end");
		ck_assert_int_eq(loop_step(p->loop, 1), 0);
		n = receive(p);
	} while (n > 0 || (n < 0 && errno == EAGAIN));
}

static void on_control(void *arg, const char *text, size_t len, bool is_hello)
{
	(void)arg;
	(void)text;
	(void)len;
	(void)is_hello;
}

static void on_closed(void *arg, const struct error *err)
{
	(void)arg;
	ck_abort_msg("closed: %s", err->msg ? err->msg : "end of file");
}

const struct mux_events peer_quiet_events = { on_control, on_closed };
