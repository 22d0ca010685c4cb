/* Loaded into QEMU before its own libraries (LD_PRELOAD) when it runs a clone of a template. QEMU
 * opens the file of a guest's memory for writing even where it maps it privately; here it gets a
 * descriptor that it can only read, which is all that a private mapping needs. So the file can lie
 * on a mount that is read-only, and a guest that has taken over its QEMU cannot change the memory
 * that later VMs start from. The mount enforces that; this only lets QEMU live with it. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hypervisor/private-file.h"

#define EXPORT __attribute__((visibility("default")))

/* As the C library declares them, which is not for everybody. */
int open64(const char *path, int flags, ...);
int __open64_2(const char *path, int flags);

static int open_file(const char *path, int flags, mode_t mode)
{
	const char *private_file = getenv(PRIVATE_FILE_VARIABLE);

	if (private_file && strcmp(path, private_file) == 0)
		flags = (flags & ~O_ACCMODE) | O_RDONLY;
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (flags & (O_CREAT | O_TMPFILE)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return open_file(path, flags, mode);
}

/* What open64() becomes in programs that are built with checks of its arguments. */
EXPORT int __open64_2(const char *path, int flags)
{
	return open_file(path, flags, 0);
}
