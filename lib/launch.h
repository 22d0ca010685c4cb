/* Starting a sandbox, or joining one: its directory, its monitor, the container's host cgroup. A
 * part of create. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/state.h"
#include "lib/vm-size.h"

struct config;
struct error;
struct json;
struct ns_id;
struct oci_spec;
struct vcrt;

struct launch {
	struct vcrt *v;
	struct config *config; /* with the container's overrides */
	struct record *record; /* journalled as we go */
	int dirfd;             /* ROOT/ID */
	int monitor;           /* connection; -1 before */
	int listener;          /* for the monitor; -1: none */
	pid_t monitor_pid;     /* our child, 0: the sandbox was there */
	struct json *card;     /* of a sandbox that was made (sandbox.h) */
	char *cgroup_path;     /* see cgroup_path() */
	bool is_joined;        /* the sandbox is another container's, too */
	struct vm_need need;   /* of the container */
	struct hv_size size;   /* of a VM that is made: for the container and its pod */
	struct hv_size least;  /* the same without the container */
};

/* The steps of pod_enter(). On failure the caller cleans up by the record. */

/* What can be said and found out before there is a sandbox. */
int launch_prepare(struct launch *l, const struct oci_spec *spec, struct error *err);
/* Make it, so that others find it: its directory, its cgroup, its monitor, which starts the VM.
 * given: namespaces of the host. */
int launch_make(struct launch *l, const struct oci_spec *spec, const struct ns_id *given, size_t n,
                struct error *err);
/* The rest of that, which may take longer: the cgroup of a monitor that systemd has to make. The
 * start of the VM is under way when this returns. */
int launch_boot(struct launch *l, const struct oci_spec *spec, struct error *err);
/* The container's cgroup: make it before there is a process, which is to be born there
 * (cgroup_enter()), or with systemd have it made around this one. In that of a container that joins
 * a sandbox is room for the VM, too, which comes there when those before it go. Each does nothing
 * where it is the other's turn. */
int launch_make_cgroup(struct launch *l, const struct oci_spec *spec, struct error *err);
int launch_start_scope(struct launch *l, const struct oci_spec *spec, pid_t pid, struct error *err);
/* Start this program with that descriptor as its 3, in a session of its own, with nothing else of
 * ours. more: what else is to be done with it, NULL: nothing. */
struct child_opts;
int launch_self(const struct vcrt *v, char *const *argv, int fd, const struct child_opts *more,
                pid_t *pid, int *pidfd, struct error *err);
/* Start a monitor, which waits for its first message on *conn; that and *pidfd (may be NULL) are
 * the caller's. cgroup: directories, NULL: the caller's own. */
int launch_monitor(const struct vcrt *v, const char *name, char *const *cgroup, int *conn,
                   pid_t *pid, int *pidfd, struct error *err);
/* "auto" becomes "kvm" or "tcg". */
int launch_resolve_accel(struct config *c, struct error *err);
