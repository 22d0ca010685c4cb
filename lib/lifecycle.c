/* Verbs that are one request: start, kill, pause, resume, resize, update, stats, ps, wait. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/cgroup-limits.h"
#include "lib/ctl.h"
#include "lib/grow.h"
#include "lib/resources.h"
#include "lib/hooks.h"
#include "lib/notify.h"
#include "lib/verbs.h"
#include "lib/vm-size.h"
#include "lib/base/changes.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define STOP_TIMEOUT 10000 /* ms for a container to end after SIGKILL */

struct record *verb_load(struct vcrt *v, const char *id, int *dirfd, struct error *err)
{
	struct record *r = record_load(v->root, id, dirfd, err);

	if (r && r->problem) {
		error_set(err, EINVAL, "container '%s': %s", id, r->problem);
		record_free(r);
		if (dirfd)
			close_fd(dirfd);
		return NULL;
	}
	return r;
}

/* Ask, with the text for a container that is stopped or whose monitor ends meanwhile. */
static int ask_within(int timeout_ms, const struct record *r, struct ctl_out *out,
                      const char *stopped, struct ctl_msg **answer, struct error *err)
{
	struct ctl_msg *m;

	if (str_eq(record_status(r), VCRT_STOPPED)) {
		ctl_out_done(out);
		return error_set(err, ESRCH, "%s", stopped);
	}
	m = client_ask_within(timeout_ms, r, out, err);
	if (!m && client_is_gone(err))
		return error_set(err, ESRCH, "%s", stopped);
	if (m)
		client_log_warnings(m);
	if (answer)
		*answer = m;
	else
		ctl_msg_free(m);
	return err->code ? -err->code : 0;
}

static int ask(struct vcrt *v, const struct record *r, struct ctl_out *out, const char *stopped,
               struct ctl_msg **answer, struct error *err)
{
	return ask_within(client_timeout(v), r, out, stopped, answer, err);
}

/* runtime.md, "Lifecycle", step 9: a failure is an error, and stops the container. */
static int run_poststart(struct vcrt *v, const struct record *r, int dirfd, struct error *err)
{
	auto_oci_spec struct oci_spec *spec = oci_spec_read(dirfd, "config.json", err);
	auto_oci_state struct oci_state *state = NULL;
	auto_error struct error ignored = { 0 };
	int code;

	/* Somebody has deleted the container meanwhile. */
	if (!spec && err->code == ENOENT)
		error_clear(err);
	if (!spec || !spec->hooks || !spec->hooks->n_poststart)
		return -err->code;
	state = oci_state_copy(r->oci);
	free(state->status);
	state->status = str_dup(VCRT_RUNNING);
	if (hooks_run(spec->hooks->poststart, spec->hooks->n_poststart, state, err) == 0)
		return 0;
	if (verb_kill(v, r->oci->id, SIGKILL, true, &ignored) < 0 ||
	    verb_wait(v, r->oci->id, STOP_TIMEOUT, &code, &ignored) < 0)
		log_warn("stop a container whose poststart hook has failed: %s, ignoring",
		         ignored.msg);
	return -err->code;
}

/* With a native runtime a container that has a state is as good as created: callers that poll for
 * its state start it then. Here it takes a VM's boot more. A hook of the creation that starts its
 * own container would wait for itself, so there is a limit. */
static struct record *load_created(struct vcrt *v, const char *id, int *dirfd, struct error *err)
{
	uint64_t end = loop_now_ms() + (uint64_t)client_timeout(v);

	for (;;) {
		struct record *r = verb_load(v, id, dirfd, err);

		if (!r || !str_eq(record_status(r), VCRT_CREATING))
			return r;
		record_free(r);
		close_fd(dirfd);
		if (loop_now_ms() >= end) {
			error_set(err, EBUSY, "cannot start a container that is being created");
			return NULL;
		}
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	}
}

static int start(struct vcrt *v, const struct record *r, int dirfd, struct error *err)
{
	auto_phase struct log_phase phase = log_phase_begin("start");
	struct ctl_out out = client_request("start", r->oci->id);

	/* No limit here: hooks in the guest may take long, and the monitor knows how long. */
	if (ask_within(-1, r, &out, "cannot start a container that has stopped", NULL, err) < 0)
		return -err->code;
	return run_poststart(v, r, dirfd, err);
}

int verb_start(struct vcrt *v, const char *id, struct error *err)
{
	auto_close int dirfd = -1;
	auto_record struct record *r = load_created(v, id, &dirfd, err);
	struct notify n = NOTIFY_NONE;

	if (r && notify_open(&n, v, r, err) == 0 && start(v, r, dirfd, err) == 0)
		notify_wait(&n, r->shim.pid, err);
	notify_close(&n);
	return -err->code;
}

int verb_start_for_run(struct vcrt *v, const char *id, struct notify *n, struct error *err)
{
	auto_close int dirfd = -1;
	auto_record struct record *r = load_created(v, id, &dirfd, err);
	auto_error struct error failed = { 0 };

	if (!r)
		return -err->code;
	if (notify_open(n, v, r, &failed) < 0)
		log_warn("%s, ignoring", failed.msg);
	return start(v, r, dirfd, err);
}

int verb_kill(struct vcrt *v, const char *id, int signal, bool all, struct error *err)
{
	auto_record struct record *r = verb_load(v, id, NULL, err);
	struct ctl_out out;

	if (!r)
		return -err->code;
	if (all && str_eq(record_status(r), VCRT_STOPPED))
		return 0;
	if (signal > SIGRTMAX && !str_eq(record_status(r), VCRT_STOPPED))
		return error_set(err, EINVAL, "unable to signal init: invalid argument");
	out = client_request("kill", id);
	json_set(out.json, "signal", json_new_i64(signal));
	json_set(out.json, "all", json_new_bool(all));
	return ask(v, r, &out, "container not running", NULL, err);
}

int verb_freeze(struct vcrt *v, const char *id, bool freeze, struct error *err)
{
	auto_record struct record *r = verb_load(v, id, NULL, err);
	struct ctl_out out;

	if (!r)
		return -err->code;
	out = client_request(freeze ? "pause" : "resume", id);
	return ask(v, r, &out, freeze ? "container not running" : "container not paused", NULL,
	           err);
}

int verb_resize(struct vcrt *v, const char *id, unsigned height, unsigned width, struct error *err)
{
	auto_record struct record *r = verb_load(v, id, NULL, err);
	struct ctl_out out;

	if (!r)
		return -err->code;
	out = client_request("resize", id);
	json_set(out.json, "height", json_new_u64(height));
	json_set(out.json, "width", json_new_u64(width));
	return ask(v, r, &out, "container not running", NULL, err);
}

/* linux.resources of an update, whose zeros mean "as it is". */
static struct oci_resources *read_resources(const char *text, struct error *err)
{
	auto_oci_resources struct oci_resources *r = NULL;

	if (strlen(text) > VCRT_MAX_RESOURCES) {
		error_set(err, E2BIG, "more than %u bytes of resources", VCRT_MAX_RESOURCES);
		return NULL;
	}
	r = oci_resources_parse(text, strlen(text), err);
	if (!r || oci_resources_validate(r, err) < 0)
		return NULL;
	if (r->n_devices)
		log_warn("devices: an update leaves them as they are, ignoring");
	return steal_ptr(&r);
}

/* Ask the guest; resources become the guest's. */
static int update_guest(struct vcrt *v, const struct record *r, struct oci_resources *resources,
                        struct error *err)
{
	struct ctl_out out = client_request("update", r->oci->id);

	resources_for_guest(resources, r->vm_cpus);
	json_set(out.json, "resources", oci_resources_to_json(resources));
	return ask(v, r, &out, "container not running", NULL, err);
}

int verb_update(struct vcrt *v, const char *id, const char *resources_json, struct error *err)
{
	auto_record struct record *r = verb_load(v, id, NULL, err);
	auto_oci_resources struct oci_resources *resources = NULL;
	auto_cgroup_undo struct cgroup_undo done = { 0 };
	struct cgroup_place place;
	struct hv_size vm;

	if (!r)
		return -err->code;
	if (str_eq(record_status(r), VCRT_STOPPED))
		return error_set(err, ESRCH, "container not running");
	resources = read_resources(resources_json, err);
	if (!resources || oci_cgroup2_check(resources, err) < 0 ||
	    grow_for_update(v, r, resources, err) < 0)
		return -err->code;
	vm = (struct hv_size){ (unsigned)(r->room.vm >> 20), r->vm_cpus };
	resources_warn(resources, r->cgroup_dirs, &vm);
	place = record_cgroup(r);
	if (cgroup_limit_space(&place, resources, &r->room, &done, err) < 0 ||
	    cgroup_limit_speed(&place, resources, &done, err) < 0 ||
	    update_guest(v, r, resources, err) < 0)
		cgroup_limit_undo(&place, &done);
	return -err->code;
}

int verb_stats(struct vcrt *v, const char *id, char **json, struct error *err)
{
	auto_record struct record *r = verb_load(v, id, NULL, err);
	auto_free char *stopped = str_fmt("container with id %s is not running", id);
	auto_ctl_msg struct ctl_msg *answer = NULL;
	const struct json *stats;
	struct ctl_out out;

	if (!r)
		return -err->code;
	out = client_request("stats", id);
	if (ask(v, r, &out, stopped, &answer, err) < 0)
		return -err->code;
	stats = json_get_object(json_get_object(answer->json, "ok"), "stats");
	if (!stats)
		return error_set(err, EPROTO, "the monitor of '%s' gave no statistics", id);
	*json = json_print(stats, false);
	return 0;
}

static uint64_t number(const struct json *row, const char *key, uint64_t max)
{
	int64_t n = json_get_i64(row, key, 0);

	return n < 0 ? 0 : (uint64_t)n < max ? (uint64_t)n : max;
}

static void fill_process(struct vcrt_process *p, const struct json *row)
{
	p->pid = (pid_t)json_get_i64(row, "pid", 0);
	p->ppid = (pid_t)json_get_i64(row, "ppid", 0);
	p->shim = (pid_t)json_get_i64(row, "shim", 0);
	p->c = (int)json_get_i64(row, "c", 0);
	p->uid = str_dup(json_get_string(row, "uid"));
	p->stime = str_dup(json_get_string(row, "stime"));
	p->tty = str_dup(json_get_string(row, "tty"));
	p->time = str_dup(json_get_string(row, "time"));
	p->cmd = str_dup(json_get_string(row, "cmd"));
	p->stat = str_dup(json_get_string(row, "stat"));
	p->comm = str_dup(json_get_string(row, "comm"));
	p->vsz = number(row, "vsz", INT64_MAX);
	p->rss = number(row, "rss", INT64_MAX);
	p->cpu = (unsigned)number(row, "cpu", INT32_MAX);
	p->memory = (unsigned)number(row, "memory", INT32_MAX);
}

int verb_ps(struct vcrt *v, const char *id, struct vcrt_process **out_list, struct error *err)
{
	auto_record struct record *r = verb_load(v, id, NULL, err);
	auto_ctl_msg struct ctl_msg *answer = NULL;
	const struct json *rows;
	struct ctl_out out;
	size_t n;

	if (!r)
		return -err->code;
	if (str_eq(record_status(r), VCRT_STOPPED)) {
		*out_list = NULL;
		return 0;
	}
	out = client_request("ps", id);
	if (ask(v, r, &out, "container not running", &answer, err) < 0)
		return -err->code;
	rows = json_get_array(json_get_object(answer->json, "ok"), "processes");
	n = rows ? json_len(rows) : 0;
	*out_list = xcalloc(n ? n : 1, sizeof(**out_list));
	for (size_t i = 0; i < n; i++)
		fill_process(&(*out_list)[i], json_at(rows, i));
	return (int)n;
}

/* The stand-in ends when the container has; its exit status is not ours to take, state.json has
 * the code. */
int verb_wait(struct vcrt *v, const char *id, int timeout_ms, int *exit_code, struct error *err)
{
	uint64_t end = loop_now_ms() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms);

	for (;;) {
		auto_record struct record *r = verb_load(v, id, NULL, err);
		uint64_t now = loop_now_ms();

		if (!r)
			return -err->code;
		if (str_eq(record_status(r), VCRT_STOPPED)) {
			*exit_code = r->exit_code < 0 ? 137 : r->exit_code;
			return 0;
		}
		if (timeout_ms >= 0 && now >= end)
			return error_set(err, ETIMEDOUT, "container '%s' is still %s", id,
			                 record_status(r));
		if (proc_ref_is_alive(&r->shim))
			client_wait_gone(&r->shim, timeout_ms < 0 ? 60000 : (unsigned)(end - now));
		else
			nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
	}
}
