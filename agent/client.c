/* The host's side of our agent: requests out, answers and events in. The guest is hostile: whatever
 * it says is checked here or ends the connection. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent-internal.h"
#include "agent/mux.h"
#include "agent/protocol.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

#define MAX_ERRNO 4095       /* the kernel's own limit */
#define MAX_VALUES 131072    /* in a message: the longest lists 4096 processes, 16 for each */
#define MAX_ERROR_TEXT 4096u /* of a message that users will read */

struct call {
	struct call *next;
	int64_t id;
	agent_reply_fn fn;
	void *arg;
};

struct client {
	struct agent agent;
	struct mux *mux;
	struct call *calls; /* not answered yet, oldest first */
	int64_t last_id;
	struct later *later;
	struct error lost;        /* code 0: connected */
	bool is_ending, is_freed; /* a callback of on_closed() may close the client */
};

static struct client *to_client(struct agent *a)
{
	return container_of(a, struct client, agent);
}

static int breach(struct client *c, const char *what)
{
	return mux_fail(c->mux, EPROTO, "the agent broke the protocol: %s", what);
}

/* Take the call with this id out of the list; 0: the oldest. */
static struct call *take_call(struct client *c, int64_t id)
{
	for (struct call **at = &c->calls; *at; at = &(*at)->next) {
		struct call *call = *at;

		if (id == 0 || call->id == id) {
			*at = call->next;
			return call;
		}
	}
	return NULL;
}

static int decode_error(const struct json *object, struct error *err)
{
	int64_t code = json_get_i64(object, "code", 0);
	const char *text = json_get_string(object, "msg");
	auto_free char *clean = NULL;

	if (code < 1 || code > MAX_ERRNO || !text)
		return -EPROTO;
	clean = str_ndup(text, MAX_ERROR_TEXT);
	str_clean(clean, strlen(clean));
	error_set(err, (int)code, "%s", clean);
	return 0;
}

static void handle_answer(struct client *c, const struct json *message)
{
	const struct json *ok = json_get_object(message, "ok");
	const struct json *bad = json_get_object(message, "error");
	int64_t id = json_get_i64(message, "id", 0);
	auto_error struct error err = { 0 };
	struct call *call;

	if ((ok != NULL) == (bad != NULL)) {
		breach(c, "an answer needs either \"ok\" or \"error\"");
		return;
	}
	if (bad && decode_error(bad, &err) < 0) {
		breach(c, "an error without code or message");
		return;
	}
	call = id > 0 ? take_call(c, id) : NULL;
	if (!call) {
		breach(c, "an answer to a question that was not asked");
		return;
	}
	if (call->fn)
		call->fn(call->arg, ok, &err);
	free(call);
}

static void handle_hello(struct client *c, const struct json *message)
{
	int64_t version = json_get_i64(message, "vcrt", 0);

	if (version != PROTOCOL_VERSION) {
		mux_fail(c->mux, EPROTO,
		         "the agent in the guest image speaks version %lld of the protocol, not "
		         "%d: rebuild the guest image",
		         (long long)version, PROTOCOL_VERSION);
		return;
	}
	c->agent.ready = true;
	if (c->agent.events->ready)
		c->agent.events->ready(c->agent.arg, message);
}

static void on_control(void *arg, const char *text, size_t len, bool is_hello)
{
	struct client *c = arg;
	auto_error struct error err = { 0 };
	auto_json struct json *message = json_parse_capped(text, len, MAX_VALUES, &err);
	const char *event;

	if (!message || json_type(message) != JSON_OBJECT) {
		breach(c, message ? "a message that is not an object" : err.msg);
		return;
	}
	event = json_get_string(message, "event");
	if (is_hello)
		handle_hello(c, message);
	else if (json_get(message, "id"))
		handle_answer(c, message);
	else if (!event)
		breach(c, "a message that is neither an answer nor an event");
	else if (c->agent.events->event)
		c->agent.events->event(c->agent.arg, event, message);
}

static void client_free(struct client *c)
{
	struct call *call;

	while ((call = take_call(c, 0)))
		free(call);
	error_clear(&c->lost);
	free(c);
}

static void on_closed(void *arg, const struct error *why)
{
	struct client *c = arg;
	struct call *call;

	if (why->code == 0)
		error_set(&c->lost, ECONNRESET, "the agent in the guest closed its connection");
	else
		error_set(&c->lost, why->code, "%s", why->msg);
	c->is_ending = true;
	c->agent.is_lost = true;
	while (!c->is_freed && (call = take_call(c, 0))) {
		if (call->fn)
			call->fn(call->arg, NULL, &c->lost);
		free(call);
	}
	if (!c->is_freed && c->agent.events->lost)
		c->agent.events->lost(c->agent.arg, &c->lost);
	c->is_ending = false;
	if (c->is_freed)
		client_free(c);
}

static const struct mux_events client_mux_events = {
	.control = on_control,
	.closed = on_closed,
};

static void on_resumed(void *arg, const struct json *hello, const struct error *err)
{
	(void)err;
	handle_hello(arg, hello);
}

static struct agent *client_open(struct loop *loop, int fd, const struct json *hello,
                                 const struct agent_events *ev, void *arg)
{
	struct client *c = xzalloc(sizeof(*c));
	auto_free char *ours = str_fmt("{\"vcrt\":%d}", PROTOCOL_VERSION);

	c->agent.ops = &agent_vcrt_ops;
	c->agent.events = ev;
	c->agent.arg = arg;
	c->later = later_new(loop);
	c->mux = mux_new(loop, fd, &client_mux_events, c);
	if (hello) {
		mux_skip_hello(c->mux);
		later_add(c->later, on_resumed, c, json_copy(hello), NULL);
	} else {
		mux_send_hello(c->mux, ours);
	}
	return &c->agent;
}

/* The mux holds back what is sent before the guest's hello, so that nothing is queued here. */
static void client_call(struct agent *a, struct json *request, agent_reply_fn fn, void *arg)
{
	auto_json struct json *owned = request;
	struct client *c = to_client(a);
	auto_error struct error err = { 0 };
	auto_free char *text = NULL;
	struct call *call, **end = &c->calls;

	json_set(owned, "id", json_new_i64(++c->last_id));
	text = json_print(owned, false);
	if (c->lost.code == 0 && strlen(text) > PROTOCOL_MAX_CONTROL)
		error_set(&err, EMSGSIZE, "the request has %zu bytes, more than the agent reads",
		          strlen(text));
	if (c->lost.code != 0 || err.code != 0) {
		later_add(c->later, fn, arg, NULL, err.code ? &err : &c->lost);
		return;
	}
	call = xzalloc(sizeof(*call));
	call->id = c->last_id;
	call->fn = fn;
	call->arg = arg;
	while (*end)
		end = &(*end)->next;
	*end = call;
	mux_send_control(c->mux, text, strlen(text));
}

static struct mux *client_mux(struct agent *a)
{
	return to_client(a)->mux;
}

static void client_close(struct agent *a)
{
	struct client *c = to_client(a);

	later_free(c->later);
	mux_free(c->mux);
	c->is_freed = true;
	if (!c->is_ending)
		client_free(c);
}

const struct agent_ops agent_vcrt_ops = {
	.name = "vcrt",
	.open = client_open,
	.call = client_call,
	.mux = client_mux,
	.close = client_close,
};
