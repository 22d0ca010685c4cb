/* Hooks that run on the host (specification: config.md, "POSIX-platform Hooks"). */
#pragma once

#include <stddef.h>

struct error;
struct oci_hook;
struct oci_hooks;
struct oci_state;

/* Run them in order with the state on standard input, in the bundle; the first that fails (or runs
 * longer than its timeout) ends it. Messages as runc's. */
int hooks_run(const struct oci_hook *hooks, size_t n, const struct oci_state *state,
              struct error *err);
/* The poststop hooks of a container that has stopped; hooks may be NULL. */
void hooks_run_poststop(const struct oci_hooks *hooks, const struct oci_state *state);
/* The same for poststart and poststop: failures are logged, every hook runs. */
void hooks_run_all(const struct oci_hook *hooks, size_t n, const char *kind,
                   const struct oci_state *state);
