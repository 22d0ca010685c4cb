#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/cgroup.h"
#include "lib/sandbox.h"
#include "lib/vcrt.h"
#include "lib/verbs.h"
#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define KILL_TIMEOUT 5000    /* ms for a process to be gone after SIGKILL */
#define CGROUP_TIMEOUT 2000  /* ms for the kernel to empty a cgroup */
#define COMING_TIMEOUT 10000 /* ms for who joins a sandbox to have a cgroup */
#define COMING_POLL_NS 10000000

static int end_process(const struct proc_ref *p, const char *what, struct error *err)
{
	int r = p->pid > 0 ? child_kill_wait(p->pid, p->start, KILL_TIMEOUT) : 0;

	return r < 0 ? error_set(err, -r, "end the %s %d: it does not die", what, (int)p->pid) : 0;
}

/* A parent that others have come to use stays without a word; the container's own should not. */
static void warn_of_cgroups(const struct record *r)
{
	for (char **dir = r->cgroups; dir && *dir; dir++) {
		if (strv_has(r->cgroup_dirs, *dir) && fs_exists(*dir)) {
			log_warn("a foreign process is in the cgroup '%s', ignoring", *dir);
			return; /* said once, it holds for all hierarchies */
		}
	}
}

/* ---- the sandbox ---- */

static bool has_cgroup(const struct record *r)
{
	bool has = r->cgroup_dirs && *r->cgroup_dirs;

	for (char **dir = r->cgroup_dirs; dir && *dir; dir++)
		has = has && fs_exists(*dir);
	return has;
}

/* The VM goes on for others: where one of them is, which has room for it, as long as ours must not
 * be left there. Most likely of one that lives. -EAGAIN: one that joins has no cgroup yet. */
static int charge_another(const struct record *r, struct error *err)
{
	auto_strv char **members = sandbox_members(r->sandbox_dir);
	auto_record struct record *to = NULL;
	bool is_coming = false;

	for (char **dir = members; *dir; dir++) {
		struct record *other = record_load_dir(*dir);

		is_coming |= other && str_eq(record_status(other), VCRT_CREATING);
		if (other && has_cgroup(other) &&
		    (!to || (!proc_ref_is_alive(&to->shim) && proc_ref_is_alive(&other->shim)))) {
			record_free(to);
			to = steal_ptr(&other);
		}
		record_free(other);
	}
	if (to)
		return cgroup_move(r->cgroup_dirs, to->cgroup_dirs, err);
	return is_coming ? -EAGAIN : 0;
}

/* The monitor's death takes VMM and file server with it; that they are listed as well covers a
 * crash in between. */
static int end_sandbox(const struct record *r, struct error *err)
{
	if (end_process(&r->monitor, "monitor", err) < 0 || end_process(&r->vmm, "VMM", err) < 0)
		return -err->code;
	return end_process(&r->fs_server, "virtiofsd", err);
}

static bool has_directory(const struct record *r)
{
	return r->sandbox_dir && str_starts(r->sandbox_dir, "/") && fs_exists(r->sandbox_dir);
}

bool cleanup_is_shared(const struct record *r)
{
	auto_strv char **members = has_directory(r) ? sandbox_members(r->sandbox_dir) : NULL;

	return members && strv_len(members) > 1;
}

/* Whether the container was the last one. Who is on the way needs the lock, too, to go back. */
static int leave_sandbox(struct vcrt *v, struct record *r, bool *last, struct error *err)
{
	auto_free char *runtime_dir = str_dup(r->sandbox_dir);
	uint64_t end = loop_now_ms() + COMING_TIMEOUT;

	*strrchr(runtime_dir, '/') = '\0';
	for (;;) {
		auto_close int lock = sandbox_lock(runtime_dir, err);
		int n;

		if (lock < 0)
			return lock;
		*last = sandbox_remove_member(r->sandbox_dir, v->root, r->oci->id);
		if (*last || !proc_ref_is_alive(&r->monitor))
			return 0;
		n = charge_another(r, err);
		if (n != -EAGAIN || loop_now_ms() >= end)
			return -err->code;
		close_fd(&lock);
		nanosleep(&(struct timespec){ .tv_nsec = COMING_POLL_NS }, NULL);
	}
}

int cleanup_sandbox(struct vcrt *v, struct record *r, struct error *err)
{
	bool last = true;

	if (!has_directory(r))
		return end_sandbox(r, err);
	if (leave_sandbox(v, r, &last, err) < 0)
		return -err->code;
	if (!last)
		return 0;
	if (end_sandbox(r, err) < 0)
		return -err->code;
	if (fs_remove_tree_at(AT_FDCWD, r->sandbox_dir, err) < 0)
		return error_wrap(err, "remove the sandbox's directory");
	return 0;
}

int cleanup_container(struct vcrt *v, struct record *r, struct error *err)
{
	if (cleanup_sandbox(v, r, err) < 0 || end_process(&r->shim, "shim", err) < 0)
		return -err->code;
	cgroup_stop_scope(r->cgroup_unit);
	/* While the VM lives it is somebody's network. */
	if (!proc_ref_is_alive(&r->monitor) && netref_clean(&r->netns, err) < 0) {
		log_warn("%s, ignoring", err->msg);
		error_clear(err);
	}
	if (cgroup_remove(r->cgroups, CGROUP_TIMEOUT, err) < 0)
		return -err->code;
	warn_of_cgroups(r);
	return record_remove(v->root, r->oci->id, err);
}
