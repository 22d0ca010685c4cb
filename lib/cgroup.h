/* The host's cgroup of a sandbox (DESIGN section 9): the directory that linux.cgroupsPath names, in
 * every mounted hierarchy (v1 controllers, v1 named, v2). It holds shim, monitor and VMM, so that
 * what clients read there is the cost of the whole sandbox. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct error;
struct oci_spec;

/* The path for this container, owned by the caller: cgroupsPath, cleaned, or the id
 * (config-linux.md, "Cgroups Path"). With a slash in front it is below the root of each hierarchy,
 * without one below the cgroup that the caller itself is in. systemd: "slice:prefix:name" becomes
 * the path of that scope; NULL and runc's error when systemd does not run here. */
char *cgroup_path(const struct oci_spec *spec, const char *id, bool systemd, struct error *err);

/* With systemd: have it make the scope that the path names, with this process, which may be the
 * first of several, in it, and the properties that annotations give it. The unit's name, owned by
 * the caller, which ends with its last process at the latest; NULL and err. */
char *cgroup_start_scope(const char *path, const char *id, const struct oci_spec *spec, pid_t pid,
                         struct error *err);
/* End it. unit: NULL does nothing. What fails is told in the log: its cgroup can still be removed.
 */
void cgroup_stop_scope(const char *unit);

/* What the path means on this host for the calling process: its directory in each hierarchy is put
 * into the empty *all, each directory that has to be made for it is appended to *missing, outermost
 * first. */
int cgroup_plan(const char *path, char ***all, char ***missing, struct error *err);
/* Before a new container is put there: what would freeze with its cgroup is refused, a cgroup that
 * has processes is warned about, both in runc's words. */
int cgroup_check(char *const *all, struct error *err);
/* Make the missing ones, and fill the cpusets on the way to all that are empty (config-linux.md,
 * "Control groups", as runc does). Journal them before: those that are there afterwards are ours to
 * remove. */
int cgroup_make(char *const *all, char *const *missing, struct error *err);
/* Move a process in. On a host with little to do the kernel takes 10 ms for that: it waits until no
 * processor can be about to start a process. */
int cgroup_attach(char *const *all, pid_t pid, struct error *err);
/* Move the calling process in, which must not have other threads: that takes no time in version 1,
 * nor in version 2 for a process that was born there (child_clone()). */
int cgroup_enter(char *const *all, struct error *err);
/* The one of version 2, NULL: none. Borrowed. */
const char *cgroup_unified(char *const *all);
/* Move all processes of one to the other, hierarchy by hierarchy. */
int cgroup_move(char *const *from, char *const *to, struct error *err);
/* Move this process to the root of each hierarchy, where no limit of its caller's holds and nobody
 * ends it with the caller. Where that cannot be done it stays. */
void cgroup_leave(void);
/* Remove what was made, children first; waits up to timeout_ms for processes to be gone. */
int cgroup_remove(char *const *made, unsigned timeout_ms, struct error *err);
