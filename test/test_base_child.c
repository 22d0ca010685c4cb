#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "test/scratch.h"
#include "test/shell.h"

static int spawn_fails(const struct child_opts *opts, struct error *err)
{
	pid_t pid = -7;
	int pidfd = -7;
	int r = child_spawn(opts, &pid, &pidfd, err);

	ck_assert_int_lt(r, 0);
	ck_assert_int_eq(pid, -7);
	ck_assert_int_eq(pidfd, -7);
	/* No child is left. */
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
	return r;
}

START_TEST(exec_failure_is_the_error_of_spawn)
{
	auto_error struct error err = { 0 };
	char *argv[4];
	struct child_opts opts = shell_opts(argv, "");

	opts.path = "/nonexistent";
	ck_assert_int_eq(spawn_fails(&opts, &err), -ENOENT);
	ck_assert_str_eq(err.msg, "exec '/nonexistent': No such file or directory");
	opts.path = "/etc/passwd";
	ck_assert_int_eq(spawn_fails(&opts, &err), -EACCES);
	ck_assert_str_eq(err.msg, "exec '/etc/passwd': Permission denied");
}
END_TEST

START_TEST(a_missing_directory_is_the_error_of_spawn)
{
	auto_error struct error err = { 0 };
	char *argv[4];
	struct child_opts opts = shell_opts(argv, "");

	opts.cwd = "/nonexistent";
	ck_assert_int_eq(spawn_fails(&opts, &err), -ENOENT);
	ck_assert_str_eq(err.msg, "change directory to '/nonexistent': No such file or directory");
}
END_TEST

START_TEST(a_bad_descriptor_is_the_error_of_spawn)
{
	auto_error struct error err = { 0 };
	char *argv[4];
	struct child_opts opts = shell_opts(argv, "");
	struct child_fd fds[] = { { 999, 5 } };

	opts.fds = fds;
	opts.n_fds = 1;
	ck_assert_int_eq(spawn_fails(&opts, &err), -EBADF);
	ck_assert_str_eq(err.msg, "duplicate descriptor 999: Bad file descriptor");
	fds[0] = (struct child_fd){ 0, -1 };
	ck_assert_int_eq(spawn_fails(&opts, &err), -EBADF);
	ck_assert_str_eq(err.msg, "start '/bin/sh': no descriptor 0 as -1");
}
END_TEST

static int prepare_fails(void *arg, struct error *err)
{
	return error_set(err, ENOTUNIQ, "cannot prepare %s", (const char *)arg);
}

static int prepare_fails_silently(void *arg, struct error *err)
{
	(void)arg;
	(void)err;
	return -1;
}

static int prepare_fails_at_length(void *arg, struct error *err)
{
	(void)arg;
	return error_set(err, EIO, "%0100000d", 1);
}

START_TEST(prepare_failure_is_the_error_of_spawn)
{
	auto_error struct error err = { 0 };
	char *argv[4];
	struct child_opts opts = shell_opts(argv, "");

	opts.prepare = prepare_fails;
	opts.prepare_arg = (void *)"this";
	ck_assert_int_eq(spawn_fails(&opts, &err), -ENOTUNIQ);
	ck_assert_str_eq(err.msg, "cannot prepare this");
	opts.prepare = prepare_fails_silently;
	ck_assert_int_eq(spawn_fails(&opts, &err), -EIO);
	ck_assert_str_eq(err.msg, "prepare '/bin/sh' failed without a reason");
	opts.prepare = prepare_fails_at_length;
	ck_assert_int_eq(spawn_fails(&opts, &err), -EIO);
	ck_assert_uint_eq(strlen(err.msg), 4096);
}
END_TEST

static int prepare_marks(void *arg, struct error *err)
{
	if (write(STDOUT_FILENO, arg, strlen(arg)) < 0)
		return error_sys(err, "write");
	return 0;
}

START_TEST(prepare_runs_with_descriptors_in_place)
{
	char *argv[4];
	struct child_opts opts = shell_opts(argv, "echo exec");
	auto_free char *out = NULL;

	opts.prepare = prepare_marks;
	opts.prepare_arg = (void *)"prepare\n";
	out = shell_output(&opts, NULL);
	ck_assert_str_eq(out, "prepare\nexec\n");
}
END_TEST

START_TEST(environment_and_directory_are_given_or_inherited)
{
	char *argv[4], *envp[] = { (char *)"A=1", NULL };
	struct child_opts opts = shell_opts(argv, "echo $A-$B; pwd");
	auto_free char *given = NULL;
	auto_free char *inherited = NULL;

	setenv("B", "2", 1);
	unsetenv("A");
	ck_assert_int_eq(chdir("/usr"), 0);
	inherited = shell_output(&opts, NULL);
	ck_assert_str_eq(inherited, "-2\n/usr\n");
	opts.envp = envp;
	opts.cwd = "/";
	given = shell_output(&opts, NULL);
	ck_assert_str_eq(given, "1-\n/\n");
}
END_TEST

/* ls itself opens one more, the directory, at the lowest free number. */
static const char list_fds[] = "exec ls -1 /proc/self/fd";

START_TEST(the_child_has_no_descriptor_it_was_not_given)
{
	char *argv[4];
	struct child_opts opts = shell_opts(argv, list_fds);
	auto_free char *out = NULL;

	for (int fd = 20; fd < 60; fd++)
		ck_assert_int_ge(dup2(STDERR_FILENO, fd), 0); /* not close-on-exec */
	out = shell_output(&opts, NULL);
	for (int fd = 20; fd < 60; fd++)
		close(fd);
	ck_assert_str_eq(out, "0\n1\n2\n3\n");
}
END_TEST

START_TEST(the_child_has_what_it_was_given_and_nothing_else)
{
	char *argv[4];
	struct child_opts opts = shell_opts(argv, list_fds);
	struct child_fd fds[] = { { -1, 7 }, { STDERR_FILENO, 3 }, { -1, 40 } };
	auto_free char *out = NULL;

	ck_assert_int_ge(dup2(STDERR_FILENO, 8), 0);
	opts.fds = fds;
	opts.n_fds = ARRAY_SIZE(fds);
	out = shell_output(&opts, NULL);
	close(8);
	ck_assert_str_eq(out, "0\n1\n2\n3\n4\n40\n7\n");
}
END_TEST

START_TEST(unmapped_standard_descriptors_are_the_null_device)
{
	static const char script[] = "readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 >&5";
	auto_error struct error err = { 0 };
	auto_free char *out = NULL;
	char *argv[4];
	struct child_opts opts = shell_opts(argv, script);
	struct child_fd fds[1];
	int ends[2], status;
	pid_t pid;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	fds[0] = (struct child_fd){ ends[1], 5 };
	opts.fds = fds;
	opts.n_fds = 1;
	ck_assert_int_eq(child_spawn(&opts, &pid, NULL, &err), 0);
	close(ends[1]);
	ck_assert_int_eq(fs_read_fd(ends[0], "pipe", 1000, &out, NULL, &err), 0);
	close(ends[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	/* readlink's own descriptor 1 is the pipe. */
	ck_assert(str_starts(out, "/dev/null\npipe:["));
	ck_assert(str_ends(out, "]\n/dev/null\n"));
}
END_TEST

START_TEST(a_mapping_may_be_a_permutation)
{
	char *argv[4];
	struct child_opts opts = shell_opts(argv, "cd /proc/self/fd; cat 10 11 12");
	struct child_fd fds[3];
	auto_free char *out = NULL;

	/* 10 -> 11 -> 12 -> 10 */
	for (int i = 0; i < 3; i++) {
		auto_free char *rel = str_fmt("%d", i);
		auto_free char *path = NULL;
		auto_close int fd = -1;

		scratch_file(rel, rel);
		path = scratch_path(rel);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		ck_assert_int_ge(dup2(fd, 10 + i), 0);
		fds[i] = (struct child_fd){ 10 + i, 10 + (i + 1) % 3 };
	}
	opts.fds = fds;
	opts.n_fds = 3;
	out = shell_output(&opts, NULL);
	for (int i = 0; i < 3; i++)
		close(10 + i);
	ck_assert_str_eq(out, "201");
}
END_TEST

START_TEST(blocked_and_ignored_signals_are_reset)
{
	static const char script[] = "while read key value; do case $key in "
				     "SigBlk: | SigIgn:) echo $value ;; esac; "
				     "done </proc/self/status | sort -u";
	char *argv[4];
	struct child_opts opts = shell_opts(argv, script);
	struct sigaction ign = { .sa_handler = SIG_IGN };
	auto_free char *out = NULL;
	sigset_t set, now;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigaction(SIGPIPE, &ign, NULL);
	out = shell_output(&opts, NULL);
	ck_assert_str_eq(out, "0000000000000000\n");
	sigprocmask(SIG_BLOCK, NULL, &now);
	ck_assert(sigismember(&now, SIGUSR2));
	ck_assert(!sigismember(&now, SIGTERM));
}
END_TEST

START_TEST(a_new_session_is_led_by_the_child)
{
	char *argv[4];
	struct child_opts opts = shell_opts(argv, "cut -d' ' -f1,5,6 /proc/$$/stat; echo $$");
	auto_free char *out = NULL;
	int pid, group, session, shell_pid;

	opts.new_session = true;
	out = shell_output(&opts, NULL);
	ck_assert_int_eq(sscanf(out, "%d %d %d %d", &pid, &group, &session, &shell_pid), 4);
	ck_assert(pid == shell_pid && group == pid && session == pid);
}
END_TEST

START_TEST(pidfd_tells_the_end)
{
	auto_error struct error err = { 0 };
	auto_close int pidfd = -1;
	char *argv[4];
	struct child_opts opts = shell_opts(argv, "exit 42");
	struct pollfd p = { .events = POLLIN };
	int status;
	pid_t pid;

	ck_assert_int_eq(child_spawn(&opts, &pid, &pidfd, &err), 0);
	ck_assert_int_ne(fcntl(pidfd, F_GETFD) & FD_CLOEXEC, 0);
	p.fd = pidfd;
	ck_assert_int_eq(poll(&p, 1, SHELL_WAIT_MS), 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(child_exit_code(status), 42);
}
END_TEST

START_TEST(the_death_signal_comes_when_the_parent_dies)
{
	int ends[2], status;
	struct {
		pid_t pid;
		unsigned long long start;
	} grand = { 0 };
	pid_t pid;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct error err = { 0 };
		char *argv[4];
		struct child_opts opts = shell_opts(argv, "exec sleep 1000");

		opts.death_signal = SIGKILL;
		if (child_spawn(&opts, &grand.pid, NULL, &err) < 0)
			_exit(1);
		grand.start = child_start_time(grand.pid);
		if (write(ends[1], &grand, sizeof(grand)) != (ssize_t)sizeof(grand))
			_exit(2);
		pause();
		_exit(3);
	}
	close(ends[1]);
	ck_assert_int_eq((int)read(ends[0], &grand, sizeof(grand)), (int)sizeof(grand));
	close(ends[0]);
	ck_assert(child_is_alive(grand.pid, grand.start));
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(shell_gone(grand.pid, grand.start));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("child");

	tcase_add_checked_fixture(tc, scratch_setup, scratch_remove);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, exec_failure_is_the_error_of_spawn);
	tcase_add_test(tc, a_missing_directory_is_the_error_of_spawn);
	tcase_add_test(tc, a_bad_descriptor_is_the_error_of_spawn);
	tcase_add_test(tc, prepare_failure_is_the_error_of_spawn);
	tcase_add_test(tc, prepare_runs_with_descriptors_in_place);
	tcase_add_test(tc, environment_and_directory_are_given_or_inherited);
	tcase_add_test(tc, the_child_has_no_descriptor_it_was_not_given);
	tcase_add_test(tc, the_child_has_what_it_was_given_and_nothing_else);
	tcase_add_test(tc, unmapped_standard_descriptors_are_the_null_device);
	tcase_add_test(tc, a_mapping_may_be_a_permutation);
	tcase_add_test(tc, blocked_and_ignored_signals_are_reset);
	tcase_add_test(tc, a_new_session_is_led_by_the_child);
	tcase_add_test(tc, pidfd_tells_the_end);
	tcase_add_test(tc, the_death_signal_comes_when_the_parent_dies);
	return scratch_run(tc);
}
