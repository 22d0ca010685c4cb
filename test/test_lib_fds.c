/* What of the caller's descriptors can be handed to a guest, and how it is described. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/ctl.h"
#include "lib/fds.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "test/scratch.h"

#define FIRST 100

static struct preserved p;
static int n_open;

static void setup(void)
{
	scratch_setup();
	p = (struct preserved){ .first = FIRST };
	n_open = 0;
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
}

static void teardown(void)
{
	preserved_done(&p);
	for (int i = 0; i < n_open; i++)
		close(FIRST + i);
	scratch_remove();
}

/* The next one of the caller's; fd is closed. Inherited descriptors are not close-on-exec. */
static void give(int fd)
{
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(dup2(fd, FIRST + n_open), FIRST + n_open);
	close(fd);
	n_open++;
}

static int listener(int family, int type)
{
	int fd = socket(family, type, 0);
	struct sockaddr_storage any = { .ss_family = (sa_family_t)family };
	socklen_t size = family == AF_UNIX ? sizeof(sa_family_t) : sizeof(any);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&any, size), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	return fd;
}

static int half_of_pair(int type)
{
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, type, 0, ends), 0);
	close(ends[1]);
	return ends[0];
}

static void expect(size_t i, const char *wanted)
{
	auto_free char *text = json_print(json_at(p.list, i), false);

	ck_assert_str_eq(text, wanted);
}

static void find(unsigned n)
{
	auto_error struct error err = { 0 };

	ck_assert_msg(preserved_find(&p, n, &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(json_len(p.list), p.n);
}

START_TEST(pipes_and_devices_are_told_by_how_they_are_open)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	give(ends[0]);
	give(ends[1]);
	give(open("/dev/null", O_RDWR));
	give(open("/dev/urandom", O_RDONLY));
	find(4);
	expect(0, "{\"type\":\"pipe\",\"reads\":true}");
	expect(1, "{\"type\":\"pipe\",\"reads\":false}");
	expect(2, "{\"type\":\"device\",\"name\":\"null\",\"read\":true,\"write\":true}");
	expect(3, "{\"type\":\"device\",\"name\":\"urandom\",\"read\":true,\"write\":false}");
}
END_TEST

START_TEST(sockets_are_told_by_kind_and_state)
{
	auto_free char *seqpacket =
		str_fmt("{\"type\":\"socket\",\"kind\":\"seqpacket\",\"uid\":%u,\"gid\":%u}",
	                geteuid(), getegid());

	give(half_of_pair(SOCK_SEQPACKET));
	give(listener(AF_UNIX, SOCK_SEQPACKET));
	give(listener(AF_INET, SOCK_STREAM));
	find(3);
	expect(0, seqpacket);
	expect(1, "{\"type\":\"listen\",\"family\":\"unix\",\"port\":0,\"kind\":\"seqpacket\"}");
	ck_assert_str_eq(json_get_string(json_at(p.list, 2), "family"), "inet");
	ck_assert_int_gt(json_get_i64(json_at(p.list, 2), "port", 0), 0);
}
END_TEST

static int open_file(void)
{
	auto_free char *path = scratch_path("file");

	scratch_file("file", "x");
	return open(path, O_RDONLY);
}

static int open_both(void)
{
	auto_free char *path = scratch_path("fifo");

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	return open(path, O_RDWR);
}

static int open_root(void)
{
	return open("/", O_RDONLY);
}

static int open_path(void)
{
	return open("/", O_PATH);
}

static int open_event(void)
{
	return eventfd(0, 0);
}

static int open_loose(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int open_unbound(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0);
}

static int open_ptmx(void)
{
	return open("/dev/ptmx", O_RDWR | O_NOCTTY);
}

static const struct {
	int (*open)(void);
	const char *what;
} refused[] = {
	{ open_file, "a regular file" },
	{ open_both, "a pipe that is open for both reading and writing" },
	{ open_root, "a directory" },
	{ open_path, "a descriptor opened with O_PATH" },
	{ open_event, "a descriptor of this kind (an eventfd, a timer, or the like)" },
	{ open_loose, "a socket that is not connected and does not listen" },
	{ open_unbound, "a socket that is not connected and does not listen" },
	{ open_ptmx, "a terminal" },
};

START_TEST(what_means_nothing_in_a_guest_is_refused_by_name)
{
	auto_error struct error err = { 0 };
	auto_free char *wanted =
		str_fmt("preserved-fd 1 (of 2), descriptor %d: %s cannot be handed to a container "
	                "in a virtual machine (",
	                FIRST + 1, refused[_i].what);

	give(open("/dev/null", O_RDWR));
	give(refused[_i].open());
	ck_assert_int_eq(preserved_find(&p, 2, &err), -ENOTSUP);
	ck_assert_msg(strncmp(err.msg, wanted, strlen(wanted)) == 0, "%s", err.msg);
}
END_TEST

START_TEST(what_is_not_open_is_missed_as_runc_does)
{
	auto_error struct error err = { 0 };

	give(open("/dev/null", O_RDWR));
	ck_assert_int_eq(preserved_find(&p, 7, &err), -ENOENT);
	ck_assert_str_eq(err.msg, "unable to stat preserved-fd 1 (of 7): stat /proc/self/fd/101: "
	                          "no such file or directory");
}
END_TEST

START_TEST(what_this_process_has_opened_itself_is_not_the_callers)
{
	auto_error struct error err = { 0 };

	give(open("/dev/null", O_RDWR));
	ck_assert_int_eq(fcntl(FIRST, F_SETFD, FD_CLOEXEC), 0);
	ck_assert_int_eq(preserved_find(&p, 1, &err), -ENOENT);
}
END_TEST

START_TEST(there_is_a_limit)
{
	auto_error struct error err = { 0 };

	for (int i = 0; i < 129; i++)
		give(open("/dev/null", O_RDWR));
	ck_assert_int_eq(preserved_find(&p, 129, &err), -E2BIG);
}
END_TEST

static void set_listen(const char *count, pid_t pid)
{
	auto_free char *text = str_fmt("%d", (int)pid);

	setenv("LISTEN_FDS", count, 1);
	setenv("LISTEN_PID", text, 1);
}

START_TEST(sockets_of_activation_come_first_and_are_told_to_the_program)
{
	auto_strv char **env = NULL;

	strv_push(&env, "A=b");
	give(listener(AF_UNIX, SOCK_STREAM));
	give(open("/dev/null", O_RDWR));
	set_listen("1", getpid());
	find(1);
	ck_assert_uint_eq(p.n, 2);
	preserved_set_env(&p, &env);
	ck_assert_uint_eq(strv_len(env), 3);
	ck_assert_str_eq(env[1], "LISTEN_FDS=1");
	ck_assert_str_eq(env[2], "LISTEN_PID=1");
}
END_TEST

START_TEST(sockets_of_activation_for_another_process_are_left_alone)
{
	auto_strv char **env = NULL;

	give(listener(AF_UNIX, SOCK_STREAM));
	set_listen("1", getpid() + 1);
	find(0);
	ck_assert_uint_eq(p.n, 0);
	preserved_set_env(&p, &env);
	ck_assert_ptr_null(env);
	preserved_done(&p);
	p.first = FIRST;
	set_listen("nonsense", getpid());
	find(0);
	ck_assert_uint_eq(p.n, 0);
}
END_TEST

START_TEST(sockets_of_activation_that_are_not_there_are_missed)
{
	auto_error struct error err = { 0 };

	set_listen("1", getpid());
	ck_assert_int_eq(preserved_find(&p, 0, &err), -EBADF);
	ck_assert_str_eq(err.msg, "LISTEN_FDS: descriptor 100 is not open");
}
END_TEST

START_TEST(a_request_carries_them_and_they_can_be_closed_here)
{
	struct ctl_out out = { .json = json_new_object() };
	auto_error struct error err = { 0 };
	auto_free char *text = NULL;

	give(open("/dev/null", O_WRONLY));
	find(1);
	ck_assert_int_eq(preserved_add(&p, &out, &err), 0);
	text = json_print(out.json, false);
	ck_assert_str_eq(text, "{\"fds\":[{\"type\":\"device\",\"name\":\"null\",\"read\":false,"
	                       "\"write\":true,\"fd\":0}]}");
	ck_assert_uint_eq(out.n_fds, 1);
	ck_assert_int_eq(out.fds[0], FIRST);
	ctl_out_done(&out);
	preserved_close(&p);
	ck_assert_int_lt(fcntl(FIRST, F_GETFD), 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("fds");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, pipes_and_devices_are_told_by_how_they_are_open);
	tcase_add_test(tc, sockets_are_told_by_kind_and_state);
	tcase_add_loop_test(tc, what_means_nothing_in_a_guest_is_refused_by_name, 0,
	                    ARRAY_SIZE(refused));
	tcase_add_test(tc, what_is_not_open_is_missed_as_runc_does);
	tcase_add_test(tc, what_this_process_has_opened_itself_is_not_the_callers);
	tcase_add_test(tc, there_is_a_limit);
	tcase_add_test(tc, sockets_of_activation_come_first_and_are_told_to_the_program);
	tcase_add_test(tc, sockets_of_activation_for_another_process_are_left_alone);
	tcase_add_test(tc, sockets_of_activation_that_are_not_there_are_missed);
	tcase_add_test(tc, a_request_carries_them_and_they_can_be_closed_here);
	return scratch_run(tc);
}
