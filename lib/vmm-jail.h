/* What the VMM's process gives up before it runs (DESIGN section 12): its own mount namespace with
 * nothing in it but what it needs, no capability except those that serving the share as the files'
 * owners takes, no new privileges. */
#pragma once

#include <stdbool.h>

struct error;

struct vmm_jail {
	bool keep_memory_lock; /* VFIO pins guest memory */
};
/* For hv_config.prepare; arg is a struct vmm_jail. Runs in the VMM's process. */
int vmm_jail_enter(void *arg, struct error *err);
