/* The session keyring: one of the container's own, so that keys of the agent are out of reach. */
#include <errno.h>
#include <linux/keyctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/str.h"

/* As the kernel makes it (possessor: all; user: view, read, link), and the user may search it: so
 * what is exec'd later finds it by its name. */
#define PERMISSIONS 0x3f1b0000u

int keyring_join(const struct container *ct, struct error *err)
{
	auto_free char *name = str_fmt("_ses.%s", ct->id);
	long id;

	if (ct->no_new_keyring)
		return 0;
	id = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name);
	if (id < 0)
		return errno == ENOSYS ? 0 : error_sys(err, "join the session keyring '%s'", name);
	if (syscall(SYS_keyctl, KEYCTL_SETPERM, id, PERMISSIONS) < 0)
		return error_sys(err, "let the session keyring '%s' be found", name);
	return 0;
}
