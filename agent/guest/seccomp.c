/* The filter of linux.seccomp, which the host has compiled; each process loads it itself. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"

int seccomp_apply(const struct seccomp_filter *f, struct error *err)
{
	struct sock_fprog prog = { .len = (unsigned short)f->n, .filter = f->code };

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, f->flags, &prog) < 0)
		return error_sys(err, "linux.seccomp: load the filter");
	return 0;
}
