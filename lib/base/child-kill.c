#include "lib/base/child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"

/* Of field 22, counted from field 3 (the state), which follows the command in brackets. */
#define START_TIME_SKIP 19

#define LOOK_AGAIN_MS 2
#define KILL_ROUNDS 1000
#define MAX_DEPTH 64           /* of a tree of processes */
#define MAX_CHILDREN (1 << 20) /* bytes of their numbers */

unsigned long long child_start_time(pid_t pid)
{
	char path[32], text[1024];
	auto_close int fd = -1;
	unsigned long long start;
	const char *p;
	char *end;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	/* The command may contain anything, also brackets; nothing after it has one. */
	p = strrchr(text, ')');
	if (!p || p[1] != ' ' || strchr("ZXx", p[2]))
		return 0;
	p += 2;
	for (int i = 0; i < START_TIME_SKIP; i++) {
		p = strchr(p, ' ');
		if (!p)
			return 0;
		p++;
	}
	start = strtoull(p, &end, 10);
	/* Without memory it has ended: the first process of a PID namespace stays until the others
	 * there are reaped, which is the matter of their parents. */
	return strtoull(end, NULL, 10) == 0 ? 0 : start;
}

bool child_is_alive(pid_t pid, unsigned long long start_time)
{
	return start_time != 0 && child_start_time(pid) == start_time;
}

/* 0 when the process of the descriptor has ended, zombies included. */
static int wait_end(int pidfd, unsigned timeout_ms)
{
	uint64_t end = loop_now_ms() + timeout_ms;

	for (;;) {
		struct pollfd p = { .fd = pidfd, .events = POLLIN };
		uint64_t now = loop_now_ms();
		int r = poll(&p, 1, now < end ? (int)(end - now) : 0);

		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
		if (now >= end)
			return -ETIMEDOUT;
	}
}

/* Where the kernel, a system call filter or a debugger lacks descriptors of processes: between the
 * look and the signal the number could change its owner, so this is second choice. */
static int kill_wait_by_number(pid_t pid, unsigned long long start_time, unsigned timeout_ms)
{
	uint64_t end = loop_now_ms() + timeout_ms;

	if (child_is_alive(pid, start_time) && kill(pid, SIGKILL) < 0 && errno != ESRCH)
		return -errno;
	while (child_is_alive(pid, start_time)) {
		if (loop_now_ms() >= end)
			return -ETIMEDOUT;
		poll(NULL, 0, LOOK_AGAIN_MS);
	}
	return 0;
}

int child_kill_wait(pid_t pid, unsigned long long start_time, unsigned timeout_ms)
{
	auto_close int pidfd = -1;
	uint64_t end;
	int r;

	if (pid <= 0)
		return -EINVAL;
	pidfd = pidfd_open(pid, 0);
	if (pidfd < 0 && errno == ENOSYS)
		return kill_wait_by_number(pid, start_time, timeout_ms);
	if (pidfd < 0)
		return errno == ESRCH ? 0 : -errno;
	/* Looked at after the descriptor was opened: so it is of that process and no other. */
	if (!child_is_alive(pid, start_time))
		return 0;
	if (pidfd_send_signal(pidfd, SIGKILL, NULL, 0) < 0)
		return errno == ESRCH ? 0 : -errno;
	end = loop_now_ms() + timeout_ms;
	do
		r = wait_end(pidfd, LOOK_AGAIN_MS);
	while (r == -ETIMEDOUT && child_is_alive(pid, start_time) && loop_now_ms() < end);
	return r == -ETIMEDOUT && !child_is_alive(pid, start_time) ? 0 : r;
}

bool child_has_ended(int pidfd, unsigned timeout_ms, siginfo_t *how)
{
	*how = (siginfo_t){ 0 };
	if (pidfd < 0 || wait_end(pidfd, timeout_ms) < 0)
		return false;
	waitid(P_PIDFD, (id_t)pidfd, how, WEXITED | WNOHANG | WNOWAIT);
	return true;
}

char *child_end_text(const siginfo_t *how)
{
	if (how->si_pid == 0)
		return str_dup("died");
	return str_fmt("%s %d",
	               how->si_code == CLD_EXITED ? "exited with status" : "was killed by signal",
	               how->si_status);
}

void child_end(int *pidfd, unsigned timeout_ms)
{
	if (*pidfd >= 0) {
		pidfd_send_signal(*pidfd, SIGKILL, NULL, 0);
		wait_end(*pidfd, timeout_ms);
		/* ECHILD, when the caller reaps every child itself, is as good. */
		waitid(P_PIDFD, (id_t)*pidfd, NULL, WEXITED | WNOHANG);
	}
	close_fd(pidfd);
}

/* /proc may be another PID namespace's, where the numbers mean other processes. */
static bool proc_is_ours(void)
{
	char text[16];
	ssize_t n = readlink("/proc/self", text, sizeof(text) - 1);

	if (n <= 0)
		return false;
	text[n] = '\0';
	return atoi(text) == getpid();
}

static size_t kill_below(pid_t pid, unsigned depth);

/* What one thread has started. */
static size_t kill_children(const char *path, unsigned depth)
{
	auto_error struct error gone = { 0 };
	auto_free char *text = NULL;
	auto_strv char **words = NULL;
	size_t n = 0;

	if (fs_read(path, MAX_CHILDREN, &text, NULL, &gone) < 0)
		return 0;
	words = str_split(text, ' ');
	for (size_t i = 0; words[i]; i++) {
		pid_t child = (pid_t)atoi(words[i]);

		if (child <= 0 || child_start_time(child) == 0) /* the end, or a zombie */
			continue;
		n += 1 + kill_below(child, depth + 1);
		kill(child, SIGKILL);
	}
	return n;
}

/* Kill what is below; returns how many there were. */
static size_t kill_below(pid_t pid, unsigned depth)
{
	auto_free char *path = str_fmt("/proc/%d/task", (int)pid);
	DIR *threads = depth < MAX_DEPTH ? opendir(path) : NULL;
	struct dirent *d;
	size_t n = 0;

	while (threads && (d = readdir(threads))) {
		auto_free char *file = str_fmt("%s/%s/children", path, d->d_name);

		if (d->d_name[0] != '.')
			n += kill_children(file, depth);
	}
	if (threads)
		closedir(threads);
	return n;
}

void child_kill_tree(pid_t pid)
{
	/* It stays until the end: what is orphaned by the killing becomes its own. */
	kill(pid, SIGSTOP);
	for (int i = 0; proc_is_ours() && i < KILL_ROUNDS && kill_below(pid, 0) > 0; i++)
		poll(NULL, 0, LOOK_AGAIN_MS);
	kill(pid, SIGKILL);
}
