#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "hypervisor/hypervisor.h"
#include "lib/monitor-internal.h"
#include "lib/network.h"
#include "lib/share.h"
#include "lib/vcrt.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "oci/oci.h"

/* How long a container that is deleted may take to die before its VM is given up, ms. */
#define KILL_TIMEOUT 5000

struct container *container_find(struct monitor *m, const char *id)
{
	for (struct container *ct = m->containers; ct; ct = ct->next)
		if (str_eq(ct->id, id))
			return ct;
	return NULL;
}

bool container_is_live(const struct container *ct)
{
	const char *status = ct->record->oci->status;

	return str_eq(status, VCRT_CREATED) || str_eq(status, VCRT_RUNNING) ||
	       str_eq(status, VCRT_PAUSED);
}

int container_publish(struct container *ct, const char *status, struct error *err)
{
	struct oci_state *oci = ct->record->oci;

	if (status != oci->status) {
		free(oci->status);
		oci->status = str_dup(status);
	}
	oci->pid = container_is_live(ct) ? ct->record->shim.pid : 0;
	ct->record->vmm = ct->m->vmm;
	ct->record->fs_server = ct->m->fs_server.ref;
	ct->record->vm_cpus = ct->m->size.cpus;
	ct->record->room = vm_room(ct->m->config, ct->m->size.memory_mib);
	if (record_publish(ct->dirfd, ct->record, err) < 0)
		return error_wrap(err, "publish the state of '%s'", ct->id);
	return 0;
}

void container_publish_or_warn(struct container *ct, const char *status)
{
	auto_error struct error err = { 0 };

	if (container_publish(ct, status, &err) < 0)
		log_warn("%s, ignoring", err.msg);
}

void container_free(struct container *ct)
{
	struct monitor *m = ct->m;
	struct container **at = &m->containers;

	while (*at && *at != ct)
		at = &(*at)->next;
	if (*at)
		*at = ct->next;
	while (ct->processes)
		process_free(ct->processes);
	loop_remove(&ct->kill_timer);
	pod_end_network(ct);
	share_remove(ct->key);
	if (ct->creator)
		ct->creator->creating = NULL;
	client_unref(ct->creator);
	client_unref(ct->deleter);
	close_fd(&ct->dirfd);
	json_free(ct->request);
	json_free(ct->created);
	record_free(ct->record);
	error_clear(&ct->why);
	free(ct->ns);
	free(ct->id);
	free(ct->key);
	free(ct);
	if (!m->is_ending)
		pod_publish(m);
}

/* Whether nobody but ct (may be NULL) needs the VM. */
static bool is_last(const struct monitor *m, const struct container *last)
{
	for (const struct container *ct = m->containers; ct; ct = ct->next)
		if (ct != last && (container_is_live(ct) || !ct->is_committed))
			return false;
	return !pod_is_expecting(m);
}

void container_end_if_last(struct monitor *m)
{
	if (m->is_ending || !is_last(m, NULL))
		return;
	m->is_ending = true;
	loop_stop(m->loop, 0);
}

struct json *container_deleted(const struct monitor *m)
{
	struct json *answer = json_new_object();

	json_set(answer, "stays", json_new_bool(!m->is_ending && !is_last(m, NULL)));
	return answer;
}

struct json *container_args(const struct container *ct)
{
	struct json *args = json_new_object();

	json_set(args, "container", json_new_string(ct->id));
	return args;
}

struct json *container_warnings(const struct json *result)
{
	const struct json *list = json_get_array(result, "warnings");
	struct json *answer = list ? json_new_object() : NULL;

	if (list)
		json_set(answer, "warnings", json_copy(list));
	return answer;
}

/* ---- create ---- */

static int take_trees(struct container *ct, struct ctl_msg *msg, struct error *err)
{
	auto_phase struct log_phase phase = log_phase_begin("share");
	const struct json *trees = json_get_array(msg->json, "trees");

	for (size_t i = 0; trees && i < json_len(trees); i++) {
		const struct json *t = json_at(trees, i);
		const char *name = json_get_string(t, "name");
		int64_t index = json_get_i64(t, "fd", -1);
		auto_close int fd = index < 0 ? -1 : ctl_msg_take_fd_at(msg, (size_t)index);

		if (!name || fd < 0)
			return error_set(err, EPROTO, "a mount tree is missing in the request");
		if (share_add(ct->key, name, fd, json_get_bool(t, "file", false), err) < 0)
			return -err->code;
	}
	return 0;
}

static int fill(struct container *ct, struct client *c, struct ctl_msg *msg, struct error *err)
{
	const struct json *state = json_get_object(msg->json, "state");
	auto_close int netns = ctl_msg_take_fd(msg, "netns");

	if (ct->dirfd < 0 || !state || !json_get_object(msg->json, "spec"))
		return error_set(err, EPROTO, "the request to create '%s' is incomplete", ct->id);
	if (pod_add_container(ct, json_get_array(msg->json, "namespaces"), err) < 0 ||
	    record_merge(ct->record, state, err) < 0 || take_trees(ct, msg, err) < 0)
		return -err->code;
	if (netns >= 0 && pod_add_network(ct, netns, err) < 0)
		return -err->code;
	process_new(ct, PROCESS_INIT, c, msg);
	return container_publish(ct, VCRT_CREATING, err);
}

/* Members: container, key, dir (descriptor of ROOT/ID), netns (of the network namespace), state
 * (its record), spec (document for the guest), namespaces (namespaces_describe()), no_pivot,
 * no_new_keyring, notify, need (vm-size.h), trees: [{name, fd, file}], and the process's
 * (process.c). */
void container_create(struct monitor *m, struct client *c, struct ctl_msg *msg)
{
	const char *id = json_get_string(msg->json, "container");
	const char *key = json_get_string(msg->json, "key");
	auto_error struct error err = { 0 };
	struct container *ct;

	if (!id || !key) {
		client_failf(client_ref(c), EPROTO, "a request to create has no container");
		return;
	}
	ct = xzalloc(sizeof(*ct));
	ct->m = m;
	ct->id = str_dup(id);
	ct->key = str_dup(key);
	ct->dirfd = ctl_msg_take_fd(msg, "dir");
	ct->record = record_new(id, "");
	ct->tells_ready = json_get_bool(msg->json, "notify", false);
	vm_need_from_json(&ct->need, json_get_object(msg->json, "need"));
	ct->limits = ct->need;
	ct->hook_seconds = (unsigned)json_get_i64(msg->json, "hook_seconds", 0);
	ct->next = m->containers;
	m->containers = ct;
	c->is_coming = false;
	if (fill(ct, c, msg, &err) < 0 || size_fit(m, &err) < 0) {
		container_free(ct);
		client_fail(client_ref(c), &err);
		container_end_if_last(m);
		return;
	}
	ct->creator = client_ref(c);
	c->creating = ct;
	c->process = ct->processes;
	ct->request = msg->json;
	msg->json = NULL;
	pod_go_on(m);
}

/* The answer may come after the container was given up: it is found by its name. */
struct created_reply {
	struct monitor *m;
	char *id;
};

static struct created_reply *reply_new(const struct container *ct)
{
	struct created_reply *reply = xzalloc(sizeof(*reply));

	*reply = (struct created_reply){ .m = ct->m, .id = str_dup(ct->id) };
	return reply;
}

/* NULL: it is gone. */
static struct container *reply_end(struct created_reply *reply)
{
	struct container *ct = container_find(reply->m, reply->id);

	free(reply->id);
	free(reply);
	return ct;
}

/* The guest has made it, and has all that it may use. */
static void finish_create(struct container *ct)
{
	auto_json struct json *result = ct->m->n_growing ? NULL : steal_ptr(&ct->created);
	auto_error struct error failed = { 0 };

	if (!result)
		return;
	/* Its stand-in may have been killed, or the verb may have gone, while the guest worked. */
	if (!ct->creator || !ct->creator->conn || !ct->processes->shim)
		error_set(&failed, ECANCELED, "create was interrupted");
	else
		container_publish(ct, VCRT_CREATED, &failed);
	if (failed.code) {
		container_abort(ct, &failed);
		return;
	}
	client_ok(client_ref(ct->creator), clone_add_warning(ct->m, container_warnings(result)));
	pod_go_on(ct->m);
	process_answered(ct->processes);
}

static void on_created(void *arg, const struct json *result, const struct error *err)
{
	struct container *ct = reply_end(arg);

	if (!ct || ct->is_in_guest || ct->is_leaving)
		return;
	if (!result) {
		/* When the VM was lost, vm_lost() ends every container. */
		ct->is_sent = false;
		if (!ct->m->is_ending)
			container_abort(ct, err);
		return;
	}
	ct->is_in_guest = true;
	ct->created = json_copy(result);
	finish_create(ct);
}

void container_size_changed(struct monitor *m, const struct error *failed)
{
	struct container *ct = m->containers;

	while (ct && !m->is_ending) {
		bool waits = ct->creator && !ct->is_committed && !ct->is_leaving &&
		             (ct->created || (failed && !ct->is_in_guest));

		if (waits && failed)
			container_abort(ct, failed);
		else if (waits && !m->n_growing)
			finish_create(ct);
		else
			waits = false;
		/* Each may end with it, and others, too. */
		ct = waits ? m->containers : ct->next;
	}
}

static void send_create(struct container *ct)
{
	struct json *args = json_new_object(), *io;
	auto_error struct error err = { 0 };
	struct json *spec = pod_place(ct, json_get(ct->request, "spec"), &err);

	if (!spec) {
		json_free(args);
		container_abort(ct, &err);
		return;
	}
	json_set(args, "container", json_new_string(ct->id));
	json_set(args, "spec", spec);
	json_set(args, "bundle", json_new_string(ct->record->oci->bundle));
	json_set(args, "no_pivot", json_new_bool(json_get_bool(ct->request, "no_pivot", false)));
	json_set(args, "no_new_keyring",
	         json_new_bool(json_get_bool(ct->request, "no_new_keyring", false)));
	json_set(args, "notify", json_new_bool(ct->tells_ready));
	if (json_get(ct->request, "seccomp"))
		json_set(args, "seccomp", json_copy(json_get(ct->request, "seccomp")));
	json_free(ct->request);
	ct->request = NULL;
	io = process_open_io(ct->processes);
	if (!io) {
		json_free(args);
		error_set(&err, EMFILE, "too many processes in the sandbox");
		container_abort(ct, &err);
		return;
	}
	json_set(args, "io", io);
	ct->is_sent = true;
	vm_call_long(ct->m, "create", args, VM_LAUNCH_SECONDS + ct->hook_seconds, on_created,
	             reply_new(ct));
}

static void on_network(void *arg, const struct error *err)
{
	struct container *ct = reply_end(arg);

	/* When the VM was lost, vm_lost() ends every container. */
	if (!ct || !ct->request || ct->m->is_ending)
		return;
	ct->is_syncing = false;
	if (err)
		container_abort(ct, err);
	else if (!pod_must_wait(ct))
		send_create(ct);
}

/* The guest applies net.* of linux.sysctl and makes the container's process: after the network. */
void container_send_create(struct container *ct)
{
	ct->is_syncing = true;
	network_sync(pod_network(ct), on_network, reply_new(ct));
}

void container_committed(struct container *ct)
{
	struct client *c = ct->creator;

	ct->is_committed = true;
	ct->creator = NULL;
	c->creating = NULL;
	client_unref(c);
	/* It may have ended meanwhile. */
	container_end_if_last(ct->m);
}

/* Nothing of it is left when its verb is told. */
static void on_aborted(void *arg, const struct json *result, const struct error *err)
{
	struct container *ct = arg;
	struct monitor *m = ct->m;
	struct client *c = steal_ptr(&ct->creator), *deleter = steal_ptr(&ct->deleter);
	auto_error struct error why = ct->why;

	(void)result;
	(void)err;
	ct->why = (struct error){ 0 };
	container_free(ct);
	if (c)
		client_fail(c, &why);
	if (deleter)
		client_ok(deleter, container_deleted(m));
	container_end_if_last(m);
	pod_go_on(m);
}

void container_abort(struct container *ct, const struct error *reason)
{
	struct monitor *m = ct->m;

	if (ct->is_leaving) /* already */
		return;
	error_set(&ct->why, reason->code, "%s", reason->msg);
	if (ct->creator)
		ct->creator->creating = NULL;
	/* A VM of its own goes with it; in a shared one the guest must forget it first. */
	if (ct->is_sent && !m->is_ending && !is_last(m, ct)) {
		ct->is_leaving = true;
		vm_call_long(m, "delete", container_args(ct), VM_LAUNCH_SECONDS, on_aborted, ct);
		return;
	}
	on_aborted(ct, NULL, NULL);
}

/* ---- the end ---- */

static void on_guest_deleted(void *arg, const struct json *result, const struct error *err)
{
	struct container *ct = arg;
	struct monitor *m = ct->m;
	struct client *deleter = ct->deleter;

	if (!result && !m->is_ending)
		log_warn("clean up '%s' in the guest: %s, ignoring", ct->id, err->msg);
	ct->deleter = NULL;
	container_free(ct);
	if (deleter)
		client_ok(deleter, container_deleted(m));
	container_end_if_last(m);
}

static void end_execs(struct container *ct)
{
	struct process *own = ct->processes;

	while (own->next)
		process_end(own->next, own->next->is_exited ? own->next->code : 128 + SIGKILL);
}

void container_ended(struct container *ct, int code)
{
	bool last = ct->m->is_ending || is_last(ct->m, ct);
	struct json *j;

	if (ct->is_leaving) /* it is being taken back already */
		return;
	/* Its end takes a while, and nobody needs it any more. */
	if (last && ct->is_committed && ct->m->hv)
		hv_kill(ct->m->hv);
	ct->record->exit_code = code;
	loop_remove(&ct->kill_timer);
	/* Stand-ins of exec'd processes end first: clients wait for them before they believe that
	 * the container has ended. The engine may unmount the root file system as soon as it sees
	 * the exit, so the share lets go of it before. */
	end_execs(ct);
	process_close_io(ct->processes);
	share_remove(ct->key);
	container_publish_or_warn(ct, VCRT_STOPPED);
	if (!ct->m->is_ending)
		pod_publish(ct->m); /* before its namespaces go with its stand-in */
	container_tell(ct, "end");
	log_debug("phase: stopped %s", ct->id);
	if (ct->processes->shim) {
		j = json_new_object();
		json_set(j, "exit", json_new_i64(code));
		ctl_conn_send(ct->processes->shim, j);
	}
	if (!last) {
		process_free(ct->processes);
		ct->is_leaving = true;
		vm_call_long(ct->m, "delete", container_args(ct), VM_LAUNCH_SECONDS,
		             on_guest_deleted, ct);
		return;
	}
	if (ct->deleter)
		client_ok(ct->deleter, NULL);
	ct->deleter = NULL;
	container_end_if_last(ct->m);
}

static void on_kill_timeout(void *arg)
{
	struct container *ct = arg;
	auto_error struct error err = { 0 };

	error_set(&err, ETIMEDOUT, "container '%s' did not die", ct->id);
	container_give_up(ct, &err);
}

void container_give_up(struct container *ct, const struct error *reason)
{
	if (ct->m->is_ending || is_last(ct->m, ct)) {
		vm_lost(ct->m, reason);
		return;
	}
	log_warn("%s, ignoring", reason->msg);
	container_ended(ct, 128 + SIGKILL);
}

static void on_kill_sent(void *arg, const struct json *result, const struct error *err)
{
	(void)arg;
	(void)result;
	if (err && err->code && err->code != ESRCH)
		log_debug("kill a container that is deleted: %s", err->msg);
}

void container_delete(struct container *ct, struct client *c, bool force)
{
	const char *status = ct->record->oci->status;
	struct json *args;

	if (!ct->deleter && ct->is_leaving) {
		ct->deleter = client_ref(c); /* on its way out of the guest */
		return;
	}
	if (ct->deleter || str_eq(status, VCRT_STOPPED)) {
		/* Gone with the next request. */
		client_ok(client_ref(c), container_deleted(ct->m));
		return;
	}
	if (!force && !str_eq(status, VCRT_CREATED)) {
		client_failf(client_ref(c), EBUSY,
		             "cannot delete container %s that is not stopped: %s", ct->id, status);
		return;
	}
	ct->deleter = client_ref(c);
	if (!ct->is_in_guest) {
		auto_error struct error err = { 0 };

		error_set(&err, ECANCELED, "the container was deleted");
		container_abort(ct, &err);
		return;
	}
	if (ct->processes->is_exited) {
		/* Only its output is not taken yet, by nobody. */
		process_end(ct->processes, ct->processes->code);
		return;
	}
	args = container_args(ct);
	json_set(args, "process", json_new_string(PROCESS_INIT));
	json_set(args, "signal", json_new_i64(SIGKILL));
	json_set(args, "all", json_new_bool(true));
	ct->kill_timer = loop_add_timer(ct->m->loop, KILL_TIMEOUT, on_kill_timeout, ct);
	vm_call(ct->m, "signal", args, on_kill_sent, NULL);
}
