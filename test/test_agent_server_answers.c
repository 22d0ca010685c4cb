/* What the guest's server answers, and when it tells of an end. */
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

int main(void)
{
	TCase *tc = tcase_create("answers");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_answer_that_is_too_long_does_not_end_the_connection);
	tcase_add_test(tc, more_warnings_than_fit_are_left_out_of_an_answer);
	tcase_add_test(tc,
	               an_end_is_told_once_the_share_is_written_back_which_holds_up_nobody_else);
	tcase_add_test(tc, what_is_not_told_yet_goes_with_the_server);
	return scratch_run(tc);
}
