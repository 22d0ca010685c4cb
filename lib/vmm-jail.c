#include <errno.h>
#include <sys/resource.h>

#include "lib/caps.h"
#include "lib/share.h"
#include "lib/vmm-jail.h"
#include "lib/base/error.h"
#include "lib/base/mem.h"

/* QEMU's 9p server acts on the host for root in the guest: owners, modes, special files, any file
 * whatever its permissions. It runs as root, whose capabilities come back at exec, so the bounding
 * set is what counts. */
#define SERVE_CAPS                                                                                 \
	(CAP_BIT(CAP_CHOWN) | CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_FOWNER) |                    \
	 CAP_BIT(CAP_FSETID) | CAP_BIT(CAP_MKNOD) | CAP_BIT(CAP_SETFCAP))
/* virtiofsd makes files as the user of the guest who asks. The last two it gives up itself, when it
 * has changed its root and dropped its bounding set. */
#define VIRTIOFSD_CAPS                                                                             \
	(SERVE_CAPS | CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID) | CAP_BIT(CAP_SYS_CHROOT) |        \
	 CAP_BIT(CAP_SETPCAP))

int vmm_jail_enter(void *arg, struct error *err)
{
	const struct vmm_jail *jail = arg;
	unsigned long long kept = jail->serves_share ? SERVE_CAPS : 0;

	if (jail->keep_memory_lock)
		kept |= CAP_BIT(CAP_IPC_LOCK);
	if (share_prepare_vmm(jail->serves_share, err) < 0)
		return -err->code;
	return caps_bound(kept, err);
}

int monitor_jail_enter(struct error *err)
{
	const unsigned long long kept = CAP_BIT(CAP_SYS_ADMIN) | CAP_BIT(CAP_DAC_OVERRIDE) |
	                                CAP_BIT(CAP_KILL) | CAP_BIT(CAP_NET_ADMIN) |
	                                CAP_BIT(CAP_MKNOD);

	if (caps_bound(kept, err) < 0 || caps_limit(kept, err) < 0)
		return error_wrap(err, "drop the monitor's privileges");
	return 0;
}

static int set_max_files(unsigned max, struct error *err)
{
	struct rlimit limit = { .rlim_cur = max, .rlim_max = max };

	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return 0;
	/* Above fs.nr_open: as many as we have ourselves. */
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return error_sys(err, "read the limit of open files");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return error_sys(err, "set the limit of open files");
	return 0;
}

int file_jail_enter(void *arg, struct error *err)
{
	const struct file_jail *jail = arg;

	if (share_prepare_server(err) < 0 || set_max_files(jail->max_files, err) < 0)
		return -err->code;
	return caps_bound(VIRTIOFSD_CAPS, err);
}
