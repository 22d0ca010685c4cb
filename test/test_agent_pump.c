/* Pumps with every kind of descriptor, against a peer that is played frame by frame. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/mux.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/loop.h"
#include "test/peer.h"
#include "test/scratch.h"

#define STREAM 5

static struct loop *loop;
static struct peer peer;
static struct mux *mux;
static struct pump *pump;
static int ends[2]; /* of a pipe, or socket pair, or terminal (master, slave) */
static int done;

static void setup(void)
{
	scratch_setup();
	loop = loop_new();
	mux = mux_new(loop, peer_init(&peer, loop), &peer_quiet_events, NULL);
	mux_send_hello(mux, "{}");
	peer_hello(&peer);
	peer_expect(&peer, FRAME_HELLO, 0);
	pump = NULL;
	ends[0] = ends[1] = -1;
	done = 0;
}

static void teardown(void)
{
	pump_free(pump);
	mux_free(mux);
	peer_done(&peer);
	loop_free(loop);
	close_fd(&ends[0]);
	close_fd(&ends[1]);
	scratch_remove();
}

static void on_done(void *arg)
{
	(void)arg;
	done++;
}

static void to_fd(int *fd)
{
	pump = pump_to_fd(loop, mux, STREAM, steal_fd(fd), on_done, NULL);
	ck_assert_ptr_nonnull(pump);
}

static void from_fd(int *fd)
{
	pump = pump_from_fd(loop, mux, STREAM, steal_fd(fd), on_done, NULL);
	ck_assert_ptr_nonnull(pump);
}

static void settle(void)
{
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(loop_step(loop, 1), 0);
}

static void make_pipe(void)
{
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
}

static void make_terminal(void)
{
	struct termios raw;

	cfmakeraw(memset(&raw, 0, sizeof(raw)));
	ck_assert_int_eq(openpty(&ends[0], &ends[1], NULL, &raw, NULL), 0);
}

/* Read exactly this from fd, while the loop runs. */
static void expect_text(int fd, const char *text)
{
	size_t len = strlen(text), got = 0;
	char *have = xzalloc(len + 1);

	for (int i = 0; i < 1000 && got < len; i++) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		ck_assert_int_eq(loop_step(loop, 1), 0);
		if (poll(&p, 1, 0) == 1) {
			ssize_t n = read(fd, have + got, len - got);

			ck_assert_int_gt((int)n, 0);
			got += (size_t)n;
		}
	}
	ck_assert_str_eq(have, text);
	free(have);
}

static void expect_data(const char *text)
{
	auto_buf struct buf all = { 0 };

	while (all.len < strlen(text)) {
		peer_expect(&peer, FRAME_DATA, STREAM);
		buf_adds(&all, peer.payload);
	}
	ck_assert_str_eq(all.data, text);
}

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

static void make_kind(int kind)
{
	if (kind == 0)
		make_pipe();
	else if (kind == 1)
		make_terminal();
	else
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
}

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
	TCase *tc = tcase_create("pump");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_pipe_is_written_and_closed_after_the_last_byte);
	tcase_add_test(tc, a_pipe_is_read_to_its_end);
	tcase_add_loop_test(tc, shared_status_flags_of_the_caller_stay_as_they_are, 0, 6);
	tcase_add_loop_test(tc, a_full_pipe_blocks_nobody_and_goes_on_when_read, 0, 3);
	tcase_add_loop_test(tc, a_reader_that_is_gone_closes_the_stream, 0, 3);
	tcase_add_test(tc, a_reader_that_is_gone_is_noticed_without_a_write);
	tcase_add_test(tc, a_close_of_the_stream_closes_the_descriptor_that_was_read);
	tcase_add_test(tc, a_file_is_read_whole_once_the_loop_runs);
	tcase_add_test(tc, a_file_is_written);
	tcase_add_loop_test(tc, dev_null_ends_at_once_or_takes_everything, 0, 2);
	tcase_add_loop_test(tc, a_terminal_that_cannot_be_reopened_is_polled, 0, 2);
	tcase_add_test(tc, a_pipe_that_may_not_be_reopened_is_polled);
	tcase_add_test(tc, a_terminal_that_hangs_up_is_an_end);
	tcase_add_test(tc, a_hangup_without_credit_does_not_burn_the_processor);
	tcase_add_test(tc, finish_takes_what_is_there_although_somebody_holds_the_pipe);
	tcase_add_test(tc, finish_does_not_wait_for_credit);
	tcase_add_test(tc, a_number_that_is_taken_is_refused_and_the_descriptor_closed);
	tcase_add_test(tc, what_comes_before_the_descriptor_is_held);
	tcase_add_test(tc, a_descriptor_that_comes_late_is_read);
	tcase_add_test(tc, a_descriptor_that_comes_too_late_is_closed);
	return scratch_run(tc);
}
