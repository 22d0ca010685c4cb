/* An agent without a guest: every request succeeds, and SIGKILL and SIGTERM end what they are sent
 * to, so that a container's life can be tested to its end. */
#include <signal.h>
#include <stdlib.h>

#include "agent/agent-internal.h"
#include "agent/protocol.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

#define NOOP_FIRST_PID 100

struct noop {
	struct agent agent;
	struct later *later;
	int64_t last_pid;
};

static struct noop *to_noop(struct agent *a)
{
	return container_of(a, struct noop, agent);
}

static void noop_ready(void *arg, const struct json *hello, const struct error *err)
{
	struct noop *n = arg;

	(void)err;
	n->agent.ready = true;
	if (n->agent.events->ready)
		n->agent.events->ready(n->agent.arg, hello);
}

static struct agent *noop_open(struct loop *loop, int fd, const struct json *hello,
                               const struct agent_events *ev, void *arg)
{
	struct noop *n = xzalloc(sizeof(*n));
	struct json *first = hello ? json_copy(hello) : json_new_object();

	close_fd(&fd);
	n->agent.ops = &agent_noop_ops;
	n->agent.events = ev;
	n->agent.arg = arg;
	n->last_pid = NOOP_FIRST_PID;
	n->later = later_new(loop);
	if (!hello)
		json_set(first, "vcrt", json_new_i64(PROTOCOL_VERSION));
	later_add(n->later, noop_ready, n, first, NULL);
	return &n->agent;
}

static void noop_event(void *arg, const struct json *event, const struct error *err)
{
	struct noop *n = arg;

	(void)err;
	if (n->agent.events->event)
		n->agent.events->event(n->agent.arg, json_get_string(event, "event"), event);
}

static void send_exit(struct noop *n, const struct json *request, int64_t signo)
{
	struct json *event = json_new_object();
	const char *process = json_get_string(request, "process");

	json_set(event, "event", json_new_string("exit"));
	json_set(event, "container", json_new_string(json_get_string(request, "container")));
	json_set(event, "process", json_new_string(process ? process : ""));
	json_set(event, "code", json_new_i64(128 + signo));
	later_add(n->later, noop_event, n, event, NULL);
}

static void noop_call(struct agent *a, struct json *request, agent_reply_fn fn, void *arg)
{
	auto_json struct json *owned = request;
	struct noop *n = to_noop(a);
	struct json *result = json_new_object();
	const char *op = json_get_string(owned, "op");
	int64_t signo = json_get_i64(owned, "signal", 0);

	if (str_eq(op, "create") || str_eq(op, "exec"))
		json_set(result, "pid", json_new_i64(++n->last_pid));
	else if (str_eq(op, "ps"))
		json_set(result, "processes", json_new_array());
	else if (str_eq(op, "network"))
		json_set(result, "changes", json_new_i64(0));
	later_add(n->later, fn, arg, result, NULL);
	if (str_eq(op, "signal") && (signo == SIGKILL || signo == SIGTERM))
		send_exit(n, owned, signo);
}

static void noop_close(struct agent *a)
{
	struct noop *n = to_noop(a);

	later_free(n->later);
	free(n);
}

const struct agent_ops agent_noop_ops = {
	.name = "noop",
	.open = noop_open,
	.call = noop_call,
	.close = noop_close,
};
