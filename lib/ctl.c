#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/ctl.h"
#include "lib/base/error.h"
#include "lib/base/fd-pass.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"

#define BATCH 250 /* descriptors, at most FD_PASS_MAX */

/* On the wire: this header, then the JSON text. The first batch of descriptors travels with the
 * header, each other one with a byte of the text, which is longer than the number of descriptors.
 */
struct ctl_header {
	uint32_t length;
	uint32_t n_fds;
};

/* A message that is arriving. */
struct ctl_in {
	struct ctl_header header;
	size_t got_header;
	struct buf text;
	int *fds;
	size_t n_fds;
};

/* Room is made for twice as many when the number is a power of two. */
static void push_fd(int **fds, size_t *n, int fd)
{
	if ((*n & (*n - 1)) == 0)
		*fds = xreallocarray(*fds, *n ? *n * 2 : 1, sizeof(**fds));
	(*fds)[(*n)++] = fd;
}

void ctl_msg_free(struct ctl_msg *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n_fds; i++)
		close_fd(&m->fds[i]);
	free(m->fds);
	json_free(m->json);
	free(m);
}

void ctl_msg_freep(struct ctl_msg **m)
{
	ctl_msg_free(*m);
	*m = NULL;
}

int ctl_msg_take_fd_at(struct ctl_msg *m, size_t index)
{
	return index < m->n_fds ? steal_fd(&m->fds[index]) : -1;
}

int ctl_msg_take_fd(struct ctl_msg *m, const char *key)
{
	int64_t index = json_get_i64(m->json, key, -1);

	return index < 0 ? -1 : ctl_msg_take_fd_at(m, (size_t)index);
}

int ctl_out_fd(struct ctl_out *o, struct json *object, const char *key, int fd, struct error *err)
{
	if (fd < 0)
		return 0;
	if (o->n_fds == CTL_MAX_FDS)
		return error_set(err, E2BIG, "more than %d descriptors and bind mounts",
		                 CTL_MAX_FDS);
	json_set(object ? object : o->json, key, json_new_u64(o->n_fds));
	push_fd(&o->fds, &o->n_fds, fd);
	return 0;
}

void ctl_out_done(struct ctl_out *o)
{
	json_free(o->json);
	free(o->fds);
	*o = (struct ctl_out){ 0 };
}

int ctl_pair(int fds[2], struct error *err)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return error_sys(err, "make a socket pair");
	return 0;
}

static int wait_for(int fd, short events, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n;

	do
		n = poll(&p, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n ? 0 : -ETIMEDOUT;
}

/* ---- sending ---- */

static int send_bytes(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int send_message(int fd, const char *text, size_t len, const int *fds, size_t n)
{
	struct ctl_header h = { .length = (uint32_t)len, .n_fds = (uint32_t)n };
	size_t done = n < BATCH ? n : BATCH, at = 0;
	/* The reader is to wake once, if one batch is enough. */
	struct iovec iov[] = { { .iov_base = &h, .iov_len = sizeof(h) },
		               { .iov_base = (void *)(uintptr_t)text, .iov_len = len } };
	ssize_t r = fd_pass_send(fd, iov, done < n ? 1 : 2, fds, done, 0);

	if (r < 0)
		return (int)r;
	if (r < (ssize_t)sizeof(h))
		return -EIO;
	at = (size_t)r - sizeof(h);
	while (done < n) {
		size_t batch = n - done < BATCH ? n - done : BATCH;

		if (at == len)
			return -EINVAL;
		iov[1] = (struct iovec){ .iov_base = (void *)(uintptr_t)(text + at++),
			                 .iov_len = 1 };
		r = fd_pass_send(fd, &iov[1], 1, fds + done, batch, 0);
		if (r < 0)
			return (int)r;
		done += batch;
	}
	return send_bytes(fd, text + at, len - at);
}

static struct json *error_to_json(const struct error *err)
{
	struct json *j = json_new_object(), *e = json_new_object();

	json_set(e, "code", json_new_i64(err->code));
	json_set(e, "msg", json_new_string(err->msg));
	json_set(j, "error", e);
	return j;
}

void ctl_send_error(int fd, const struct error *why)
{
	auto_error struct error ignored = { 0 };
	struct ctl_out out = { .json = error_to_json(why) };

	ctl_send(fd, &out, &ignored);
	ctl_out_done(&out);
}

int ctl_send(int fd, const struct ctl_out *o, struct error *err)
{
	auto_free char *text = json_print(o->json, false);
	size_t len = strlen(text);
	int r;

	if (len > CTL_MAX_MESSAGE)
		return error_set(err, E2BIG, "the request is longer than %u bytes",
		                 CTL_MAX_MESSAGE);
	r = send_message(fd, text, len, o->fds, o->n_fds);
	if (r < 0)
		return error_set(err, -r, "send a request to the monitor: %s", strerror(-r));
	return 0;
}

/* ---- receiving ---- */

static void in_done(struct ctl_in *in)
{
	for (size_t i = 0; i < in->n_fds; i++)
		close_fd(&in->fds[i]);
	free(in->fds);
	buf_done(&in->text);
	*in = (struct ctl_in){ 0 };
}

static ssize_t in_read(struct ctl_in *in, int fd, void *data, size_t len)
{
	struct iovec iov = { .iov_base = data, .iov_len = len };
	int fds[FD_PASS_MAX];
	size_t n_fds = ARRAY_SIZE(fds);
	ssize_t n = fd_pass_receive(fd, &iov, 1, fds, &n_fds, MSG_DONTWAIT);

	for (size_t i = 0; i < n_fds; i++) {
		if (in->n_fds < CTL_MAX_FDS)
			push_fd(&in->fds, &in->n_fds, fds[i]);
		else
			close_fd(&fds[i]);
	}
	return n ? n : -ECONNRESET;
}

/* 0: the message is complete; -EAGAIN: more has to come; else the connection is at its end. */
static int in_step(struct ctl_in *in, int fd)
{
	ssize_t n;

	while (in->got_header < sizeof(in->header)) {
		n = in_read(in, fd, (char *)&in->header + in->got_header,
		            sizeof(in->header) - in->got_header);
		if (n < 0)
			return (int)n;
		in->got_header += (size_t)n;
	}
	if (in->header.length > CTL_MAX_MESSAGE)
		return -EPROTO;
	while (in->text.len < in->header.length) {
		size_t left = in->header.length - in->text.len;

		n = in_read(in, fd, buf_space(&in->text, left), left);
		if (n < 0)
			return (int)n;
		in->text.len += (size_t)n;
	}
	return 0;
}

static void lost_fds(struct error *err)
{
	error_set(err, EMFILE, "descriptors of a control message were lost");
}

static struct ctl_msg *in_finish(struct ctl_in *in, struct error *err)
{
	struct ctl_msg *m = xzalloc(sizeof(*m));

	m->n_fds = in->n_fds;
	m->fds = steal_ptr(&in->fds);
	in->n_fds = 0;
	m->json = json_parse(in->text.len ? in->text.data : "", in->text.len, false, err);
	if (m->json && json_type(m->json) != JSON_OBJECT)
		error_set(err, EPROTO, "a control message is not an object");
	else if (m->json && m->n_fds != in->header.n_fds)
		lost_fds(err);
	in_done(in);
	if (err->code) {
		ctl_msg_free(m);
		return NULL;
	}
	return m;
}

bool ctl_is_readable(int fd, int timeout_ms)
{
	return wait_for(fd, POLLIN, timeout_ms) == 0;
}

struct ctl_msg *ctl_recv(int fd, int timeout_ms, struct error *err)
{
	uint64_t end = timeout_ms < 0 ? 0 : loop_now_ms() + (uint64_t)timeout_ms;
	struct ctl_in in = { 0 };
	struct ctl_msg *m;
	int r;

	while ((r = in_step(&in, fd)) == -EAGAIN) {
		uint64_t now = timeout_ms < 0 ? 0 : loop_now_ms();

		r = wait_for(fd, POLLIN, timeout_ms < 0 ? -1 : now >= end ? 0 : (int)(end - now));
		if (r < 0)
			break;
	}
	if (r < 0) {
		in_done(&in);
		if (r == -ECONNRESET)
			error_set(err, ECONNRESET, "the sandbox's monitor has ended");
		else if (r == -EMFILE)
			lost_fds(err);
		else
			error_set(err, -r, "wait for the sandbox's monitor: %s", strerror(-r));
		return NULL;
	}
	m = in_finish(&in, err);
	return m;
}

/* ---- a connection in a loop ---- */

struct ctl_conn {
	int fd;
	struct loop *loop;
	struct loop_source *source;
	ctl_message_fn message;
	ctl_closed_fn closed;
	void *arg;
	struct ctl_in in;
	struct buf out;
	bool *freed; /* set while a callback runs */
};

void ctl_conn_free(struct ctl_conn *c)
{
	if (!c)
		return;
	if (c->freed)
		*c->freed = true;
	loop_remove(&c->source);
	in_done(&c->in);
	buf_done(&c->out);
	close_fd(&c->fd);
	free(c);
}

static int conn_flush(struct ctl_conn *c)
{
	while (c->out.len) {
		ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		buf_drop(&c->out, (size_t)n);
	}
	return 0;
}

static void conn_event(int fd, uint32_t events, void *arg)
{
	struct ctl_conn *c = arg;
	bool freed = false;
	int r = 0;

	c->freed = &freed;
	if (events & EPOLLOUT)
		r = conn_flush(c);
	while (r == 0) {
		auto_error struct error err = { 0 };
		struct ctl_msg *m;

		r = in_step(&c->in, fd);
		if (r < 0)
			break;
		m = in_finish(&c->in, &err);
		if (!m) {
			r = -EPROTO;
			break;
		}
		c->message(c, m, c->arg);
		if (freed)
			return;
	}
	if (r != -EAGAIN && r < 0) {
		loop_remove(&c->source);
		c->closed(c, c->arg);
		if (freed)
			return;
	}
	c->freed = NULL;
	if (c->source)
		loop_set_events(c->source, EPOLLIN | (c->out.len ? EPOLLOUT : 0));
}

struct ctl_conn *ctl_conn_new(struct loop *loop, int fd, ctl_message_fn message,
                              ctl_closed_fn closed, void *arg)
{
	struct ctl_conn *c = xzalloc(sizeof(*c));

	c->fd = fd;
	c->loop = loop;
	c->message = message;
	c->closed = closed;
	c->arg = arg;
	c->source = loop_add_fd(loop, fd, EPOLLIN, conn_event, c);
	return c;
}

void ctl_conn_send(struct ctl_conn *c, struct json *json)
{
	auto_free char *text = json_print(json, false);
	struct ctl_header h = { .length = (uint32_t)strlen(text) };

	json_free(json);
	buf_add(&c->out, &h, sizeof(h));
	buf_add(&c->out, text, h.length);
	/* A peer that is gone is seen as the end of its side, in conn_event(). */
	if (conn_flush(c) < 0)
		c->out.len = 0;
	if (c->source)
		loop_set_events(c->source, EPOLLIN | (c->out.len ? EPOLLOUT : 0));
}

#define MAX_QUEUE (64u << 10)

bool ctl_conn_is_full(const struct ctl_conn *c)
{
	return c->out.len > MAX_QUEUE;
}

void ctl_conn_ok(struct ctl_conn *c, struct json *result)
{
	struct json *j = json_new_object();

	json_set(j, "ok", result ? result : json_new_object());
	ctl_conn_send(c, j);
}

void ctl_conn_error(struct ctl_conn *c, const struct error *err)
{
	ctl_conn_send(c, error_to_json(err));
}
