#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "hypervisor/hypervisor.h"
#include "lib/monitor-internal.h"
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
