#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/ctl.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "test/scratch.h"

#define WAIT_MS 10000 /* longer than anything here takes */

static int ends[2];
static struct ctl_out out;
static bool has_lost_fds;

/* In place of the C library's: the kernel's mark for a process that may not have more. */
ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	ssize_t n = syscall(SYS_recvmsg, fd, msg, flags);

	if (has_lost_fds)
		msg->msg_flags |= MSG_CTRUNC;
	return n;
}

static void setup(void)
{
	auto_error struct error err = { 0 };

	has_lost_fds = false;
	ck_assert_int_eq(ctl_pair(ends, &err), 0);
	out = (struct ctl_out){ .json = json_new_object() };
	json_set(out.json, "op", json_new_string("hello"));
}

static void teardown(void)
{
	ctl_out_done(&out);
	close_fd(&ends[0]);
	close_fd(&ends[1]);
}

static void send_out(void)
{
	auto_error struct error err = { 0 };

	ck_assert_msg(ctl_send(ends[0], &out, &err) == 0, "%s", err.msg);
}

static struct ctl_msg *receive(void)
{
	auto_error struct error err = { 0 };
	struct ctl_msg *m = ctl_recv(ends[1], WAIT_MS, &err);

	ck_assert_msg(m != NULL, "%s", err.msg);
	return m;
}

/* The bytes of a message as they are on the wire: length and number of descriptors, then text. */
static void frame(struct buf *b, uint32_t length, uint32_t n_fds, const char *text)
{
	buf_add(b, &length, sizeof(length));
	buf_add(b, &n_fds, sizeof(n_fds));
	buf_adds(b, text);
}

static void send_frame(uint32_t length, uint32_t n_fds, const char *text)
{
	auto_buf struct buf b = { 0 };

	frame(&b, length, n_fds, text);
	ck_assert_int_eq(fs_write_all(ends[0], b.data, b.len), 0);
}

/* These bytes with n copies of fd, in one message of the kernel. */
static void send_with_fds(const struct buf *b, int fd, size_t n)
{
	char control[CMSG_SPACE(sizeof(int) * 253)] = { 0 };
	struct iovec iov = { .iov_base = b->data, .iov_len = b->len };
	struct msghdr msg = { .msg_iov = &iov,
		              .msg_iovlen = 1,
		              .msg_control = control,
		              .msg_controllen = CMSG_SPACE(sizeof(int) * n) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	for (size_t i = 0; i < n; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(int));
	ck_assert_int_eq((int)sendmsg(ends[0], &msg, 0), (int)b->len);
}

static bool is_same_file(int a, int b)
{
	struct stat x, y;

	ck_assert_int_eq(fstat(a, &x), 0);
	ck_assert_int_eq(fstat(b, &y), 0);
	return x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

START_TEST(a_message_arrives_with_its_descriptors)
{
	auto_error struct error err = { 0 };
	auto_ctl_msg struct ctl_msg *m = NULL;
	auto_close int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDWR);
	auto_close int first = -1, second = -1;
	struct json *inner = json_new_object();

	json_set(out.json, "inner", inner);
	ck_assert_int_eq(ctl_out_fd(&out, NULL, "a", null, &err), 0);
	ck_assert_int_eq(ctl_out_fd(&out, inner, "b", zero, &err), 0);
	ck_assert_int_eq(ctl_out_fd(&out, NULL, "c", -1, &err), 0);
	ck_assert_uint_eq(out.n_fds, 2);
	send_out();
	m = receive();
	ck_assert_str_eq(json_get_string(m->json, "op"), "hello");
	ck_assert_ptr_null(json_get(m->json, "c"));
	first = ctl_msg_take_fd(m, "a");
	second = ctl_msg_take_fd_at(
		m, (size_t)json_get_i64(json_get_object(m->json, "inner"), "b", -1));
	ck_assert(is_same_file(first, null));
	ck_assert(is_same_file(second, zero));
	ck_assert_int_ne(fcntl(first, F_GETFD) & FD_CLOEXEC, 0);
}
END_TEST

START_TEST(a_descriptor_can_be_taken_once)
{
	auto_error struct error err = { 0 };
	auto_ctl_msg struct ctl_msg *m = NULL;
	auto_close int fd = -1;

	ck_assert_int_eq(ctl_out_fd(&out, NULL, "a", 0, &err), 0);
	json_set(out.json, "far", json_new_i64(250));
	json_set(out.json, "odd", json_new_string("0"));
	send_out();
	m = receive();
	fd = ctl_msg_take_fd(m, "a");
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ctl_msg_take_fd(m, "a"), -1);
	ck_assert_int_eq(ctl_msg_take_fd(m, "far"), -1);
	ck_assert_int_eq(ctl_msg_take_fd(m, "odd"), -1);
	ck_assert_int_eq(ctl_msg_take_fd(m, "missing"), -1);
}
END_TEST

START_TEST(descriptors_that_nobody_took_are_closed)
{
	auto_error struct error err = { 0 };
	int before = scratch_count_fds();

	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(ctl_out_fd(&out, NULL, "a", 0, &err), 0);
	send_out();
	ctl_msg_free(receive());
	ck_assert_int_eq(scratch_count_fds(), before);
	ctl_msg_free(NULL);
}
END_TEST

START_TEST(as_many_descriptors_as_promised_fit_and_no_more)
{
	auto_error struct error err = { 0 };
	auto_ctl_msg struct ctl_msg *m = NULL;
	struct stat sent, got;

	fs_raise_limit();
	for (int i = 0; i < CTL_MAX_FDS; i++) {
		auto_free char *key = str_fmt("%d", i);

		ck_assert_int_eq(ctl_out_fd(&out, NULL, key, i == 2900 ? ends[0] : 0, &err), 0);
	}
	ck_assert_int_eq(ctl_out_fd(&out, NULL, "b", 0, &err), -E2BIG);
	ck_assert_str_eq(err.msg, "more than 4096 descriptors and bind mounts");
	ck_assert_ptr_null(json_get(out.json, "b"));
	send_out();
	m = receive();
	ck_assert_uint_eq(m->n_fds, CTL_MAX_FDS);
	/* They travel in several parts, and arrive in their order. */
	ck_assert_int_eq(fstat(ends[0], &sent), 0);
	ck_assert_int_eq(fstat(m->fds[2900], &got), 0);
	ck_assert_uint_eq(sent.st_ino, got.st_ino);
}
END_TEST

/* A message that comes with n descriptors and announces another number, or loses some. */
static void is_refused(uint32_t announced, size_t n)
{
	auto_error struct error err = { 0 };
	auto_buf struct buf b = { 0 };
	int before = scratch_count_fds();

	frame(&b, 2, announced, "{}");
	send_with_fds(&b, 0, n);
	ck_assert_ptr_null(ctl_recv(ends[1], WAIT_MS, &err));
	ck_assert_int_eq(err.code, EMFILE);
	ck_assert_str_eq(err.msg, "descriptors of a control message were lost");
	ck_assert_int_eq(scratch_count_fds(), before);
}

START_TEST(more_descriptors_than_announced_are_refused_and_closed)
{
	is_refused(252, 253);
}
END_TEST

START_TEST(descriptors_that_the_kernel_lost_are_an_error)
{
	has_lost_fds = true;
	is_refused(5, 5);
}
END_TEST

START_TEST(fewer_descriptors_than_announced_are_an_error)
{
	auto_error struct error err = { 0 };

	send_frame(2, 1, "{}");
	ck_assert_ptr_null(ctl_recv(ends[1], WAIT_MS, &err));
	ck_assert_int_eq(err.code, EMFILE);
}
END_TEST

START_TEST(a_message_may_arrive_byte_by_byte)
{
	static const char text[] = "{\"op\":\"slow\"}";
	auto_buf struct buf b = { 0 };
	auto_ctl_msg struct ctl_msg *m = NULL;
	pid_t pid;

	frame(&b, sizeof(text) - 1, 0, text);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		for (size_t i = 0; i < b.len; i++) {
			usleep(2000);
			if (write(ends[0], b.data + i, 1) != 1)
				_exit(1);
		}
		_exit(0);
	}
	m = receive();
	ck_assert_str_eq(json_get_string(m->json, "op"), "slow");
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

START_TEST(two_messages_in_one_packet_stay_two)
{
	auto_buf struct buf b = { 0 };
	auto_ctl_msg struct ctl_msg *first = NULL, *second = NULL;

	frame(&b, 7, 0, "{\"a\":1}");
	frame(&b, 7, 0, "{\"a\":2}");
	ck_assert_int_eq(fs_write_all(ends[0], b.data, b.len), 0);
	first = receive();
	second = receive();
	ck_assert_int_eq(json_get_i64(first->json, "a", 0), 1);
	ck_assert_int_eq(json_get_i64(second->json, "a", 0), 2);
}
END_TEST

START_TEST(descriptors_of_the_next_message_are_not_taken_for_this_one)
{
	auto_error struct error err = { 0 };
	auto_ctl_msg struct ctl_msg *first = NULL, *second = NULL;

	send_out();
	ck_assert_int_eq(ctl_out_fd(&out, NULL, "fd", 0, &err), 0);
	send_out();
	first = receive();
	second = receive();
	ck_assert_uint_eq(first->n_fds, 0);
	ck_assert_uint_eq(second->n_fds, 1);
}
END_TEST

START_TEST(a_message_of_megabytes_arrives_whole)
{
	auto_ctl_msg struct ctl_msg *m = NULL;
	auto_free char *big = xmalloc((10u << 20) + 1);
	pid_t pid;

	memset(big, 'x', 10u << 20);
	big[10u << 20] = '\0';
	json_set(out.json, "big", json_new_string(big));
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct error err = { 0 };

		_exit(ctl_send(ends[0], &out, &err) == 0 ? 0 : 1);
	}
	m = receive();
	ck_assert_str_eq(json_get_string(m->json, "big"), big);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

START_TEST(a_message_beyond_the_limit_is_not_sent)
{
	auto_error struct error err = { 0 };
	auto_free char *big = xmalloc(CTL_MAX_MESSAGE + 1);
	char c;

	memset(big, 'x', CTL_MAX_MESSAGE);
	big[CTL_MAX_MESSAGE] = '\0';
	json_set(out.json, "big", json_new_string(big));
	ck_assert_int_eq(ctl_send(ends[0], &out, &err), -E2BIG);
	ck_assert_str_eq(err.msg, "the request is longer than 16777216 bytes");
	ck_assert_int_eq((int)recv(ends[1], &c, 1, MSG_DONTWAIT), -1);
}
END_TEST

START_TEST(a_length_beyond_the_limit_is_refused_at_once)
{
	auto_error struct error err = { 0 };

	send_frame(CTL_MAX_MESSAGE + 1, 0, "");
	ck_assert_ptr_null(ctl_recv(ends[1], WAIT_MS, &err));
	ck_assert_int_eq(err.code, EPROTO);
	ck_assert_str_eq(err.msg, "wait for the sandbox's monitor: Protocol error");
}
END_TEST

START_TEST(text_that_is_no_object_is_refused)
{
	static const char *const texts[] = { "", "{", "[]", "1", "{\"a\":1,\"a\":2}", "{}x" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		auto_error struct error err = { 0 };

		send_frame((uint32_t)strlen(texts[i]), 0, texts[i]);
		ck_assert_ptr_null(ctl_recv(ends[1], WAIT_MS, &err));
		ck_assert_msg(err.msg && err.code, "'%s'", texts[i]);
	}
	send_out();
	ctl_msg_free(receive());
}
END_TEST

START_TEST(the_end_of_the_peer_is_told)
{
	auto_error struct error err = { 0 };

	close_fd(&ends[0]);
	ck_assert_ptr_null(ctl_recv(ends[1], WAIT_MS, &err));
	ck_assert_int_eq(err.code, ECONNRESET);
	ck_assert_str_eq(err.msg, "the sandbox's monitor has ended");
}
END_TEST

START_TEST(the_end_within_a_message_is_told_and_its_descriptors_closed)
{
	auto_error struct error err = { 0 };
	auto_buf struct buf b = { 0 };
	int before = scratch_count_fds();

	frame(&b, 100, 3, "{\"op\":");
	send_with_fds(&b, 0, 3);
	close_fd(&ends[0]);
	ck_assert_ptr_null(ctl_recv(ends[1], WAIT_MS, &err));
	ck_assert_int_eq(err.code, ECONNRESET);
	ck_assert_int_eq(scratch_count_fds(), before - 1);
}
END_TEST

START_TEST(waiting_has_a_limit)
{
	auto_error struct error err = { 0 }, slow = { 0 };
	uint64_t start = loop_now_ms();

	ck_assert_ptr_null(ctl_recv(ends[1], 50, &err));
	ck_assert_int_eq(err.code, ETIMEDOUT);
	ck_assert_str_eq(err.msg, "wait for the sandbox's monitor: Connection timed out");
	ck_assert_uint_ge(loop_now_ms() - start, 50);
	/* A part of a message does not count. */
	send_frame(100, 0, "{");
	ck_assert_ptr_null(ctl_recv(ends[1], 50, &slow));
	ck_assert_int_eq(slow.code, ETIMEDOUT);
}
END_TEST

START_TEST(sending_to_nobody_is_an_error_and_no_signal)
{
	auto_error struct error err = { 0 };

	close_fd(&ends[1]);
	ck_assert_int_eq(ctl_send(ends[0], &out, &err), -EPIPE);
	ck_assert_str_eq(err.msg, "send a request to the monitor: Broken pipe");
}
END_TEST

START_TEST(an_error_answer_becomes_the_error)
{
	static const char refused[] = "{\"error\":{\"code\":16,\"msg\":\"it is busy\"}}";
	static const char vague[] = "{\"error\":{}}";
	auto_error struct error err = { 0 }, err2 = { 0 };

	send_frame(sizeof(refused) - 1, 0, refused);
	ck_assert_ptr_null(ctl_answer(ends[1], WAIT_MS, &err));
	ck_assert_int_eq(err.code, EBUSY);
	ck_assert_str_eq(err.msg, "it is busy");
	send_frame(sizeof(vague) - 1, 0, vague);
	ck_assert_ptr_null(ctl_answer(ends[1], WAIT_MS, &err2));
	ck_assert_int_eq(err2.code, EIO);
	ck_assert_str_eq(err2.msg, "failed");
}
END_TEST

START_TEST(an_error_answer_without_a_code_is_an_error_still)
{
	static const char zero[] = "{\"error\":{\"code\":0,\"msg\":\"strange\"}}";
	auto_error struct error err = { 0 };

	send_frame(sizeof(zero) - 1, 0, zero);
	ck_assert_ptr_null(ctl_answer(ends[1], WAIT_MS, &err));
	ck_assert_int_ne(err.code, 0);
	ck_assert_str_eq(err.msg, "strange");
}
END_TEST

START_TEST(a_call_sends_and_gives_the_answer)
{
	auto_error struct error err = { 0 };
	auto_ctl_msg struct ctl_msg *answer = NULL, *request = NULL;

	/* The answer waits already. */
	send_frame(14, 0, "{\"ok\":{\"n\":3}}");
	answer = ctl_call(ends[1], &out, WAIT_MS, &err);
	ck_assert_msg(answer != NULL, "%s", err.msg);
	ck_assert_int_eq(json_get_i64(json_get_object(answer->json, "ok"), "n", 0), 3);
	request = ctl_recv(ends[0], WAIT_MS, &err);
	ck_assert_str_eq(json_get_string(request->json, "op"), "hello");
}
END_TEST

START_TEST(last_words_of_a_peer_that_has_ended_are_the_error)
{
	static const char why[] = "{\"error\":{\"code\":2,\"msg\":\"no kernel\"}}";
	auto_error struct error err = { 0 }, silent = { 0 };

	send_frame(sizeof(why) - 1, 0, why);
	close_fd(&ends[0]);
	ck_assert_ptr_null(ctl_call(ends[1], &out, WAIT_MS, &err));
	ck_assert_int_eq(err.code, ENOENT);
	ck_assert_str_eq(err.msg, "no kernel");
	/* Without any it is what sending has met. */
	ck_assert_int_eq(ctl_request(ends[1], &out, &silent), -EPIPE);
	ck_assert_str_eq(silent.msg, "send a request to the monitor: Broken pipe");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("ctl");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_message_arrives_with_its_descriptors);
	tcase_add_test(tc, a_descriptor_can_be_taken_once);
	tcase_add_test(tc, descriptors_that_nobody_took_are_closed);
	tcase_add_test(tc, as_many_descriptors_as_promised_fit_and_no_more);
	tcase_add_test(tc, more_descriptors_than_announced_are_refused_and_closed);
	tcase_add_test(tc, descriptors_that_the_kernel_lost_are_an_error);
	tcase_add_test(tc, fewer_descriptors_than_announced_are_an_error);
	tcase_add_test(tc, a_message_may_arrive_byte_by_byte);
	tcase_add_test(tc, two_messages_in_one_packet_stay_two);
	tcase_add_test(tc, descriptors_of_the_next_message_are_not_taken_for_this_one);
	tcase_add_test(tc, a_message_of_megabytes_arrives_whole);
	tcase_add_test(tc, a_message_beyond_the_limit_is_not_sent);
	tcase_add_test(tc, a_length_beyond_the_limit_is_refused_at_once);
	tcase_add_test(tc, text_that_is_no_object_is_refused);
	tcase_add_test(tc, the_end_of_the_peer_is_told);
	tcase_add_test(tc, the_end_within_a_message_is_told_and_its_descriptors_closed);
	tcase_add_test(tc, waiting_has_a_limit);
	tcase_add_test(tc, sending_to_nobody_is_an_error_and_no_signal);
	tcase_add_test(tc, an_error_answer_becomes_the_error);
	tcase_add_test(tc, an_error_answer_without_a_code_is_an_error_still);
	tcase_add_test(tc, a_call_sends_and_gives_the_answer);
	tcase_add_test(tc, last_words_of_a_peer_that_has_ended_are_the_error);
	return scratch_run(tc);
}
