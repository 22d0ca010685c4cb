/* What comes on a control socket: any bytes, in any pieces, with any descriptors. The connection
 * must deliver whole messages or end, and lose no descriptor. The first byte says how many
 * descriptors travel with the second one, the third how long the pieces are. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/ctl.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_INPUT (64u << 10) /* what the socket holds without a reader */

struct seen {
	bool is_closed, frees;
	unsigned messages;
};

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void on_message(struct ctl_conn *c, struct ctl_msg *m, void *arg)
{
	struct seen *s = arg;
	int fd;

	must(!s->is_closed && json_type(m->json) == JSON_OBJECT && m->n_fds <= CTL_MAX_FDS);
	fd = ctl_msg_take_fd(m, "fd");
	must(fd < 0 || fcntl(fd, F_GETFD) >= 0);
	close_fd(&fd);
	s->messages++;
	ctl_conn_send(c, m->json);
	m->json = NULL;
	ctl_msg_free(m);
	if (!s->frees)
		return;
	s->is_closed = true;
	ctl_conn_free(c);
}

static void on_closed(struct ctl_conn *c, void *arg)
{
	struct seen *s = arg;

	must(!s->is_closed);
	s->is_closed = true;
	ctl_conn_free(c);
}

static void send_piece(int fd, const uint8_t *data, size_t len, size_t n_fds)
{
	char control[CMSG_SPACE(sizeof(int) * 253)] = { 0 };
	struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;
	int zero = 0; /* not fd: who holds that sees no end */

	if (n_fds > 253)
		n_fds = 253;
	if (n_fds) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		for (size_t i = 0; i < n_fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &zero, sizeof(int));
	}
	/* Nobody may be left to take it. */
	must(sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len || errno == EPIPE ||
	     errno == ECONNRESET || errno == EAGAIN);
}

/* The lowest free descriptor: the same before and after when none was lost. */
static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void through_loop(const uint8_t *data, size_t size, size_t n_fds, size_t piece, bool frees)
{
	auto_error struct error err = { 0 };
	struct loop *loop = loop_new();
	struct seen s = { .frees = frees };
	char sink[4096];
	int ends[2];

	must(ctl_pair(ends, &err) == 0);
	ctl_conn_new(loop, ends[1], on_message, on_closed, &s);
	for (size_t at = 0; at < size; at += piece, n_fds = 0) {
		send_piece(ends[0], data + at, size - at < piece ? size - at : piece, n_fds);
		must(loop_step(loop, 0) == 0);
		while (recv(ends[0], sink, sizeof(sink), MSG_DONTWAIT) > 0)
			;
	}
	close(ends[0]);
	for (int i = 0; i < 3; i++)
		must(loop_step(loop, 0) == 0);
	must(s.is_closed);
	loop_free(loop);
}

static void by_waiting(const uint8_t *data, size_t size, size_t n_fds)
{
	auto_error struct error err = { 0 };
	struct ctl_msg *m;
	int ends[2];

	must(ctl_pair(ends, &err) == 0);
	if (size)
		send_piece(ends[0], data, size, n_fds);
	close(ends[0]);
	while ((m = ctl_answer(ends[1], 0, &err)) || err.code != ECONNRESET) {
		must(!!m == !err.code);
		ctl_msg_free(m);
		/* A stream that is out of step is left alone. */
		if (err.code == EPROTO || err.code == ETIMEDOUT)
			break;
		error_clear(&err);
	}
	close(ends[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int before = next_fd();

	if (size < 3 || size > MAX_INPUT)
		return 0;
	through_loop(data + 3, size - 3, data[0], (size_t)data[2] * 4 + 1, data[1] & 1);
	by_waiting(data + 3, size - 3, data[0]);
	must(next_fd() == before);
	return 0;
}
