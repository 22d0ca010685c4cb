#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/ctl.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "test/scratch.h"

#define WAIT_MS 10000 /* longer than anything here takes */

static struct loop *loop;
static struct ctl_conn *conn; /* the monitor's side, NULL once it was freed */
static int peer;              /* the verb's side */
static struct buf seen;       /* a line for each callback */
static bool frees_on_message, frees_on_close, answers;

static void on_message(struct ctl_conn *c, struct ctl_msg *m, void *arg)
{
	auto_ctl_msg struct ctl_msg *owned = m;
	const char *op = json_get_string(m->json, "op");

	ck_assert_ptr_eq(arg, &seen);
	ck_assert_ptr_nonnull(owned);
	buf_addf(&seen, "%s/%zu\n", op ? op : "?", m->n_fds);
	if (answers)
		ctl_conn_ok(c, NULL);
	if (frees_on_message) {
		ctl_conn_free(c);
		conn = NULL;
	}
}

static void on_closed(struct ctl_conn *c, void *arg)
{
	(void)arg;
	buf_adds(&seen, "closed\n");
	if (frees_on_close) {
		ctl_conn_free(c);
		conn = NULL;
	}
}

static void setup(void)
{
	auto_error struct error err = { 0 };
	int ends[2];

	loop = loop_new();
	ck_assert_int_eq(ctl_pair(ends, &err), 0);
	peer = ends[0];
	conn = ctl_conn_new(loop, ends[1], on_message, on_closed, &seen);
	frees_on_message = answers = false;
	frees_on_close = true;
	buf_adds(&seen, "");
}

static void teardown(void)
{
	ctl_conn_free(conn);
	close_fd(&peer);
	loop_free(loop);
	buf_done(&seen);
}

static void settle(void)
{
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(loop_step(loop, 1), 0);
}

static void send_op(const char *op, size_t n_fds)
{
	auto_error struct error err = { 0 };
	struct ctl_out out = { .json = json_new_object() };

	json_set(out.json, "op", json_new_string(op));
	for (size_t i = 0; i < n_fds; i++)
		ck_assert_int_eq(ctl_out_fd(&out, NULL, "fd", 0, &err), 0);
	ck_assert_msg(ctl_send(peer, &out, &err) == 0, "%s", err.msg);
	ctl_out_done(&out);
}

static void send_raw(uint32_t length, const char *text)
{
	uint32_t header[2] = { length, 0 };

	ck_assert_int_eq(fs_write_all(peer, header, sizeof(header)), 0);
	ck_assert_int_eq(fs_write_all(peer, text, strlen(text)), 0);
}

START_TEST(every_message_that_has_come_is_delivered_in_order)
{
	send_op("one", 0);
	send_op("two", 2);
	send_op("three", 0);
	settle();
	ck_assert_str_eq(seen.data, "one/0\ntwo/2\nthree/0\n");
}
END_TEST

START_TEST(a_message_in_pieces_is_delivered_once_it_is_whole)
{
	static const char text[] = "{\"op\":\"x\"}";
	uint32_t header[2] = { sizeof(text) - 1, 0 };
	auto_buf struct buf b = { 0 };

	buf_add(&b, header, sizeof(header));
	buf_adds(&b, text);
	for (size_t i = 0; i < b.len; i++) {
		ck_assert_str_eq(seen.data, "");
		ck_assert_int_eq((int)write(peer, b.data + i, 1), 1);
		ck_assert_int_eq(loop_step(loop, 1), 0);
	}
	ck_assert_str_eq(seen.data, "x/0\n");
}
END_TEST

START_TEST(messages_before_the_end_are_delivered_before_it)
{
	send_op("last", 0);
	close_fd(&peer);
	settle();
	ck_assert_str_eq(seen.data, "last/0\nclosed\n");
	ck_assert_ptr_null(conn);
}
END_TEST

START_TEST(the_end_is_told_once_also_when_nobody_frees_it)
{
	frees_on_close = false;
	close_fd(&peer);
	settle();
	ck_assert_str_eq(seen.data, "closed\n");
	/* What is sent then is lost, without harm. */
	ctl_conn_ok(conn, NULL);
	settle();
	ck_assert_str_eq(seen.data, "closed\n");
}
END_TEST

START_TEST(it_may_be_freed_while_a_message_is_handled)
{
	frees_on_message = true;
	send_op("one", 1);
	send_op("two", 1);
	settle();
	ck_assert_str_eq(seen.data, "one/1\n");
	ck_assert_ptr_null(conn);
}
END_TEST

START_TEST(it_may_be_freed_right_after_an_answer)
{
	auto_error struct error err = { 0 };
	auto_ctl_msg struct ctl_msg *m = NULL;

	frees_on_message = answers = true;
	send_op("one", 0);
	settle();
	m = ctl_answer(peer, WAIT_MS, &err);
	ck_assert_msg(m != NULL, "%s", err.msg);
	ck_assert_ptr_null(ctl_recv(peer, WAIT_MS, &err));
	ck_assert_int_eq(err.code, ECONNRESET);
	ctl_conn_free(NULL);
}
END_TEST

START_TEST(garbage_ends_the_connection)
{
	send_op("good", 0);
	send_raw(3, "{x}");
	send_op("late", 0);
	settle();
	ck_assert_str_eq(seen.data, "good/0\nclosed\n");
}
END_TEST

START_TEST(a_huge_length_ends_the_connection)
{
	send_raw(UINT32_MAX, "");
	settle();
	ck_assert_str_eq(seen.data, "closed\n");
}
END_TEST

START_TEST(answers_carry_the_result_or_the_error)
{
	auto_error struct error err = { 0 };
	auto_ctl_msg struct ctl_msg *empty = NULL, *full = NULL;
	struct json *result = json_new_object();

	json_set(result, "pid", json_new_i64(7));
	ctl_conn_ok(conn, NULL);
	ctl_conn_ok(conn, result);
	error_set(&err, ENOENT, "no such \"thing\"");
	ctl_conn_error(conn, &err);
	error_clear(&err);
	empty = ctl_answer(peer, WAIT_MS, &err);
	ck_assert_msg(empty != NULL, "%s", err.msg);
	ck_assert_uint_eq(json_len(json_get_object(empty->json, "ok")), 0);
	full = ctl_answer(peer, WAIT_MS, &err);
	ck_assert_int_eq(json_get_i64(json_get_object(full->json, "ok"), "pid", 0), 7);
	ck_assert_ptr_null(ctl_answer(peer, WAIT_MS, &err));
	ck_assert_int_eq(err.code, ENOENT);
	ck_assert_str_eq(err.msg, "no such \"thing\"");
}
END_TEST

/* The socket's buffer is full long before: the rest waits here, and nothing blocks. */
START_TEST(a_peer_that_does_not_read_holds_up_nobody)
{
	auto_free char *big = xmalloc((1u << 20) + 1);
	size_t got = 0;

	memset(big, 'x', 1u << 20);
	big[1u << 20] = '\0';
	for (int i = 0; i < 8; i++) {
		struct json *j = json_new_object();

		json_set(j, "i", json_new_i64(i));
		json_set(j, "big", json_new_string(big));
		ctl_conn_send(conn, j);
	}
	settle();
	ck_assert_int_eq(fcntl(peer, F_SETFL, O_NONBLOCK), 0);
	for (int round = 0; got < 8u << 20 && round < 100000; round++) {
		static char data[1 << 16];
		ssize_t n = read(peer, data, sizeof(data));

		if (n > 0)
			got += (size_t)n;
		else
			ck_assert_int_eq(loop_step(loop, 10), 0);
	}
	ck_assert_uint_ge(got, 8u << 20);
}
END_TEST

START_TEST(queued_answers_of_a_peer_that_left_are_dropped)
{
	auto_free char *big = xmalloc((4u << 20) + 1);
	struct json *j = json_new_object();

	memset(big, 'x', 4u << 20);
	big[4u << 20] = '\0';
	json_set(j, "big", json_new_string(big));
	ctl_conn_send(conn, j);
	close_fd(&peer);
	settle();
	ck_assert_str_eq(seen.data, "closed\n");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("ctl_conn");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, every_message_that_has_come_is_delivered_in_order);
	tcase_add_test(tc, a_message_in_pieces_is_delivered_once_it_is_whole);
	tcase_add_test(tc, messages_before_the_end_are_delivered_before_it);
	tcase_add_test(tc, the_end_is_told_once_also_when_nobody_frees_it);
	tcase_add_test(tc, it_may_be_freed_while_a_message_is_handled);
	tcase_add_test(tc, it_may_be_freed_right_after_an_answer);
	tcase_add_test(tc, garbage_ends_the_connection);
	tcase_add_test(tc, a_huge_length_ends_the_connection);
	tcase_add_test(tc, answers_carry_the_result_or_the_error);
	tcase_add_test(tc, a_peer_that_does_not_read_holds_up_nobody);
	tcase_add_test(tc, queued_answers_of_a_peer_that_left_are_dropped);
	return scratch_run(tc);
}
