#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/console.h"
#include "lib/base/error.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static int master, slave;

static void setup(void)
{
	auto_error struct error err = { 0 };

	scratch_new();
	ck_assert_msg(console_open(24, 80, &master, &slave, &err) == 0, "%s", err.msg);
}

static void teardown(void)
{
	close_fd(&master);
	close_fd(&slave);
	scratch_remove();
}

static void exchange(int from, int to, const char *text)
{
	char got[64] = { 0 };
	size_t n = strlen(text);

	ck_assert_int_eq((int)write(from, text, n), (int)n);
	ck_assert_int_eq((int)read(to, got, sizeof(got)), (int)n);
	ck_assert_str_eq(got, text);
}

/* A socket that listens, as a client's for the terminal does. */
static int listen_on(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_uint_lt(strlen(path), sizeof(addr.sun_path));
	strcpy(addr.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	return fd;
}

START_TEST(bytes_pass_unchanged_both_ways_without_echo)
{
	exchange(slave, master, "one\ntwo\r\n\x04\x03\x7f");
	exchange(master, slave, "three\r\x03\x04\x1a\n\x7f");
	/* Nothing else has come back. */
	ck_assert_int_eq(fcntl(master, F_SETFL, O_NONBLOCK), 0);
	ck_assert_int_eq((int)read(master, &(char){ 0 }, 1), -1);
	ck_assert_int_eq(errno, EAGAIN);
}
END_TEST

/* conmon turns this on in the master it gets: the slave must stay raw. */
START_TEST(a_client_that_sets_onlcr_changes_nothing)
{
	struct termios t;

	ck_assert_int_eq(tcgetattr(master, &t), 0);
	t.c_oflag |= ONLCR;
	ck_assert_int_eq(tcsetattr(master, TCSANOW, &t), 0);
	exchange(slave, master, "a\nb\n");
}
END_TEST

START_TEST(descriptors_are_close_on_exec)
{
	ck_assert_int_ne(fcntl(master, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_ne(fcntl(slave, F_GETFD) & FD_CLOEXEC, 0);
}
END_TEST

START_TEST(it_does_not_become_our_controlling_terminal)
{
	int fd;

	if (fork() == 0) {
		auto_error struct error err = { 0 };
		int m, s;

		setsid();
		if (console_open(0, 0, &m, &s, &err) < 0)
			_exit(1);
		fd = open("/dev/tty", O_RDWR);
		_exit(fd < 0 && errno == ENXIO ? 0 : 1);
	}
	ck_assert_int_ge(wait(&fd), 0);
	ck_assert_int_eq(fd, 0);
}
END_TEST

START_TEST(the_size_is_the_one_asked_for)
{
	unsigned short h = 0, w = 0;

	ck_assert(console_size(slave, &h, &w));
	ck_assert_uint_eq(h, 24);
	ck_assert_uint_eq(w, 80);
	ck_assert(console_size(master, &h, &w));
}
END_TEST

START_TEST(no_size_is_no_size)
{
	auto_error struct error err = { 0 };
	auto_close int m = -1, s = -1, null = open("/dev/null", O_RDWR);
	unsigned short h = 7, w = 8;

	ck_assert_int_eq(console_open(0, 0, &m, &s, &err), 0);
	ck_assert(!console_size(s, &h, &w));
	ck_assert(!console_size(null, &h, &w));
	ck_assert(!console_size(-1, &h, &w));
	ck_assert_uint_eq(h, 7);
	ck_assert_uint_eq(w, 8);
}
END_TEST

START_TEST(a_terminal_among_the_standard_descriptors_is_found)
{
	auto_close int null = open("/dev/null", O_RDWR), controlling = open("/dev/tty", O_RDWR);
	const int some[][3] = { { null, null, slave }, { slave, null, null }, { null, slave, -1 } };
	auto_error struct error err = { 0 };
	struct stat expected, st;

	ck_assert_int_eq(fstat(slave, &expected), 0);
	for (size_t i = 0; i < ARRAY_SIZE(some); i++) {
		auto_close int fd = console_find(some[i], &err);

		ck_assert_msg(fd > 2 && fd != slave, "%s", err.msg);
		ck_assert_int_eq(fstat(fd, &st), 0);
		ck_assert_uint_eq(st.st_rdev, expected.st_rdev);
	}
	if (controlling >= 0)
		ck_assert_int_eq(ioctl(controlling, TIOCNOTTY), 0);
	ck_assert_int_eq(console_find((const int[]){ null, -1, null }, &err), -ENXIO);
	ck_assert_msg(strstr(err.msg, "wants a terminal") != NULL, "%s", err.msg);
}
END_TEST

START_TEST(raw_mode_can_be_undone)
{
	struct termios cooked, raw, saved;
	auto_error struct error err = { 0 };
	auto_close int null = open("/dev/null", O_RDWR);

	ck_assert_int_eq(tcgetattr(slave, &cooked), 0);
	cooked.c_lflag |= ECHO | ICANON;
	ck_assert_int_eq(tcsetattr(slave, TCSANOW, &cooked), 0);
	ck_assert_int_eq(console_make_raw(slave, &saved, &err), 0);
	ck_assert_int_eq(tcgetattr(slave, &raw), 0);
	ck_assert_uint_eq(raw.c_lflag & (ECHO | ICANON | ISIG), 0);
	ck_assert_uint_eq(raw.c_oflag & OPOST, 0);
	ck_assert_uint_eq(saved.c_lflag & (ECHO | ICANON), ECHO | ICANON);
	ck_assert_int_eq(console_make_raw(null, &saved, &err), -ENOTTY);
	ck_assert_str_eq(err.msg, "read the terminal's settings: Inappropriate ioctl for device");
}
END_TEST

/* What conmon and containerd check: one message, one control message with one descriptor. */
START_TEST(the_master_is_sent_as_clients_want_it)
{
	auto_error struct error err = { 0 };
	auto_free char *path = scratch_path("sock");
	auto_close int listener = listen_on(path), conn = -1, got = -1;
	char name[64] = { 0 }, control[256];
	struct iovec iov = { .iov_base = name, .iov_len = sizeof(name) };
	struct msghdr msg = { .msg_iov = &iov,
		              .msg_iovlen = 1,
		              .msg_control = control,
		              .msg_controllen = sizeof(control) };
	struct cmsghdr *c;

	ck_assert_msg(console_send(path, master, &err) == 0, "%s", err.msg);
	conn = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(conn, 0);
	ck_assert_int_eq((int)recvmsg(conn, &msg, 0), 9);
	ck_assert_str_eq(name, "/dev/ptmx");
	ck_assert_uint_eq(msg.msg_controllen, CMSG_SPACE(sizeof(int)));
	c = CMSG_FIRSTHDR(&msg);
	ck_assert_int_eq(c->cmsg_level, SOL_SOCKET);
	ck_assert_int_eq(c->cmsg_type, SCM_RIGHTS);
	ck_assert_uint_eq(c->cmsg_len, CMSG_LEN(4));
	memcpy(&got, CMSG_DATA(c), sizeof(int));
	exchange(slave, got, "through");
	/* And no more. */
	ck_assert_int_eq((int)read(conn, name, sizeof(name)), 0);
}
END_TEST

START_TEST(sending_does_not_wait_for_the_client)
{
	auto_error struct error err = { 0 };
	auto_free char *path = scratch_path("sock");
	auto_close int listener = listen_on(path);

	/* Nobody accepts. */
	ck_assert_msg(console_send(path, master, &err) == 0, "%s", err.msg);
	ck_assert_int_ge(listener, 0);
}
END_TEST

START_TEST(a_socket_that_is_not_there_is_named)
{
	auto_error struct error err = { 0 };
	auto_free char *path = scratch_path("none");
	auto_free char *msg =
		str_fmt("connect to the console socket '%s': No such file or directory", path);
	char longest[200];

	ck_assert_int_eq(console_send(path, master, &err), -ENOENT);
	ck_assert_str_eq(err.msg, msg);
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	ck_assert_int_eq(console_send(longest, master, &err), -ENAMETOOLONG);
	ck_assert_msg(str_ends(err.msg, "': path too long"), "%s", err.msg);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("console");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, bytes_pass_unchanged_both_ways_without_echo);
	tcase_add_test(tc, a_client_that_sets_onlcr_changes_nothing);
	tcase_add_test(tc, descriptors_are_close_on_exec);
	tcase_add_test(tc, it_does_not_become_our_controlling_terminal);
	tcase_add_test(tc, the_size_is_the_one_asked_for);
	tcase_add_test(tc, no_size_is_no_size);
	tcase_add_test(tc, a_terminal_among_the_standard_descriptors_is_found);
	tcase_add_test(tc, raw_mode_can_be_undone);
	tcase_add_test(tc, the_master_is_sent_as_clients_want_it);
	tcase_add_test(tc, sending_does_not_wait_for_the_client);
	tcase_add_test(tc, a_socket_that_is_not_there_is_named);
	return scratch_run(tc);
}
