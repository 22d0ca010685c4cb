#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cgroup.h"
#include "lib/shim.h"
#include "lib/standin.h"
#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"

#define MAX_TITLE 4096      /* bytes of arguments that ps shows */
#define SETUP_TIMEOUT 30000 /* ms: mounts may sit on slow storage */

enum { CONTROL_FD = 3, SETUP_FD = 4 };

static void report(int setup, const char *what)
{
	auto_error struct error err = { 0 };

	error_sys(&err, "start the shim: %s", what);
	ctl_send_error(setup, &err);
}

/* As runc does it for a namespace that it makes: hooks and engines count on it. */
static int set_up_loopback(void)
{
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };

	return fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &lo);
}

/* In the new process: exactly the descriptors it is meant to have, all signals blocked (they wait
 * for standin_run), a session of its own. */
static void __attribute__((noreturn))
become_shim(const char *binary, int namespaces, int control, int setup, char *padding)
{
	char *argv[] = { "vcrt", "shim", padding, NULL };
	int high_control, high_setup, null;

	setsid();
	standin_block_signals();
	/* What hooks mount there must not show on the host. */
	if ((namespaces & CLONE_NEWNS) && mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) {
		report(setup, "make its mounts slaves of the host's");
		_exit(1);
	}
	if ((namespaces & CLONE_NEWNET) && set_up_loopback() < 0) {
		report(setup, "set up the loopback interface");
		_exit(1);
	}
	null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	high_control = fcntl(control, F_DUPFD, SETUP_FD + 1);
	high_setup = fcntl(setup, F_DUPFD, SETUP_FD + 1);
	if (dup2(high_control, CONTROL_FD) < 0 || dup2(high_setup, SETUP_FD) < 0)
		_exit(1);
	fs_close_from(SETUP_FD + 1, NULL, 0);
	execve(binary, argv, child_small_env());
	report(SETUP_FD, binary);
	_exit(1);
}

static void enter_cgroup(char *const *cgroup, int setup)
{
	auto_error struct error err = { 0 };

	if (cgroup_enter(cgroup, &err) < 0) {
		error_wrap(&err, "start the shim");
		ctl_send_error(setup, &err);
		_exit(1);
	}
}

/* Namespaces are entered by a process in between, whose child (in the joined pid namespace) becomes
 * a child of the verb through CLONE_PARENT. It reports that child's pid through a pipe. */
static void __attribute__((noreturn))
join_and_clone(const struct shim_namespaces *ns, const char *binary, int control, int setup,
               char *padding, int result)
{
	pid_t pid;

	enter_cgroup(ns->cgroup, setup);
	for (size_t i = 0; i < ns->n_join; i++) {
		if (setns(ns->join[i], 0) < 0) {
			report(setup, "join a namespace");
			_exit(1);
		}
	}
	pid = child_clone(ns->create | CLONE_PARENT, NULL, NULL);
	if (pid == 0)
		become_shim(binary, ns->create, control, setup, padding);
	if (pid < 0)
		report(setup, "make its namespaces");
	_exit(pid > 0 && write(result, &pid, sizeof(pid)) == sizeof(pid) ? 0 : 1);
}

static pid_t clone_in_joined(const struct shim_namespaces *ns, const char *binary, int control,
                             int setup, char *padding)
{
	int result[2];
	pid_t between, pid = -1;

	if (pipe2(result, O_CLOEXEC) < 0)
		return -1;
	between = child_clone(0, cgroup_unified(ns->cgroup), NULL);
	if (between == 0)
		join_and_clone(ns, binary, control, setup, padding, result[1]);
	close(result[1]);
	if (between > 0) {
		if (read(result[0], &pid, sizeof(pid)) != sizeof(pid))
			pid = -1;
		while (waitpid(between, NULL, 0) < 0 && errno == EINTR)
			;
	}
	close(result[0]);
	return pid;
}

static size_t title_length(char *const *args)
{
	size_t n = 0;

	for (; args && *args; args++)
		n += strlen(*args) + 1;
	return n < MAX_TITLE ? n : MAX_TITLE;
}

int shim_spawn(const char *binary, const struct shim_namespaces *ns, char *const *args,
               struct shim *shim, struct error *err)
{
	int control[2] = { -1, -1 }, setup[2] = { -1, -1 };
	size_t title_len = title_length(args);
	auto_free char *padding =
		xzalloc(title_len + 1); /* before clone: the child allocates nothing */
	auto_error struct error told = { 0 };
	auto_ctl_msg struct ctl_msg *m = NULL;

	memset(padding, ' ', title_len);
	*shim = SHIM_NONE;
	if (ctl_pair(control, err) < 0)
		return -err->code;
	if (ctl_pair(setup, err) < 0) {
		close(control[0]);
		close(control[1]);
		return -err->code;
	}
	shim->control = control[0];
	shim->setup = setup[0];
	if (ns->n_join) {
		shim->pid = clone_in_joined(ns, binary, control[1], setup[1], padding);
	} else {
		shim->pid = child_clone(ns->create, cgroup_unified(ns->cgroup), NULL);
		if (shim->pid == 0) {
			enter_cgroup(ns->cgroup, setup[1]);
			become_shim(binary, ns->create, control[1], setup[1], padding);
		}
	}
	if (shim->pid < 0)
		error_sys(err, "start the shim");
	close(control[1]);
	close(setup[1]);
	if (shim->pid > 0)
		return 0;
	/* The process in between says it better. */
	m = ctl_answer(shim->setup, 0, &told);
	if (told.code && told.code != ECONNRESET && told.code != ETIMEDOUT)
		error_move(err, &told);
	shim_abort(shim);
	return -err->code;
}

struct ctl_msg *shim_setup(struct shim *shim, const struct ctl_out *setup, unsigned more_seconds,
                           shim_wait_fn wait, struct error *err)
{
	int timeout = SETUP_TIMEOUT + (int)more_seconds * 1000;
	struct ctl_msg *m = NULL;

	if (ctl_request(shim->setup, setup, err) == 0 &&
	    (!wait || wait(shim->setup, timeout, err) == 0))
		/* After the wait only its beginning may be there. */
		m = ctl_answer(shim->setup, wait ? SETUP_TIMEOUT : timeout, err);
	if (!m && err->code == ECONNRESET)
		error_set(err, ECONNRESET, "the shim ended while it was set up");
	return m;
}

int shim_finish(struct shim *shim, struct error *err)
{
	auto_phase struct log_phase phase = log_phase_begin("show");
	struct ctl_out out = { .json = json_new_object() };
	auto_ctl_msg struct ctl_msg *m = shim_setup(shim, &out, 0, NULL, err);

	ctl_out_done(&out);
	close_fd(&shim->setup);
	return m ? 0 : -err->code;
}

void shim_done(struct shim *shim)
{
	close_fd(&shim->control);
	close_fd(&shim->setup);
}

void shim_abort(struct shim *shim)
{
	shim_done(shim);
	if (shim->pid > 0) {
		kill(shim->pid, SIGKILL);
		while (waitpid(shim->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	shim->pid = 0;
}
