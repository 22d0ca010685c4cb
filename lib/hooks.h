/* Which hooks run where, and those that run on the host (specification: config.md, "POSIX-platform
 * Hooks").
 *
 * prestart, createRuntime, poststart and poststop run in the namespaces of the verb. The program of
 * a createContainer hook is one of the host ("must resolve in the runtime namespace"): it runs in
 * the namespaces of the stand-in, before that one's root file system and mounts are handed to the
 * guest. One that the host does not have runs in the guest, from the container's root file system,
 * and so do all startContainer hooks ("must resolve in the container namespace"). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct error;
struct json;
struct oci_hook;
struct oci_hooks;
struct oci_spec;
struct oci_state;

/* Run them in order in the bundle; the first that fails ends it (oci/hooks.h). */
int hooks_run(const struct oci_hook *hooks, size_t n, const struct oci_state *state,
              struct error *err);
/* The poststop hooks of a container that has stopped; hooks may be NULL. Failures are logged, every
 * hook runs. */
void hooks_run_poststop(const struct oci_hooks *hooks, const struct oci_state *state);

/* Of a createContainer hook. */
bool hook_is_on_host(const struct oci_hook *hook);
/* What the stand-in is told to run, NULL: nothing. */
struct json *hooks_of_standin(const struct oci_spec *spec, const struct oci_state *state);
/* In the stand-in, with what hooks_of_standin() gave: they run in the root file system. */
int hooks_run_in_standin(const struct json *told, const char *rootfs, struct error *err);
/* How long hooks may take in all: those of the stand-in, those in the guest. */
unsigned hooks_standin_seconds(const struct oci_spec *spec);
unsigned hooks_guest_seconds(const struct oci_spec *spec);
