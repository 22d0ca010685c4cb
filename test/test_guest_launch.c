#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/fd-pass.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static int pair[2];
static struct error err;

static void setup(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

static void teardown(void)
{
	close_fd(&pair[0]);
	close_fd(&pair[1]);
	error_clear(&err);
}

START_TEST(a_report_may_bring_a_descriptor)
{
	enum report_type type;
	int passed[2], fd;
	char c = 0;

	ck_assert_int_eq(pipe(passed), 0);
	ck_assert_int_eq(report_send(pair[0], REPORT_READY, NULL, passed[0]), 0);
	ck_assert_int_eq(report_receive(pair[1], 1000, &type, &fd, &err), 0);
	ck_assert_int_eq(type, REPORT_READY);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_eq(write(passed[1], "x", 1), 1);
	ck_assert_int_eq(read(fd, &c, 1), 1);
	ck_assert_int_eq(c, 'x');
	close_fd(&fd);
	close_fd(&passed[0]);
	close_fd(&passed[1]);
}
END_TEST

START_TEST(an_error_arrives_with_code_and_text)
{
	auto_error struct error sent = { 0 };
	enum report_type type;
	int fd;

	error_set(&sent, ENOENT, "exec: \"foo\": executable file not found in $PATH");
	report_send(pair[0], REPORT_ERROR, &sent, -1);
	ck_assert_int_eq(report_receive(pair[1], 1000, &type, &fd, &err), 0);
	ck_assert_int_eq(type, REPORT_ERROR);
	ck_assert_int_eq(fd, -1);
	ck_assert_int_eq(err.code, ENOENT);
	ck_assert_str_eq(err.msg, sent.msg);
}
END_TEST

START_TEST(a_long_error_is_cut_between_characters)
{
	auto_error struct error sent = { 0 };
	enum report_type type;
	char text[5000];
	size_t len;
	int fd;

	text[0] = 'x'; /* then only two-byte characters, so that the cut would hit the middle */
	for (size_t i = 1; i + 1 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa4", 2);
	text[sizeof(text) - 1] = '\0';
	for (size_t skip = 0; skip < 2; skip++) {
		error_set(&sent, EIO, "%s", text + skip);
		report_send(pair[0], REPORT_ERROR, &sent, -1);
		ck_assert_int_eq(report_receive(pair[1], 1000, &type, &fd, &err), 0);
		len = strlen(err.msg);
		ck_assert_uint_gt(len, 1000);
		ck_assert_uint_eq((unsigned char)err.msg[len - 1], 0xa4);
	}
}
END_TEST

START_TEST(the_end_of_the_peer_is_told_apart_from_silence)
{
	enum report_type type;
	int fd;

	ck_assert_int_eq(report_receive(pair[1], 1, &type, &fd, &err), -ETIMEDOUT);
	close_fd(&pair[0]);
	ck_assert_int_eq(report_receive(pair[1], 1000, &type, &fd, &err), 1);
}
END_TEST

START_TEST(a_short_message_is_a_breach)
{
	enum report_type type;
	int fd;

	ck_assert_int_eq(send(pair[0], "x", 1, 0), 1);
	ck_assert_int_eq(report_receive(pair[1], 1000, &type, &fd, &err), -EPROTO);
}
END_TEST

START_TEST(a_report_brings_one_descriptor_at_most)
{
	struct {
		int type, code;
	} ready = { .type = REPORT_READY };
	struct iovec all = { .iov_base = &ready, .iov_len = sizeof(ready) };
	struct iovec cut = { .iov_base = &ready, .iov_len = sizeof(ready) - 1 };
	int before = scratch_count_fds(), fd;
	enum report_type type;

	ck_assert_int_gt(fd_pass_send(pair[0], &all, 1, pair, 2, 0), 0);
	ck_assert_int_eq(report_receive(pair[1], 1000, &type, &fd, &err), -EPROTO);
	ck_assert_int_eq(fd, -1);
	ck_assert_int_gt(fd_pass_send(pair[0], &cut, 1, pair, 1, 0), 0);
	ck_assert_int_eq(report_receive(pair[1], 1000, &type, &fd, &err), -EPROTO);
	ck_assert_int_eq(fd, -1);
	ck_assert_int_eq(scratch_count_fds(), before);
}
END_TEST

START_TEST(what_a_container_said_becomes_plain_text)
{
	char text[] = "a\0b\nc\x1b[1m\xff";

	str_clean(text, sizeof(text) - 1);
	ck_assert_str_eq(text, "a b c?[1m?");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("launch");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_report_may_bring_a_descriptor);
	tcase_add_test(tc, an_error_arrives_with_code_and_text);
	tcase_add_test(tc, a_long_error_is_cut_between_characters);
	tcase_add_test(tc, the_end_of_the_peer_is_told_apart_from_silence);
	tcase_add_test(tc, a_short_message_is_a_breach);
	tcase_add_test(tc, a_report_brings_one_descriptor_at_most);
	tcase_add_test(tc, what_a_container_said_becomes_plain_text);
	return scratch_run(tc);
}
