#include "lib/base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"

#define REPORT_MAX 4096 /* bytes of the child's error message that reach the parent */

/* What the child needs, made before fork so that it allocates nothing. */
struct plan {
	const struct child_opts *opts;
	int *sources; /* copies of opts->fds[].fd, above every number that is mapped */
	int *keep;    /* sorted: the mapped numbers, then the report pipe */
	size_t n_keep;
	int above; /* first number above all mapped ones */
	int report;
};

static int compare_ints(const void *a, const void *b)
{
	const int *ia = a, *ib = b;

	return (*ia > *ib) - (*ia < *ib);
}

static int plan_init(struct plan *plan, const struct child_opts *opts, struct error *err)
{
	*plan = (struct plan){ .opts = opts, .above = STDERR_FILENO + 1 };
	for (size_t i = 0; i < opts->n_fds; i++)
		if (opts->fds[i].as < 0 || opts->fds[i].fd < -1)
			return error_set(err, EBADF, "start '%s': no descriptor %d as %d",
			                 opts->path, opts->fds[i].fd, opts->fds[i].as);
	plan->sources = xcalloc(opts->n_fds, sizeof(*plan->sources));
	plan->keep = xcalloc(opts->n_fds + 1, sizeof(*plan->keep));
	for (size_t i = 0; i < opts->n_fds; i++) {
		plan->keep[i] = opts->fds[i].as;
		if (plan->above <= opts->fds[i].as)
			plan->above = opts->fds[i].as + 1;
	}
	plan->n_keep = opts->n_fds;
	qsort(plan->keep, plan->n_keep, sizeof(*plan->keep), compare_ints);
	return 0;
}

static void plan_done(struct plan *plan)
{
	free(plan->sources);
	free(plan->keep);
}

static void reset_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };

	for (int i = 1; i <= SIGRTMAX; i++)
		sigaction(i, &dfl, NULL);
}

static int open_null(int above)
{
	auto_close int fd = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);

	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, above);
}

/* First copy everything out of the way, then to its number: the mapping may be any permutation. */
static int place_fds(struct plan *plan, struct error *err)
{
	const struct child_opts *o = plan->opts;
	int null;

	plan->report = fcntl(plan->report, F_DUPFD_CLOEXEC, plan->above);
	if (plan->report < 0)
		return error_sys(err, "move a descriptor above %d", plan->above - 1);
	plan->keep[plan->n_keep++] = plan->report;
	null = open_null(plan->above);
	if (null < 0)
		return error_sys(err, "open '/dev/null'");
	for (size_t i = 0; i < o->n_fds; i++) {
		plan->sources[i] = o->fds[i].fd == -1
		                           ? null
		                           : fcntl(o->fds[i].fd, F_DUPFD_CLOEXEC, plan->above);
		if (plan->sources[i] < 0)
			return error_sys(err, "duplicate descriptor %d", o->fds[i].fd);
	}
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (dup2(null, fd) < 0)
			return error_sys(err, "make descriptor %d", fd);
	for (size_t i = 0; i < o->n_fds; i++)
		if (dup2(plan->sources[i], o->fds[i].as) < 0)
			return error_sys(err, "make descriptor %d", o->fds[i].as);
	fs_close_from(STDERR_FILENO + 1, plan->keep, plan->n_keep);
	return 0;
}

/* After prepare, because a change of credentials clears it. The parent may be gone already; then
 * nobody reads the report pipe any more. (Not getppid(): 0 in a new PID namespace.) */
static int follow_parent(const struct plan *plan, struct error *err)
{
	struct pollfd p = { .fd = plan->report };

	if (prctl(PR_SET_PDEATHSIG, plan->opts->death_signal) < 0)
		return error_sys(err, "set the parent-death signal");
	if (poll(&p, 1, 0) > 0 && p.revents & POLLERR)
		_exit(EXIT_FAILURE);
	return 0;
}

/* Returns only on failure. */
static void child_exec(struct plan *plan, struct error *err)
{
	const struct child_opts *o = plan->opts;
	sigset_t none;

	reset_signals();
	if (o->new_session && setsid() < 0) {
		error_sys(err, "start a session");
		return;
	}
	if (o->keeps_orphans && prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) {
		error_sys(err, "keep orphans");
		return;
	}
	if (place_fds(plan, err) < 0)
		return;
	if (o->cwd && chdir(o->cwd) < 0) {
		error_sys(err, "change directory to '%s'", o->cwd);
		return;
	}
	if (o->prepare && o->prepare(o->prepare_arg, err) < 0)
		return;
	if (o->death_signal && follow_parent(plan, err) < 0)
		return;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(o->path, o->argv, o->envp ? o->envp : environ);
	error_sys(err, "exec '%s'", o->path);
}

static void __attribute__((noreturn)) child_main(struct plan *plan)
{
	struct error err = { 0 };
	char report[sizeof(err.code) + REPORT_MAX];
	const char *msg;
	size_t len;

	child_exec(plan, &err);
	if (err.code == 0)
		error_set(&err, EIO, "prepare '%s' failed without a reason", plan->opts->path);
	msg = err.msg;
	len = strnlen(msg, REPORT_MAX);
	memcpy(report, &err.code, sizeof(err.code));
	memcpy(report + sizeof(err.code), msg, len);
	fs_write_all(plan->report, report, sizeof(err.code) + len);
	_exit(127);
}

static void reap(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Nothing to read means that exec closed the pipe. */
static int read_report(int fd, struct error *err)
{
	auto_free char *report = NULL;
	size_t len;
	int code;

	if (fs_read_fd(fd, "report of the child", sizeof(code) + REPORT_MAX, &report, &len, err) <
	    0)
		return -err->code;
	if (len == 0)
		return 0;
	if (len < sizeof(code))
		return error_set(err, EPROTO, "the child's report is too short");
	memcpy(&code, report, sizeof(code));
	return error_set(err, code, "%s", report + sizeof(code));
}

static long clone_into(const char *cgroup, unsigned long flags, int *pidfd)
{
	auto_close int dir = open(cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct clone_args args = { .flags = flags | CLONE_INTO_CGROUP,
		                   .pidfd = (uintptr_t)pidfd,
		                   .exit_signal = SIGCHLD,
		                   .cgroup = (uint64_t)dir };

	return dir < 0 ? -1 : syscall(SYS_clone3, &args, sizeof(args));
}

pid_t child_clone(int namespaces, const char *cgroup, int *pidfd)
{
	unsigned long flags = (unsigned)namespaces | (pidfd ? CLONE_PIDFD : 0);
	long pid = cgroup ? clone_into(cgroup, flags, pidfd) : -1;

	return (pid_t)(pid >= 0 ? pid
	                        : syscall(SYS_clone, flags | SIGCHLD, NULL, pidfd, NULL, NULL));
}

/* With a descriptor of the child from its first moment on. */
static pid_t fork_quietly(const struct child_opts *opts, int *pidfd)
{
	sigset_t all, old;
	pid_t pid;
	int saved;

	/* No handler of the parent may run in the child. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	pid = child_clone(opts->namespaces, opts->cgroup, pidfd);
	if (pid != 0) {
		saved = errno;
		sigprocmask(SIG_SETMASK, &old, NULL);
		errno = saved;
	}
	return pid;
}

static int spawn_planned(struct plan *plan, pid_t *pid, int *pidfd, struct error *err)
{
	auto_close int from_child = -1;
	auto_close int to_parent = -1;
	auto_close int handle = -1;
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_sys(err, "start '%s': pipe", plan->opts->path);
	from_child = ends[0];
	to_parent = ends[1];
	child = fork_quietly(plan->opts, &handle);
	if (child < 0)
		return error_sys(err, "start '%s': fork", plan->opts->path);
	if (child == 0) {
		close_fd(&from_child);
		plan->report = to_parent;
		child_main(plan);
	}
	close_fd(&to_parent);
	if (read_report(from_child, err) < 0) {
		reap(child);
		return -err->code;
	}
	*pid = child;
	if (pidfd)
		*pidfd = steal_fd(&handle);
	return 0;
}

static bool is_kept(const char *variable)
{
	static const char *const kept[] = { "PATH=",         "LD_",           "VCRT_",
		                            "ASAN_OPTIONS=", "LSAN_OPTIONS=", "UBSAN_OPTIONS=" };

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (str_starts(variable, kept[i]))
			return true;
	return false;
}

char **child_small_env(void)
{
	char **env = xcalloc(strv_len(environ) + 1, sizeof(*env));
	size_t n = 0;

	for (char **e = environ; *e; e++)
		if (is_kept(*e))
			env[n++] = *e;
	return env;
}

int child_spawn(const struct child_opts *opts, pid_t *pid, int *pidfd, struct error *err)
{
	struct plan plan;
	int r = plan_init(&plan, opts, err);

	if (r == 0)
		r = spawn_planned(&plan, pid, pidfd, err);
	plan_done(&plan);
	return r;
}

int child_exit_code(int wait_status)
{
	return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}
