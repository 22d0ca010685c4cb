#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/mem.h"
#include "test/deny.h"
#include "test/scratch.h"
#include "test/shell.h"

START_TEST(start_time_names_a_process_whatever_it_calls_itself)
{
	unsigned long long plain = child_start_time(getpid());

	ck_assert_uint_gt(plain, 0);
	ck_assert_int_eq(prctl(PR_SET_NAME, "a) Z 1 2 (b)"), 0);
	ck_assert_uint_eq(child_start_time(getpid()), plain);
	ck_assert(child_is_alive(getpid(), plain));
	ck_assert(!child_is_alive(getpid(), plain + 1));
	ck_assert(!child_is_alive(getpid(), 0));
	ck_assert_uint_eq(child_start_time(0x7ffffff0), 0);
}
END_TEST

START_TEST(a_zombie_is_not_alive)
{
	siginfo_t info;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(0);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	ck_assert_uint_eq(child_start_time(pid), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

START_TEST(kill_wait_ends_a_process_that_is_no_child)
{
	auto_free char *out = NULL;
	char *argv[4];
	struct child_opts opts = shell_opts(argv, "trap '' TERM; sleep 1000 & echo $!");
	unsigned long long start;
	pid_t pid;

	out = shell_output(&opts, NULL);
	pid = atoi(out);
	start = child_start_time(pid);
	ck_assert_uint_gt(start, 0);
	ck_assert_int_eq(child_kill_wait(pid, start, SHELL_WAIT_MS), 0);
	ck_assert(!child_is_alive(pid, start));
	ck_assert_int_eq(child_kill_wait(pid, start, SHELL_WAIT_MS), 0);
}
END_TEST

START_TEST(an_end_is_looked_at_and_left_to_be_reaped)
{
	auto_close int pidfd = -1;
	siginfo_t how;
	pid_t pid = child_clone(0, NULL, &pidfd);

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		pause();
		_exit(0);
	}
	ck_assert(!child_has_ended(-1, 0, &how));
	ck_assert(!child_has_ended(pidfd, 0, &how));
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert(child_has_ended(pidfd, SHELL_WAIT_MS, &how));
		ck_assert_int_eq(how.si_pid, pid);
		ck_assert_int_eq(how.si_code, CLD_KILLED);
		ck_assert_int_eq(how.si_status, SIGKILL);
	}
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert(child_has_ended(pidfd, 0, &how));
	ck_assert_int_eq(how.si_pid, 0);
}
END_TEST

static void assert_end_text(pid_t pid, int code, int status, const char *expected)
{
	auto_free char *text = NULL;
	siginfo_t how = { 0 };

	how.si_pid = pid;
	how.si_code = code;
	how.si_status = status;
	text = child_end_text(&how);
	ck_assert_str_eq(text, expected);
}

START_TEST(an_end_has_words_for_a_message)
{
	assert_end_text(0, 0, 0, "died");
	assert_end_text(2, CLD_EXITED, 3, "exited with status 3");
	assert_end_text(2, CLD_DUMPED, SIGSEGV, "was killed by signal 11");
}
END_TEST

START_TEST(kill_wait_spares_another_process_with_that_pid)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		pause();
		_exit(0);
	}
	ck_assert_int_eq(child_kill_wait(pid, child_start_time(pid) + 1, 100), 0);
	ck_assert_int_eq(child_kill_wait(pid, 0, 100), 0);
	ck_assert_int_eq(waitpid(pid, &status, WNOHANG), 0);
	ck_assert_int_eq(child_kill_wait(pid, child_start_time(pid), SHELL_WAIT_MS), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(child_exit_code(status), 137);
}
END_TEST

START_TEST(kill_wait_works_without_pidfd_open)
{
	static const unsigned denied[] = { SYS_pidfd_open };
	int status;
	pid_t apart = fork();

	ck_assert_int_ge(apart, 0);
	if (apart == 0) {
		pid_t pid = fork();

		if (pid == 0) {
			pause();
			_exit(0);
		}
		deny_syscalls(denied, ARRAY_SIZE(denied));
		if (child_kill_wait(pid, child_start_time(pid) + 1, 100) != 0 ||
		    waitpid(pid, &status, WNOHANG) != 0)
			_exit(1);
		if (child_kill_wait(pid, child_start_time(pid), SHELL_WAIT_MS) != 0 ||
		    waitpid(pid, &status, WNOHANG) != pid)
			_exit(2);
		_exit(child_exit_code(status));
	}
	ck_assert_int_eq(waitpid(apart, &status, 0), apart);
	ck_assert_int_eq(child_exit_code(status), 137);
}
END_TEST

START_TEST(who_waits_for_the_parents_of_others_has_ended)
{
	int status;
	pid_t apart = fork();

	ck_assert_int_ge(apart, 0);
	if (apart == 0) {
		pid_t first, second;

		if (unshare(CLONE_NEWPID) < 0)
			_exit(1);
		first = fork();
		if (first == 0) {
			pause();
			_exit(0);
		}
		second = fork();
		if (second == 0) {
			pause();
			_exit(0);
		}
		/* The first cannot go before the second, which is not reaped. */
		if (child_kill_wait(first, child_start_time(first), SHELL_WAIT_MS) != 0)
			_exit(2);
		if (waitpid(first, NULL, WNOHANG) != 0)
			_exit(3);
		_exit(waitpid(second, NULL, 0) == second && waitpid(first, NULL, 0) == first ? 0
		                                                                             : 4);
	}
	ck_assert_int_eq(waitpid(apart, &status, 0), apart);
	ck_assert_int_eq(child_exit_code(status), 0);
}
END_TEST

START_TEST(kill_wait_refuses_groups)
{
	ck_assert_int_eq(child_kill_wait(0, 1, 100), -EINVAL);
	ck_assert_int_eq(child_kill_wait(-1, 1, 100), -EINVAL);
}
END_TEST

START_TEST(end_kills_reaps_and_closes)
{
	auto_error struct error err = { 0 };
	char *argv[4];
	struct child_opts opts = shell_opts(argv, "trap '' TERM; while :; do sleep 1; done");
	int pidfd, none = -1;
	pid_t pid;

	ck_assert_int_eq(child_spawn(&opts, &pid, &pidfd, &err), 0);
	child_end(&pidfd, 5000);
	ck_assert_int_eq(pidfd, -1);
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
	child_end(&none, 5000);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("child-kill");

	tcase_add_checked_fixture(tc, scratch_setup, scratch_remove);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, start_time_names_a_process_whatever_it_calls_itself);
	tcase_add_test(tc, a_zombie_is_not_alive);
	tcase_add_test(tc, kill_wait_ends_a_process_that_is_no_child);
	tcase_add_test(tc, an_end_is_looked_at_and_left_to_be_reaped);
	tcase_add_test(tc, an_end_has_words_for_a_message);
	tcase_add_test(tc, kill_wait_spares_another_process_with_that_pid);
	tcase_add_test(tc, kill_wait_works_without_pidfd_open);
	tcase_add_test(tc, who_waits_for_the_parents_of_others_has_ended);
	tcase_add_test(tc, kill_wait_refuses_groups);
	tcase_add_test(tc, end_kills_reaps_and_closes);
	return scratch_run(tc);
}
