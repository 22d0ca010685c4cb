#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/guest/boot.h"
#include "agent/guest/exits.h"
#include "agent/guest/io.h"
#include "agent/guest/resolver.h"
#include "agent/guest/server-internal.h"
#include "agent/mux.h"
#include "agent/protocol.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"

#define CGROUP_ROOT "/sys/fs/cgroup"
#define LOG_CHUNK 4096
#define MAX_WARNINGS (64 * 1024) /* bytes, of an answer */

static void send_json(struct server *s, const struct json *message)
{
	auto_free char *text = json_print(message, false);

	mux_send_control(s->mux, text, strlen(text));
}

static void send_event(void *arg, const struct json *event)
{
	send_json(arg, event);
}

static struct json *event_new(const char *name, const char *container)
{
	struct json *event = json_new_object();

	json_set(event, "event", json_new_string(name));
	json_set(event, "container", json_new_string(container));
	return event;
}

/* Processes and their stdio */

struct attached *server_find(struct server *s, const char *container, const char *process)
{
	for (struct attached *a = s->attached; a; a = a->next) {
		if (str_eq(a->container, container) && str_eq(a->process, process))
			return a;
	}
	return NULL;
}

void server_attach(struct server *s, const char *container, const char *process, struct stdio *io)
{
	struct attached *a = xzalloc(sizeof(*a));

	a->container = str_dup(container);
	a->process = str_dup(process);
	a->io = io;
	a->next = s->attached;
	s->attached = a;
}

static void detach(struct server *s, struct attached *a)
{
	struct attached **at = &s->attached;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	stdio_free(a->io);
	free(a->container);
	free(a->process);
	free(a);
}

/* All output is queued in the mux, and the share will be written back, before the host hears of it.
 */
static void on_exited(void *arg, const char *container, const char *process, int code)
{
	struct server *s = arg;
	struct attached *a = server_find(s, container, process);
	struct json *event = event_new("exit", container);

	json_set(event, "process", json_new_string(process));
	json_set(event, "code", json_new_i64(code));
	if (a) {
		stdio_finish(a->io);
		detach(s, a);
	}
	exits_add(s->exits, event);
}

static void on_oom(void *arg, const char *container)
{
	auto_json struct json *event = event_new("oom", container);

	send_json(arg, event);
}

static void on_ready(void *arg, const char *container)
{
	auto_json struct json *event = event_new("ready", container);

	send_json(arg, event);
}

static const struct guest_events engine_events = {
	.exited = on_exited,
	.oom = on_oom,
	.ready = on_ready,
};

/* Requests */

static void request_free(struct request *r)
{
	struct request **at = &r->server->requests;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	log_collect(NULL); /* it may be answered while it is begun */
	stdio_free(r->io);
	json_free(r->args);
	json_free(r->result);
	json_free(r->warnings);
	free(r);
}

/* They are in the log, too. */
static struct json *take_warnings(struct request *r)
{
	auto_free char *text = json_print(r->warnings, false);

	if (strlen(text) > MAX_WARNINGS) {
		json_free(r->warnings);
		r->warnings = json_new_array();
		json_add(r->warnings, json_new_string("more warnings than an answer can hold"));
	}
	return steal_ptr(&r->warnings);
}

static char *answer_text(struct request *r, const struct error *err)
{
	auto_json struct json *answer = json_new_object();

	json_set(answer, "id", json_new_i64(r->id));
	if (err->code == 0) {
		if (json_len(r->warnings) > 0)
			json_set(r->result, "warnings", take_warnings(r));
		json_set(answer, "ok", steal_ptr(&r->result));
	} else {
		struct json *bad = json_new_object();

		json_set(bad, "code", json_new_i64(err->code));
		json_set(bad, "msg", json_new_string(err->msg ? err->msg : strerror(err->code)));
		json_set(answer, "error", bad);
	}
	return json_print(answer, false);
}

/* A container decides what its processes are called: it must not decide that the connection, and
 * with it the VM, ends. */
static void answer(struct request *r, const struct error *err)
{
	auto_free char *text = answer_text(r, err), *shorter = NULL;
	auto_error struct error refusal = { 0 };
	const char *send = text;

	if (strlen(text) > PROTOCOL_MAX_CONTROL) {
		error_set(&refusal, EMSGSIZE, "the answer of %zu bytes is too long", strlen(text));
		send = shorter = answer_text(r, &refusal);
	}
	mux_send_control(r->server->mux, send, strlen(send));
}

static void start_request(struct request *r)
{
	auto_error struct error err = { 0 };
	struct server *s = r->server;
	int status;

	r->is_started = true;
	if (s->broken.code != 0 && !str_eq(r->operation->name, "shutdown")) {
		error_set(&err, s->broken.code, "%s", s->broken.msg);
		status = request_refuse(s, r, &err);
	} else {
		/* What is warned about meanwhile goes to whoever asked, too. */
		log_collect(r->warnings);
		status = r->operation->fn(s, r, &err);
		log_collect(NULL);
	}
	if (status <= 0)
		request_done(r, &err);
}

static bool may_start(const struct request *r)
{
	const struct request *older = r->server->requests;

	while (older != r && !request_must_wait(r, older))
		older = older->next;
	return older == r;
}

/* Start what has waited for an answer that was given now. */
static void go_on(struct server *s)
{
	struct request *r = s->requests;

	if (s->is_going_on)
		return;
	s->is_going_on = true;
	while (r) {
		bool start = !r->is_started && may_start(r);
		struct request *next = r->next;

		if (start)
			start_request(r);
		r = start ? s->requests : next; /* others may be gone, too */
	}
	s->is_going_on = false;
}

void request_done(void *arg, const struct error *err)
{
	struct request *r = arg;
	struct server *s = r->server;

	answer(r, err);
	request_free(r);
	go_on(s);
}

static void add_request(struct server *s, int64_t id, const struct operation *operation,
                        struct json *args)
{
	struct request *r = xzalloc(sizeof(*r)), **end = &s->requests;

	r->server = s;
	r->id = id;
	r->operation = operation;
	r->args = args;
	r->result = json_new_object();
	r->warnings = json_new_array();
	while (*end)
		end = &(*end)->next;
	*end = r;
	if (may_start(r))
		start_request(r);
}

static int refuse_unknown(struct server *s, struct request *r, struct error *err)
{
	(void)s;
	return error_set(err, ENOSYS, "the agent knows no request '%s'",
	                 json_get_string(r->args, "op"));
}

static void handle_request(struct server *s, struct json **message)
{
	static const struct operation unknown = { "", OP_OTHER, refuse_unknown };
	int64_t id = json_get_i64(*message, "id", 0);
	const char *op = json_get_string(*message, "op");
	const struct operation *operation;

	if (id < 1 || !op) {
		mux_fail(s->mux, EPROTO, "the host broke the protocol: a request without id or op");
		return;
	}
	operation = operation_find(op);
	add_request(s, id, operation ? operation : &unknown, steal_ptr(message));
}

static void on_control(void *arg, const char *text, size_t len, bool is_hello)
{
	struct server *s = arg;
	auto_error struct error err = { 0 };
	auto_json struct json *message = json_parse(text, len, false, &err);

	if (!message || json_type(message) != JSON_OBJECT) {
		mux_fail(s->mux, EPROTO, "the host broke the protocol: %s",
		         message ? "a message that is not an object" : err.msg);
	} else if (!is_hello) {
		handle_request(s, &message);
	} else if (json_get_i64(message, "vcrt", 0) != PROTOCOL_VERSION) {
		mux_fail(s->mux, EPROTO, "the host speaks another version of the protocol");
	}
}

static void on_closed(void *arg, const struct error *err)
{
	struct server *s = arg;

	if (err->code != 0)
		log_error("guest agent: %s", err->msg);
	loop_stop(s->loop, 0);
}

static const struct mux_events server_events = {
	.control = on_control,
	.closed = on_closed,
};

/* The log: what the engine warns about is told to the host. */

static void send_log_line(struct server *s, const char *line, size_t len)
{
	auto_error struct error err = { 0 };
	auto_json struct json *record = json_parse(line, len, false, &err);
	auto_json struct json *event = json_new_object();
	const char *level = json_get_string(record, "level");
	const char *msg = json_get_string(record, "msg");

	if (!level || !msg)
		return;
	json_set(event, "event", json_new_string("log"));
	json_set(event, "level", json_new_string(level));
	json_set(event, "msg", json_new_string(msg));
	send_json(s, event);
}

static void on_log(int fd, uint32_t events, void *arg)
{
	struct server *s = arg;
	struct buf *b = &s->log_text;
	ssize_t n = read(fd, buf_space(b, LOG_CHUNK), LOG_CHUNK);
	char *end;

	(void)events;
	if (n <= 0)
		return;
	if (s->is_debug)
		(void)fs_write_all(STDERR_FILENO, b->data + b->len, (size_t)n);
	b->len += (size_t)n;
	while ((end = memchr(b->data, '\n', b->len))) {
		send_log_line(s, b->data, (size_t)(end - b->data));
		buf_drop(b, (size_t)(end + 1 - b->data));
	}
	if (b->len == 0)
		buf_done(b);
}

static int start_log(struct server *s, struct error *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return error_sys(err, "make a pipe for the log");
	s->log_fd = ends[0];
	s->log_end = ends[1];
	s->log_source = loop_add_fd(s->loop, s->log_fd, EPOLLIN, on_log, s);
	if (!s->log_source)
		return error_sys(err, "watch the log");
	log_to_fd(s->log_end, LOG_JSON, s->is_debug);
	return 0;
}

struct server *server_new(struct loop *loop, int fd)
{
	struct server *s = xzalloc(sizeof(*s));
	const struct exits_target target = { send_event, request_done, s };
	auto_free char *hello =
		str_fmt("{\"vcrt\":%d,\"version\":\"%s\"}", PROTOCOL_VERSION, VCRT_VERSION);

	s->loop = loop;
	s->log_fd = s->log_end = -1;
	s->mux = mux_new(loop, fd, &server_events, s);
	mux_send_hello(s->mux, hello);
	s->exits = exits_new(loop, &target);
	return s;
}

int server_start(struct server *s, struct error *err)
{
	s->is_debug = boot_is_debug();
	s->guest = guest_new(s->loop, CGROUP_ROOT, &engine_events, s);
	return start_log(s, err);
}

bool server_is_warm(const struct server *s)
{
	return s->is_warm;
}

void server_set_broken(struct server *s, const struct error *why)
{
	error_set(&s->broken, why->code, "start the guest: %s", why->msg);
}

void server_child_exited(struct server *s, pid_t pid, int wait_status)
{
	guest_child_exited(s->guest, pid, wait_status);
}

void server_free(struct server *s)
{
	if (!s)
		return;
	while (s->attached)
		detach(s, s->attached);
	s->is_going_on = true; /* what waits stays where it is */
	guest_free(s->guest);
	exits_free(s->exits);
	resolver_free(s->resolver);
	while (s->requests)
		request_free(s->requests);
	loop_remove(&s->log_source);
	loop_remove(&s->off_timer);
	if (s->log_end >= 0)
		log_to_fd(STDERR_FILENO, LOG_TEXT, s->is_debug);
	close_fd(&s->log_fd);
	close_fd(&s->log_end);
	buf_done(&s->log_text);
	mux_free(s->mux);
	error_clear(&s->broken);
	free(s);
}
