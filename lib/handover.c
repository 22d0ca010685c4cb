#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/handover.h"
#include "lib/base/error.h"
#include "lib/base/fd-pass.h"
#include "lib/base/mem.h"

int handover_connect(int type, const char *path, const char *what, struct error *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	auto_close int fd = -1;

	if (strlen(path) >= sizeof(addr.sun_path))
		return error_set(err, ENAMETOOLONG, "connect to the %s '%s': path too long", what,
		                 path);
	strcpy(addr.sun_path, path);
	if (*path == '@')
		addr.sun_path[0] = '\0'; /* the kernel's mark of an abstract name */
	else
		size++; /* a path ends with NUL */
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, size) < 0)
		return error_sys(err, "connect to the %s '%s'", what, path);
	return steal_fd(&fd);
}

int handover_send(int socket, const char *text, int fd, struct error *err)
{
	struct iovec iov = { .iov_base = (char *)text, .iov_len = strlen(text) };

	if (fd_pass_send(socket, &iov, 1, &fd, fd >= 0, 0) < 0)
		return error_sys(err, "send");
	return 0;
}

int pidfd_connect(const char *path, struct error *err)
{
	return path && *path ? handover_connect(SOCK_STREAM, path, "pidfd socket", err) : -1;
}

int pidfd_send(int socket, const char *text, pid_t pid, struct error *err)
{
	auto_close int fd = -1;

	if (socket < 0)
		return 0;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return error_sys(err, "open a pidfd of process %d", (int)pid);
	if (handover_send(socket, text, fd, err) < 0)
		return error_wrap(err, "pidfd socket");
	return 0;
}
