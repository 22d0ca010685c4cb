#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "test/scratch.h"
#include "test/shell.h"

START_TEST(run_feeds_input_and_keeps_the_outputs_apart)
{
	auto_error struct error err = { 0 };
	auto_free char *out = NULL;
	auto_free char *errout = NULL;
	char *argv[4];
	struct child_opts opts = shell_opts(argv, "cat; echo oops >&2; exit 3");
	int status;

	ck_assert_int_eq(
		child_run(&opts, "in\nput", 1000, SHELL_WAIT_MS, &status, &out, &errout, &err), 0);
	ck_assert_str_eq(out, "in\nput");
	ck_assert_str_eq(errout, "oops\n");
	ck_assert_int_eq(child_exit_code(status), 3);
}
END_TEST

START_TEST(run_takes_input_larger_than_a_pipe_that_nobody_reads)
{
	auto_error struct error err = { 0 };
	auto_free char *input = xzalloc((1 << 20) + 1);
	char *argv[4];
	struct child_opts opts = shell_opts(argv, "exit 0");
	int status;

	memset(input, 'x', 1 << 20);
	ck_assert_int_eq(child_run(&opts, input, 10, SHELL_WAIT_MS, &status, NULL, NULL, &err), 0);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(run_caps_output_and_lets_the_child_finish)
{
	auto_error struct error err = { 0 };
	auto_free char *out = NULL;
	char *argv[4];
	struct child_opts opts = shell_opts(argv, "head -c 1000000 /dev/zero | tr '\\0' x; exit 5");
	int status;

	ck_assert_int_eq(child_run(&opts, NULL, 10, SHELL_WAIT_MS, &status, &out, NULL, &err), 0);
	ck_assert_str_eq(out, "xxxxxxxxxx");
	ck_assert_int_eq(child_exit_code(status), 5);
}
END_TEST

START_TEST(run_does_not_wait_for_a_grandchild_that_holds_the_pipe)
{
	auto_error struct error err = { 0 };
	auto_free char *out = NULL;
	char *argv[4];
	struct child_opts opts = shell_opts(argv, "sleep 1000 & echo $!");
	uint64_t start = loop_now_ms();
	int status;

	ck_assert_int_eq(child_run(&opts, NULL, 100, SHELL_WAIT_MS, &status, &out, NULL, &err), 0);
	ck_assert_int_lt((int)(loop_now_ms() - start), SHELL_WAIT_MS / 2);
	ck_assert_int_gt(atoi(out), 1);
	kill(atoi(out), SIGKILL);
}
END_TEST

START_TEST(run_kills_what_takes_too_long)
{
	auto_error struct error err = { 0 };
	char *argv[4], *out = NULL;
	struct child_opts opts = shell_opts(argv, "exec sleep 1000");
	int status;

	ck_assert_int_eq(child_run(&opts, NULL, 10, 50, &status, &out, NULL, &err), -ETIMEDOUT);
	ck_assert_str_eq(err.msg, "run '/bin/sh': not finished after 50 ms, killed");
	ck_assert_ptr_null(out);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

START_TEST(run_kills_the_whole_session_when_it_made_one)
{
	auto_error struct error err = { 0 };
	auto_free char *path = scratch_path("pid");
	auto_free char *script = str_fmt("sleep 1000 & echo $! >%s; wait", path);
	auto_free char *text = NULL;
	char *argv[4];
	struct child_opts opts = shell_opts(argv, script);
	int status;

	opts.new_session = true;
	ck_assert_int_eq(child_run(&opts, NULL, 10, 1000, &status, NULL, NULL, &err), -ETIMEDOUT);
	text = scratch_read("pid");
	ck_assert_int_gt(atoi(text), 1);
	ck_assert(shell_gone(atoi(text), child_start_time(atoi(text))));
}
END_TEST

START_TEST(run_reports_what_cannot_start)
{
	auto_error struct error err = { 0 };
	char *argv[4], *out = NULL;
	struct child_opts opts = shell_opts(argv, "");
	int status;

	opts.path = "/nonexistent";
	ck_assert_int_eq(child_run(&opts, "x", 10, 0, &status, &out, NULL, &err), -ENOENT);
	ck_assert_str_eq(err.msg, "exec '/nonexistent': No such file or directory");
	ck_assert_ptr_null(out);
}
END_TEST

START_TEST(run_leaks_no_descriptor)
{
	char *argv[4];
	struct child_opts opts = shell_opts(argv, "cat");
	int before = dup(0);

	for (int i = 0; i < 20; i++)
		free(shell_output(&opts, "x"));
	close(before);
	ck_assert_int_eq(dup(0), before);
	close(before);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("child-run");

	tcase_add_checked_fixture(tc, scratch_setup, scratch_remove);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, run_feeds_input_and_keeps_the_outputs_apart);
	tcase_add_test(tc, run_takes_input_larger_than_a_pipe_that_nobody_reads);
	tcase_add_test(tc, run_caps_output_and_lets_the_child_finish);
	tcase_add_test(tc, run_does_not_wait_for_a_grandchild_that_holds_the_pipe);
	tcase_add_test(tc, run_kills_what_takes_too_long);
	tcase_add_test(tc, run_kills_the_whole_session_when_it_made_one);
	tcase_add_test(tc, run_reports_what_cannot_start);
	tcase_add_test(tc, run_leaks_no_descriptor);
	return scratch_run(tc);
}
