/* Passing descriptors over unix sockets: SCM_RIGHTS of unix(7). */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct iovec;

#define FD_PASS_MAX 253 /* descriptors in a message: the kernel's limit, SCM_MAX_FD */

/* Send one message of n_iov buffers, and n_fds descriptors with its first byte; both stay the
 * caller's. flags: as of sendmsg(2), MSG_NOSIGNAL is added. Interrupted, it begins again. Returns
 * the number of bytes that were sent (with all descriptors; less than asked for only on a stream
 * socket), or -errno (E2BIG: more than FD_PASS_MAX), which errno holds as well. */
ssize_t fd_pass_send(int sock, struct iovec *iov, size_t n_iov, const int *fds, size_t n_fds,
                     int flags);

/* Receive one message (of a stream socket: what is there) into n_iov buffers. *n_fds: for how many
 * descriptors fds has room, at most FD_PASS_MAX; on return how many came, close-on-exec, the
 * caller's from then on. flags: as of recvmsg(2). Interrupted, it begins again. Other ancillary
 * data, such as credentials, is passed over.
 *
 * Returns the number of bytes, or -errno. A message that comes without some of its bytes is refused
 * (EMSGSIZE), and so is one without some of its descriptors (EMFILE: fds has no room for them, or
 * the process may not have more). 0: the peer has closed, or the message is empty. Unless there are
 * bytes, no descriptor is left open, or in fds. */
ssize_t fd_pass_receive(int sock, struct iovec *iov, size_t n_iov, int *fds, size_t *n_fds,
                        int flags);
