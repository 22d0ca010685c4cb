#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hypervisor/qmp.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "test/scratch.h"

/* What QEMU says is in the socket before it is asked: the answers' numbers are known. */
static struct qmp *qmp;
static int peer = -1;

static void setup(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	qmp = qmp_new(pair[0]);
	qmp_set_timeout(qmp, 3000);
	peer = pair[1];
}

static void teardown(void)
{
	qmp_free(qmp);
	close_fd(&peer);
}

/* A recorded answer; the real QEMU's, but for those that are wrong on purpose. */
static void say(const char *name)
{
	auto_error struct error err = { 0 };
	auto_free char *path = str_fmt("%s/%s.txt", QMP_DATA, name);
	auto_free char *text = NULL;
	size_t len = 0;

	ck_assert_msg(fs_read(path, 1 << 16, &text, &len, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(fs_write_all(peer, text, len), 0);
}

static void assert_command(int code, const char *message)
{
	auto_error struct error err = { 0 };

	ck_assert_int_eq(qmp_command(qmp, "stop", NULL, NULL, 0, NULL, &err), -code);
	ck_assert_str_eq(err.msg ? err.msg : "", message);
}

static void assert_dead(void)
{
	ck_assert(qmp_is_dead(qmp));
	assert_command(EPIPE, "QMP 'stop': the control connection is lost");
}

static char *heard(void)
{
	char text[4096];
	ssize_t n = recv(peer, text, sizeof(text) - 1, MSG_DONTWAIT);

	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	return str_dup(text);
}

START_TEST(the_first_command_shakes_hands)
{
	auto_error struct error err = { 0 };
	auto_free char *text = NULL;
	struct json *args = json_new_object();

	say("plain");
	json_set(args, "id", json_new_string("x"));
	ck_assert_int_eq(qmp_command(qmp, "device_del", args, NULL, 0, NULL, &err), 0);
	text = heard();
	ck_assert_str_eq(text, "{\"execute\":\"qmp_capabilities\",\"id\":1}\n"
	                       "{\"execute\":\"device_del\",\"arguments\":{\"id\":\"x\"},"
	                       "\"id\":2}\n");
	assert_command(0, "");
}
END_TEST

/* Before the other end has said anything. */
static void post(void)
{
	auto_error struct error err = { 0 };
	auto_free char *text = NULL;

	qmp_expect_event(qmp, "RESUME", NULL);
	ck_assert_int_eq(qmp_post(qmp, "migrate-incoming", NULL, NULL, 0, &err), 0);
	text = heard();
	ck_assert_str_eq(text, "{\"execute\":\"qmp_capabilities\",\"id\":1}\n"
	                       "{\"execute\":\"migrate-incoming\",\"id\":2}\n");
}

START_TEST(what_is_posted_is_not_waited_for)
{
	auto_error struct error err = { 0 };

	post();
	say("posted");
	ck_assert_msg(qmp_wait_event(qmp, 3000, &err) == 0, "%s", err.msg);
	assert_command(0, "");
}
END_TEST

START_TEST(a_posted_command_that_is_refused_fails_what_comes_next)
{
	auto_error struct error err = { 0 };

	post();
	say("posted-refused");
	ck_assert_int_eq(qmp_wait_event(qmp, 3000, &err), -EIO);
	ck_assert_str_eq(err.msg, "'-incoming' was not specified on the command line");
	assert_command(0, "");
}
END_TEST

START_TEST(a_command_after_a_posted_one_tells_of_its_refusal)
{
	post();
	say("posted-refused");
	assert_command(EIO, "QMP 'stop': '-incoming' was not specified on the command line");
}
END_TEST

START_TEST(events_in_between_are_skipped)
{
	auto_error struct error err = { 0 };
	auto_json struct json *ret = NULL;

	say("events");
	ck_assert_int_eq(qmp_command(qmp, "query-status", NULL, NULL, 0, &ret, &err), 0);
	ck_assert(json_get_bool(ret, "running", false));
}
END_TEST

START_TEST(the_answer_to_another_command_is_skipped)
{
	auto_error struct error err = { 0 };
	auto_json struct json *ret = NULL;

	say("stray");
	ck_assert_int_eq(qmp_command(qmp, "query-status", NULL, NULL, 0, &ret, &err), 0);
	ck_assert_int_eq(json_get_i64(ret, "right", 0), 1);
}
END_TEST

START_TEST(an_error_is_quoted_and_the_next_command_works)
{
	say("error");
	assert_command(EIO, "QMP 'stop': 'nosuch' is not a valid device model name");
	assert_command(0, "");
}
END_TEST

START_TEST(a_missing_device_is_told_apart)
{
	say("not-found");
	assert_command(ENODEV, "QMP 'stop': Device 'r0' not found");
	assert_command(0, "");
}
END_TEST

START_TEST(descriptors_travel_with_the_command)
{
	auto_error struct error err = { 0 };
	auto_close int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char text[256], control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { .iov_base = text, .iov_len = sizeof(text) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	say("plain");
	ck_assert_int_eq(qmp_command(qmp, "getfd", NULL, &fd, 1, NULL, &err), 0);
	/* A stream with descriptors is not read across the message that carries them. */
	for (int i = 0; i < 2; i++) {
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		ck_assert_int_gt(recvmsg(peer, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC), 0);
		if (msg.msg_controllen > 0)
			break;
	}
	ck_assert_uint_ge(msg.msg_controllen, CMSG_LEN(sizeof(int)));
	ck_assert_int_eq(CMSG_FIRSTHDR(&msg)->cmsg_type, SCM_RIGHTS);
	close(*(int *)(void *)CMSG_DATA(CMSG_FIRSTHDR(&msg)));
}
END_TEST

START_TEST(the_expected_event_is_found_among_others)
{
	auto_error struct error err = { 0 };

	say("deleted");
	qmp_expect_event(qmp, "DEVICE_DELETED", "r0");
	assert_command(0, "");
	ck_assert_int_eq(qmp_wait_event(qmp, 1000, &err), 0);
	ck_assert_int_lt(recv(peer, &(char){ 0 }, 0, MSG_DONTWAIT), 1);
}
END_TEST

START_TEST(an_event_before_the_answer_counts)
{
	auto_error struct error err = { 0 };

	say("deleted-early");
	qmp_expect_event(qmp, "DEVICE_DELETED", "r0");
	assert_command(0, "");
	ck_assert_int_eq(qmp_wait_event(qmp, 0, &err), 0);
}
END_TEST

START_TEST(an_event_that_does_not_come_times_out_and_nothing_is_lost)
{
	auto_error struct error err = { 0 };

	say("plain");
	qmp_expect_event(qmp, "DEVICE_DELETED", "r0");
	assert_command(0, "");
	ck_assert_int_eq(qmp_wait_event(qmp, 50, &err), -ETIMEDOUT);
	ck_assert(!qmp_is_dead(qmp));
	ck_assert_int_eq(fs_write_all(peer, "{\"return\":{},\"id\":3}\n", 21), 0);
	assert_command(0, "");
}
END_TEST

START_TEST(waiting_for_an_event_sees_the_end)
{
	auto_error struct error err = { 0 };

	say("plain");
	qmp_expect_event(qmp, "DEVICE_DELETED", "r0");
	assert_command(0, "");
	close_fd(&peer);
	ck_assert_int_eq(qmp_wait_event(qmp, 1000, &err), -EPIPE);
	ck_assert_str_eq(err.msg, "QEMU closed its control connection");
	ck_assert_int_eq(qmp_wait_event(qmp, 1000, &err), -EPIPE);
}
END_TEST

static const struct {
	const char *name;
	int code;
	const char *message;
} bad[] = {
	{ "not-an-object", EPROTO, "QMP 'stop': QEMU sent an array instead of an object" },
	{ "no-greeting", EPROTO, "QMP 'stop': QEMU sent no greeting" },
	{ "refused", EIO, "QMP 'stop': The command qmp_capabilities has not been found" },
	{ "no-result", EPROTO, "QMP 'stop': QEMU sent an answer without a result" },
	{ "both", EPROTO, "QMP 'stop': QEMU sent an answer without a result" },
	{ "wrong-types", EPROTO, "QMP 'stop': QEMU sent an answer without a result" },
};

START_TEST(what_is_not_qmp_ends_the_connection)
{
	say(bad[_i].name);
	assert_command(bad[_i].code, bad[_i].message);
	assert_dead();
}
END_TEST

START_TEST(garbage_ends_the_connection)
{
	auto_error struct error err = { 0 };

	say("garbage");
	ck_assert_int_eq(qmp_command(qmp, "stop", NULL, NULL, 0, NULL, &err), -EPROTO);
	ck_assert_msg(str_starts(err.msg, "QMP 'stop': QEMU sent something that is not JSON: "),
	              "%s", err.msg);
	assert_dead();
}
END_TEST

START_TEST(silence_times_out)
{
	qmp_set_timeout(qmp, 50);
	assert_command(ETIMEDOUT, "QMP 'stop': QEMU does not answer");
	assert_dead();
}
END_TEST

START_TEST(half_a_line_times_out)
{
	qmp_set_timeout(qmp, 50);
	ck_assert_int_eq(fs_write_all(peer, "{\"QMP\":", 7), 0);
	assert_command(ETIMEDOUT, "QMP 'stop': QEMU does not answer");
}
END_TEST

START_TEST(an_end_before_the_answer_is_told)
{
	ck_assert_int_eq(fs_write_all(peer, "{\"QMP\":{}}\n{\"return\"", 20), 0);
	ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
	assert_command(EPIPE, "QMP 'stop': QEMU closed its control connection");
	assert_dead();
}
END_TEST

START_TEST(an_end_before_the_question_is_told)
{
	ck_assert_int_eq(fs_write_all(peer, "{\"QMP\":{}}\n", 11), 0);
	close_fd(&peer);
	assert_command(EPIPE, "QMP 'stop': QEMU closed its control connection");
}
END_TEST

/* In a child, because it is more than a socket holds: text again and again until nobody reads. */
static pid_t flood(const char *text)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		qmp_free(qmp);
		while (fs_write_all(peer, text, strlen(text)) == 0)
			continue;
		_exit(0);
	}
	return pid;
}

static void end_flood(pid_t pid)
{
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(a_line_without_end_is_refused)
{
	pid_t pid = flood("{\"QMP\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");

	assert_command(EPROTO, "QMP 'stop': QEMU sent a line of more than 1048576 bytes");
	end_flood(pid);
}
END_TEST

START_TEST(events_without_end_are_refused)
{
	pid_t pid;

	ck_assert_int_eq(fs_write_all(peer, "{\"QMP\":{}}\n", 11), 0);
	pid = flood("{\"event\":\"RESUME\"}\n");
	assert_command(EPROTO, "QMP 'stop': QEMU sent 4096 messages but no answer");
	end_flood(pid);
}
END_TEST

START_TEST(a_flood_of_events_does_not_stretch_the_wait)
{
	auto_error struct error err = { 0 };
	pid_t pid;

	say("plain");
	assert_command(0, "");
	pid = flood("{\"event\":\"RESUME\"}\n");
	qmp_expect_event(qmp, "DEVICE_DELETED", "r0");
	ck_assert_int_eq(qmp_wait_event(qmp, 100, &err), -ETIMEDOUT);
	end_flood(pid);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("qmp");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 20);
	tcase_add_test(tc, the_first_command_shakes_hands);
	tcase_add_test(tc, what_is_posted_is_not_waited_for);
	tcase_add_test(tc, a_posted_command_that_is_refused_fails_what_comes_next);
	tcase_add_test(tc, a_command_after_a_posted_one_tells_of_its_refusal);
	tcase_add_test(tc, events_in_between_are_skipped);
	tcase_add_test(tc, the_answer_to_another_command_is_skipped);
	tcase_add_test(tc, an_error_is_quoted_and_the_next_command_works);
	tcase_add_test(tc, a_missing_device_is_told_apart);
	tcase_add_test(tc, descriptors_travel_with_the_command);
	tcase_add_test(tc, the_expected_event_is_found_among_others);
	tcase_add_test(tc, an_event_before_the_answer_counts);
	tcase_add_test(tc, an_event_that_does_not_come_times_out_and_nothing_is_lost);
	tcase_add_test(tc, waiting_for_an_event_sees_the_end);
	tcase_add_loop_test(tc, what_is_not_qmp_ends_the_connection, 0, ARRAY_SIZE(bad));
	tcase_add_test(tc, garbage_ends_the_connection);
	tcase_add_test(tc, silence_times_out);
	tcase_add_test(tc, half_a_line_times_out);
	tcase_add_test(tc, an_end_before_the_answer_is_told);
	tcase_add_test(tc, an_end_before_the_question_is_told);
	tcase_add_test(tc, a_line_without_end_is_refused);
	tcase_add_test(tc, events_without_end_are_refused);
	tcase_add_test(tc, a_flood_of_events_does_not_stretch_the_wait);
	return scratch_run(tc);
}
