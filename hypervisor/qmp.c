#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "hypervisor/qmp.h"
#include "lib/base/error.h"
#include "lib/base/fd-pass.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"

enum { MAX_FDS = 4 };

struct qmp {
	int fd;
	bool is_ready; /* greeting read, capabilities negotiated */
	bool is_dead;  /* out of step or gone: nothing more can be asked */
	unsigned timeout_ms;
	unsigned serial;      /* of the last command; its answer carries it as "id" */
	unsigned posted;      /* of the last one that nobody has waited for; 0: none */
	struct buf in;        /* bytes read, not yet a whole line */
	size_t scanned;       /* bytes of in known to hold no newline */
	char *event, *device; /* expected, NULL: none */
	bool has_event;       /* and it came */
};

struct qmp *qmp_new(int fd)
{
	struct qmp *qmp = xzalloc(sizeof(*qmp));

	qmp->fd = fd;
	qmp->timeout_ms = QMP_TIMEOUT_MS;
	return qmp;
}

static void forget_event(struct qmp *qmp)
{
	auto_freep(&qmp->event);
	auto_freep(&qmp->device);
	qmp->has_event = false;
}

void qmp_free(struct qmp *qmp)
{
	if (!qmp)
		return;
	close_fd(&qmp->fd);
	buf_done(&qmp->in);
	forget_event(qmp);
	auto_freep(&qmp);
}

void qmp_set_timeout(struct qmp *qmp, unsigned msec)
{
	qmp->timeout_ms = msec;
}

int qmp_fd(const struct qmp *qmp)
{
	return qmp->fd;
}

bool qmp_is_dead(const struct qmp *qmp)
{
	return qmp->is_dead;
}

/* Wait until the socket is ready for events, at most until the deadline (CLOCK_MONOTONIC, ms). */
static int wait_ready(struct qmp *qmp, short events, uint64_t deadline, struct error *err)
{
	struct pollfd p = { .fd = qmp->fd, .events = events };

	for (;;) {
		uint64_t now = loop_now_ms();
		int n;

		/* Looked at even when there is something to read, or a flood would never end. */
		if (now > deadline)
			return error_set(err, ETIMEDOUT, "QEMU does not answer");
		n = poll(&p, 1, (int)(deadline - now) + 1);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return error_sys(err, "wait for QEMU");
	}
}

/* The first whole line of qmp->in, without its end, or NULL. Owned by the caller. */
static char *take_line(struct qmp *qmp, size_t *len)
{
	struct buf *in = &qmp->in;
	char *nl = NULL, *line;
	size_t n;

	if (in->len > qmp->scanned)
		nl = memchr(in->data + qmp->scanned, '\n', in->len - qmp->scanned);
	if (!nl) {
		qmp->scanned = in->len;
		return NULL;
	}
	n = (size_t)(nl - in->data);
	line = xmalloc(n + 1);
	memcpy(line, in->data, n);
	line[n] = '\0';
	buf_drop(in, n + 1);
	qmp->scanned = 0;
	*len = n;
	return line;
}

static int read_some(struct qmp *qmp, uint64_t deadline, struct error *err)
{
	ssize_t n;

	if (qmp->in.len >= QMP_MAX_LINE)
		return error_set(err, EPROTO, "QEMU sent a line of more than %d bytes",
		                 QMP_MAX_LINE);
	if (wait_ready(qmp, POLLIN, deadline, err) < 0)
		return -err->code;
	n = recv(qmp->fd, buf_space(&qmp->in, 4096), 4096, MSG_DONTWAIT);
	if (n > 0) {
		qmp->in.len += (size_t)n;
		return 0;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n == 0 || errno == ECONNRESET)
		return error_set(err, EPIPE, "QEMU closed its control connection");
	return error_sys(err, "read from QEMU");
}

/* One message, an object; NULL and err on failure. */
static struct json *read_message(struct qmp *qmp, uint64_t deadline, struct error *err)
{
	auto_error struct error why = { 0 };
	auto_free char *line = NULL;
	auto_json struct json *msg = NULL;
	size_t len = 0;

	while (!(line = take_line(qmp, &len)))
		if (read_some(qmp, deadline, err) < 0)
			return NULL;
	msg = json_parse(line, len, false, &why);
	if (!msg) {
		error_set(err, EPROTO, "QEMU sent something that is not JSON: %s", why.msg);
		return NULL;
	}
	if (json_type(msg) != JSON_OBJECT) {
		error_set(err, EPROTO, "QEMU sent %s instead of an object",
		          json_type_name(json_type(msg)));
		return NULL;
	}
	return steal_ptr(&msg);
}

/* Is it an event? Then note it when it is the expected one. */
static bool take_event(struct qmp *qmp, const struct json *msg)
{
	const char *name = json_get_string(msg, "event");

	if (!name)
		return false;
	if (qmp->event && str_eq(name, qmp->event) &&
	    str_eq(json_get_string(json_get_object(msg, "data"), "device"), qmp->device))
		qmp->has_event = true;
	return true;
}

static int send_command(struct qmp *qmp, const struct json *command, const int *fds, size_t n_fds,
                        uint64_t deadline, struct error *err)
{
	auto_free char *text = json_print(command, false);
	size_t len = strlen(text), done = 0;
	ssize_t n;

	if (n_fds > MAX_FDS)
		return error_set(err, E2BIG, "%zu descriptors in one command", n_fds);
	text[len++] = '\n'; /* in place of the NUL */
	while (done < len) {
		struct iovec iov = { .iov_base = text + done, .iov_len = len - done };

		n = fd_pass_send(qmp->fd, &iov, 1, fds, n_fds, MSG_DONTWAIT);
		if (n > 0) {
			done += (size_t)n;
			n_fds = 0;
		} else if (n == -EAGAIN) {
			if (wait_ready(qmp, POLLOUT, deadline, err) < 0)
				return -err->code;
		} else if (n == -EPIPE || n == -ECONNRESET) {
			return error_set(err, EPIPE, "QEMU closed its control connection");
		} else if (n < 0) {
			return error_sys(err, "write to QEMU");
		}
	}
	return 0;
}

static bool is_not_found(const struct json *fault)
{
	return str_eq(json_get_string(fault, "class"), "DeviceNotFound");
}

/* What QEMU has against a command, if that is what the message says: -errno, else 0. */
static int read_fault(const struct json *msg, struct error *err)
{
	const struct json *fault = json_get(msg, "error");
	const char *text = json_get_string(fault, "desc");

	if (!fault)
		return 0;
	if (!text || json_get(msg, "return"))
		return error_set(err, EPROTO, "QEMU sent an answer without a result");
	return error_set(err, is_not_found(fault) ? ENODEV : EIO, "%.512s", text);
}

/* What is not the answer that is waited for. */
static int pass_over(struct qmp *qmp, const struct json *msg, struct error *err)
{
	int64_t id = json_get_i64(msg, "id", 0);

	if (!take_event(qmp, msg) && id > 0 && id <= qmp->posted)
		return read_fault(msg, err);
	return 0;
}

/* The answer to the command with this id: 0 and *ret, or what QEMU says is wrong. */
static int read_answer(struct qmp *qmp, uint64_t id, uint64_t deadline, struct json **ret,
                       struct error *err)
{
	for (unsigned skipped = 0; skipped < QMP_MAX_SKIPPED; skipped++) {
		auto_json struct json *msg = read_message(qmp, deadline, err);
		const struct json *value;

		if (!msg)
			return -err->code;
		if (json_get(msg, "event") || json_get_i64(msg, "id", -1) != (int64_t)id) {
			if (pass_over(qmp, msg, err) < 0)
				return -err->code;
			continue;
		}
		if (read_fault(msg, err) < 0)
			return -err->code;
		value = json_get(msg, "return");
		if (!value)
			return error_set(err, EPROTO, "QEMU sent an answer without a result");
		if (ret)
			*ret = json_copy(value);
		return 0;
	}
	return error_set(err, EPROTO, "QEMU sent %d messages but no answer", QMP_MAX_SKIPPED);
}

static int send_named(struct qmp *qmp, const char *name, struct json *args, const int *fds,
                      size_t n_fds, uint64_t deadline, struct error *err)
{
	auto_json struct json *command = json_new_object();

	json_set(command, "execute", json_new_string(name));
	json_set(command, "arguments", args);
	json_set(command, "id", json_new_u64(++qmp->serial));
	return send_command(qmp, command, fds, n_fds, deadline, err);
}

static int exchange(struct qmp *qmp, const char *name, struct json *args, const int *fds,
                    size_t n_fds, uint64_t deadline, struct json **ret, struct error *err)
{
	if (send_named(qmp, name, args, fds, n_fds, deadline, err) < 0)
		return -err->code;
	return read_answer(qmp, qmp->serial, deadline, ret, err);
}

static int shake_hands(struct qmp *qmp, uint64_t deadline, struct error *err)
{
	auto_phase struct log_phase phase = log_phase_begin("qmp-ready");
	auto_json struct json *greeting = read_message(qmp, deadline, err);

	if (!greeting)
		return -err->code;
	if (!json_get_object(greeting, "QMP"))
		return error_set(err, EPROTO, "QEMU sent no greeting");
	if (exchange(qmp, "qmp_capabilities", NULL, NULL, 0, deadline, NULL, err) < 0)
		return -err->code;
	qmp->is_ready = true;
	return 0;
}

int qmp_command(struct qmp *qmp, const char *name, struct json *args, const int *fds, size_t n_fds,
                struct json **ret, struct error *err)
{
	auto_json struct json *owned = args;
	uint64_t deadline = loop_now_ms() + qmp->timeout_ms;

	if (qmp->is_dead)
		return error_set(err, EPIPE, "QMP '%s': the control connection is lost", name);
	if (!qmp->is_ready && shake_hands(qmp, deadline, err) < 0) {
		qmp->is_dead = true; /* not even QEMU's own refusal leaves a way on */
		return error_wrap(err, "QMP '%s'", name);
	}
	if (exchange(qmp, name, steal_ptr(&owned), fds, n_fds, deadline, ret, err) < 0) {
		qmp->is_dead = err->code != EIO && err->code != ENODEV;
		return error_wrap(err, "QMP '%s'", name);
	}
	return 0;
}

int qmp_post(struct qmp *qmp, const char *name, struct json *args, const int *fds, size_t n_fds,
             struct error *err)
{
	auto_json struct json *owned = args;
	uint64_t deadline = loop_now_ms() + qmp->timeout_ms;

	if (qmp->is_dead)
		return error_set(err, EPIPE, "QMP '%s': the control connection is lost", name);
	/* The greeting is passed over when it comes. */
	if ((!qmp->is_ready &&
	     send_named(qmp, "qmp_capabilities", NULL, NULL, 0, deadline, err) < 0) ||
	    send_named(qmp, name, steal_ptr(&owned), fds, n_fds, deadline, err) < 0) {
		qmp->is_dead = true;
		return error_wrap(err, "QMP '%s'", name);
	}
	qmp->is_ready = true;
	qmp->posted = qmp->serial;
	return 0;
}

void qmp_expect_event(struct qmp *qmp, const char *name, const char *device)
{
	if (str_eq(qmp->event, name) && str_eq(qmp->device, device))
		return;
	forget_event(qmp);
	qmp->event = str_dup(name);
	qmp->device = str_dup(device);
}

int qmp_wait_event(struct qmp *qmp, unsigned timeout_ms, struct error *err)
{
	uint64_t deadline = loop_now_ms() + timeout_ms;

	while (!qmp->has_event) {
		auto_json struct json *msg = NULL;

		if (qmp->is_dead)
			return error_set(err, EPIPE, "the control connection is lost");
		msg = read_message(qmp, deadline, err);
		if (!msg) {
			qmp->is_dead = err->code != ETIMEDOUT;
			return -err->code;
		}
		if (pass_over(qmp, msg, err) < 0)
			return -err->code;
	}
	forget_event(qmp);
	return 0;
}
