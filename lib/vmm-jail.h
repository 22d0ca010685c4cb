/* What the VMM's process gives up before it runs (DESIGN section 12): namespaces of its own, with
 * no process, network or IPC object in them and no file but what it needs; every capability except
 * those that serving the share as the files' owners takes; new privileges. It keeps uid 0, so what
 * a mode or uid check alone protects (all of /proc) must not be in sight. */
#pragma once

#include <stdbool.h>

struct error;

struct vmm_jail {
	bool keep_memory_lock; /* VFIO pins guest memory */
};
/* For hv_config.namespaces. */
#define VMM_JAIL_NAMESPACES                                                                        \
	(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)
/* For hv_config.prepare; arg is a struct vmm_jail. Runs in the VMM's process. */
int vmm_jail_enter(void *arg, struct error *err);
