/* What the guest's server does, refuses and tells, and whom it leaves. */
#include <errno.h>
#include <signal.h>

#include "lib/base/log.h"
#include "test/test_agent_server.h"

START_TEST(a_container_is_created_and_started)
{
	peer_hello(&peer);
	ask("{\"id\":9,\"op\":\"sandbox\",\"hostname\":\"vm\"}", "{\"id\":9,\"ok\":{}}");
	ask(CREATE("true", "{}"), "{\"id\":1,\"ok\":{\"pid\":1001}}");
	ask("{\"id\":2,\"op\":\"start\",\"container\":\"c\"}", "{\"id\":2,\"ok\":{}}");
	ask("{\"id\":3,\"op\":\"ps\",\"container\":\"c\"}", "{\"id\":3,\"ok\":{\"processes\":[]}}");
	ck_assert_int_eq(mock_guest_fd(mock_guest_last(), "c", "", 0), -1);
}
END_TEST

START_TEST(a_container_says_that_it_is_ready_if_somebody_wants_to_know)
{
	peer_hello(&peer);
	ask("{\"id\":1,\"op\":\"create\",\"container\":\"c\",\"notify\":true," SPEC("true") "}",
	    "{\"id\":1,\"ok\":{\"pid\":1001}}");
	peer_control(&peer, "{\"id\":2,\"op\":\"start\",\"container\":\"c\"}");
	expect_control("{\"event\":\"ready\",\"container\":\"c\"}");
	expect_control("{\"id\":2,\"ok\":{}}");
}
END_TEST

START_TEST(limits_and_statistics_of_a_container_are_at_hand)
{
	peer_hello(&peer);
	ask(CREATE("true", "{}"), "{\"id\":1,\"ok\":{\"pid\":1001}}");
	ask("{\"id\":2,\"op\":\"update\",\"container\":\"c\",\"resources\":{\"pids\":{\"limit\":5}}"
	    "}",
	    "{\"id\":2,\"ok\":{}}");
	ask("{\"id\":3,\"op\":\"update\",\"container\":\"c\","
	    "\"resources\":{\"memory\":{\"limit\":666}}}",
	    "{\"id\":3,\"error\":{\"code\":16,\"msg\":\"bad limit\"}}");
	ask("{\"id\":4,\"op\":\"stats\",\"container\":\"c\"}",
	    "{\"id\":4,\"ok\":{\"pids\":{\"current\":3}}}");
}
END_TEST

static const struct refusal {
	const char *request, *answer;
} refusals[] = {
	{ "{\"id\":1,\"op\":\"dance\"}",
	  "{\"id\":1,\"error\":{\"code\":38,\"msg\":\"the agent knows no request 'dance'\"}}" },
	{ "{\"id\":1,\"op\":\"create\",\"container\":\"c\",\"time\":{\"sec\":\"now\"},\"spec\":"
	  "{\"ociVersion\":\"1.3.0\",\"root\":{\"path\":\"/r\"},"
	  "\"process\":{\"cwd\":\"/\",\"args\":[\"a\"]}}}",
	  "{\"id\":1,\"error\":{\"code\":22,\"msg\":\"odd \\\"time\\\"\"}}" },
	{ "{\"id\":1,\"op\":\"sandbox\",\"hostname\":\"bad\"}",
	  "{\"id\":1,\"error\":{\"code\":1,\"msg\":\"set the host name 'bad'\"}}" },
	{ "{\"id\":1,\"op\":\"size\",\"memory\":-1}",
	  "{\"id\":1,\"error\":{\"code\":22,\"msg\":\"odd \\\"memory\\\" or \\\"cpus\\\" in a "
	  "request\"}}" },
	{ "{\"id\":1,\"op\":\"start\"}",
	  "{\"id\":1,\"error\":{\"code\":22,\"msg\":\"odd \\\"container\\\" in a request\"}}" },
	{ "{\"id\":1,\"op\":\"start\",\"container\":\"no\"}",
	  "{\"id\":1,\"error\":{\"code\":2,\"msg\":\"no container 'no'\"}}" },
	{ "{\"id\":1,\"op\":\"delete\",\"container\":\"no\"}",
	  "{\"id\":1,\"error\":{\"code\":2,\"msg\":\"no container 'no'\"}}" },
	{ "{\"id\":1,\"op\":\"ps\",\"container\":\"no\"}",
	  "{\"id\":1,\"error\":{\"code\":2,\"msg\":\"no container 'no'\"}}" },
	{ "{\"id\":1,\"op\":\"stats\",\"container\":\"no\"}",
	  "{\"id\":1,\"error\":{\"code\":2,\"msg\":\"no container 'no'\"}}" },
	{ "{\"id\":1,\"op\":\"stats\"}",
	  "{\"id\":1,\"error\":{\"code\":22,\"msg\":\"odd \\\"container\\\" in a request\"}}" },
	{ "{\"id\":1,\"op\":\"update\",\"container\":\"no\",\"resources\":{}}",
	  "{\"id\":1,\"error\":{\"code\":2,\"msg\":\"no container 'no'\"}}" },
	{ "{\"id\":1,\"op\":\"update\",\"container\":\"no\",\"resources\":7}",
	  "{\"id\":1,\"error\":{\"code\":22,\"msg\":\"an \\\"update\\\" without "
	  "\\\"resources\\\"\"}}" },
	{ "{\"id\":1,\"op\":\"update\",\"container\":\"no\","
	  "\"resources\":{\"memory\":{\"limit\":-2}}}",
	  "{\"id\":1,\"error\":{\"code\":22,\"msg\":\"resources.memory.limit: -2 is less than "
	  "-1\"}}" },
	{ "{\"id\":1,\"op\":\"signal\",\"container\":\"no\",\"signal\":65}",
	  "{\"id\":1,\"error\":{\"code\":22,\"msg\":\"odd \\\"signal\\\" in a request\"}}" },
	{ "{\"id\":1,\"op\":\"signal\",\"container\":\"no\",\"signal\":15}",
	  "{\"id\":1,\"error\":{\"code\":3,\"msg\":\"process not found\"}}" },
	{ "{\"id\":1,\"op\":\"winsize\",\"container\":\"no\",\"height\":1,\"width\":65536}",
	  "{\"id\":1,\"error\":{\"code\":22,\"msg\":\"odd size of a terminal\"}}" },
	{ "{\"id\":1,\"op\":\"winsize\",\"container\":\"no\",\"height\":1,\"width\":1}",
	  "{\"id\":1,\"error\":{\"code\":3,\"msg\":\"the process is gone\"}}" },
};

START_TEST(a_request_that_cannot_be_done_is_answered_with_the_reason)
{
	peer_hello(&peer);
	ask(refusals[_i].request, refusals[_i].answer);
}
END_TEST

START_TEST(the_sandbox_is_set_up_once)
{
	peer_hello(&peer);
	ask("{\"id\":1,\"op\":\"sandbox\"}", "{\"id\":1,\"ok\":{}}");
	ask("{\"id\":2,\"op\":\"sandbox\"}",
	    "{\"id\":2,\"error\":{\"code\":114,\"msg\":\"the sandbox is set up already\"}}");
}
END_TEST

START_TEST(a_process_without_a_terminal_cannot_be_resized)
{
	peer_hello(&peer);
	ask(CREATE("sh", "{}"), "{\"id\":1,\"ok\":{\"pid\":1001}}");
	ask("{\"id\":2,\"op\":\"winsize\",\"container\":\"c\",\"height\":1,\"width\":1}",
	    "{\"id\":2,\"error\":{\"code\":25,\"msg\":\"the process has no terminal\"}}");
}
END_TEST

START_TEST(a_guest_that_could_not_be_brought_up_says_why)
{
	auto_error struct error why = { 0 };

	error_set(&why, ENODEV, "load module 'x'");
	server_set_broken(server, &why);
	peer_hello(&peer);
	ask("{\"id\":1,\"op\":\"sandbox\"}",
	    "{\"id\":1,\"error\":{\"code\":19,\"msg\":\"start the guest: load module 'x'\"}}");
}
END_TEST

START_TEST(warnings_are_told_to_the_host)
{
	peer_hello(&peer);
	log_warn("no such thing, ignoring");
	expect_control("{\"event\":\"log\",\"level\":\"warning\","
	               "\"msg\":\"no such thing, ignoring\"}");
}
END_TEST

START_TEST(warnings_about_a_request_are_in_its_answer)
{
	peer_hello(&peer);
	ask("{\"id\":1,\"op\":\"create\",\"container\":\"c\",\"io\":{},\"spec\":{"
	    "\"ociVersion\":\"1.3.0\",\"root\":{\"path\":\"/r\"},\"hostname\":\"odd\","
	    "\"process\":{\"cwd\":\"/\",\"args\":[\"sh\"]}}}",
	    "{\"id\":1,\"ok\":{\"pid\":1001,\"warnings\":[\"odd\"]}}");
	ask("{\"id\":2,\"op\":\"ps\",\"container\":\"none\"}",
	    "{\"id\":2,\"error\":{\"code\":2,\"msg\":\"no container 'none'\"}}");
}
END_TEST

static const char *const breaches[] = {
	"nonsense",
	"[]",
	"{\"op\":\"ps\"}",
	"{\"id\":0,\"op\":\"ps\"}",
	"{\"id\":1}",
	CREATE("sh", "7"),
	CREATE("sh", "{\"stdin\":0}"),
	CREATE("sh", "{\"stdin\":4294967296}"),
	CREATE("sh", "{\"stdin\":\"1\"}"),
	CREATE("sh", "{\"stdout\":5,\"stderr\":5}"),
	CREATE("sh", "{\"size\":{\"height\":-1,\"width\":2}}"),
	CREATE("sh", "{\"fds\":7}"),
	CREATE("sh", "{\"fds\":[7]}"),
	CREATE("sh", "{\"fds\":[{\"type\":\"tape\"}]}"),
	CREATE("sh", "{\"fds\":[{\"type\":\"pipe\"}]}"),
	CREATE("sh", "{\"fds\":[{\"type\":\"pipe\",\"in\":1,\"out\":2}]}"),
	CREATE("sh", "{\"fds\":[{\"type\":\"pipe\",\"in\":-1}]}"),
	CREATE("sh", "{\"stdin\":1,\"fds\":[{\"type\":\"pipe\",\"in\":1}]}"),
	CREATE("sh", "{\"fds\":[{\"type\":\"socket\",\"kind\":\"raw\",\"in\":1,\"out\":2}]}"),
	CREATE("sh", "{\"fds\":[{\"type\":\"socket\",\"kind\":\"stream\",\"in\":1,\"out\":1}]}"),
	CREATE("sh", "{\"fds\":[{\"type\":\"socket\",\"kind\":\"stream\",\"in\":1,\"out\":2,"
	             "\"uid\":-1}]}"),
	CREATE("sh",
	       "{\"fds\":[{\"type\":\"listen\",\"family\":\"inet\",\"kind\":\"seqpacket\"}]}"),
	CREATE("sh", "{\"fds\":[{\"type\":\"listen\",\"family\":\"inet\",\"kind\":\"stream\","
	             "\"port\":65536}]}"),
	CREATE("sh", "{\"fds\":[{\"type\":\"device\",\"name\":\"../etc/passwd\",\"read\":true}]}"),
};

START_TEST(a_host_that_breaks_the_protocol_is_left)
{
	peer_hello(&peer);
	peer_control(&peer, breaches[_i]);
	peer_expect_end(&peer);
	ck_assert_int_eq(loop_run(loop), 0);
}
END_TEST

START_TEST(the_loop_ends_with_the_connection)
{
	peer_hello(&peer);
	close_fd(&peer.fd);
	ck_assert_int_eq(loop_run(loop), 0);
}
END_TEST

START_TEST(another_version_is_refused)
{
	peer_send(&peer, FRAME_HELLO, 0, 0, "{\"vcrt\":3}", 10);
	peer_expect_end(&peer);
}
END_TEST

START_TEST(shutdown_is_answered_before_the_power_goes)
{
	peer_hello(&peer);
	ask("{\"id\":1,\"op\":\"shutdown\"}", "{\"id\":1,\"ok\":{}}");
	ck_assert_int_eq(loop_run(loop), 0);
}
END_TEST

START_TEST(a_container_that_is_being_created_keeps_its_requests_waiting)
{
	peer_hello(&peer);
	peer_control(&peer, CREATE("slow", "{}"));
	peer_control(&peer, "{\"id\":2,\"op\":\"start\",\"container\":\"c\"}");
	peer_control(&peer, "{\"id\":3,\"op\":\"ps\",\"container\":\"c\"}");
	ask("{\"id\":4,\"op\":\"ps\",\"container\":\"other\"}",
	    "{\"id\":4,\"error\":{\"code\":2,\"msg\":\"no container 'other'\"}}");
	mock_guest_launched(mock_guest_last());
	expect_control("{\"id\":1,\"ok\":{\"pid\":1001}}");
	expect_control("{\"id\":2,\"ok\":{}}");
	expect_control("{\"id\":3,\"ok\":{\"processes\":[]}}");
}
END_TEST

START_TEST(networks_come_about_one_after_the_other)
{
	peer_hello(&peer);
	peer_control(&peer, "{\"id\":1,\"op\":\"network\",\"slow\":true}");
	peer_control(&peer, "{\"id\":2,\"op\":\"network\",\"slow\":true}");
	peer_control(&peer, "{\"id\":3,\"op\":\"network\",\"interfaces\":7}");
	/* Everything else goes on. */
	ask("{\"id\":4,\"op\":\"ps\",\"container\":\"c\"}",
	    "{\"id\":4,\"error\":{\"code\":2,\"msg\":\"no container 'c'\"}}");
	mock_guest_network_done(mock_guest_last(), 0);
	expect_control("{\"id\":1,\"ok\":{\"changes\":3}}");
	mock_guest_network_done(mock_guest_last(), ENODEV);
	expect_control("{\"id\":2,\"error\":{\"code\":19,\"msg\":\"no such device\"}}");
	expect_control("{\"id\":3,\"error\":{\"code\":22,"
	               "\"msg\":\"network: odd \\\"interfaces\\\"\"}}");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("server");

	signal(SIGPIPE, SIG_IGN);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_container_is_created_and_started);
	tcase_add_test(tc, a_container_says_that_it_is_ready_if_somebody_wants_to_know);
	tcase_add_test(tc, limits_and_statistics_of_a_container_are_at_hand);
	tcase_add_loop_test(tc, a_request_that_cannot_be_done_is_answered_with_the_reason, 0,
	                    (int)ARRAY_SIZE(refusals));
	tcase_add_test(tc, the_sandbox_is_set_up_once);
	tcase_add_test(tc, a_process_without_a_terminal_cannot_be_resized);
	tcase_add_test(tc, a_guest_that_could_not_be_brought_up_says_why);
	tcase_add_test(tc, warnings_are_told_to_the_host);
	tcase_add_test(tc, warnings_about_a_request_are_in_its_answer);
	tcase_add_loop_test(tc, a_host_that_breaks_the_protocol_is_left, 0,
	                    (int)ARRAY_SIZE(breaches));
	tcase_add_test(tc, the_loop_ends_with_the_connection);
	tcase_add_test(tc, another_version_is_refused);
	tcase_add_test(tc, shutdown_is_answered_before_the_power_goes);
	tcase_add_test(tc, a_container_that_is_being_created_keeps_its_requests_waiting);
	tcase_add_test(tc, networks_come_about_one_after_the_other);
	return scratch_run(tc);
}
