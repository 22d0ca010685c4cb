/* What the guest's server carries between the host and the descriptors of processes. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/fs.h"
#include "test/test_agent_server.h"

static int process_fd(const char *process, int fd)
{
	int found = mock_guest_fd(mock_guest_last(), "c", process, fd);

	ck_assert_int_ge(found, 0);
	return found;
}

static void expect_read(int fd, const char *text)
{
	char got[64] = "";
	ssize_t n = read(fd, got, sizeof(got) - 1);

	ck_assert_int_eq((int)n, (int)strlen(text));
	ck_assert_str_eq(got, text);
}

START_TEST(stdio_flows_both_ways_and_ends)
{
	peer_hello(&peer);
	ask(CREATE("cat", "{\"stdin\":1,\"stdout\":2,\"stderr\":3}"),
	    "{\"id\":1,\"ok\":{\"pid\":1001}}");
	ck_assert_int_eq(fs_write_all(process_fd("", 1), "out", 3), 0);
	peer_expect(&peer, FRAME_DATA, 2);
	ck_assert_str_eq(peer.payload, "out");
	ck_assert_int_eq(fs_write_all(process_fd("", 2), "err", 3), 0);
	peer_expect(&peer, FRAME_DATA, 3);
	ck_assert_str_eq(peer.payload, "err");
	peer_data(&peer, 1, "in");
	peer_send(&peer, FRAME_EOF, 1, 0, NULL, 0);
	peer_expect(&peer, FRAME_CLOSE, 1);
	expect_read(process_fd("", 0), "in");
	expect_read(process_fd("", 0), "");
}
END_TEST

START_TEST(the_exit_comes_with_all_output_and_its_end)
{
	int out;

	peer_hello(&peer);
	ask(CREATE("sh", "{\"stdin\":1,\"stdout\":2}"), "{\"id\":1,\"ok\":{\"pid\":1001}}");
	out = process_fd("", 1);
	ck_assert_int_eq(fs_write_all(out, "last", 4), 0);
	/* leak: a background process goes on with the pipe open */
	mock_guest_exit(mock_guest_last(), "c", "", 7, true);
	peer_expect(&peer, FRAME_CLOSE, 1);
	peer_expect(&peer, FRAME_DATA, 2);
	ck_assert_str_eq(peer.payload, "last");
	peer_expect(&peer, FRAME_EOF, 2);
	expect_control("{\"event\":\"exit\",\"container\":\"c\",\"process\":\"\",\"code\":7}");
	ck_assert_int_eq((int)write(out, "x", 1), -1);
	ck_assert_int_eq(errno, EPIPE);
}
END_TEST

START_TEST(stdio_may_be_left_out)
{
	peer_hello(&peer);
	ask("{\"id\":1,\"op\":\"create\",\"container\":\"c\"," SPEC("true") "}",
	    "{\"id\":1,\"ok\":{\"pid\":1001}}");
}
END_TEST

START_TEST(an_exec_has_streams_of_its_own)
{
	peer_hello(&peer);
	ask(CREATE("sh", "{}"), "{\"id\":1,\"ok\":{\"pid\":1001}}");
	ask("{\"id\":2,\"op\":\"exec\",\"container\":\"c\",\"process\":\"e\",\"io\":{\"stdout\":4},"
	    "\"spec\":{\"cwd\":\"/\",\"args\":[\"ls\"]}}",
	    "{\"id\":2,\"ok\":{\"pid\":1002}}");
	ck_assert_int_eq(fs_write_all(process_fd("e", 1), "x", 1), 0);
	peer_expect(&peer, FRAME_DATA, 4);
	peer_control(&peer, "{\"id\":3,\"op\":\"signal\",\"container\":\"c\",\"process\":\"e\","
	                    "\"signal\":9}");
	expect_control("{\"id\":3,\"ok\":{}}");
	peer_expect(&peer, FRAME_EOF, 4);
	expect_control("{\"event\":\"exit\",\"container\":\"c\",\"process\":\"e\","
	               "\"code\":137}");
}
END_TEST

START_TEST(streams_of_a_request_that_fails_are_ended_in_the_usual_way)
{
	static const struct {
		const char *request, *answer;
	} failures[] = {
		{ CREATE("missing", "{\"stdin\":1,\"stdout\":2,\"stderr\":3}"),
		  "{\"id\":1,\"error\":{\"code\":2,\"msg\":\"exec: \\\"missing\\\": not "
		  "found\"}}" },
		{ "{\"id\":1,\"op\":\"create\",\"container\":\"../c\",\"io\":{\"stdin\":1,"
		  "\"stdout\":2,\"stderr\":3}}",
		  "{\"id\":1,\"error\":{\"code\":22,\"msg\":\"odd \\\"container\\\" in a "
		  "request\"}}" },
		{ "{\"id\":1,\"op\":\"create\",\"container\":\"c\",\"io\":{\"stdin\":1,"
		  "\"stdout\":2,\"stderr\":3}}",
		  "{\"id\":1,\"error\":{\"code\":22,\"msg\":\"a \\\"create\\\" without "
		  "\\\"spec\\\"\"}}" },
		{ "{\"id\":1,\"op\":\"exec\",\"container\":\"c\",\"process\":\"e\",\"io\":"
		  "{\"stdin\":1,\"stdout\":2,\"stderr\":3},\"spec\":{\"cwd\":\"/\",\"args\":"
		  "[\"ls\"]}}",
		  "{\"id\":1,\"error\":{\"code\":2,\"msg\":\"no container 'c'\"}}" },
	};

	peer_hello(&peer);
	peer_control(&peer, failures[_i].request);
	/* On their way before the host can know. */
	peer_data(&peer, 1, "input");
	peer_send(&peer, FRAME_EOF, 1, 0, NULL, 0);
	peer_expect(&peer, FRAME_CLOSE, 1);
	expect_control(failures[_i].answer);
	peer_expect(&peer, FRAME_EOF, 2);
	peer_expect(&peer, FRAME_EOF, 3);
	peer_send(&peer, FRAME_CLOSE, 2, 0, NULL, 0);
	peer_send(&peer, FRAME_CLOSE, 3, 0, NULL, 0);
	peer_expect_silence(&peer);
}
END_TEST

#define FDS                                                                                        \
	"{\"fds\":[{\"type\":\"pipe\",\"in\":1},{\"type\":\"pipe\",\"out\":2},"                    \
	"{\"type\":\"socket\",\"kind\":\"seqpacket\",\"in\":3,\"out\":4},"                         \
	"{\"type\":\"listen\",\"family\":\"unix\",\"kind\":\"stream\"},"                           \
	"{\"type\":\"device\",\"name\":\"null\",\"read\":true,\"write\":true}]}"

START_TEST(further_descriptors_are_of_the_kind_asked_for)
{
	peer_hello(&peer);
	ask(CREATE("sh", FDS), "{\"id\":1,\"ok\":{\"pid\":1001}}");
	peer_data(&peer, 1, "in");
	peer_send(&peer, FRAME_EOF, 1, 0, NULL, 0);
	peer_expect(&peer, FRAME_CLOSE, 1);
	expect_read(process_fd("", 3), "in");
	expect_read(process_fd("", 3), "");
	ck_assert_int_eq(fs_write_all(process_fd("", 4), "out", 3), 0);
	peer_expect(&peer, FRAME_DATA, 2);
	ck_assert_str_eq(peer.payload, "out");
	ck_assert_int_eq(fs_write_all(process_fd("", 5), "ab", 2), 0);
	peer_expect(&peer, FRAME_DATA, 4);
	ck_assert_int_eq(peer.frame.length, 4 + 2);
	ck_assert_int_eq(memcmp(peer.payload, "\2\0\0\0ab", 6), 0);
	ck_assert_int_eq(fs_write_all(process_fd("", 7), "x", 1), 0);
	expect_read(process_fd("", 7), "");
	mock_guest_exit(mock_guest_last(), "c", "", 3, false);
	peer_expect(&peer, FRAME_EOF, 2);
	peer_expect(&peer, FRAME_CLOSE, 3);
	peer_expect(&peer, FRAME_EOF, 4);
	expect_control("{\"event\":\"exit\",\"container\":\"c\",\"process\":\"\",\"code\":3}");
}
END_TEST

START_TEST(connections_reach_the_listening_socket)
{
	auto_close int connection = -1;

	peer_hello(&peer);
	ask(CREATE("sh", FDS), "{\"id\":1,\"ok\":{\"pid\":1001}}");
	ask("{\"id\":2,\"op\":\"connect\",\"container\":\"c\",\"fd\":6,\"to\":10,\"from\":11}",
	    "{\"id\":2,\"ok\":{}}");
	connection = accept(process_fd("", 6), NULL, NULL);
	ck_assert_int_ge(connection, 0);
	peer_data(&peer, 10, "question");
	ck_assert_int_eq(loop_step(loop, 1000), 0);
	expect_read(connection, "question");
	ck_assert_int_eq(fs_write_all(connection, "answer", 6), 0);
	peer_expect(&peer, FRAME_DATA, 11);
	ck_assert_str_eq(peer.payload, "answer");
	/* Closed in whole: the host must be able to tell it from a direction that was shut down. */
	close_fd(&connection);
	peer_expect(&peer, FRAME_CLOSE, 10);
	peer_expect(&peer, FRAME_EOF, 11);
}
END_TEST

START_TEST(a_connection_to_nothing_is_refused_without_streams)
{
	peer_hello(&peer);
	ask("{\"id\":2,\"op\":\"connect\",\"container\":\"c\",\"fd\":6,\"to\":10,\"from\":11}",
	    "{\"id\":2,\"error\":{\"code\":3,\"msg\":\"the process is gone\"}}");
	ask(CREATE("sh", FDS), "{\"id\":1,\"ok\":{\"pid\":1001}}");
	ask("{\"id\":2,\"op\":\"connect\",\"container\":\"c\",\"fd\":7,\"to\":10,\"from\":11}",
	    "{\"id\":2,\"error\":{\"code\":22,\"msg\":\"descriptor 7 is no listening socket\"}}");
	ask("{\"id\":2,\"op\":\"connect\",\"container\":\"c\",\"fd\":99,\"to\":10,\"from\":11}",
	    "{\"id\":2,\"error\":{\"code\":22,\"msg\":\"descriptor 99 is no listening socket\"}}");
	peer_expect_silence(&peer);
}
END_TEST

START_TEST(a_full_queue_of_connections_is_told)
{
	char request[160];
	const char *full = NULL;

	peer_hello(&peer);
	ask(CREATE("sh", FDS), "{\"id\":1,\"ok\":{\"pid\":1001}}");
	for (int i = 0; i < 1000 && !full; i++) {
		snprintf(request, sizeof(request),
		         "{\"id\":2,\"op\":\"connect\",\"container\":\"c\",\"fd\":6,\"to\":%d,"
		         "\"from\":%d}",
		         100 + 2 * i, 101 + 2 * i);
		peer_control(&peer, request);
		peer_expect(&peer, FRAME_CONTROL, 0);
		full = strstr(peer.payload, "\"code\":11,");
	}
	ck_assert_ptr_nonnull(full);
}
END_TEST

START_TEST(further_descriptors_of_a_request_that_fails_are_ended_too)
{
	peer_hello(&peer);
	peer_control(&peer, CREATE("missing", FDS));
	peer_expect(&peer, FRAME_CLOSE, 1);
	peer_expect(&peer, FRAME_CLOSE, 3);
	expect_control(
		"{\"id\":1,\"error\":{\"code\":2,\"msg\":\"exec: \\\"missing\\\": not found\"}}");
	peer_expect(&peer, FRAME_EOF, 2);
	peer_expect(&peer, FRAME_EOF, 4);
}
END_TEST

START_TEST(others_are_answered_while_a_process_is_made)
{
	peer_hello(&peer);
	ask(CREATE("true", "{}"), "{\"id\":1,\"ok\":{\"pid\":1001}}");
	peer_control(&peer, "{\"id\":2,\"op\":\"exec\",\"container\":\"c\",\"process\":\"e\","
	                    "\"io\":{\"stdin\":5},"
	                    "\"spec\":{\"cwd\":\"/\",\"args\":[\"slow\"]}}");
	/* What is for that process waits for it, in order. */
	peer_control(&peer, "{\"id\":3,\"op\":\"winsize\",\"container\":\"c\",\"process\":\"e\","
	                    "\"height\":5,\"width\":5}");
	peer_control(&peer, "{\"id\":4,\"op\":\"signal\",\"container\":\"c\",\"process\":\"e\","
	                    "\"signal\":15}");
	ask("{\"id\":5,\"op\":\"ps\",\"container\":\"c\"}", "{\"id\":5,\"ok\":{\"processes\":[]}}");
	ask("{\"id\":6,\"op\":\"signal\",\"container\":\"c\",\"signal\":1}",
	    "{\"id\":6,\"ok\":{}}");
	ask("{\"id\":7,\"op\":\"signal\",\"container\":\"c\",\"process\":\"e\",\"signal\":1,"
	    "\"all\":true}",
	    "{\"id\":7,\"ok\":{}}");
	/* Its input flows already. */
	peer_data(&peer, 5, "early");
	ask("{\"id\":8,\"op\":\"stats\",\"container\":\"c\"}",
	    "{\"id\":8,\"ok\":{\"pids\":{\"current\":3}}}");
	expect_read(process_fd("e", 0), "early");
	mock_guest_launched(mock_guest_last());
	expect_control("{\"id\":2,\"ok\":{\"pid\":1002}}");
	expect_control(
		"{\"id\":3,\"error\":{\"code\":25,\"msg\":\"the process has no terminal\"}}");
	expect_control("{\"id\":4,\"ok\":{}}");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("server-streams");

	signal(SIGPIPE, SIG_IGN);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, stdio_flows_both_ways_and_ends);
	tcase_add_test(tc, the_exit_comes_with_all_output_and_its_end);
	tcase_add_test(tc, further_descriptors_are_of_the_kind_asked_for);
	tcase_add_test(tc, connections_reach_the_listening_socket);
	tcase_add_test(tc, a_connection_to_nothing_is_refused_without_streams);
	tcase_add_test(tc, a_full_queue_of_connections_is_told);
	tcase_add_test(tc, further_descriptors_of_a_request_that_fails_are_ended_too);
	tcase_add_test(tc, stdio_may_be_left_out);
	tcase_add_test(tc, an_exec_has_streams_of_its_own);
	tcase_add_loop_test(tc, streams_of_a_request_that_fails_are_ended_in_the_usual_way, 0, 4);
	tcase_add_test(tc, others_are_answered_while_a_process_is_made);
	return scratch_run(tc);
}
