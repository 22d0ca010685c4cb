/* A mux against a peer that is played frame by frame. Two muxes: test_agent_mux_pair.c. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/mux.h"
#include "lib/base/error.h"
#include "lib/base/loop.h"
#include "test/peer.h"
#include "test/scratch.h"

static struct loop *loop;
static struct peer peer;
static struct mux *mux;
static struct error closed_with;
static int closed, eofs, writables, closes;
static struct buf text, data; /* control frames, one per line; data that was taken */
static size_t appetite;       /* bytes the reader takes before it says no */

static void on_control(void *arg, const char *s, size_t len, bool is_hello)
{
	(void)arg;
	buf_adds(&text, is_hello ? "hello " : "control ");
	buf_add(&text, s, len);
	buf_addc(&text, '\n');
}

static void on_closed(void *arg, const struct error *err)
{
	(void)arg;
	closed++;
	if (err->code != 0)
		error_set(&closed_with, err->code, "%s", err->msg);
}

static size_t on_data(void *arg, const uint8_t *bytes, size_t len)
{
	(void)arg;
	if (len > appetite)
		len = appetite;
	appetite -= len;
	buf_add(&data, bytes, len);
	return len;
}

static void on_eof(void *arg)
{
	(void)arg;
	eofs++;
}

static void on_writable(void *arg)
{
	(void)arg;
	writables++;
}

static void on_close(void *arg)
{
	(void)arg;
	closes++;
}

static const struct mux_events events = { on_control, on_closed };
static const struct mux_reader_events reader_events = { on_data, on_eof };
static const struct mux_writer_events writer_events = { on_writable, on_close };

static void setup(void)
{
	loop = loop_new();
	mux = mux_new(loop, peer_init(&peer, loop), &events, NULL);
	closed = eofs = writables = closes = 0;
	appetite = SIZE_MAX;
}

static void teardown(void)
{
	mux_free(mux);
	mux = NULL;
	peer_done(&peer);
	loop_free(loop);
	buf_done(&text);
	buf_done(&data);
	error_clear(&closed_with);
}

static void settle(void)
{
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(loop_step(loop, 1), 0);
}

/* Both hellos, so that everything may flow. */
static void greet(void)
{
	mux_send_hello(mux, "{\"vcrt\":1}");
	peer_expect(&peer, FRAME_HELLO, 0);
	peer_hello(&peer);
	settle();
}

static void expect_breach(const char *msg)
{
	peer_expect_end(&peer);
	settle();
	ck_assert_int_eq(closed, 1);
	ck_assert_int_eq(closed_with.code, EPROTO);
	ck_assert_str_eq(closed_with.msg, msg);
}

START_TEST(nothing_but_our_hello_is_sent_before_the_peers)
{
	struct mux_stream *s = mux_add_writer(mux, 1, &writer_events, NULL);

	mux_send_control(mux, "{\"a\":1}", 7);
	mux_write(s, "x", 1);
	mux_send_hello(mux, "{\"vcrt\":1}");
	peer_expect(&peer, FRAME_HELLO, 0);
	ck_assert_str_eq(peer.payload, "{\"vcrt\":1}");
	peer_expect_silence(&peer);
	ck_assert(!mux_is_idle(mux));
	peer_hello(&peer);
	peer_expect(&peer, FRAME_CONTROL, 0);
	peer_expect(&peer, FRAME_DATA, 1);
	ck_assert(mux_is_idle(mux));
	ck_assert_str_eq(text.data, "hello {\"vcrt\":1}\n");
	mux_stream_free(&s);
}
END_TEST

START_TEST(control_goes_before_data_that_waits)
{
	struct mux_stream *s = mux_add_writer(mux, 1, &writer_events, NULL);

	mux_write(s, "data", 4);
	mux_writer_eof(s);
	mux_send_control(mux, "{}", 2);
	peer_hello(&peer);
	peer_expect(&peer, FRAME_CONTROL, 0);
	peer_expect(&peer, FRAME_DATA, 1);
	peer_expect(&peer, FRAME_EOF, 1);
	mux_stream_free(&s);
}
END_TEST

START_TEST(frames_are_understood_byte_by_byte)
{
	static const char *const parts[] = { "{\"vcrt\":1}", "{\"b\":2}" };
	struct mux_stream *s = mux_add_reader(mux, 9, &reader_events, NULL);
	auto_buf struct buf wire = { 0 };
	struct frame f[] = {
		{ .type = FRAME_HELLO, .length = 10 },
		{ .type = FRAME_CONTROL, .length = 7 },
		{ .type = FRAME_DATA, .length = 7, .stream = 9 },
		{ .type = FRAME_EOF, .stream = 9 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(f); i++) {
		frame_encode(&f[i], buf_space(&wire, PROTOCOL_HEADER));
		wire.len += PROTOCOL_HEADER;
		buf_add(&wire, parts[i > 0], f[i].length);
	}
	for (size_t i = 0; i < wire.len; i++) {
		ck_assert_int_eq((int)send(peer.fd, wire.data + i, 1, 0), 1);
		ck_assert_int_eq(loop_step(loop, 100), 0);
	}
	ck_assert_str_eq(text.data, "hello {\"vcrt\":1}\ncontrol {\"b\":2}\n");
	ck_assert_str_eq(data.data, "{\"b\":2}");
	ck_assert_int_eq(eofs, 1);
	mux_stream_free(&s);
}
END_TEST

START_TEST(the_largest_control_message_goes_through_whole)
{
	auto_free char *big = xmalloc(PROTOCOL_MAX_CONTROL);

	greet();
	memset(big, 'x', PROTOCOL_MAX_CONTROL);
	mux_send_control(mux, big, PROTOCOL_MAX_CONTROL);
	peer_expect(&peer, FRAME_CONTROL, 0);
	ck_assert_uint_eq(peer.frame.length, PROTOCOL_MAX_CONTROL);
	ck_assert_int_eq(memcmp(peer.payload, big, PROTOCOL_MAX_CONTROL), 0);
	ck_assert(mux_is_idle(mux));
}
END_TEST

START_TEST(a_message_over_the_limit_ends_the_connection)
{
	auto_free char *big = xzalloc(PROTOCOL_MAX_CONTROL + 1);

	greet();
	mux_send_control(mux, big, PROTOCOL_MAX_CONTROL + 1);
	settle();
	ck_assert_int_eq(closed, 1);
	ck_assert_str_eq(closed_with.msg,
	                 "message of 4194305 bytes for the peer (at most 4194304)");
}
END_TEST

START_TEST(a_peer_that_reads_nothing_does_not_fill_our_memory)
{
	auto_free char *big = xzalloc(PROTOCOL_MAX_CONTROL);

	greet();
	for (int i = 0; i < 10 && !closed; i++) {
		mux_send_control(mux, big, PROTOCOL_MAX_CONTROL);
		settle();
	}
	ck_assert_int_eq(closed, 1);
	ck_assert_str_eq(closed_with.msg, "the peer does not read its control messages");
}
END_TEST

START_TEST(an_orderly_end_is_no_error)
{
	greet();
	close_fd(&peer.fd);
	settle();
	ck_assert_int_eq(closed, 1);
	ck_assert_int_eq(closed_with.code, 0);
}
END_TEST

START_TEST(an_end_within_a_frame_is_an_error)
{
	greet();
	ck_assert_int_eq((int)send(peer.fd, "abc", 3, 0), 3);
	close_fd(&peer.fd);
	settle();
	ck_assert_int_eq(closed, 1);
	ck_assert_str_eq(closed_with.msg, "the peer ended in the middle of a frame");
}
END_TEST

START_TEST(credit_limits_the_writer_and_grants_wake_it)
{
	auto_free char *big = xzalloc(PROTOCOL_WINDOW);
	struct mux_stream *s = mux_add_writer(mux, 3, &writer_events, NULL);
	size_t got = 0;

	greet();
	while (got < PROTOCOL_WINDOW) {
		size_t room = mux_writer_room(s);

		ck_assert_uint_gt(room, 0);
		mux_write(s, big, room);
		for (size_t part = 0; part < room; part += peer.frame.length)
			peer_expect(&peer, FRAME_DATA, 3);
		got += room;
		settle();
	}
	ck_assert_uint_eq(mux_writer_room(s), 0);
	settle();
	writables = 0;
	peer_send(&peer, FRAME_CREDIT, 3, 10, NULL, 0);
	settle();
	ck_assert_int_eq(writables, 1);
	ck_assert_uint_eq(mux_writer_room(s), 10);
	mux_stream_free(&s);
	peer_expect(&peer, FRAME_EOF, 3);
}
END_TEST

START_TEST(bytes_beyond_the_credit_follow_as_it_comes_and_then_eof)
{
	auto_free char *big = xzalloc(PROTOCOL_WINDOW + 5);
	struct mux_stream *s = mux_add_writer(mux, 3, &writer_events, NULL);

	greet();
	mux_write(s, big, PROTOCOL_WINDOW + 5);
	mux_stream_free(&s);
	for (size_t got = 0; got < PROTOCOL_WINDOW; got += peer.frame.length)
		peer_expect(&peer, FRAME_DATA, 3);
	peer_expect_silence(&peer);
	peer_send(&peer, FRAME_CREDIT, 3, 5, NULL, 0);
	peer_expect(&peer, FRAME_DATA, 3);
	ck_assert_uint_eq(peer.frame.length, 5);
	peer_expect(&peer, FRAME_EOF, 3);
}
END_TEST

START_TEST(credit_is_granted_as_bytes_are_taken)
{
	auto_free char *big = xzalloc(PROTOCOL_MAX_DATA);
	struct mux_stream *s = mux_add_reader(mux, 3, &reader_events, NULL);

	greet();
	appetite = 0;
	for (int i = 0; i < PROTOCOL_WINDOW / PROTOCOL_MAX_DATA; i++) {
		peer_send(&peer, FRAME_DATA, 3, 0, big, PROTOCOL_MAX_DATA);
		settle();
	}
	peer_expect_silence(&peer);
	appetite = PROTOCOL_WINDOW;
	mux_reader_resume(s);
	ck_assert_uint_eq(data.len, PROTOCOL_WINDOW);
	peer_expect(&peer, FRAME_CREDIT, 3);
	ck_assert_uint_eq(peer.frame.value, PROTOCOL_WINDOW);
	mux_stream_free(&s);
	peer_expect(&peer, FRAME_CLOSE, 3);
}
END_TEST

START_TEST(eof_comes_after_the_last_byte_was_taken_and_is_answered)
{
	struct mux_stream *s = mux_add_reader(mux, 3, &reader_events, NULL);

	greet();
	appetite = 2;
	peer_data(&peer, 3, "abcd");
	peer_send(&peer, FRAME_EOF, 3, 0, NULL, 0);
	peer_expect_silence(&peer);
	ck_assert_int_eq(eofs, 0);
	appetite = SIZE_MAX;
	mux_reader_resume(s);
	ck_assert_str_eq(data.data, "abcd");
	ck_assert_int_eq(eofs, 1);
	peer_expect(&peer, FRAME_CLOSE, 3);
	mux_stream_free(&s);
	peer_expect_silence(&peer);
}
END_TEST

START_TEST(a_closed_reader_ignores_what_was_on_its_way)
{
	struct mux_stream *s = mux_add_reader(mux, 3, &reader_events, NULL);

	greet();
	mux_stream_free(&s);
	peer_expect(&peer, FRAME_CLOSE, 3);
	peer_data(&peer, 3, "late");
	peer_send(&peer, FRAME_EOF, 3, 0, NULL, 0);
	settle();
	ck_assert_int_eq(closed, 0);
	ck_assert_uint_eq(data.len, 0);
	/* Now it is forgotten: the number is unknown. */
	peer_data(&peer, 3, "too late");
	expect_breach("the peer broke the protocol: unknown stream 3");
}
END_TEST

START_TEST(a_close_from_the_reader_is_told_and_answered_with_eof)
{
	struct mux_stream *s = mux_add_writer(mux, 3, &writer_events, NULL);

	greet();
	peer_send(&peer, FRAME_CLOSE, 3, 0, NULL, 0);
	peer_expect(&peer, FRAME_EOF, 3);
	ck_assert_int_eq(closes, 1);
	ck_assert_uint_eq(mux_writer_room(s), 0);
	mux_write(s, "nobody reads this", 17);
	mux_writer_eof(s);
	mux_stream_free(&s);
	peer_expect_silence(&peer);
	ck_assert_int_eq(closed, 0);
}
END_TEST

START_TEST(numbers_that_are_zero_taken_or_too_many_are_refused)
{
	struct mux_stream *s[PROTOCOL_MAX_STREAMS] = { 0 };

	ck_assert_ptr_null(mux_add_reader(mux, 0, &reader_events, NULL));
	for (uint32_t i = 0; i < PROTOCOL_MAX_STREAMS; i++) {
		/* Not in order, so that the place has to be found. */
		s[i] = mux_add_reader(mux, (i * 7919) % PROTOCOL_MAX_STREAMS + 1, &reader_events,
		                      NULL);
		ck_assert_ptr_nonnull(s[i]);
	}
	ck_assert_ptr_null(mux_add_reader(mux, 5, &reader_events, NULL));
	ck_assert_ptr_null(mux_add_writer(mux, 99999, &writer_events, NULL));
	for (uint32_t i = 0; i < PROTOCOL_MAX_STREAMS; i++)
		mux_stream_free(&s[i]);
}
END_TEST

/* Each: what a hostile peer may send on stream 1 (that we read) or 2 (that we write). */
static const struct breach {
	struct frame frame[2];
	const char *msg;
} breaches[] = {
	{ { { .type = FRAME_HELLO, .length = 1 } }, "a second hello" },
	{ { { .type = 99 } }, "frame of an unknown type" },
	{ { { .type = FRAME_CONTROL, .length = UINT32_MAX } }, "frame that is too long" },
	{ { { .type = FRAME_EOF, .stream = 3 } }, "unknown stream 3" },
	{ { { .type = FRAME_DATA, .stream = 2, .length = 1 } },
	  "stream 2: a frame that goes the other way" },
	{ { { .type = FRAME_CREDIT, .stream = 1, .value = 1 } },
	  "stream 1: a frame that goes the other way" },
	{ { { .type = FRAME_EOF, .stream = 1 }, { .type = FRAME_EOF, .stream = 1 } },
	  "stream 1: a second end" },
	{ { { .type = FRAME_EOF, .stream = 1 }, { .type = FRAME_DATA, .stream = 1, .length = 1 } },
	  "stream 1: data after its end" },
	{ { { .type = FRAME_CREDIT, .stream = 2, .value = 1 } },
	  "stream 2: more credit than was used" },
	{ { { .type = FRAME_CREDIT, .stream = 2, .value = UINT32_MAX } },
	  "stream 2: more credit than was used" },
	{ { { .type = FRAME_CLOSE, .stream = 2 }, { .type = FRAME_CLOSE, .stream = 2 } },
	  "stream 2: a second close" },
	{ { { .type = FRAME_CLOSE, .stream = 2 },
	    { .type = FRAME_CREDIT, .stream = 2, .value = 1 } },
	  "stream 2: credit after it was closed" },
};

START_TEST(a_breach_ends_the_connection_and_says_which)
{
	struct mux_stream *in = mux_add_reader(mux, 1, &reader_events, NULL);
	struct mux_stream *out = mux_add_writer(mux, 2, &writer_events, NULL);
	auto_free char *msg = str_fmt("the peer broke the protocol: %s", breaches[_i].msg);
	uint8_t bytes[PROTOCOL_HEADER + 1] = { 0 };

	greet();
	for (int i = 0; i < 2 && breaches[_i].frame[i].type; i++) {
		const struct frame *f = &breaches[_i].frame[i];
		size_t len = PROTOCOL_HEADER + (f->length > 0);

		frame_encode(f, bytes);
		ck_assert_int_eq((int)send(peer.fd, bytes, len, 0), (int)len);
	}
	expect_breach(msg);
	/* What is left is dead, but can be used and freed. */
	ck_assert_uint_eq(mux_writer_room(out), 0);
	mux_write(out, "x", 1);
	mux_reader_resume(in);
	mux_stream_free(&in);
	mux_free(mux);
	mux = NULL;
	mux_writer_eof(out);
	mux_stream_free(&out);
}
END_TEST

START_TEST(more_data_than_was_granted_is_a_breach)
{
	auto_free char *big = xzalloc(PROTOCOL_MAX_DATA);
	struct mux_stream *s = mux_add_reader(mux, 1, &reader_events, NULL);

	greet();
	appetite = 0;
	for (int i = 0; i < PROTOCOL_WINDOW / PROTOCOL_MAX_DATA; i++) {
		peer_send(&peer, FRAME_DATA, 1, 0, big, PROTOCOL_MAX_DATA);
		settle();
	}
	ck_assert_int_eq(closed, 0);
	peer_data(&peer, 1, "x");
	expect_breach("the peer broke the protocol: stream 1: more data than was granted");
	mux_stream_free(&s);
}
END_TEST

START_TEST(anything_before_the_hello_is_a_breach)
{
	peer_control(&peer, "{}");
	expect_breach("the peer broke the protocol: no hello");
}
END_TEST

START_TEST(fail_is_told_from_the_loop_and_only_once)
{
	greet();
	ck_assert_int_eq(mux_fail(mux, EPERM, "because"), -EPERM);
	mux_fail(mux, EIO, "again");
	ck_assert_int_eq(closed, 0);
	settle();
	ck_assert_int_eq(closed, 1);
	ck_assert_str_eq(closed_with.msg, "because");
	peer_expect_end(&peer);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("mux");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, nothing_but_our_hello_is_sent_before_the_peers);
	tcase_add_test(tc, control_goes_before_data_that_waits);
	tcase_add_test(tc, frames_are_understood_byte_by_byte);
	tcase_add_test(tc, the_largest_control_message_goes_through_whole);
	tcase_add_test(tc, a_message_over_the_limit_ends_the_connection);
	tcase_add_test(tc, a_peer_that_reads_nothing_does_not_fill_our_memory);
	tcase_add_test(tc, an_orderly_end_is_no_error);
	tcase_add_test(tc, an_end_within_a_frame_is_an_error);
	tcase_add_test(tc, credit_limits_the_writer_and_grants_wake_it);
	tcase_add_test(tc, bytes_beyond_the_credit_follow_as_it_comes_and_then_eof);
	tcase_add_test(tc, credit_is_granted_as_bytes_are_taken);
	tcase_add_test(tc, eof_comes_after_the_last_byte_was_taken_and_is_answered);
	tcase_add_test(tc, a_closed_reader_ignores_what_was_on_its_way);
	tcase_add_test(tc, a_close_from_the_reader_is_told_and_answered_with_eof);
	tcase_add_test(tc, numbers_that_are_zero_taken_or_too_many_are_refused);
	tcase_add_loop_test(tc, a_breach_ends_the_connection_and_says_which, 0,
	                    (int)ARRAY_SIZE(breaches));
	tcase_add_test(tc, more_data_than_was_granted_is_a_breach);
	tcase_add_test(tc, anything_before_the_hello_is_a_breach);
	tcase_add_test(tc, fail_is_told_from_the_loop_and_only_once);
	return scratch_run(tc);
}
