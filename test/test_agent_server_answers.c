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

int main(void)
{
	TCase *tc = tcase_create("answers");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_answer_that_is_too_long_does_not_end_the_connection);
	tcase_add_test(tc, more_warnings_than_fit_are_left_out_of_an_answer);
	return scratch_run(tc);
}
