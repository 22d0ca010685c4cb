#include <errno.h>
#include <sys/capability.h>
#include <sys/prctl.h>

#include "lib/share.h"
#include "lib/vmm-jail.h"
#include "lib/base/error.h"

/* QEMU's 9p server acts on the host for root in the guest: owners, modes, special files, any file
 * whatever its permissions. It runs as root, whose capabilities come back at exec, so the bounding
 * set is what counts. */
static const cap_value_t kept[] = { CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER,
	                            CAP_FSETID, CAP_MKNOD,        CAP_SETFCAP };

static bool is_kept(const struct vmm_jail *jail, int cap)
{
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (kept[i] == cap)
			return true;
	return cap == CAP_IPC_LOCK && jail->keep_memory_lock;
}

int vmm_jail_enter(void *arg, struct error *err)
{
	const struct vmm_jail *jail = arg;

	if (share_prepare_vmm(err) < 0)
		return -err->code;
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (!is_kept(jail, cap) && prctl(PR_CAPBSET_DROP, cap) < 0)
			return error_sys(err, "drop a capability of the VMM");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_sys(err, "deny the VMM new privileges");
	return 0;
}
