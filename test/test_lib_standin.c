/* What the stand-in does for its process. */
#include "test/test_lib_shim.h"

START_TEST(signals_become_messages)
{
	static const int signals[] = {
		SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGQUIT, SIGALRM, SIGCONT
	};

	spawn(CLONE_NEWPID);
	set_up(message("[]"));
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		auto_free char *text = str_fmt("{\"op\":\"signal\",\"signal\":%d}", signals[i]);

		ck_assert_int_eq(kill(shim.pid, signals[i]), 0);
		expect_control(text);
	}
	ck_assert_int_eq(kill(shim.pid, SIGRTMIN + 3), 0);
	expect_control("{\"op\":\"signal\",\"signal\":37}");
}
END_TEST

/* Until the program itself runs: from then on signals wait. */
static void wait_exec(void)
{
	for (int i = 0; i < 1000; i++, usleep(5000)) {
		auto_free char *comm = proc_text("comm", NULL);

		if (str_eq(comm, "vcrt\n"))
			return;
	}
	ck_abort_msg("the shim was not executed");
}

START_TEST(signals_before_the_set_up_are_not_lost)
{
	spawn(0);
	wait_exec();
	ck_assert_int_eq(kill(shim.pid, SIGTERM), 0);
	set_up(message("[]"));
	expect_control("{\"op\":\"signal\",\"signal\":15}");
}
END_TEST

START_TEST(it_exits_with_the_code_that_it_is_told)
{
	static const int codes[] = { 0, 7, 137, 255 };

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		spawn(CLONE_NEWPID);
		set_up(message("[]"));
		send_exit(codes[i]);
		ck_assert_int_eq(wait_exit(), codes[i]);
		ctl_msg_free(trees);
		trees = NULL;
		shim_done(&shim);
	}
}
END_TEST

START_TEST(other_messages_do_not_end_it)
{
	struct ctl_out out = { .json = json_new_object() };

	spawn(0);
	set_up(message("[]"));
	json_set(out.json, "ok", json_new_object());
	ck_assert_int_eq(ctl_send(shim.control, &out, &err), 0);
	ctl_out_done(&out);
	usleep(20000);
	ck_assert_int_eq(waitpid(shim.pid, NULL, WNOHANG), 0);
	send_exit(3);
	ck_assert_int_eq(wait_exit(), 3);
}
END_TEST

START_TEST(without_its_monitor_it_exits_with_137)
{
	spawn(CLONE_NEWPID);
	set_up(message("[]"));
	close_fd(&shim.control);
	ck_assert_int_eq(wait_exit(), 137);
}
END_TEST

START_TEST(without_its_verb_it_ends_before_the_set_up)
{
	spawn(CLONE_NEWPID);
	close_fd(&shim.setup);
	ck_assert_int_eq(wait_exit(), 1);
}
END_TEST

START_TEST(the_terminal_becomes_its_own_and_sizes_are_told)
{
	struct ctl_out out = message("[]");
	struct winsize ws = { .ws_row = 50, .ws_col = 132 };
	auto_close int master = -1, slave = -1;
	auto_free char *stat = NULL;
	int tty_nr = 0;

	ck_assert_int_eq(console_open(24, 80, &master, &slave, &err), 0);
	ck_assert_int_eq(ctl_out_fd(&out, NULL, "tty", slave, &err), 0);
	spawn(CLONE_NEWPID);
	set_up(out);
	expect_control("{\"op\":\"winsize\",\"height\":24,\"width\":80}");
	stat = proc_text("stat", NULL);
	ck_assert_int_eq(sscanf(strrchr(stat, ')'), ") %*c %*d %*d %*d %d", &tty_nr), 1);
	ck_assert_int_ne(tty_nr, 0);
	/* The kernel tells the foreground group of the terminal, which is it. */
	ck_assert_int_eq(ioctl(master, TIOCSWINSZ, &ws), 0);
	expect_control("{\"op\":\"winsize\",\"height\":50,\"width\":132}");
	ck_assert_int_eq(kill(shim.pid, SIGWINCH), 0);
	expect_control("{\"op\":\"signal\",\"signal\":28}");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("standin");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, signals_become_messages);
	tcase_add_test(tc, signals_before_the_set_up_are_not_lost);
	tcase_add_test(tc, it_exits_with_the_code_that_it_is_told);
	tcase_add_test(tc, other_messages_do_not_end_it);
	tcase_add_test(tc, without_its_monitor_it_exits_with_137);
	tcase_add_test(tc, without_its_verb_it_ends_before_the_set_up);
	tcase_add_test(tc, the_terminal_becomes_its_own_and_sizes_are_told);
	return scratch_run(tc);
}
