/* The stand-in process of a container or of a detached exec: the pid that callers watch and reap
 * (DESIGN section 1, CLIENTS.md section 0). It is a child of the verb, so that it re-parents to the
 * verb's caller; it lives in the container's host namespaces, with its root file system as root. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "lib/ctl.h"

struct error;

struct shim_namespaces {
	int create;  /* CLONE_NEW* flags: made for the shim */
	int join[8]; /* namespace descriptors to enter, n_join of them */
	size_t n_join;
	char *const
		*cgroup; /* directories of a cgroup to be born in, NULL: the caller's; borrowed */
};

struct shim {
	pid_t pid;
	int control; /* for the monitor */
	int setup;   /* for the verb */
};
#define SHIM_NONE ((struct shim){ .control = -1, .setup = -1 })

/* Start "binary shim" in these namespaces; it waits for shim_setup(). args: the container's, for
 * which /proc/PID/cmdline must offer room. Without setup it ends when the verb does. Nothing is
 * left on failure. */
int shim_spawn(const char *binary, const struct shim_namespaces *ns, char *const *args,
               struct shim *shim, struct error *err);
/* Waits until fd is readable or the time is over (0), or gives up (-errno). */
typedef int (*shim_wait_fn)(int fd, int timeout_ms, struct error *err);
/* Send the set-up (see shim.c for its members) and wait until it is done. The answer, the caller's,
 * holds the mount trees that the set-up named. more_seconds: how long its hooks may take; wait:
 * what waits, NULL: nothing but the answer ends it. */
struct ctl_msg *shim_setup(struct shim *shim, const struct ctl_out *setup, unsigned more_seconds,
                           shim_wait_fn wait, struct error *err);
/* Once the guest has made the container: the stand-in shows its mounts, and gives up its privileges
 * for good. Not for that of an exec, which has none any more. */
int shim_finish(struct shim *shim, struct error *err);
/* Kill and reap what is left, close descriptors. */
void shim_abort(struct shim *shim);
void shim_done(struct shim *shim); /* close descriptors only */
