#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>

#include "lib/cgroup.h"
#include "lib/verbs.h"
#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define KILL_TIMEOUT 5000   /* ms for a process to be gone after SIGKILL */
#define CGROUP_TIMEOUT 2000 /* ms for the kernel to empty a cgroup */

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

int cleanup_container(struct vcrt *v, struct record *r, struct error *err)
{
	/* The monitor's death takes VMM and file server with it; that they are listed as well
	 * covers a crash in between. */
	if (end_process(&r->monitor, "monitor", err) < 0 || end_process(&r->vmm, "VMM", err) < 0 ||
	    end_process(&r->fs_server, "virtiofsd", err) < 0 ||
	    end_process(&r->shim, "shim", err) < 0)
		return -err->code;
	cgroup_stop_scope(r->cgroup_unit);
	if (netref_clean(&r->netns, err) < 0) {
		log_warn("%s, ignoring", err->msg);
		error_clear(err);
	}
	if (cgroup_remove(r->cgroups, CGROUP_TIMEOUT, err) < 0)
		return -err->code;
	warn_of_cgroups(r);
	if (r->sandbox_dir && str_starts(r->sandbox_dir, "/") &&
	    fs_remove_tree_at(AT_FDCWD, r->sandbox_dir, err) < 0)
		return error_wrap(err, "remove the sandbox's directory");
	return record_remove(v->root, r->oci->id, err);
}
