/* Starting a sandbox: its directory, its monitor, its host cgroup. A part of create. */
#pragma once

#include <sys/types.h>

#include "lib/state.h"

struct config;
struct error;
struct oci_spec;
struct vcrt;

struct launch {
	struct vcrt *v;
	struct config *config; /* with the container's overrides */
	struct record *record; /* journalled as we go */
	int dirfd;             /* ROOT/ID */
	int monitor;           /* connection; -1 before */
	pid_t monitor_pid;
	char *cgroup_path; /* see cgroup_path() */
};
/* VM start is under way when this returns. On failure the caller cleans up by the record. */
int launch_sandbox(struct launch *l, const struct oci_spec *spec, struct error *err);
