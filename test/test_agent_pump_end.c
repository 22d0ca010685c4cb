/* How a pump ends: with its reader, its stream or its terminal, or when it is told to finish. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "test/test_agent_pump.h"

START_TEST(a_reader_that_is_gone_closes_the_stream)
{
	make_kind(_i);
	to_fd(&ends[1]);
	close_fd(&ends[0]);
	peer_data(&peer, STREAM, "for nobody");
	peer_expect(&peer, FRAME_CLOSE, STREAM);
	ck_assert_int_eq(done, 1);
}
END_TEST

START_TEST(a_reader_that_is_gone_is_noticed_without_a_write)
{
	make_pipe();
	to_fd(&ends[1]);
	settle();
	close_fd(&ends[0]);
	peer_expect(&peer, FRAME_CLOSE, STREAM);
	ck_assert_int_eq(done, 1);
}
END_TEST

START_TEST(a_close_of_the_stream_closes_the_descriptor_that_was_read)
{
	make_pipe();
	from_fd(&ends[0]);
	peer_send(&peer, FRAME_CLOSE, STREAM, 0, NULL, 0);
	peer_expect(&peer, FRAME_EOF, STREAM);
	ck_assert_int_eq(done, 1);
	/* SIGPIPE would end the test: pump_to_fd() ignores it, this pump does not write. */
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq((int)write(ends[1], "x", 1), -1);
	ck_assert_int_eq(errno, EPIPE);
}
END_TEST

START_TEST(a_terminal_that_hangs_up_is_an_end)
{
	make_terminal();
	ck_assert_int_eq(fs_write_all(ends[1], "last words", 10), 0);
	close_fd(&ends[1]);
	from_fd(&ends[0]);
	expect_data("last words");
	peer_expect(&peer, FRAME_EOF, STREAM);
	ck_assert_int_eq(done, 1);
}
END_TEST

START_TEST(a_hangup_without_credit_does_not_burn_the_processor)
{
	auto_free char *big = xzalloc(PROTOCOL_WINDOW + 1000);
	struct rusage before, after;
	pid_t writer;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	writer = fork();
	if (writer == 0)
		_exit(fs_write_all(ends[1], big, PROTOCOL_WINDOW + 1000));
	close_fd(&ends[1]);
	from_fd(&ends[0]);
	for (size_t got = 0; got < PROTOCOL_WINDOW; got += peer.frame.length)
		peer_expect(&peer, FRAME_DATA, STREAM);
	settle();
	getrusage(RUSAGE_SELF, &before);
	for (uint64_t end = loop_now_ms() + 300; loop_now_ms() < end;)
		ck_assert_int_eq(loop_step(loop, 50), 0);
	getrusage(RUSAGE_SELF, &after);
	ck_assert_int_lt((after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 +
	                         after.ru_utime.tv_usec - before.ru_utime.tv_usec +
	                         (after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000000 +
	                         after.ru_stime.tv_usec - before.ru_stime.tv_usec,
	                 100000);
	peer_send(&peer, FRAME_CREDIT, STREAM, PROTOCOL_WINDOW, NULL, 0);
	peer_expect(&peer, FRAME_DATA, STREAM);
	peer_expect(&peer, FRAME_EOF, STREAM);
}
END_TEST

START_TEST(finish_takes_what_is_there_although_somebody_holds_the_pipe)
{
	make_pipe();
	from_fd(&ends[0]);
	ck_assert_int_eq(fs_write_all(ends[1], "final", 5), 0);
	pump_finish(pump);
	ck_assert_int_eq(done, 1);
	expect_data("final");
	peer_expect(&peer, FRAME_EOF, STREAM);
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq((int)write(ends[1], "x", 1), -1); /* the background process goes on */
	ck_assert_int_eq(errno, EPIPE);
}
END_TEST

START_TEST(finish_does_not_wait_for_credit)
{
	auto_free char *big = xzalloc(PROTOCOL_WINDOW);
	size_t got = 0;

	make_pipe();
	ck_assert_int_ge(fcntl(ends[1], F_SETPIPE_SZ, PROTOCOL_WINDOW), PROTOCOL_WINDOW);
	from_fd(&ends[0]);
	ck_assert_int_eq(fs_write_all(ends[1], big, PROTOCOL_WINDOW), 0);
	for (; got < PROTOCOL_WINDOW; got += peer.frame.length)
		peer_expect(&peer, FRAME_DATA, STREAM);
	ck_assert_int_eq(fs_write_all(ends[1], "tail", 4), 0);
	pump_finish(pump);
	ck_assert_int_eq(done, 1);
	peer_expect_silence(&peer);
	peer_send(&peer, FRAME_CREDIT, STREAM, 100, NULL, 0);
	expect_data("tail");
	peer_expect(&peer, FRAME_EOF, STREAM);
}
END_TEST

START_TEST(a_descriptor_that_comes_too_late_is_closed)
{
	int fd;

	pump = pump_from_fd(loop, mux, STREAM, -1, on_done, NULL);
	peer_send(&peer, FRAME_CLOSE, STREAM, 0, NULL, 0);
	peer_expect(&peer, FRAME_EOF, STREAM);
	make_pipe();
	fd = ends[0];
	pump_set_fd(pump, steal_fd(&ends[0]));
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("pump-end");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_reader_that_is_gone_closes_the_stream, 0, 3);
	tcase_add_test(tc, a_reader_that_is_gone_is_noticed_without_a_write);
	tcase_add_test(tc, a_close_of_the_stream_closes_the_descriptor_that_was_read);
	tcase_add_test(tc, a_terminal_that_hangs_up_is_an_end);
	tcase_add_test(tc, a_hangup_without_credit_does_not_burn_the_processor);
	tcase_add_test(tc, finish_takes_what_is_there_although_somebody_holds_the_pipe);
	tcase_add_test(tc, finish_does_not_wait_for_credit);
	tcase_add_test(tc, a_descriptor_that_comes_too_late_is_closed);
	return scratch_run(tc);
}
