/* What a pump carries to and from every kind of descriptor. */
#include <sys/stat.h>

#include "test/test_agent_pump.h"

START_TEST(a_pipe_is_written_and_closed_after_the_last_byte)
{
	char byte;

	make_pipe();
	to_fd(&ends[1]);
	peer_data(&peer, STREAM, "hello");
	expect_text(ends[0], "hello");
	ck_assert_int_eq(done, 0);
	peer_send(&peer, FRAME_EOF, STREAM, 0, NULL, 0);
	peer_expect(&peer, FRAME_CLOSE, STREAM);
	ck_assert_int_eq((int)read(ends[0], &byte, 1), 0);
	ck_assert_int_eq(done, 1);
	ck_assert(pump_is_done(pump));
	ck_assert_uint_eq(pump_bytes(pump), 5);
}
END_TEST

START_TEST(a_pipe_is_read_to_its_end)
{
	make_pipe();
	from_fd(&ends[0]);
	ck_assert_int_eq(fs_write_all(ends[1], "hello", 5), 0);
	expect_data("hello");
	close_fd(&ends[1]);
	peer_expect(&peer, FRAME_EOF, STREAM);
	ck_assert_int_eq(done, 1);
	ck_assert_uint_eq(pump_bytes(pump), 5);
}
END_TEST

START_TEST(shared_status_flags_of_the_caller_stay_as_they_are)
{
	int shared, flags;

	make_kind(_i % 3);
	shared = dup(ends[_i >= 3]);
	flags = fcntl(shared, F_GETFL);
	if (_i < 3)
		from_fd(&ends[0]);
	else
		to_fd(&ends[1]);
	if (_i >= 3)
		peer_data(&peer, STREAM, "x");
	settle();
	ck_assert_int_eq(fcntl(shared, F_GETFL), flags);
	ck_assert_int_eq(flags & O_NONBLOCK, 0);
	close(shared);
}
END_TEST

START_TEST(a_full_pipe_blocks_nobody_and_goes_on_when_read)
{
	auto_free char *big = xmalloc(PROTOCOL_MAX_DATA + 1);
	size_t total = 0;

	memset(big, 'x', PROTOCOL_MAX_DATA);
	big[PROTOCOL_MAX_DATA] = '\0';
	make_kind(_i);
	to_fd(&ends[1]);
	for (int i = 0; i < PROTOCOL_WINDOW / PROTOCOL_MAX_DATA; i++) {
		peer_data(&peer, STREAM, big);
		settle();
	}
	ck_assert_uint_lt(pump_bytes(pump), PROTOCOL_WINDOW);
	for (; total < PROTOCOL_WINDOW; total += PROTOCOL_MAX_DATA)
		expect_text(ends[0], big);
	ck_assert_uint_eq(pump_bytes(pump), PROTOCOL_WINDOW);
}
END_TEST

START_TEST(a_file_is_read_whole_once_the_loop_runs)
{
	auto_free char *path = scratch_path("in");
	auto_free char *text = xmalloc(100001);
	int fd;

	memset(text, 'f', 100000);
	text[100000] = '\0';
	scratch_file("in", text);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	from_fd(&fd);
	ck_assert_uint_eq(pump_bytes(pump), 0);
	expect_data(text);
	peer_expect(&peer, FRAME_EOF, STREAM);
	ck_assert_int_eq(done, 1);
}
END_TEST

START_TEST(a_file_is_written)
{
	auto_free char *path = scratch_path("out");
	auto_free char *content = NULL;
	int fd;

	scratch_file("out", "");
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	to_fd(&fd);
	peer_data(&peer, STREAM, "to a file");
	peer_send(&peer, FRAME_EOF, STREAM, 0, NULL, 0);
	peer_expect(&peer, FRAME_CLOSE, STREAM);
	content = scratch_read("out");
	ck_assert_str_eq(content, "to a file");
}
END_TEST

START_TEST(dev_null_ends_at_once_or_takes_everything)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (_i == 0) {
		from_fd(&fd);
		peer_expect(&peer, FRAME_EOF, STREAM);
	} else {
		to_fd(&fd);
		peer_data(&peer, STREAM, "nothing");
		peer_send(&peer, FRAME_EOF, STREAM, 0, NULL, 0);
		peer_expect(&peer, FRAME_CLOSE, STREAM);
		ck_assert_uint_eq(pump_bytes(pump), 7);
	}
	ck_assert_int_eq(done, 1);
}
END_TEST

/* The master cannot be opened a second time, so that it stands for all that must be polled. */
START_TEST(a_terminal_that_cannot_be_reopened_is_polled)
{
	auto_free char *big = xmalloc(1001);

	make_terminal();
	memset(big, 'p', 1000);
	big[1000] = '\0';
	if (_i == 0) {
		from_fd(&ends[0]);
		ck_assert_int_eq(fs_write_all(ends[1], big, 1000), 0);
		expect_data(big);
	} else {
		to_fd(&ends[0]);
		peer_data(&peer, STREAM, big);
		expect_text(ends[1], big);
	}
}
END_TEST

#define NOBODY 65534

/* As a process without privileges has it from a caller that gave its pipes to another user. */
static void forbid_to_open(int fd)
{
	ck_assert_int_eq(fchmod(fd, 0), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(NOBODY), 0);
}

START_TEST(a_pipe_that_may_not_be_reopened_is_polled)
{
	auto_free char *big = xmalloc(PROTOCOL_MAX_DATA + 1);
	int shared;

	memset(big, 'q', PROTOCOL_MAX_DATA);
	big[PROTOCOL_MAX_DATA] = '\0';
	make_pipe();
	shared = dup(ends[1]);
	forbid_to_open(ends[1]);
	to_fd(&ends[1]);
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
	for (int i = 0; i < 4; i++)
		peer_data(&peer, STREAM, big);
	settle(); /* the pipe is full, and nobody is blocked */
	ck_assert_uint_eq(pump_bytes(pump), 2 * PROTOCOL_MAX_DATA);
	ck_assert_int_eq(fcntl(shared, F_GETFL) & O_NONBLOCK, 0);
	for (int i = 0; i < 4; i++)
		expect_text(ends[0], big);
	close(shared);
}
END_TEST

START_TEST(a_number_that_is_taken_is_refused_and_the_descriptor_closed)
{
	struct pump *second;
	int fd;

	make_pipe();
	from_fd(&ends[0]);
	fd = dup(ends[1]);
	second = pump_to_fd(loop, mux, STREAM, fd, on_done, NULL);
	ck_assert_ptr_null(second);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	ck_assert_int_eq(done, 0);
}
END_TEST

START_TEST(what_comes_before_the_descriptor_is_held)
{
	char byte;

	pump = pump_to_fd(loop, mux, STREAM, -1, on_done, NULL);
	peer_data(&peer, STREAM, "early");
	settle();
	ck_assert_uint_eq(pump_bytes(pump), 0);
	make_pipe();
	pump_set_fd(pump, steal_fd(&ends[1]));
	peer_data(&peer, STREAM, " late");
	peer_send(&peer, FRAME_EOF, STREAM, 0, NULL, 0);
	expect_text(ends[0], "early late");
	settle();
	ck_assert_int_eq((int)read(ends[0], &byte, 1), 0);
	ck_assert_int_eq(done, 1);
}
END_TEST

START_TEST(a_descriptor_that_comes_late_is_read)
{
	pump = pump_from_fd(loop, mux, STREAM, -1, on_done, NULL);
	settle();
	make_pipe();
	ck_assert_int_eq(fs_write_all(ends[1], "hello", 5), 0);
	pump_set_fd(pump, steal_fd(&ends[0]));
	expect_data("hello");
	close_fd(&ends[1]);
	peer_expect(&peer, FRAME_EOF, STREAM);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("pump");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_pipe_is_written_and_closed_after_the_last_byte);
	tcase_add_test(tc, a_pipe_is_read_to_its_end);
	tcase_add_loop_test(tc, shared_status_flags_of_the_caller_stay_as_they_are, 0, 6);
	tcase_add_loop_test(tc, a_full_pipe_blocks_nobody_and_goes_on_when_read, 0, 3);
	tcase_add_test(tc, a_file_is_read_whole_once_the_loop_runs);
	tcase_add_test(tc, a_file_is_written);
	tcase_add_loop_test(tc, dev_null_ends_at_once_or_takes_everything, 0, 2);
	tcase_add_loop_test(tc, a_terminal_that_cannot_be_reopened_is_polled, 0, 2);
	tcase_add_test(tc, a_pipe_that_may_not_be_reopened_is_polled);
	tcase_add_test(tc, a_number_that_is_taken_is_refused_and_the_descriptor_closed);
	tcase_add_test(tc, what_comes_before_the_descriptor_is_held);
	tcase_add_test(tc, a_descriptor_that_comes_late_is_read);
	return scratch_run(tc);
}
