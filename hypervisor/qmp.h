/* QEMU's control protocol: JSON objects, one per line, over a stream socket. The other end is not
 * trusted: lines are capped, kinds are checked, every wait has a limit. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct error;
struct json;
struct qmp;

enum {
	QMP_MAX_LINE = 1 << 20, /* bytes; the longest answers we ask for are a few KiB */
	QMP_MAX_SKIPPED = 4096, /* events and stray answers read while waiting for one answer */
	QMP_TIMEOUT_MS = 10000,
};

/* Takes fd, a connected socket. Nothing is sent or read before the first command. */
struct qmp *qmp_new(int fd);
void qmp_free(struct qmp *qmp); /* NULL is fine */
void qmp_set_timeout(struct qmp *qmp, unsigned msec);

/* Run one command and wait for its answer. args (NULL: none) is taken. fds travel with it as
 * SCM_RIGHTS and stay the caller's. *ret (may be NULL) is the "return" member, owned by the
 * caller. Errors: EPIPE when the other end is gone, ETIMEDOUT, EPROTO for what is not QMP; for an
 * error that QEMU reports, whose text is quoted, ENODEV (no such device) or EIO (any other). After
 * anything but these two the connection is dead, and every later command fails at once. */
int qmp_command(struct qmp *qmp, const char *name, struct json *args, const int *fds, size_t n_fds,
                struct json **ret, struct error *err);

/* Send a command without waiting, not even for QEMU to be there. That it was refused is the failure
 * of whatever is waited for next. 0 or as qmp_command(). */
int qmp_post(struct qmp *qmp, const char *name, struct json *args, const int *fds, size_t n_fds,
             struct error *err);
int qmp_fd(const struct qmp *qmp); /* readable when there is an answer or an event; borrowed */

/* Events are dropped, but for the one that is expected: name with "device" in its data. Say so
 * before the command that causes it, then wait for it. To say the same again keeps what came. */
void qmp_expect_event(struct qmp *qmp, const char *name, const char *device);
/* device NULL: without one. 0 when it came, else as qmp_command(); ETIMEDOUT here leaves the
 * connection alive. */
int qmp_wait_event(struct qmp *qmp, unsigned timeout_ms, struct error *err);
bool qmp_is_dead(const struct qmp *qmp);
