#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/fd-pass.h"
#include "lib/base/mem.h"
#include "test/scratch.h"

static int ends[2], before;

/* What happens between the code and the kernel. */
static struct {
	int n_signals; /* so many calls are interrupted */
	int flags;     /* are added to those of the message */
	const size_t
		*claim; /* the only header of the control data has this length, and -1 behind */
} hook;

/* In place of the C library's. */
ssize_t sendmsg(int sock, const struct msghdr *msg, int flags)
{
	if (hook.n_signals > 0 && hook.n_signals--) {
		errno = EINTR;
		return -1;
	}
	return syscall(SYS_sendmsg, sock, msg, flags);
}

ssize_t recvmsg(int sock, struct msghdr *msg, int flags)
{
	const struct msghdr asked = *msg;
	ssize_t n;

	if (hook.n_signals > 0 && hook.n_signals--) {
		errno = EINTR;
		return -1;
	}
	n = syscall(SYS_recvmsg, sock, msg, flags);
	msg->msg_flags |= hook.flags;
	if (hook.claim) {
		struct cmsghdr head = { .cmsg_len = *hook.claim,
			                .cmsg_level = SOL_SOCKET,
			                .cmsg_type = SCM_RIGHTS };

		msg->msg_controllen = asked.msg_controllen;
		memset(msg->msg_control, 0xff, msg->msg_controllen);
		memcpy(msg->msg_control, &head, sizeof(head));
	}
	return n;
}

static void make_pair(int type)
{
	ck_assert_int_eq(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), 0);
	before = scratch_count_fds();
}

static void setup(void)
{
	memset(&hook, 0, sizeof(hook));
	make_pair(SOCK_SEQPACKET);
}

static void teardown(void)
{
	ck_assert_int_eq(scratch_count_fds(), before);
	close_fd(&ends[0]);
	close_fd(&ends[1]);
}

/* One byte, with copies of the two ends in turn. */
static void send_ends(size_t n)
{
	struct iovec iov = { .iov_base = "x", .iov_len = 1 };
	int fds[FD_PASS_MAX];

	for (size_t i = 0; i < n; i++)
		fds[i] = ends[i % 2];
	ck_assert_int_eq(fd_pass_send(ends[0], &iov, 1, fds, n, 0), 1);
}

static ssize_t receive(int *fds, size_t *n_fds)
{
	char text[8];
	struct iovec iov = { .iov_base = text, .iov_len = sizeof(text) };

	return fd_pass_receive(ends[1], &iov, 1, fds, n_fds, MSG_DONTWAIT);
}

/* They are those of send_ends(). Closes them. */
static void check_ends(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct stat sent, got;

		ck_assert_int_eq(fstat(ends[i % 2], &sent), 0);
		ck_assert_int_eq(fstat(fds[i], &got), 0);
		ck_assert_uint_eq(sent.st_ino, got.st_ino);
		ck_assert_int_ne(fcntl(fds[i], F_GETFD) & FD_CLOEXEC, 0);
		close_fd(&fds[i]);
	}
}

static void passes(size_t n, size_t room)
{
	int fds[FD_PASS_MAX];
	size_t n_fds = room;

	send_ends(n);
	ck_assert_int_eq(receive(fds, &n_fds), 1);
	ck_assert_uint_eq(n_fds, n);
	check_ends(fds, n);
}

static void is_refused(size_t n, size_t room)
{
	int fds[FD_PASS_MAX];
	size_t n_fds = room;

	send_ends(n);
	ck_assert_msg(receive(fds, &n_fds) == -EMFILE, "%zu for %zu", n, room);
	ck_assert_uint_eq(n_fds, 0);
	ck_assert_int_eq(scratch_count_fds(), before);
}

static const size_t numbers[] = { 0, 1, 2, 9, 10, 252, FD_PASS_MAX };

START_TEST(none_one_and_many_arrive_in_their_order)
{
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		passes(numbers[i], numbers[i]);
		passes(numbers[i], FD_PASS_MAX);
		passes(numbers[i], FD_PASS_MAX + 1); /* more than can come */
	}
}
END_TEST

START_TEST(more_than_wanted_are_refused_and_closed)
{
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		for (size_t room = 0; room < numbers[i]; room++)
			is_refused(numbers[i], room);
	passes(1, 1);
}
END_TEST

START_TEST(credentials_beside_are_passed_over)
{
	int on = 1;

	ck_assert_int_eq(setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		passes(numbers[i], numbers[i]);
		if (numbers[i] > 0)
			is_refused(numbers[i], numbers[i] - 1);
	}
}
END_TEST

/* The process may not have more, say. */
START_TEST(descriptors_that_the_kernel_lost_are_told)
{
	hook.flags = MSG_CTRUNC;
	is_refused(0, 4);
	is_refused(3, 4);
}
END_TEST

START_TEST(a_message_that_is_cut_is_refused_and_its_descriptors_closed)
{
	char text[4];
	struct iovec long_ = { .iov_base = "hello", .iov_len = 5 };
	struct iovec iov = { .iov_base = text, .iov_len = sizeof(text) };
	int fds[2];
	size_t n_fds = 2;

	ck_assert_int_eq(fd_pass_send(ends[0], &long_, 1, ends, 2, 0), 5);
	ck_assert_int_eq(fd_pass_receive(ends[1], &iov, 1, fds, &n_fds, 0), -EMSGSIZE);
	ck_assert_uint_eq(n_fds, 0);
	passes(2, 2);
}
END_TEST

START_TEST(an_empty_message_leaves_no_descriptor)
{
	struct iovec iov = { .iov_base = "", .iov_len = 0 };
	int fds[2];
	size_t n_fds = 2;

	ck_assert_int_eq(fd_pass_send(ends[0], &iov, 1, ends, 2, 0), 0);
	ck_assert_int_eq(receive(fds, &n_fds), 0);
	ck_assert_uint_eq(n_fds, 0);
}
END_TEST

START_TEST(buffers_are_joined_and_divided)
{
	char a[2], b[8] = "";
	struct iovec out[] = { { "hel", 3 }, { "lo", 2 } }, in[] = { { a, 2 }, { b, 8 } };
	int fd = -1;
	size_t n_fds = 1;

	ck_assert_int_eq(fd_pass_send(ends[0], out, 2, ends, 1, 0), 5);
	ck_assert_int_eq(fd_pass_receive(ends[1], in, 2, &fd, &n_fds, 0), 5);
	ck_assert_int_eq(memcmp(a, "he", 2), 0);
	ck_assert_str_eq(b, "llo");
	ck_assert_uint_eq(n_fds, 1);
	check_ends(&fd, 1);
}
END_TEST

START_TEST(of_a_stream_descriptors_come_with_their_bytes)
{
	int fds[4];
	size_t n_fds = 4;

	close_fd(&ends[0]);
	close_fd(&ends[1]);
	make_pair(SOCK_STREAM);
	send_ends(0);
	send_ends(2);
	send_ends(1);
	ck_assert_int_eq(receive(fds, &n_fds),
	                 2); /* the kernel goes on to the first that has any */
	ck_assert_uint_eq(n_fds, 2);
	check_ends(fds, 2);
	n_fds = 4;
	ck_assert_int_eq(receive(fds, &n_fds), 1);
	ck_assert_uint_eq(n_fds, 1);
	check_ends(fds, 1);
}
END_TEST

START_TEST(too_many_are_not_sent)
{
	struct iovec iov = { .iov_base = "x", .iov_len = 1 };
	int fds[FD_PASS_MAX + 1] = { 0 };
	size_t n_fds = 1;

	ck_assert_int_eq(fd_pass_send(ends[0], &iov, 1, fds, FD_PASS_MAX + 1, 0), -E2BIG);
	ck_assert_int_eq(errno, E2BIG);
	ck_assert_int_eq(receive(fds, &n_fds), -EAGAIN);
	ck_assert_uint_eq(n_fds, 0);
}
END_TEST

START_TEST(a_full_and_a_broken_socket_are_told_and_no_signal)
{
	struct iovec iov = { .iov_base = "x", .iov_len = 1 };
	int fd;
	size_t n_fds = 1;
	ssize_t n;

	do
		n = fd_pass_send(ends[0], &iov, 1, NULL, 0, MSG_DONTWAIT);
	while (n == 1);
	ck_assert_int_eq(n, -EAGAIN);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(shutdown(ends[1], SHUT_RDWR), 0);
	ck_assert_int_eq(fd_pass_send(ends[0], &iov, 1, ends, 1, 0), -EPIPE);
	ck_assert_int_eq(errno, EPIPE);
	do {
		n_fds = 1;
		n = receive(&fd, &n_fds);
	} while (n == 1);
	ck_assert_int_eq(n, 0);
	ck_assert_uint_eq(n_fds, 0);
}
END_TEST

START_TEST(interrupted_it_begins_again)
{
	int fd;
	size_t n_fds = 1;

	hook.n_signals = 2;
	send_ends(1);
	ck_assert_int_eq(hook.n_signals, 0);
	hook.n_signals = 2;
	ck_assert_int_eq(receive(&fd, &n_fds), 1);
	ck_assert_int_eq(hook.n_signals, 0);
	check_ends(&fd, n_fds);
}
END_TEST

START_TEST(no_length_is_believed)
{
	static const size_t few[] = { 0, 1, CMSG_LEN(0) - 1, CMSG_LEN(0), CMSG_LEN(3) };
	static const size_t many[] = { CMSG_LEN(2 * sizeof(int)), CMSG_LEN(4096), SIZE_MAX / 2,
		                       SIZE_MAX - 7, SIZE_MAX };
	int fd = -1;

	for (size_t i = 0; i < ARRAY_SIZE(few); i++) {
		size_t n_fds = 1;

		hook.claim = &few[i];
		send_ends(0);
		ck_assert_int_eq(receive(&fd, &n_fds), 1);
		ck_assert_uint_eq(n_fds, 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		hook.claim = &many[i];
		is_refused(0, 1);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("fd-pass");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, none_one_and_many_arrive_in_their_order);
	tcase_add_test(tc, more_than_wanted_are_refused_and_closed);
	tcase_add_test(tc, credentials_beside_are_passed_over);
	tcase_add_test(tc, descriptors_that_the_kernel_lost_are_told);
	tcase_add_test(tc, a_message_that_is_cut_is_refused_and_its_descriptors_closed);
	tcase_add_test(tc, an_empty_message_leaves_no_descriptor);
	tcase_add_test(tc, buffers_are_joined_and_divided);
	tcase_add_test(tc, of_a_stream_descriptors_come_with_their_bytes);
	tcase_add_test(tc, too_many_are_not_sent);
	tcase_add_test(tc, a_full_and_a_broken_socket_are_told_and_no_signal);
	tcase_add_test(tc, interrupted_it_begins_again);
	tcase_add_test(tc, no_length_is_believed);
	return scratch_run(tc);
}
