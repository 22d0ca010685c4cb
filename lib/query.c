/* What can be read without asking a monitor: state and list; sandboxes, put together from them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/config.h"
#include "lib/ctl.h"
#include "lib/query.h"
#include "lib/verbs.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define MONITOR_END_TIMEOUT 5000 /* ms */

/* The document as it is now: the status by who is alive, no pid without a process. */
static void refresh(struct record *r)
{
	const char *status = record_status(r);

	if (!str_eq(status, r->oci->status)) {
		free(r->oci->status);
		r->oci->status = str_dup(status);
	}
	r->oci->pid = str_eq(status, VCRT_STOPPED) ? 0 : r->shim.pid;
}

static void fill(struct vcrt_state *out, const struct record *r)
{
	const struct oci_state *s = r->oci;

	*out = (struct vcrt_state){ .pid = (pid_t)s->pid, .exit_code = r->exit_code };
	out->oci_version = str_dup(s->oci_version);
	out->id = str_dup(s->id);
	out->status = str_dup(s->status);
	out->bundle = str_dup(s->bundle);
	out->rootfs = str_dup(s->rootfs);
	out->created = str_dup(s->created);
	out->owner = str_dup(s->owner);
	out->sandbox = str_dup(r->sandbox);
	for (size_t i = 0; i < s->n_annotations; i++) {
		strv_push(&out->annotations, s->annotations[i].key);
		strv_push(&out->annotations, s->annotations[i].value);
	}
}

static struct record *load(struct vcrt *v, const char *id, struct error *err)
{
	struct record *r = record_read(v->root, id, err);

	if (r && r->problem) {
		error_set(err, EINVAL, "container '%s': %s", id, r->problem);
		record_free(r);
		return NULL;
	}
	if (r)
		refresh(r);
	return r;
}

int query_state(struct vcrt *v, const char *id, struct vcrt_state *out, struct error *err)
{
	auto_record struct record *r = load(v, id, err);

	if (!r)
		return -err->code;
	fill(out, r);
	return 0;
}

int query_state_json(struct vcrt *v, const char *id, char **text, struct error *err)
{
	auto_record struct record *r = load(v, id, err);
	auto_json struct json *j = NULL;

	if (!r)
		return -err->code;
	j = oci_state_to_json(r->oci);
	*text = json_print(j, true);
	return 0;
}

/* Every container that can be read; the others are named in the log. */
static struct record **load_all(struct vcrt *v, size_t *n, struct error *err)
{
	auto_strv char **ids = record_list(v->root, err);
	struct record **all;

	*n = 0;
	if (!ids)
		return NULL;
	all = xcalloc(strv_len(ids) + 1, sizeof(*all));
	for (char **id = ids; *id; id++) {
		auto_error struct error one = { 0 };
		struct record *r = load(v, *id, &one);

		if (r)
			all[(*n)++] = r;
		else if (one.code != ENOENT)
			log_warn("%s, ignoring", one.msg);
	}
	return all;
}

static void free_all(struct record **all, size_t n)
{
	for (size_t i = 0; i < n; i++)
		record_free(all[i]);
	free(all);
}

int query_list(struct vcrt *v, struct vcrt_state **out, struct error *err)
{
	size_t n;
	struct record **all = load_all(v, &n, err);

	if (!all)
		return -err->code;
	*out = xcalloc(n ? n : 1, sizeof(**out));
	for (size_t i = 0; i < n; i++) {
		fill(&(*out)[i], all[i]);
		free((*out)[i].owner);
		(*out)[i].owner = str_dup("root");
	}
	free_all(all, n);
	return (int)n;
}

int query_list_json(struct vcrt *v, char **text, struct error *err)
{
	size_t n;
	struct record **all = load_all(v, &n, err);
	auto_json struct json *list = NULL;

	if (!all)
		return -err->code;
	list = n ? json_new_array() : json_new_null();
	for (size_t i = 0; i < n; i++) {
		struct json *j = oci_state_to_json(all[i]->oci);

		json_set(j, "owner", json_new_string("root"));
		json_add(list, j);
	}
	free_all(all, n);
	*text = json_print(list, false);
	return 0;
}

/* ---- sandboxes ---- */

static struct vcrt_sandbox *find_sandbox(struct vcrt_sandbox *list, size_t n, const char *id)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(list[i].id, id))
			return &list[i];
	return NULL;
}

int query_sandboxes(struct vcrt *v, struct vcrt_sandbox **out, struct error *err)
{
	size_t n, count = 0;
	struct record **all = load_all(v, &n, err);

	if (!all)
		return -err->code;
	*out = xcalloc(n ? n : 1, sizeof(**out));
	for (size_t i = 0; i < n; i++) {
		const struct record *r = all[i];
		struct vcrt_sandbox *s = find_sandbox(*out, count, r->sandbox);
		bool is_alive = proc_ref_is_alive(&r->monitor);

		if (!r->sandbox)
			continue;
		if (!s) {
			s = &(*out)[count++];
			s->id = str_dup(r->sandbox);
			s->status = str_dup(is_alive ? VCRT_RUNNING : VCRT_STOPPED);
			s->hypervisor = str_dup(v->config->hypervisor);
			s->monitor = is_alive ? r->monitor.pid : 0;
			s->vmm = is_alive ? r->vmm.pid : 0;
		}
		strv_push(&s->containers, r->oci->id);
	}
	free_all(all, n);
	return (int)count;
}

static struct record *any_of(struct vcrt *v, const char *sandbox, struct error *err)
{
	size_t n;
	struct record **all = load_all(v, &n, err), *found = NULL;

	for (size_t i = 0; all && i < n; i++) {
		if (!found && str_eq(all[i]->sandbox, sandbox))
			found = steal_ptr(&all[i]);
	}
	free_all(all, n);
	if (!found && !err->code)
		error_set(err, ENOENT, "sandbox '%s' does not exist", sandbox);
	return found;
}

int query_sandbox_stop(struct vcrt *v, const char *sandbox, struct error *err)
{
	auto_record struct record *r = any_of(v, sandbox, err);
	auto_error struct error e = { 0 };
	auto_ctl_msg struct ctl_msg *m = NULL;
	struct ctl_out out;

	if (!r)
		return -err->code;
	if (!proc_ref_is_alive(&r->monitor))
		return 0;
	out = client_request("stop", r->oci->id);
	m = client_ask(v, r, &out, &e);
	if (client_wait_gone(&r->monitor, MONITOR_END_TIMEOUT) < 0)
		return error_set(err, ETIMEDOUT, "sandbox '%s' does not stop", sandbox);
	return 0;
}

int query_sandbox_monitor(struct vcrt *v, const char *sandbox, struct error *err)
{
	auto_record struct record *r = any_of(v, sandbox, err);
	int fd;

	if (!r)
		return -err->code;
	fd = (int)syscall(SYS_pidfd_open, r->monitor.pid, 0);
	if (fd < 0)
		return error_sys(err, "watch sandbox '%s'", sandbox);
	if (!proc_ref_is_alive(&r->monitor)) {
		close(fd);
		return error_set(err, ESRCH, "sandbox '%s' has ended", sandbox);
	}
	return fd;
}
