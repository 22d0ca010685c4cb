#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "lib/config.h"
#include "lib/ctl.h"
#include "lib/grow.h"
#include "lib/launch.h"
#include "lib/namespaces.h"
#include "lib/pod.h"
#include "lib/sandbox.h"
#include "lib/verbs.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define MONITOR_END_TIMEOUT 10000 /* ms for one that takes no more containers to be gone */
#define MAX_TRIES 5               /* to join a sandbox: each has ended meanwhile */

/* How containerd's CRI plugin, and CRI-O and Podman, name the pod of a container. */
static const struct {
	const char *type, *sandbox;
} clients[] = {
	{ "io.kubernetes.cri.container-type", "io.kubernetes.cri.sandbox-id" },
	{ "io.kubernetes.cri-o.ContainerType", "io.kubernetes.cri-o.SandboxID" },
};

/* The sandbox of the pod's first container, NULL: the annotations name none that is there. */
static struct sandbox *find_by_annotations(const struct launch *l, const struct oci_spec *spec,
                                           struct record **first)
{
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		const char *id = oci_annotation_get(spec, clients[i].sandbox);
		auto_error struct error none = { 0 };
		auto_record struct record *r = NULL;
		struct sandbox *s;

		if (!str_eq(oci_annotation_get(spec, clients[i].type), "container") || !id ||
		    str_eq(id, l->record->oci->id))
			continue;
		r = record_read(l->v->root, id, &none);
		s = r && r->sandbox_dir ? sandbox_load(r->sandbox_dir) : NULL;
		if (s)
			*first = steal_ptr(&r);
		if (s)
			return s;
	}
	return NULL;
}

/* A container of a pod has the pod's network, also if it says that it wants a new one. */
static void use_network_of(const struct record *first, struct oci_spec *spec)
{
	struct oci_namespace *n = oci_namespace_find(spec, "network");

	if (!n || (n->path && *n->path) || !proc_ref_is_alive(&first->shim))
		return;
	log_warn("linux.namespaces: a container of a pod has no network namespace of its own, it "
	         "has that of '%s'",
	         first->oci->id);
	free(n->path);
	n->path = namespace_path(first->shim.pid, CLONE_NEWNET);
}

/* Add what the paths say to what is known. */
static int find_by_namespaces(const struct launch *l, const struct oci_spec *spec,
                              struct sandbox **s, struct error *err)
{
	for (size_t i = 0; i < spec->linux_->n_namespaces; i++) {
		const struct oci_namespace *n = &spec->linux_->namespaces[i];
		auto_sandbox struct sandbox *other = NULL;
		struct ns_id id;

		if (!namespace_is_joined(n) ||
		    ns_id_of(n->path, oci_namespace_flag(n->type), &id) < 0 ||
		    (*s && ns_id_is_in(&id, (*s)->ns, (*s)->n_ns)))
			continue;
		other = sandbox_find(l->config->runtime_dir, &id);
		if (other && *s)
			return error_set(err, EINVAL,
			                 "linux.namespaces: '%s' belongs to the virtual machine "
			                 "of sandbox '%s', but the container to that of '%s'",
			                 n->path, other->id, (*s)->id);
		if (other)
			*s = steal_ptr(&other);
	}
	return 0;
}

/* What belongs to nobody: a file may be given to the sandbox. */
static int check_others(const struct oci_spec *spec, const struct sandbox *s, struct error *err)
{
	for (size_t i = 0; i < spec->linux_->n_namespaces; i++) {
		const struct oci_namespace *n = &spec->linux_->namespaces[i];
		int flag = oci_namespace_flag(n->type);
		struct ns_id id;

		if (!namespace_is_joined(n))
			continue;
		if (s && ns_id_of(n->path, flag, &id) == 0 && ns_id_is_in(&id, s->ns, s->n_ns))
			continue;
		if (flag == CLONE_NEWPID || !namespace_is_pinned(n))
			return namespace_refuse(n, err);
	}
	return 0;
}

/* *s: the sandbox to join, NULL: none. */
static int choose(const struct launch *l, struct oci_spec *spec, struct sandbox **s,
                  struct error *err)
{
	auto_record struct record *first = NULL;

	*s = find_by_annotations(l, spec, &first);
	if (first)
		use_network_of(first, spec);
	if (find_by_namespaces(l, spec, s, err) < 0 || check_others(spec, *s, err) < 0) {
		sandbox_freep(s);
		return -err->code;
	}
	return 0;
}

/* The namespaces that a new sandbox is given; the array is the caller's. */
static struct ns_id *given_namespaces(const struct oci_spec *spec, size_t *n)
{
	struct ns_id *list = xcalloc(spec->linux_->n_namespaces + 1, sizeof(*list));

	*n = 0;
	for (size_t i = 0; i < spec->linux_->n_namespaces; i++) {
		const struct oci_namespace *ns = &spec->linux_->namespaces[i];

		if (namespace_is_joined(ns) &&
		    ns_id_of(ns->path, oci_namespace_flag(ns->type), &list[*n]) == 0)
			(*n)++;
	}
	return list;
}

/* ---- joining ---- */

/* What holds for the virtual machine was decided with its first container. */
static int check_config(struct launch *l, const struct oci_spec *spec, struct error *err)
{
	auto_config struct config *own = config_copy(l->config);
	auto_json struct json *before = config_to_json(own), *after = NULL;

	if (oci_cgroup2_check(oci_resources_of(spec), err) < 0 ||
	    config_apply_spec(own, spec, err) < 0)
		return -err->code;
	after = config_to_json(own);
	if (!json_equal(before, after))
		log_warn("what annotations and 'vm' say of the virtual machine comes too late for "
		         "that of '%s', ignoring",
		         l->record->sandbox);
	return 0;
}

/* The sandbox lives at least as long as the connection. Its VM may have to grow: there is room for
 * that when this returns. */
static int connect_to(struct launch *l, struct error *err)
{
	struct ctl_out out = client_request("join", l->record->oci->id);
	auto_ctl_msg struct ctl_msg *answer = NULL;

	json_set(out.json, "need", vm_need_to_json(&l->need));
	l->monitor = client_connect(l->record, err);
	if (l->monitor >= 0)
		answer = ctl_call(l->monitor, &out, client_timeout(l->v), err);
	ctl_out_done(&out);
	if (answer && grow_prepare(l->record, answer, NULL, err) < 0)
		ctl_msg_freep(&answer);
	if (!answer)
		close_fd(&l->monitor);
	return answer ? 0 : -err->code;
}

/* The directory stays as long as we are a member. */
static int become_member(struct launch *l, const struct sandbox *s, struct error *err)
{
	struct record *r = l->record;

	free(r->sandbox);
	free(r->sandbox_dir);
	r->sandbox = str_dup(s->id);
	r->sandbox_dir = str_dup(s->dir);
	r->monitor = s->monitor;
	r->vm_cpus = s->vm_cpus;
	r->room = s->room;
	if (record_journal(l->dirfd, r, err) < 0)
		return -err->code;
	return sandbox_add_member(s->dir, l->v->root, r->oci->id, err);
}

/* It has ended meanwhile: forget it. */
static int leave(struct launch *l, struct error *err)
{
	struct record *r = l->record;

	if (client_wait_gone(&r->monitor, MONITOR_END_TIMEOUT) < 0)
		return error_set(err, ETIMEDOUT,
		                 "sandbox '%s' takes no containers any more, but does not end",
		                 r->sandbox);
	if (cleanup_sandbox(l->v, r, err) < 0)
		return -err->code;
	free(r->sandbox);
	free(r->sandbox_dir);
	r->sandbox = r->sandbox_dir = NULL;
	r->monitor.pid = 0;
	return 0;
}

/* 1: joined or made, 0: there is none to join, and none may be made yet; -errno. */
static int try_once(struct launch *l, struct oci_spec *spec, bool may_make, struct error *err)
{
	auto_close int lock = sandbox_lock(l->config->runtime_dir, err);
	auto_free struct ns_id *given = NULL;
	auto_sandbox struct sandbox *s = NULL;
	size_t n;

	if (lock < 0 || choose(l, spec, &s, err) < 0)
		return -err->code;
	l->is_joined = s != NULL;
	if (s)
		return become_member(l, s, err) < 0 ? -err->code : 1;
	if (!may_make)
		return 0;
	given = given_namespaces(spec, &n);
	return launch_make(l, spec, given, n, err) < 0 ? -err->code : 1;
}

int pod_enter(struct launch *l, struct oci_spec *spec, struct error *err)
{
	auto_phase struct log_phase phase = log_phase_begin("launch");

	for (int i = 0; i < MAX_TRIES; i++) {
		int r = try_once(l, spec, false, err);

		if (r == 0 && launch_prepare(l, spec, err) == 0)
			r = try_once(l, spec, true, err);
		if (err->code)
			return -err->code;
		if (!l->is_joined)
			return launch_boot(l, spec, err);
		if (connect_to(l, err) == 0)
			return check_config(l, spec, err);
		if (!client_is_gone(err))
			return error_wrap(err, "join sandbox '%s'", l->record->sandbox);
		error_clear(err);
		if (leave(l, err) < 0)
			return -err->code;
	}
	return error_set(err, EAGAIN, "each sandbox that the container could join has ended");
}
