/* What the VMM's process, and that of a file server beside it, give up before they run (DESIGN
 * section 12): namespaces of their own, with no process, network or IPC object in them and no file
 * but what they need; capabilities except those that serving the share as the files' owners takes;
 * new privileges. They keep uid 0, so what a mode or uid check alone protects (all of /proc) must
 * not be in sight, or not be writable. */
#pragma once

#include <stdbool.h>

struct error;

struct vmm_jail {
	bool keep_memory_lock; /* VFIO pins guest memory */
	bool serves_share;     /* by 9p; else it has no capability and does not see the share */
};
/* For hv_config.namespaces. */
#define VMM_JAIL_NAMESPACES                                                                        \
	(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)
/* For hv_config.prepare; arg is a struct vmm_jail. Runs in the VMM's process. */
int vmm_jail_enter(void *arg, struct error *err);

/* What the monitor keeps once the VMM runs: mounts in its own namespace, files of anybody, ending
 * what it started; entering the containers' network namespace, changing it, and opening macvtaps,
 * of which there are no device nodes yet. It reads what the guest sends, and starts nothing any
 * more. */
int monitor_jail_enter(struct error *err);

struct file_jail {
	unsigned max_files; /* that it may have open, if the host lets us set so many */
};
/* The same for virtiofsd, in the same namespaces; arg is a struct file_jail. */
int file_jail_enter(void *arg, struct error *err);
