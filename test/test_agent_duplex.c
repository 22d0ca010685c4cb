/* Sockets at both ends of a connection: whatever one of them is told, the other one finds. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/duplex.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/loop.h"
#include "test/peer.h"
#include "test/scratch.h"

#define TO 6 /* streams, as seen from the side of the guest */
#define FROM 7
#define RECORDS (1000u)

static struct loop *loop;
static struct mux *host, *guest;
static struct duplex *caller_end, *program_end;
static int caller, program, kept; /* the sockets' other ends; the caller's copy of what it gave */
static int done;

static void setup(void)
{
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	loop = loop_new();
	host = mux_new(loop, ends[0], &peer_quiet_events, NULL);
	guest = mux_new(loop, ends[1], &peer_quiet_events, NULL);
	mux_send_hello(host, "{}");
	mux_send_hello(guest, "{}");
	caller_end = program_end = NULL;
	caller = program = kept = -1;
	done = 0;
}

static void teardown(void)
{
	duplex_free(caller_end);
	duplex_free(program_end);
	mux_free(host);
	mux_free(guest);
	loop_free(loop);
	close_fd(&caller);
	close_fd(&program);
	close_fd(&kept);
}

static void on_done(void *arg)
{
	(void)arg;
	done++;
}

/* As monitor and agent make them for a socket of the caller's. */
static void join(int type)
{
	unsigned flags = type == SOCK_STREAM ? 0 : DUPLEX_RECORDS;
	int theirs[2], mine[2];

	ck_assert_int_eq(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, theirs), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, mine), 0);
	caller = theirs[0];
	program = mine[0];
	kept = dup(theirs[1]);
	caller_end = duplex_new(loop, host, FROM, TO, theirs[1], flags, on_done, NULL);
	program_end =
		duplex_new(loop, guest, TO, FROM, mine[1], flags | DUPLEX_PRIVATE, NULL, NULL);
	ck_assert_ptr_nonnull(caller_end);
	ck_assert_ptr_nonnull(program_end);
}

static void settle(void)
{
	for (int i = 0; i < 30; i++)
		ck_assert_int_eq(loop_step(loop, 1), 0);
}

static void expect(int fd, const char *text)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	char got[64] = "";

	settle();
	ck_assert_int_eq(poll(&ready, 1, 0), 1);
	ck_assert_int_eq((int)recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT), (int)strlen(text));
	ck_assert_str_eq(got, text);
}

static void expect_nothing(int fd)
{
	char c;

	settle();
	ck_assert_int_eq((int)recv(fd, &c, 1, MSG_DONTWAIT), -1);
	ck_assert_int_eq(errno, EAGAIN);
}

static void put(int fd, const char *text)
{
	ck_assert_int_eq((int)send(fd, text, strlen(text), MSG_NOSIGNAL), (int)strlen(text));
}

START_TEST(bytes_go_both_ways)
{
	join(SOCK_STREAM);
	put(caller, "one");
	put(program, "two");
	expect(program, "one");
	expect(caller, "two");
}
END_TEST

START_TEST(one_direction_ends_and_the_other_goes_on)
{
	join(SOCK_STREAM);
	shutdown(program, SHUT_WR);
	expect(caller, ""); /* in spite of the copy that the caller has kept */
	put(caller, "still");
	expect(program, "still");
	shutdown(caller, SHUT_WR);
	expect(program, "");
	ck_assert_int_eq(done, 1);
}
END_TEST

START_TEST(what_the_program_closes_is_closed_but_not_shut_down_for_others)
{
	join(SOCK_STREAM);
	put(program, "last");
	close_fd(&program);
	expect(caller, "last");
	expect_nothing(caller);
	ck_assert_int_eq(done, 1);
	put(kept, "after it");
	expect(caller, "after it");
	close_fd(&kept);
	expect(caller, "");
}
END_TEST

START_TEST(a_process_that_has_ended_is_drained_and_closed)
{
	join(SOCK_STREAM);
	put(program, "last");
	duplex_finish(program_end);
	expect(caller, "last");
	expect_nothing(caller);
	ck_assert_int_eq(done, 1);
}
END_TEST

START_TEST(the_program_learns_that_nobody_reads)
{
	join(SOCK_STREAM);
	close_fd(&kept);
	close_fd(&caller);
	settle();
	ck_assert_int_eq((int)send(program, "x", 1, MSG_NOSIGNAL), -1);
	ck_assert_int_eq(errno, EPIPE);
	expect(program, "");
	ck_assert_int_eq(done, 1);
}
END_TEST

static const int record_types[] = { SOCK_SEQPACKET, SOCK_DGRAM };

START_TEST(messages_keep_their_boundaries)
{
	join(record_types[_i]);
	put(caller, "a");
	put(caller, "bcd");
	ck_assert_int_eq((int)send(caller, "", 0, 0), 0);
	put(caller, "e");
	expect(program, "a");
	expect(program, "bcd");
	expect(program, "");
	expect(program, "e");
	put(program, "back");
	expect(caller, "back");
}
END_TEST

/* Many and long ones, to a reader that is slow. */
START_TEST(messages_wait_for_their_reader)
{
	static char message[70000], got[sizeof(message) + 1];
	unsigned sent = 0, received = 0;

	join(record_types[_i]);
	for (int round = 0; round < 100000 && received < RECORDS; round++) {
		size_t len = 1 + sent * 69u;
		ssize_t n;

		memset(message, (int)(sent & 0x7f), len);
		if (sent < RECORDS && send(caller, message, len, MSG_DONTWAIT) == (ssize_t)len)
			sent++;
		ck_assert_int_eq(loop_step(loop, 0), 0);
		n = round % 3 ? -1 : recv(program, got, sizeof(got), MSG_DONTWAIT);
		if (n < 0)
			continue;
		ck_assert_uint_eq((size_t)n, 1 + received * 69u);
		ck_assert_int_eq(got[n - 1], (int)(received & 0x7f));
		received++;
	}
	ck_assert_uint_eq(received, RECORDS);
}
END_TEST

START_TEST(the_end_of_a_sequence_of_messages_comes_after_them)
{
	join(SOCK_SEQPACKET);
	put(program, "last");
	close_fd(&program);
	close_fd(&kept);
	expect(caller, "last");
	expect(caller, "");
	ck_assert_int_eq(done, 1);
}
END_TEST

START_TEST(a_program_that_shuts_its_datagrams_down_keeps_nobody_busy)
{
	join(SOCK_DGRAM);
	shutdown(program, SHUT_RDWR);
	settle();
	duplex_finish(program_end);
	settle();
	ck_assert_int_eq(loop_step(loop, 0), 0);
	ck_assert_int_eq(done, 1);
}
END_TEST

/* Frames that only a hostile peer sends. */
START_TEST(a_record_without_measure_ends_its_stream_only)
{
	struct peer peer;
	struct mux *mux = mux_new(loop, peer_init(&peer, loop), &peer_quiet_events, NULL);
	struct duplex *d;
	int ends[2];

	mux_send_hello(mux, "{}");
	peer_hello(&peer);
	peer_expect(&peer, FRAME_HELLO, 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	d = duplex_new(loop, mux, TO, FROM, ends[0], DUPLEX_RECORDS, NULL, NULL);
	peer_send(&peer, FRAME_DATA, TO, 0, "\1\0\0\0x\3\0\0", 8);
	peer_send(&peer, FRAME_DATA, TO, 0, "\0abc", 4);
	settle();
	expect(ends[1], "x");
	expect(ends[1], "abc");
	peer_send(&peer, FRAME_DATA, TO, 0, "\1\0\4\0more", 8);
	peer_expect(&peer, FRAME_CLOSE, TO);
	put(ends[1], "y");
	peer_expect(&peer, FRAME_DATA, FROM);
	duplex_free(d);
	mux_free(mux);
	peer_done(&peer);
	close(ends[1]);
}
END_TEST

START_TEST(numbers_that_are_taken_are_refused)
{
	join(SOCK_STREAM);
	ck_assert_ptr_null(duplex_new(loop, guest, 99, FROM, dup(program), 0, NULL, NULL));
	ck_assert_ptr_null(duplex_new(loop, guest, TO, 98, dup(program), 0, NULL, NULL));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("duplex");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, bytes_go_both_ways);
	tcase_add_test(tc, one_direction_ends_and_the_other_goes_on);
	tcase_add_test(tc, what_the_program_closes_is_closed_but_not_shut_down_for_others);
	tcase_add_test(tc, a_process_that_has_ended_is_drained_and_closed);
	tcase_add_test(tc, the_program_learns_that_nobody_reads);
	tcase_add_loop_test(tc, messages_keep_their_boundaries, 0, ARRAY_SIZE(record_types));
	tcase_add_loop_test(tc, messages_wait_for_their_reader, 0, ARRAY_SIZE(record_types));
	tcase_add_test(tc, the_end_of_a_sequence_of_messages_comes_after_them);
	tcase_add_test(tc, a_program_that_shuts_its_datagrams_down_keeps_nobody_busy);
	tcase_add_test(tc, a_record_without_measure_ends_its_stream_only);
	tcase_add_test(tc, numbers_that_are_taken_are_refused);
	return scratch_run(tc);
}
