/* What the guest's server answers, and when it tells of an end. */
#include <stdio.h>

#include "test/test_agent_server.h"

START_TEST(an_answer_that_is_too_long_does_not_end_the_connection)
{
	peer_hello(&peer);
	ask(CREATE("sh", "{}"), "{\"id\":1,\"ok\":{\"pid\":1001}}");
	ask("{\"id\":2,\"op\":\"exec\",\"container\":\"c\",\"process\":\"flood\","
	    "\"spec\":{\"cwd\":\"/\",\"args\":[\"ls\"]}}",
	    "{\"id\":2,\"ok\":{\"pid\":1002}}");
	peer_control(&peer, "{\"id\":3,\"op\":\"ps\",\"container\":\"c\"}");
	peer_expect(&peer, FRAME_CONTROL, 0);
	ck_assert_ptr_nonnull(strstr(peer.payload, "{\"id\":3,\"error\":{\"code\":90,"));
	ck_assert_ptr_nonnull(strstr(peer.payload, "is too long"));
	ask("{\"id\":4,\"op\":\"start\",\"container\":\"c\"}", "{\"id\":4,\"ok\":{}}");
}
END_TEST

START_TEST(more_warnings_than_fit_are_left_out_of_an_answer)
{
	peer_hello(&peer);
	ask("{\"id\":1,\"op\":\"create\",\"container\":\"c\",\"spec\":{\"ociVersion\":\"1.3.0\","
	    "\"hostname\":\"chatty\",\"root\":{\"path\":\"/r\"},"
	    "\"process\":{\"cwd\":\"/\",\"args\":[\"true\"]}}}",
	    "{\"id\":1,\"ok\":{\"pid\":1001,\"warnings\":["
	    "\"more warnings than an answer can hold\"]}}");
}
END_TEST

#define EXIT(process, code)                                                                        \
	"{\"event\":\"exit\",\"container\":\"c\",\"process\":\"" process "\",\"code\":" code "}"

START_TEST(an_end_is_told_once_the_share_is_written_back_which_holds_up_nobody_else)
{
	peer_hello(&peer);
	ask(CREATE("sh", "{}"), "{\"id\":1,\"ok\":{\"pid\":1001}}");
	ask("{\"id\":2,\"op\":\"exec\",\"container\":\"c\",\"process\":\"e\","
	    "\"spec\":{\"cwd\":\"/\",\"args\":[\"ls\"]}}",
	    "{\"id\":2,\"ok\":{\"pid\":1002}}");
	mock_guest_sync_takes(1000);
	mock_guest_exit(mock_guest_last(), "c", "e", 3, false);
	ask("{\"id\":3,\"op\":\"start\",\"container\":\"c\"}", "{\"id\":3,\"ok\":{}}");
	peer_control(&peer, "{\"id\":4,\"op\":\"delete\",\"container\":\"c\"}");
	ask("{\"id\":5,\"op\":\"stats\",\"container\":\"d\"}",
	    "{\"id\":5,\"error\":{\"code\":2,\"msg\":\"no container 'd'\"}}");
	expect_control(EXIT("e", "3"));
	ask("{\"id\":6,\"op\":\"stats\",\"container\":\"d\"}",
	    "{\"id\":6,\"error\":{\"code\":2,\"msg\":\"no container 'd'\"}}");
	expect_control(EXIT("", "137"));
	expect_control("{\"id\":4,\"ok\":{}}");
	peer_expect_silence(&peer);
}
END_TEST

START_TEST(what_is_not_told_yet_goes_with_the_server)
{
	peer_hello(&peer);
	ask(CREATE("sh", "{}"), "{\"id\":1,\"ok\":{\"pid\":1001}}");
	mock_guest_sync_takes(60000);
	peer_control(&peer, "{\"id\":2,\"op\":\"delete\",\"container\":\"c\"}");
	peer_expect_silence(&peer);
}
END_TEST

START_TEST(the_resolver_is_served_once_and_connections_to_it_are_waited_for)
{
	char text[128];

	peer_hello(&peer);
	ask("{\"id\":1,\"op\":\"accept\",\"to\":1,\"from\":2}",
	    "{\"id\":1,\"error\":{\"code\":22,\"msg\":\"there is no resolver to connect to\"}}");
	ask("{\"id\":1,\"op\":\"resolver\",\"to\":1,\"from\":1}",
	    "{\"id\":1,\"error\":{\"code\":22,\"msg\":\"odd streams in a request\"}}");
	ask("{\"id\":1,\"op\":\"resolver\",\"to\":1,\"from\":2}", "{\"id\":1,\"ok\":{}}");
	ask("{\"id\":1,\"op\":\"resolver\",\"to\":3,\"from\":4}",
	    "{\"id\":1,\"error\":{\"code\":114,\"msg\":\"the resolver is served already\"}}");
	for (int i = 0; i < PROTOCOL_RESOLVER_ACCEPTS; i++) {
		snprintf(text, sizeof(text), "{\"id\":%d,\"op\":\"accept\",\"to\":%d,\"from\":%d}",
		         2 + i, 3 + i, 100 + i);
		peer_control(&peer, text);
	}
	ask("{\"id\":1,\"op\":\"accept\",\"to\":98,\"from\":99}",
	    "{\"id\":1,\"error\":{\"code\":16,\"msg\":\"enough requests wait for a connection "
	    "already\"}}");
	/* An answer to a conversation that nobody knows is too late. */
	peer_send(&peer, FRAME_DATA, 1, 0, "\5\0\0\0\7\0\0\0x", 9);
	ask("{\"id\":1,\"op\":\"signal\",\"container\":\"c\",\"signal\":0}",
	    "{\"id\":1,\"error\":{\"code\":3,\"msg\":\"process not found\"}}");
	peer_send(&peer, FRAME_DATA, 1, 0, "\3\0\0\0\7\0\0\0x", 9);
	peer_expect_end(&peer);
}
END_TEST

START_TEST(what_is_there_needs_no_waiting)
{
	peer_hello(&peer);
	ask("{\"id\":1,\"op\":\"size\",\"memory\":0,\"cpus\":1}", "{\"id\":1,\"ok\":{}}");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("answers");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_answer_that_is_too_long_does_not_end_the_connection);
	tcase_add_test(tc, more_warnings_than_fit_are_left_out_of_an_answer);
	tcase_add_test(tc,
	               an_end_is_told_once_the_share_is_written_back_which_holds_up_nobody_else);
	tcase_add_test(tc, what_is_not_told_yet_goes_with_the_server);
	tcase_add_test(tc, the_resolver_is_served_once_and_connections_to_it_are_waited_for);
	tcase_add_test(tc, what_is_there_needs_no_waiting);
	return scratch_run(tc);
}
