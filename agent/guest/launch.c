/* From clone to execve, seen from the agent: a new process, a socket to it, and a bounded wait. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "agent/protocol.h"
#include "lib/base/fd-pass.h"
#include "lib/base/fs.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define REPORT_MAX 2048 /* bytes of an error message */
#define FIRST_EXTRA 3   /* the first descriptor beyond the standard streams */

struct report {
	int type, code;
	char text[REPORT_MAX];
};

int report_send(int sock, enum report_type type, const struct error *err, int fd)
{
	struct report r = { .type = (int)type };
	struct iovec iov = { .iov_base = &r, .iov_len = offsetof(struct report, text) };
	ssize_t n;

	if (err) {
		size_t len = err->msg ? strnlen(err->msg, REPORT_MAX - 1) : 0;

		while (len > 0 && (err->msg[len] & 0xc0) == 0x80) /* a cut UTF-8 sequence */
			len--;

		r.code = err->code;
		if (len > 0)
			memcpy(r.text, err->msg, len);
		iov.iov_len += len;
	}
	n = fd_pass_send(sock, &iov, 1, &fd, fd >= 0, 0);
	return n < 0 ? (int)n : 0;
}

static int wait_readable(int sock, int timeout_ms)
{
	uint64_t end = timeout_ms < 0 ? UINT64_MAX : loop_now_ms() + (uint64_t)timeout_ms;

	for (;;) {
		struct pollfd p = { .fd = sock, .events = POLLIN };
		uint64_t now = timeout_ms < 0 ? 0 : loop_now_ms();
		int n = poll(&p, 1, timeout_ms < 0 ? -1 : now >= end ? 0 : (int)(end - now));

		if (n > 0)
			return 0;
		if (n == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

int report_receive(int sock, int timeout_ms, enum report_type *type, int *fd, struct error *err)
{
	struct report r = { 0 };
	struct iovec iov = { .iov_base = &r, .iov_len = sizeof(r) - 1 };
	size_t n_fds = 1;
	int ret = wait_readable(sock, timeout_ms);
	ssize_t n;

	*fd = -1;
	if (ret < 0)
		return error_set(err, -ret, "wait for the new process: %s", strerror(-ret));
	n = fd_pass_receive(sock, &iov, 1, fd, &n_fds, 0);
	if (n == 0 || n == -ECONNRESET)
		return 1;
	if (n < (ssize_t)offsetof(struct report, text)) {
		close_fd(fd);
		return error_set(err, EPROTO, "bad report of the new process");
	}
	*type = (enum report_type)r.type;
	if (r.type == REPORT_ERROR)
		error_set(err, r.code ? r.code : EIO, "%s", r.text);
	return 0;
}

/* ---- the first steps of the child ---- */

static void reset_signals(void)
{
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL); /* fails for KILL, STOP and those of the C library */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Out of the way of what the program gets. The old one is closed with all the others. */
static int move_up(int *fd, int base)
{
	int high;

	if (*fd < 0 || *fd >= base)
		return 0;
	high = fcntl(*fd, F_DUPFD_CLOEXEC, base);
	if (high < 0)
		return -errno;
	*fd = high;
	return 0;
}

static int child_extra_fds(const struct guest_io *io, int base)
{
	int high[PROTOCOL_MAX_FDS];

	if (io->n_extra > PROTOCOL_MAX_FDS)
		return -E2BIG;
	for (size_t i = 0; i < io->n_extra; i++) {
		high[i] = fcntl(io->extra[i], F_DUPFD_CLOEXEC, base);
		if (high[i] < 0)
			return -errno;
	}
	for (size_t i = 0; i < io->n_extra; i++)
		if (dup3(high[i], FIRST_EXTRA + (int)i, O_CLOEXEC) < 0)
			return -errno;
	return 0;
}

/* Descriptors move up first, so that none is overwritten before it was used. Numbers that the
 * program gets are taken from here on, so that nothing else is opened there. */
static int child_fds(struct launch *l)
{
	int *const ours[] = { &l->sync, &l->target, &l->devices, &l->sysfs };
	int base = FIRST_EXTRA + (int)l->io.n_extra, ret = 0;

	for (int i = 0; ret == 0 && i < 3; i++) {
		int fd = l->io.fd[i];

		l->stdio[i] = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, base)
		                      : open("/dev/null", O_RDWR | O_CLOEXEC);
		ret = l->stdio[i] < 0 ? -errno : move_up(&l->stdio[i], base);
	}
	for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(ours); i++)
		ret = move_up(ours[i], base);
	for (size_t i = 0; ret == 0 && i < l->ct->ns.n_joined; i++)
		ret = move_up(&l->ct->ns.joined[i].fd, base);
	return ret < 0 ? ret : child_extra_fds(&l->io, base);
}

int launch_release_fds(const struct launch *l, struct error *err)
{
	for (size_t i = 0; i < l->io.n_extra; i++)
		if (fcntl(FIRST_EXTRA + (int)i, F_SETFD, 0) < 0)
			return error_sys(err, "hand over descriptor %zu", FIRST_EXTRA + i);
	return 0;
}

/* The agent's other descriptors (pipes of other containers, the channel) must not live on in a
 * process that may wait for its start for hours. */
static void child_close(struct launch *l)
{
	const int ours[] = { l->sync, l->target, l->devices, l->sysfs };
	int keep[PROTOCOL_MAX_FDS + ARRAY_SIZE(ours) + 3 + NS_MAX_JOIN];
	size_t n = 0;

	for (size_t i = 0; i < l->io.n_extra; i++)
		keep[n++] = FIRST_EXTRA + (int)i;
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (ours[i] >= 0)
			keep[n++] = ours[i];
	for (int i = 0; i < 3; i++)
		if (l->stdio[i] > 2)
			keep[n++] = l->stdio[i];
	for (size_t i = 0; i < l->ct->ns.n_joined; i++)
		keep[n++] = l->ct->ns.joined[i].fd;
	fs_close_from(3, keep, n);
}

void launch_child(struct launch *l)
{
	auto_error struct error err = { 0 };
	int ret = child_fds(l);

	if (ret < 0) {
		error_set(&err, -ret, "arrange the descriptors: %s", strerror(-ret));
		report_send(l->sync, REPORT_ERROR, &err, -1);
		_exit(1);
	}
	if (!l->ready) /* nothing of others in a process that has waited */
		child_close(l);
	l->child(l);
	__builtin_unreachable();
}

/* ---- the agent's side ---- */

static pid_t clone_child(struct launch *l, int cgroup_fd, int *pidfd, const int pair[2])
{
	struct clone_args args = {
		.flags = CLONE_PIDFD | CLONE_INTO_CGROUP | l->clone_flags,
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)cgroup_fd,
	};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid != 0)
		return pid < 0 ? -errno : (pid_t)pid;
	l->sync = pair[1];
	prctl(PR_SET_DUMPABLE, 0); /* out of reach for ptrace and /proc/PID/exe */
	reset_signals();
	launch_child(l);
}

static pid_t clone_among_others(struct launch *l, int cgroup_fd, int *pidfd, const int pair[2],
                                struct error *err)
{
	const struct guest *g = l->ct->guest;
	auto_error struct error lost = { 0 };
	pid_t pid = namespaces_enter(l->born, err);

	if (pid == 0)
		pid = clone_child(l, cgroup_fd, pidfd, pair);
	if (namespaces_return(g, l->born, &lost) == 0)
		return pid;
	if (pid > 0) /* reaped as an orphan is */
		syscall(SYS_pidfd_send_signal, *pidfd, SIGKILL, NULL, 0);
	error_clear(err);
	return error_move(err, &lost);
}

static int fail_to_join(const struct launch *l, int code, struct error *err)
{
	auto_free char *why = error_text(-code);

	return error_set(
		err, -code,
		"error adding pid of the new process to cgroups: open %s%s%s%s/cgroup.procs: %s",
		l->ct->guest->cgroup_root, l->ct->cgroup.path, *l->cgroup == '/' ? "" : "/",
		str_eq(l->cgroup, "/") ? "" : l->cgroup, why);
}

static pid_t clone_anywhere(struct launch *l, int *pidfd, const int pair[2], struct error *err)
{
	const struct cgroup *own = &l->ct->cgroup;
	auto_close int below = -1;
	pid_t pid;

	if (l->cgroup && (below = cgroup_open_below(own, l->cgroup, err)) < 0)
		return fail_to_join(l, below, err);
	pid = clone_among_others(l, below >= 0 ? below : own->fd, pidfd, pair, err);
	/* The container has handed its controllers to child cgroups and lives in one of them. */
	if (pid == -EBUSY && !err->code && l->target >= 0 && !l->cgroup) {
		below = cgroup_open_of(own, l->ct->guest->cgroup_root, l->ct->processes->pid, err);
		if (below < 0)
			return below;
		pid = clone_among_others(l, below, pidfd, pair, err);
	}
	if (pid == -EBUSY && !err->code && l->cgroup)
		return fail_to_join(l, pid, err);
	if (pid < 0 && !err->code)
		return error_set(err, -pid, "create a process: %s", strerror(-pid));
	return pid;
}

/* A pipe belongs to the agent; the container's user must be able to reopen /dev/stdout. */
static int give_stdio(const struct launch *l, struct error *err)
{
	const struct oci_linux *x = l->ct->spec->linux_;
	uint32_t uid = l->process->user.uid;

	if (x)
		uid = idmap_to_outside(x->uid_mappings, x->n_uid_mappings, uid);
	for (int i = 0; i < 3; i++) {
		struct stat st;

		if (l->io.fd[i] < 0 || fstat(l->io.fd[i], &st) < 0 || !S_ISFIFO(st.st_mode) ||
		    st.st_uid == uid)
			continue;
		if (fchown(l->io.fd[i], uid, (gid_t)-1) < 0)
			return error_sys(err, "give the standard streams to user %u", uid);
	}
	return 0;
}

pid_t launch_clone(struct launch *l, int *pidfd, int *sync, struct error *err)
{
	auto_close int ours = -1, theirs = -1, child_fd = -1;
	int pair[2];
	pid_t pid;

	if (!l->process->terminal && give_stdio(l, err) < 0)
		return -err->code;
	if (l->ct->text)
		return spare_order(l, pidfd, sync, err);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_sys(err, "create a socket pair");
	ours = pair[0];
	theirs = pair[1];
	pid = clone_anywhere(l, &child_fd, pair, err);
	if (pid < 0)
		return pid;
	*pidfd = steal_fd(&child_fd);
	*sync = steal_fd(&ours);
	return pid;
}
