/* Child processes: start one with exactly the descriptors it is meant to have. */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct error;

struct child_fd {
	int fd; /* in the parent, -1: /dev/null */
	int as; /* its number in the child */
};

/* Everything not said here has its safe default: all other descriptors closed, signal mask and
 * handlers reset, 0-2 on /dev/null unless mapped. */
struct child_opts {
	const char *path;           /* absolute; executed as is */
	char *const *argv;          /* argv[0] included */
	char *const *envp;          /* NULL: the parent's */
	const char *cwd;            /* NULL: the parent's */
	const struct child_fd *fds; /* n_fds of them */
	size_t n_fds;
	int death_signal; /* sent to the child when the parent dies; 0: none */
	bool new_session;
	/* Orphans among its descendants become its children, not those of somebody above: so
	 * child_run() kills them all when the time is over. */
	bool keeps_orphans;
	int namespaces;     /* CLONE_NEW* flags: the child is born in new ones */
	const char *cgroup; /* see child_clone() */
	/* Runs in the child just before exec, after descriptors are in place; a failure is reported
	 * to the parent as the error of child_spawn(). Only async-signal-safe habits, please. */
	int (*prepare)(void *arg, struct error *err);
	void *prepare_arg;
};

/* An environment for processes that outlive their caller: PATH, what finds and checks the program's
 * libraries (LD_*, *SAN_OPTIONS) and variables of our own (VCRT_*); nothing else of the caller's,
 * who may have secrets in it. The array is the caller's to free, the strings are not. */
char **child_small_env(void);

/* Returns 0 and sets *pid (and *pidfd when not NULL, owned by the caller), or -errno when fork,
 * prepare or exec failed: in that case no child is left. Returns after exec has succeeded. */
int child_spawn(const struct child_opts *opts, pid_t *pid, int *pidfd, struct error *err);

/* Like fork(), in new namespaces (CLONE_NEW* flags), and born in a cgroup of version 2, whose
 * directory this is (NULL: the parent's). Where the kernel cannot do that, it is born in that of
 * the parent: see cgroup_enter(). *pidfd (may be NULL) is the caller's. -1 and errno. */
pid_t child_clone(int namespaces, const char *cgroup, int *pidfd);

/* Run to completion with text on stdin and captured output (each capped at max bytes), killed after
 * timeout_ms (0: none). *status is the wait status. -ETIMEDOUT when it had to be killed. out and
 * errout may be NULL. */
int child_run(const struct child_opts *opts, const char *input, size_t max, unsigned timeout_ms,
              int *status, char **out, char **errout, struct error *err);

/* Start time (field 22 of /proc/PID/stat, clock ticks since boot), 0 when there is no such process
 * or it has ended (a zombie, say). With the pid it names a process for good. */
unsigned long long child_start_time(pid_t pid);
bool child_is_alive(pid_t pid, unsigned long long start_time);

/* Kill (SIGKILL) the process if it is still that one, and wait until it is gone, at most
 * timeout_ms. Works for processes that are not children. 0 or -errno (ETIMEDOUT). */
int child_kill_wait(pid_t pid, unsigned long long start_time, unsigned timeout_ms);

/* Whether a child has ended, or does within timeout_ms; it stays to be reaped. *how: si_code and
 * si_status as of waitid(2), si_pid 0 when somebody has reaped it already. pidfd -1: no. */
bool child_has_ended(int pidfd, unsigned timeout_ms, siginfo_t *how);
/* That for a message, after the child's name: "was killed by signal 9". Owned by the caller. */
char *child_end_text(const siginfo_t *how);

/* Kill (SIGKILL) and reap a child, waiting for its end at most timeout_ms, and close its
 * descriptor. -1 is fine. */
void child_end(int *pidfd, unsigned timeout_ms);

/* Kill (SIGKILL) all descendants of a child of ours, then itself; the caller reaps it. Those that
 * are nobody's children any more are found only when it keeps orphans. */
void child_kill_tree(pid_t pid);

/* exit(n) -> n, death by signal s -> 128 + s. */
int child_exit_code(int wait_status);
