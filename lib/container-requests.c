/* Requests of verbs about a container that exists. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fds-proxy.h"
#include "lib/monitor-internal.h"
#include "lib/network.h"
#include "lib/stats.h"
#include "lib/vcrt.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define MAX_PS_ROWS 4096
#define MAX_PS_TEXT 4096 /* bytes of a column */

/* A verb that waits for the guest's answer. The container, and the process, may be gone by then. */
struct waiter {
	struct monitor *m;
	struct client *client;
	char *container, *process;
	bool freeze;          /* of pause and resume */
	struct json *request; /* of update */
};

static struct waiter *waiter_new(struct container *ct, struct client *c, const char *process)
{
	struct waiter *w = xzalloc(sizeof(*w));

	*w = (struct waiter){ .m = ct->m, .client = client_ref(c) };
	w->container = str_dup(ct->id);
	w->process = str_dup(process);
	return w;
}

/* Answer and forget: the error, or result (taken, may be NULL). */
static void waiter_end(struct waiter *w, struct json *result, const struct error *err)
{
	if (err && err->code) {
		json_free(result);
		client_fail(w->client, err);
	} else {
		client_ok(w->client, result);
	}
	free(w->container);
	free(w->process);
	json_free(w->request);
	free(w);
}

static struct container *waiter_container(const struct waiter *w)
{
	return container_find(w->m, w->container);
}

static void on_started(void *arg, const struct json *result, const struct error *err)
{
	struct waiter *w = arg;
	struct container *ct = waiter_container(w);

	if (result && ct) {
		ct->is_started = true;
		fds_proxy_listen(ct->processes->proxy);
	}
	/* It may have ended already. */
	if (result && ct && str_eq(ct->record->oci->status, VCRT_CREATED))
		container_publish_or_warn(ct, VCRT_RUNNING);
	waiter_end(w, NULL, err);
}

static void on_network(void *arg, const struct error *err)
{
	struct waiter *w = arg;
	struct container *ct = waiter_container(w);
	auto_error struct error gone = { 0 };

	if (!err && !ct)
		error_set(&gone, ESRCH, "cannot start a container that has stopped");
	if (err || !ct)
		waiter_end(w, NULL, err ? err : &gone);
	else
		vm_call_long(ct->m, "start", container_args(ct), ct->hook_seconds, on_started, w);
}

/* Engines may fill the network namespace between create and start. */
void container_start(struct container *ct, struct client *c)
{
	const char *status = ct->record->oci->status;

	if (str_eq(status, VCRT_STOPPED))
		client_failf(client_ref(c), EINVAL, "cannot start a container that has stopped");
	else if (str_eq(status, VCRT_PAUSED))
		client_failf(client_ref(c), EINVAL, "cannot start a container in the paused state");
	else if (!str_eq(status, VCRT_CREATED))
		client_failf(client_ref(c), EINVAL, "cannot start an already running container");
	else
		network_sync(pod_network(ct), on_network, waiter_new(ct, c, NULL));
}

static void on_exec_started(void *arg, const struct json *result, const struct error *err)
{
	struct waiter *w = arg;
	struct container *ct = waiter_container(w);
	struct process *p = ct ? process_find(ct, w->process) : NULL;
	auto_error struct error wrapped = { 0 };

	if (!result && p)
		process_free(p);
	if (!result)
		error_set(&wrapped, err->code, "unable to start container process: %s", err->msg);
	waiter_end(w, container_warnings(result), &wrapped);
	if (result && p) {
		fds_proxy_listen(p->proxy);
		process_answered(p);
	}
}

/* Members: container, process (its name), spec (process object), ignore_paused, cgroup (below the
 * container's), and the process's own (process.c). */
void container_exec(struct container *ct, struct client *c, struct ctl_msg *msg)
{
	const char *name = json_get_string(msg->json, "process");
	const char *status = ct->record->oci->status;
	struct json *args, *io;
	struct process *p;

	if (str_eq(status, VCRT_PAUSED) && !json_get_bool(msg->json, "ignore_paused", false)) {
		client_failf(client_ref(c), EINVAL,
		             "cannot exec in a paused container (use --ignore-paused to override)");
		return;
	}
	if (!container_is_live(ct)) {
		client_failf(client_ref(c), EINVAL, "cannot exec in a stopped container");
		return;
	}
	if (!name || !*name || process_find(ct, name)) {
		client_failf(client_ref(c), EPROTO, "a request to exec has no name of its own");
		return;
	}
	p = process_new(ct, name, c, msg);
	c->process = p;
	c->is_standin = p->foreground != NULL;
	io = process_open_io(p);
	if (!io) {
		process_free(p);
		client_failf(client_ref(c), EMFILE, "too many processes in the sandbox");
		return;
	}
	args = container_args(ct);
	json_set(args, "process", json_new_string(name));
	json_set(args, "spec", json_copy(json_get(msg->json, "spec")));
	json_set(args, "io", io);
	json_set(args, "cgroup", json_new_string(json_get_string(msg->json, "cgroup")));
	vm_call_long(ct->m, "exec", args, VM_LAUNCH_SECONDS, on_exec_started,
	             waiter_new(ct, c, name));
}

/* The answer goes to the verb as it is. */
static void on_forwarded(void *arg, const struct json *result, const struct error *err)
{
	struct client *c = arg;

	if (!result && err->code == ESRCH)
		client_failf(c, ESRCH, "container not running");
	else if (!result)
		client_fail(c, err);
	else
		client_ok(c, json_copy(result));
}

void container_kill(struct container *ct, struct client *c, const struct json *request)
{
	bool all = json_get_bool(request, "all", false);
	struct json *args;

	if (!container_is_live(ct)) {
		if (all)
			client_ok(client_ref(c), NULL);
		else
			client_failf(client_ref(c), ESRCH, "container not running");
		return;
	}
	args = container_args(ct);
	json_set(args, "process", json_new_string(PROCESS_INIT));
	json_set(args, "signal", json_new_i64(json_get_i64(request, "signal", SIGTERM)));
	json_set(args, "all", json_new_bool(all));
	vm_call(ct->m, "signal", args, on_forwarded, client_ref(c));
}

void container_resize(struct container *ct, struct client *c, const struct json *request)
{
	if (!container_is_live(ct) || !ct->processes->has_tty) {
		client_failf(client_ref(c), ENOTTY, "container '%s' has no terminal", ct->id);
		return;
	}
	process_resize(ct->processes, (unsigned short)json_get_i64(request, "height", 0),
	               (unsigned short)json_get_i64(request, "width", 0));
	client_ok(client_ref(c), NULL);
}

/* Rows of the guest's ps, made fit for a terminal: programs choose their names and arguments. */
static struct json *clean_row(const struct json *row)
{
	static const char *const keys[] = { "uid", "stime", "tty", "time", "stat", "comm", "cmd" };
	static const char *const numbers[] = { "pid", "ppid", "c", "cpu", "memory", "vsz", "rss" };
	struct json *j = json_new_object();

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		json_set(j, numbers[i], json_new_i64(json_get_i64(row, numbers[i], 0)));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *value = json_get_string(row, keys[i]);
		auto_free char *clean = str_ndup(value ? value : "", MAX_PS_TEXT);

		str_clean(clean, strlen(clean));
		json_set(j, keys[i], json_new_string(clean));
	}
	return j;
}

static void on_ps(void *arg, const struct json *result, const struct error *err)
{
	struct waiter *w = arg;
	struct container *ct = waiter_container(w);
	const struct json *rows = json_get_array(result, "processes");
	struct json *answer = json_new_object(), *list = json_new_array();

	for (size_t i = 0; rows && i < json_len(rows) && i < MAX_PS_ROWS; i++) {
		const char *name = json_get_string(json_at(rows, i), "process");
		struct process *p = ct && name ? process_find(ct, name) : NULL;
		struct json *row = clean_row(json_at(rows, i));

		if (p)
			json_set(row, "shim", json_new_i64(p->shim_pid));
		json_add(list, row);
	}
	json_set(answer, "processes", list);
	waiter_end(w, answer, err);
}

void container_ps(struct container *ct, struct client *c)
{
	if (container_is_live(ct))
		vm_call(ct->m, "ps", container_args(ct), on_ps, waiter_new(ct, c, NULL));
	else
		client_ok(client_ref(c), NULL);
}

static void on_updated(void *arg, const struct json *result, const struct error *err)
{
	struct waiter *w = arg;
	struct container *ct = waiter_container(w);
	auto_error struct error failed = { 0 };

	if (result && ct)
		size_limits_changed(ct, w->request);
	if (!result)
		error_set(&failed, err->code, "%s",
		          err->code == ESRCH ? "container not running" : err->msg);
	waiter_end(w, result ? json_copy(result) : NULL, &failed);
}

/* Members: resources, as linux.resources of config.json. */
void container_update(struct container *ct, struct client *c, const struct json *request)
{
	struct waiter *w;
	struct json *args;

	if (!container_is_live(ct)) {
		client_failf(client_ref(c), ESRCH, "container not running");
		return;
	}
	args = container_args(ct);
	json_set(args, "resources", json_copy(json_get(request, "resources")));
	w = waiter_new(ct, c, NULL);
	w->request = json_copy(request);
	vm_call(ct->m, "update", args, on_updated, w);
}

static void on_stats(void *arg, const struct json *result, const struct error *err)
{
	struct client *c = arg;
	struct json *answer;

	if (!result) {
		client_fail(c, err);
		return;
	}
	answer = json_new_object();
	json_set(answer, "stats", stats_of_guest(result));
	client_ok(c, answer);
}

void container_stats(struct container *ct, struct client *c)
{
	if (container_is_live(ct))
		vm_call(ct->m, "stats", container_args(ct), on_stats, client_ref(c));
	else
		client_failf(client_ref(c), ESRCH, "container with id %s is not running", ct->id);
}

static void tell(struct client *c, const char *event)
{
	struct json *j = json_new_object();

	json_set(j, "event", json_new_string(event));
	ctl_conn_send(c->conn, j);
}

/* Members: ready: the verb waits for that event, which may have been before. */
void container_watch(struct container *ct, struct client *c, const struct json *request)
{
	bool for_ready = json_get_bool(request, "ready", false);

	if (!container_is_live(ct)) {
		client_failf(client_ref(c), ESRCH, "container with id %s is not running", ct->id);
		return;
	}
	if (for_ready && !ct->tells_ready) {
		client_failf(client_ref(c), EINVAL,
		             "NOTIFY_SOCKET is set, but was not when container '%s' was created",
		             ct->id);
		return;
	}
	free(c->watching);
	c->watching = str_dup(ct->id);
	client_ok(client_ref(c), NULL);
	if (for_ready && ct->is_ready && c->conn)
		tell(c, "ready");
}

void container_ready(struct container *ct)
{
	if (!ct->tells_ready || ct->is_ready)
		return;
	ct->is_ready = true;
	container_tell(ct, "ready");
}

void container_tell(struct container *ct, const char *event)
{
	for (struct client *c = ct->m->clients; c; c = c->next) {
		if (!c->conn || !str_eq(c->watching, ct->id))
			continue;
		/* A guest may have much to tell, and a verb may be slow to read. */
		if (str_eq(event, "oom") && ctl_conn_is_full(c->conn))
			continue;
		tell(c, event);
	}
}

static void on_frozen(void *arg, const struct json *result, const struct error *err)
{
	struct waiter *w = arg;
	struct container *ct = waiter_container(w);
	const char *status = VCRT_PAUSED;

	if (ct && !w->freeze)
		status = ct->is_started ? VCRT_RUNNING : VCRT_CREATED;
	if (result && ct && container_is_live(ct)) {
		container_publish_or_warn(ct, status);
		vm_rearm_calls(ct->m, ct->id);
	}
	waiter_end(w, NULL, err);
}

void container_freeze(struct container *ct, struct client *c, bool freeze)
{
	const char *status = ct->record->oci->status;
	struct waiter *w;

	if (!freeze && !str_eq(status, VCRT_PAUSED)) {
		client_failf(client_ref(c), EINVAL, "container not paused");
		return;
	}
	if (freeze && !str_eq(status, VCRT_RUNNING) && !str_eq(status, VCRT_CREATED)) {
		client_failf(client_ref(c), EINVAL, "container not running");
		return;
	}
	w = waiter_new(ct, c, NULL);
	w->freeze = freeze;
	vm_call(ct->m, freeze ? "pause" : "resume", container_args(ct), on_frozen, w);
}
