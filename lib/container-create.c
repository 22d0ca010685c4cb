/* Making a container: what its verb has sent, the network, the guest. */
#include <errno.h>
#include <stdlib.h>

#include "lib/monitor-internal.h"
#include "lib/network.h"
#include "lib/share.h"
#include "lib/vcrt.h"
#include "lib/vm-config.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

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
	/* A clone was told the time before its VMM was there. */
	if (ct->m->containers == ct && !ct->next)
		json_set(args, "time", vm_time());
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
