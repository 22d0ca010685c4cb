/* A hook of config.json, run: on the host by lib, in the guest by the agent (specification:
 * config.md, "POSIX-platform Hooks"). */
#pragma once

#include <stddef.h>

struct error;
struct oci_hook;
struct oci_state;

/* Where hooks run; what is NULL is the caller's. */
struct oci_hook_place {
	const char *cwd;
	char *const *env; /* of hooks that have none of their own */
	/* Runs in the new process just before its exec; see struct child_opts. */
	int (*prepare)(void *arg, struct error *err);
	void *arg;
};

/* The state as a hook reads it on its standard input, owned by the caller. Without a process there
 * is no pid in it. */
char *oci_hook_input(const struct oci_state *state);

/* Run one to its end, or to that of its time limit: then it is killed with all that it has started.
 * index is its place in its list, for the message, which is runc's and quotes what it wrote.
 * 0 or -errno: the hook could not be run (why), failed (EIO), took too long (ETIMEDOUT). */
int oci_hook_run(const struct oci_hook *hook, size_t index, const char *input,
                 const struct oci_hook_place *place, struct error *err);

/* Run them in order until one fails. */
int oci_hooks_run(const struct oci_hook *hooks, size_t n, const struct oci_state *state,
                  const struct oci_hook_place *place, struct error *err);
