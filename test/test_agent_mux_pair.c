/* Two muxes that talk to each other: what holds for every stream while one of them is stuck. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/mux.h"
#include "agent/protocol.h"
#include "lib/base/error.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "test/scratch.h"

#define STREAMS 3
#define STUCK 1 /* the reader of this one takes nothing */
#define TOTAL (3u * 1024 * 1024 + 17)

static struct loop *loop;
static struct mux *mux[2];
static size_t controls[2];

/* One direction: the writer sends TOTAL bytes that depend on stream and place. */
struct flow {
	struct mux_stream *writer, *reader;
	uint32_t id;
	size_t sent, got;
	bool is_stuck, is_wrong, has_eof;
};

static struct flow flows[2][STREAMS]; /* [who writes] */

static uint8_t byte_at(uint32_t id, size_t at)
{
	return (uint8_t)(id * 31 + at + (at >> 8) * 7);
}

static void write_more(struct flow *f)
{
	uint8_t chunk[5000]; /* no divisor of anything */
	size_t room;

	while (f->sent < TOTAL && (room = mux_writer_room(f->writer)) > 0) {
		size_t n = room < sizeof(chunk) ? room : sizeof(chunk);

		if (n > TOTAL - f->sent)
			n = TOTAL - f->sent;
		for (size_t i = 0; i < n; i++)
			chunk[i] = byte_at(f->id, f->sent + i);
		mux_write(f->writer, chunk, n);
		f->sent += n;
	}
	if (f->sent == TOTAL)
		mux_writer_eof(f->writer);
}

static void on_writable(void *arg)
{
	write_more(arg);
}

static void on_reader_closed(void *arg)
{
	(void)arg;
}

static size_t on_data(void *arg, const uint8_t *data, size_t len)
{
	struct flow *f = arg;

	if (f->is_stuck)
		return 0;
	for (size_t i = 0; i < len; i++)
		f->is_wrong |= data[i] != byte_at(f->id, f->got + i);
	f->got += len;
	return len;
}

static void on_eof(void *arg)
{
	struct flow *f = arg;

	f->has_eof = true;
}

static void on_control(void *arg, const char *text, size_t len, bool is_hello)
{
	(void)text;
	(void)len;
	controls[arg == &mux[1]] += !is_hello;
}

static void on_closed(void *arg, const struct error *err)
{
	(void)arg;
	ck_abort_msg("closed: %s", err->msg ? err->msg : "end of file");
}

static const struct mux_events events = { on_control, on_closed };
static const struct mux_reader_events reader_events = { on_data, on_eof };
static const struct mux_writer_events writer_events = { on_writable, on_reader_closed };

static void setup(void)
{
	int ends[2];

	loop = loop_new();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	for (int i = 0; i < 2; i++) {
		mux[i] = mux_new(loop, ends[i], &events, &mux[i]);
		mux_send_hello(mux[i], "{}");
		controls[i] = 0;
	}
	for (int who = 0; who < 2; who++) {
		for (uint32_t n = 0; n < STREAMS; n++) {
			struct flow *f = &flows[who][n];

			*f = (struct flow){ .id = (uint32_t)who * STREAMS + n + 1 };
			f->writer = mux_add_writer(mux[who], f->id, &writer_events, f);
			f->reader = mux_add_reader(mux[!who], f->id, &reader_events, f);
		}
	}
}

static void teardown(void)
{
	mux_free(mux[0]);
	mux_free(mux[1]);
	for (int who = 0; who < 2; who++) {
		for (int n = 0; n < STREAMS; n++) {
			mux_stream_free(&flows[who][n].writer);
			mux_stream_free(&flows[who][n].reader);
		}
	}
	loop_free(loop);
}

static void run_for(unsigned rounds)
{
	while (rounds-- > 0)
		ck_assert_int_eq(loop_step(loop, 1), 0);
}

START_TEST(a_stuck_reader_blocks_neither_other_streams_nor_control)
{
	for (int who = 0; who < 2; who++) {
		flows[who][STUCK].is_stuck = true;
		for (int n = 0; n < STREAMS; n++)
			write_more(&flows[who][n]);
	}
	run_for(1000);
	for (int who = 0; who < 2; who++) {
		mux_send_control(mux[who], "{}", 2);
		for (int n = 0; n < STREAMS; n++) {
			const struct flow *f = &flows[who][n];

			ck_assert(!f->is_wrong);
			ck_assert(f->has_eof == (n != STUCK));
			ck_assert_uint_eq(f->got, n == STUCK ? 0 : TOTAL);
		}
		/* The stuck one has cost no more than its window. */
		ck_assert_uint_eq(flows[who][STUCK].sent, PROTOCOL_WINDOW);
	}
	run_for(10);
	ck_assert_uint_eq(controls[0], 1);
	ck_assert_uint_eq(controls[1], 1);
}
END_TEST

START_TEST(a_reader_that_wakes_up_gets_everything_in_order)
{
	for (int who = 0; who < 2; who++) {
		flows[who][STUCK].is_stuck = true;
		write_more(&flows[who][STUCK]);
	}
	run_for(100);
	for (int who = 0; who < 2; who++) {
		flows[who][STUCK].is_stuck = false;
		mux_reader_resume(flows[who][STUCK].reader);
	}
	run_for(1000);
	for (int who = 0; who < 2; who++) {
		ck_assert_uint_eq(flows[who][STUCK].got, TOTAL);
		ck_assert(!flows[who][STUCK].is_wrong);
		ck_assert(flows[who][STUCK].has_eof);
	}
}
END_TEST

START_TEST(a_stuck_stream_can_be_given_up_by_its_reader)
{
	struct flow *f = &flows[0][STUCK];

	f->is_stuck = true;
	write_more(f);
	run_for(100);
	mux_stream_free(&f->reader);
	run_for(10);
	ck_assert_uint_eq(mux_writer_room(f->writer), 0);
	mux_stream_free(&f->writer);
	run_for(10);
	/* Both sides have forgotten it: the number may be used again. */
	f->reader = mux_add_reader(mux[1], f->id, &reader_events, f);
	f->writer = mux_add_writer(mux[0], f->id, &writer_events, f);
	ck_assert_ptr_nonnull(f->reader);
	ck_assert_ptr_nonnull(f->writer);
	f->is_stuck = false;
	f->sent = f->got = 0;
	write_more(f);
	run_for(500);
	ck_assert_uint_eq(f->got, TOTAL);
	ck_assert(!f->is_wrong);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("mux-pair");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_stuck_reader_blocks_neither_other_streams_nor_control);
	tcase_add_test(tc, a_reader_that_wakes_up_gets_everything_in_order);
	tcase_add_test(tc, a_stuck_stream_can_be_given_up_by_its_reader);
	return scratch_run(tc);
}
