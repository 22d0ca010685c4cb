#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/ctl.h"
#include "lib/hooks.h"
#include "lib/verbs.h"
#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define MONITOR_END_TIMEOUT 5000 /* ms; then it is killed */

/* Hooks as they were at create. A crashed create may have left no configuration. */
static void run_poststop(const struct record *r, int dirfd)
{
	auto_error struct error err = { 0 };
	auto_oci_spec struct oci_spec *spec = oci_spec_read(dirfd, "config.json", &err);

	if (spec)
		hooks_run_poststop(spec->hooks, r->oci);
}

/* Have the monitor end the container. The monitor may end on its own at any moment: that is what
 * we want from it, too, unless it has to go on for others (*stays). */
static int ask(struct vcrt *v, const struct record *r, bool force, bool *stays, struct error *err)
{
	struct ctl_out out = client_request("delete", r->oci->id);
	auto_ctl_msg struct ctl_msg *answer = NULL;
	auto_error struct error e = { 0 };

	json_set(out.json, "force", json_new_bool(force));
	answer = client_ask(v, r, &out, &e);
	*stays = answer && json_get_bool(json_get_object(answer->json, "ok"), "stays", false);
	if (answer || client_is_gone(&e))
		return 0;
	if (force && e.code != EBUSY) {
		log_debug("the monitor of '%s' does not delete it: %s", r->oci->id, e.msg);
		return 0;
	}
	return error_move(err, &e);
}

static int delete_record(struct vcrt *v, struct record *r, int dirfd, bool force, struct error *err)
{
	const char *status = record_status(r);
	bool stays = false;

	if (r->problem && !force)
		return error_set(err, EINVAL, "container '%s': %s", r->oci->id, r->problem);
	if (!force && !str_eq(status, VCRT_STOPPED) && !str_eq(status, VCRT_CREATED))
		return error_set(err, EBUSY, "cannot delete container %s that is not stopped: %s",
		                 r->oci->id, status);
	if (proc_ref_is_alive(&r->monitor)) {
		/* The monitor may not have ended yet what has no stand-in any more. */
		if (ask(v, r, force || str_eq(status, VCRT_STOPPED), &stays, err) < 0)
			return -err->code;
		if (!stays && client_wait_gone(&r->monitor, MONITOR_END_TIMEOUT) < 0)
			child_kill_wait(r->monitor.pid, r->monitor.start, MONITOR_END_TIMEOUT);
	}
	run_poststop(r, dirfd);
	return cleanup_container(v, r, err);
}

/* Two may delete at once, and one of them create the id again. */
static int delete_locked(struct vcrt *v, const char *id, int dirfd, bool force, struct error *err)
{
	auto_record struct record *r = NULL;
	int e = record_lock(v->root, id, dirfd);

	if (e == -ENOENT)
		return error_set(err, ENOENT, "container does not exist");
	if (e == -ETIMEDOUT)
		return error_set(err, ETIMEDOUT, "another delete of container '%s' is at work", id);
	if (e < 0)
		return error_set(err, -e, "lock container '%s': %s", id, strerror(-e));
	r = record_load(v->root, id, NULL, err);
	return r ? delete_record(v, r, dirfd, force, err) : -err->code;
}

int verb_delete(struct vcrt *v, const char *id, bool force, struct error *err)
{
	auto_phase struct log_phase phase = log_phase_begin("delete");
	auto_record struct record *r = NULL;
	auto_close int dirfd = -1;
	auto_free char *dir = NULL;

	r = record_load(v->root, id, &dirfd, err);
	if (r)
		delete_locked(v, id, dirfd, force, err);
	if (!force || err->code != ENOENT)
		return -err->code;
	error_clear(err);
	/* A create that was killed right after its first step leaves an empty directory. */
	dir = str_fmt("%s/%s", v->root, id);
	if (!r && !client_is_reserved(v, id))
		rmdir(dir);
	return 0;
}
