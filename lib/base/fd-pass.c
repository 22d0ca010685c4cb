#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/fd-pass.h"
#include "lib/base/mem.h"

#define ROOM(n) CMSG_LEN((n) * sizeof(int)) /* bytes, no more than n descriptors fit */
#define OTHERS CMSG_SPACE(sizeof(struct ucred))

/* Never cleared: only what is used is written, or read. */
union control {
	struct cmsghdr head;
	char space[OTHERS + ROOM(FD_PASS_MAX)];
};

ssize_t fd_pass_send(int sock, struct iovec *iov, size_t n_iov, const int *fds, size_t n_fds,
                     int flags)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n_iov };
	union control control;
	ssize_t n;

	if (n_fds > FD_PASS_MAX) {
		errno = E2BIG;
		return -E2BIG;
	}
	if (n_fds > 0) {
		control.head = (struct cmsghdr){ .cmsg_len = ROOM(n_fds),
			                         .cmsg_level = SOL_SOCKET,
			                         .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.head), fds, n_fds * sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = ROOM(n_fds); /* padding behind the last one is not needed */
	}
	do
		n = sendmsg(sock, &msg, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* The number of descriptors that came: of those beyond max none is left open. No length is
 * believed. */
static size_t take_fds(struct msghdr *msg, int *fds, size_t max)
{
	const unsigned char *end = (unsigned char *)msg->msg_control + msg->msg_controllen;
	size_t n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		const unsigned char *p = CMSG_DATA(c);
		size_t left = (size_t)(end - (unsigned char *)c);

		if (c->cmsg_len > left)
			c->cmsg_len = left;
		if (c->cmsg_len < CMSG_LEN(0))
			break;
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (left = c->cmsg_len - CMSG_LEN(0); left >= sizeof(int); left -= sizeof(int)) {
			int fd;

			memcpy(&fd, p, sizeof(int));
			p += sizeof(int);
			if (n++ < max)
				fds[n - 1] = fd;
			else
				close_fd(&fd);
		}
	}
	return n;
}

ssize_t fd_pass_receive(int sock, struct iovec *iov, size_t n_iov, int *fds, size_t *n_fds,
                        int flags)
{
	const size_t max = *n_fds < FD_PASS_MAX ? *n_fds : FD_PASS_MAX;
	union control control;
	struct msghdr msg = { .msg_iov = iov,
		              .msg_iovlen = n_iov,
		              .msg_control = &control,
		              .msg_controllen = OTHERS + ROOM(max) };
	size_t came;
	ssize_t n;

	*n_fds = 0;
	do
		n = recvmsg(sock, &msg, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	came = take_fds(&msg, fds, max);
	if (msg.msg_flags & MSG_TRUNC)
		n = -EMSGSIZE;
	else if ((msg.msg_flags & MSG_CTRUNC) || came > max)
		n = -EMFILE;
	if (n > 0) {
		*n_fds = came;
		return n;
	}
	for (size_t i = 0; i < came && i < max; i++)
		close_fd(&fds[i]);
	return n;
}
