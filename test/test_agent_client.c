/* The host's client against a guest that is played frame by frame. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/mux.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "test/peer.h"
#include "test/scratch.h"

static struct loop *loop;
static struct peer peer;
static struct agent *agent;
static int readies, losts;
static struct error lost_with;
static struct buf answers, happened; /* one line each */
static bool closes_in_callback;

static void close_agent(void)
{
	agent_close(agent);
	agent = NULL;
}

static void on_ready(void *arg, const struct json *hello)
{
	(void)arg;
	readies++;
	ck_assert_int_eq(json_get_i64(hello, "vcrt", 0), PROTOCOL_VERSION);
}

static void on_event(void *arg, const char *name, const struct json *event)
{
	auto_free char *text = json_print(event, false);

	(void)arg;
	buf_addf(&happened, "%s %s\n", name, text);
}

static void on_lost(void *arg, const struct error *err)
{
	(void)arg;
	losts++;
	error_set(&lost_with, err->code, "%s", err->msg);
}

static const struct agent_events events = { on_ready, on_event, on_lost };

static void on_answer(void *arg, const struct json *result, const struct error *err)
{
	auto_free char *text = result ? json_print(result, false) : NULL;

	if (result)
		buf_addf(&answers, "%s: %s\n", (const char *)arg, text);
	else
		buf_addf(&answers, "%s: error %d %s\n", (const char *)arg, err->code, err->msg);
	if (closes_in_callback)
		close_agent();
}

static void setup(void)
{
	loop = loop_new();
	readies = losts = 0;
	closes_in_callback = false;
	agent = agent_open(agent_find("vcrt"), loop, peer_init(&peer, loop), &events, NULL);
	peer_expect(&peer, FRAME_HELLO, 0);
	ck_assert_str_eq(peer.payload, "{\"vcrt\":1}");
}

static void teardown(void)
{
	close_agent();
	peer_done(&peer);
	loop_free(loop);
	buf_done(&answers);
	buf_done(&happened);
	error_clear(&lost_with);
}

static void settle(void)
{
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(loop_step(loop, 1), 0);
}

static void expect_request(const char *text)
{
	peer_expect(&peer, FRAME_CONTROL, 0);
	ck_assert_str_eq(peer.payload, text);
}

START_TEST(calls_before_the_hello_are_sent_after_it_without_waiting_for_answers)
{
	struct json *args = json_new_object();

	json_set(args, "container", json_new_string("c"));
	agent_call(agent, "sandbox", NULL, on_answer, "sandbox");
	agent_call(agent, "start", args, on_answer, "start");
	peer_expect_silence(&peer);
	ck_assert(!agent_is_ready(agent));
	peer_hello(&peer);
	expect_request("{\"op\":\"sandbox\",\"id\":1}");
	expect_request("{\"container\":\"c\",\"op\":\"start\",\"id\":2}");
	ck_assert(agent_is_ready(agent));
	ck_assert_int_eq(readies, 1);
}
END_TEST

START_TEST(answers_find_their_call_in_any_order)
{
	peer_hello(&peer);
	agent_call(agent, "create", NULL, on_answer, "create");
	agent_call(agent, "ps", NULL, on_answer, "ps");
	agent_call(agent, "winsize", NULL, NULL, NULL);
	peer_control(&peer, "{\"id\":2,\"error\":{\"code\":3,\"msg\":\"no such process\"}}");
	peer_control(&peer, "{\"id\":3,\"ok\":{}}");
	peer_control(&peer, "{\"id\":1,\"ok\":{\"pid\":7}}");
	settle();
	ck_assert_str_eq(answers.data, "ps: error 3 no such process\ncreate: {\"pid\":7}\n");
}
END_TEST

START_TEST(events_are_passed_on)
{
	peer_hello(&peer);
	peer_control(&peer, "{\"event\":\"exit\",\"container\":\"c\",\"process\":\"\",\"code\":9}");
	settle();
	ck_assert_str_eq(happened.data, "exit {\"event\":\"exit\",\"container\":\"c\","
	                                "\"process\":\"\",\"code\":9}\n");
}
END_TEST

START_TEST(error_text_is_made_fit_for_a_terminal)
{
	peer_hello(&peer);
	agent_call(agent, "create", NULL, on_answer, "create");
	peer_control(&peer,
	             "{\"id\":1,\"error\":{\"code\":2,\"msg\":\"a\\u001b[2Jb\\nc\\u007f\"}}");
	settle();
	ck_assert_str_eq(answers.data, "create: error 2 a?[2Jb c?\n");
}
END_TEST

START_TEST(another_version_is_refused_with_what_to_do)
{
	peer_send(&peer, FRAME_HELLO, 0, 0, "{\"vcrt\":2}", 10);
	peer_expect_end(&peer);
	settle();
	ck_assert_int_eq(losts, 1);
	ck_assert_int_eq(readies, 0);
	ck_assert_str_eq(lost_with.msg, "the agent in the guest image speaks version 2 of the "
	                                "protocol, not 1: rebuild the guest image");
}
END_TEST

static const struct breach {
	const char *text, *why;
} breaches[] = {
	{ "[]", "a message that is not an object" },
	{ "{}", "a message that is neither an answer nor an event" },
	{ "{\"event\":1}", "a message that is neither an answer nor an event" },
	{ "{\"id\":1}", "an answer needs either \"ok\" or \"error\"" },
	{ "{\"id\":1,\"ok\":true}", "an answer needs either \"ok\" or \"error\"" },
	{ "{\"id\":1,\"ok\":{},\"error\":{}}", "an answer needs either \"ok\" or \"error\"" },
	{ "{\"id\":1,\"error\":{\"msg\":\"x\"}}", "an error without code or message" },
	{ "{\"id\":1,\"error\":{\"code\":0,\"msg\":\"x\"}}", "an error without code or message" },
	{ "{\"id\":1,\"error\":{\"code\":4096,\"msg\":\"x\"}}",
	  "an error without code or message" },
	{ "{\"id\":1,\"error\":{\"code\":1,\"msg\":2}}", "an error without code or message" },
	{ "{\"id\":2,\"ok\":{}}", "an answer to a question that was not asked" },
	{ "{\"id\":0,\"ok\":{}}", "an answer to a question that was not asked" },
	{ "{\"id\":-1,\"ok\":{}}", "an answer to a question that was not asked" },
	{ "{\"id\":\"1\",\"ok\":{}}", "an answer to a question that was not asked" },
};

START_TEST(a_guest_that_breaks_the_protocol_is_lost_with_the_reason)
{
	auto_free char *msg = str_fmt("the agent broke the protocol: %s", breaches[_i].why);
	auto_free char *answer = str_fmt("create: error %d %s\n", EPROTO, msg);

	peer_hello(&peer);
	agent_call(agent, "create", NULL, on_answer, "create");
	peer_expect(&peer, FRAME_CONTROL, 0);
	peer_control(&peer, breaches[_i].text);
	peer_expect_end(&peer);
	settle();
	ck_assert_int_eq(losts, 1);
	ck_assert_str_eq(lost_with.msg, msg);
	ck_assert_str_eq(answers.data, answer);
}
END_TEST

/* Two bytes of text each, but fifty of memory. */
START_TEST(a_message_with_too_many_values_is_a_breach)
{
	auto_buf struct buf text = { 0 };

	buf_adds(&text, "{\"event\":[0");
	for (int i = 0; i < 140000; i++)
		buf_adds(&text, ",0");
	buf_adds(&text, "]}");
	peer_hello(&peer);
	peer_control(&peer, text.data);
	for (int i = 0; i < 1000 && !losts; i++)
		loop_step(loop, 10);
	ck_assert_int_eq(losts, 1);
	ck_assert_int_eq(lost_with.code, EPROTO);
	ck_assert_ptr_nonnull(strstr(lost_with.msg, "too many values"));
}
END_TEST

START_TEST(the_longest_list_of_processes_is_none)
{
	auto_buf struct buf text = { 0 };

	buf_adds(&text, "{\"id\":1,\"ok\":{\"processes\":[");
	for (int i = 0; i < 4096; i++) {
		buf_adds(&text, i ? ",{\"k0\":0" : "{\"k0\":0");
		for (int k = 1; k < 15; k++)
			buf_addf(&text, ",\"k%d\":0", k);
		buf_addc(&text, '}');
	}
	buf_adds(&text, "]}}");
	peer_hello(&peer);
	agent_call(agent, "ps", NULL, on_answer, "ps");
	peer_control(&peer, text.data);
	for (int i = 0; i < 1000 && !losts && !answers.len; i++)
		loop_step(loop, 10);
	ck_assert_int_eq(losts, 0);
	ck_assert_uint_gt(answers.len, 4096 * 15);
}
END_TEST

START_TEST(text_that_is_no_json_is_a_breach)
{
	peer_hello(&peer);
	peer_control(&peer, "{\"id\":");
	peer_expect_end(&peer);
	settle();
	ck_assert_int_eq(losts, 1);
	ck_assert_int_eq(lost_with.code, EPROTO);
}
END_TEST

START_TEST(an_answer_comes_once)
{
	peer_hello(&peer);
	agent_call(agent, "create", NULL, on_answer, "create");
	peer_control(&peer, "{\"id\":1,\"ok\":{}}");
	settle();
	ck_assert_int_eq(losts, 0);
	peer_control(&peer, "{\"id\":1,\"ok\":{}}");
	settle();
	ck_assert_int_eq(losts, 1);
}
END_TEST

START_TEST(when_the_guest_is_gone_every_call_is_answered_and_later_ones_too)
{
	peer_hello(&peer);
	agent_call(agent, "create", NULL, on_answer, "create");
	agent_call(agent, "start", NULL, on_answer, "start");
	settle();
	close_fd(&peer.fd);
	settle();
	ck_assert_int_eq(losts, 1);
	ck_assert_int_eq(lost_with.code, ECONNRESET);
	ck_assert_str_eq(answers.data,
	                 "create: error 104 the agent in the guest closed its connection\n"
	                 "start: error 104 the agent in the guest closed its connection\n");
	buf_done(&answers);
	agent_call(agent, "delete", NULL, on_answer, "delete");
	ck_assert_uint_eq(answers.len, 0);
	settle();
	ck_assert_str_eq(answers.data,
	                 "delete: error 104 the agent in the guest closed its connection\n");
}
END_TEST

START_TEST(a_callback_may_close_the_agent)
{
	closes_in_callback = true;
	peer_hello(&peer);
	agent_call(agent, "create", NULL, on_answer, "create");
	agent_call(agent, "start", NULL, on_answer, "start");
	settle();
	if (_i == 0)
		peer_control(&peer, "{\"id\":1,\"ok\":{}}");
	else
		close_fd(&peer.fd);
	settle();
	ck_assert_ptr_null(agent);
	ck_assert_int_eq(losts, 0);
	ck_assert(str_starts(answers.data, "create: "));
	ck_assert_ptr_null(strstr(answers.data, "start"));
}
END_TEST

START_TEST(a_request_that_is_too_long_fails_alone)
{
	auto_free char *big = xmalloc(PROTOCOL_MAX_CONTROL + 1);
	struct json *args = json_new_object();

	memset(big, 'x', PROTOCOL_MAX_CONTROL);
	big[PROTOCOL_MAX_CONTROL] = '\0';
	json_set(args, "spec", json_new_string(big));
	peer_hello(&peer);
	agent_call(agent, "create", args, on_answer, "create");
	agent_call(agent, "ps", NULL, on_answer, "ps");
	peer_expect(&peer, FRAME_CONTROL, 0);
	ck_assert_str_eq(peer.payload, "{\"op\":\"ps\",\"id\":2}");
	ck_assert_str_eq(answers.data, "create: error 90 the request has 4194336 bytes, more than "
	                               "the agent reads\n");
}
END_TEST

START_TEST(streams_are_numbered_upwards_and_flow)
{
	uint32_t first = agent_next_stream(agent), second = agent_next_stream(agent);
	int ends[2];

	ck_assert_uint_eq(first, 1);
	ck_assert_uint_eq(second, 2);
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_ptr_nonnull(agent_mux(agent));
	struct pump *p = pump_to_fd(loop, agent_mux(agent), second, ends[1], NULL, NULL);

	peer_hello(&peer);
	peer_data(&peer, second, "x");
	settle();
	ck_assert_uint_eq(pump_bytes(p), 1);
	pump_free(p);
	close(ends[0]);
}
END_TEST

/* A client of a clone, whose hello this is. */
static void resume(const char *hello)
{
	auto_error struct error err = { 0 };
	auto_json struct json *j = json_parse(hello, strlen(hello), false, &err);

	close_agent();
	peer_done(&peer);
	agent = agent_resume(agent_find("vcrt"), loop, peer_init(&peer, loop), j, &events, NULL);
}

START_TEST(with_a_clone_no_hello_is_exchanged)
{
	resume("{\"vcrt\":1}");
	ck_assert(!agent_is_ready(agent));
	agent_call(agent, "sandbox", NULL, on_answer, "sandbox");
	expect_request("{\"op\":\"sandbox\",\"id\":1}");
	ck_assert_int_eq(readies, 1);
	peer_control(&peer, "{\"id\":1,\"ok\":{}}");
	settle();
	ck_assert_str_eq(answers.data, "sandbox: {}\n");
	ck_assert(agent_is_ready(agent));
	peer_hello(&peer);
	settle();
	ck_assert_int_eq(losts, 1);
	ck_assert_str_eq(lost_with.msg, "the peer broke the protocol: a second hello");
}
END_TEST

START_TEST(a_clone_of_another_version_is_refused)
{
	resume("{\"vcrt\":2}");
	settle();
	ck_assert_int_eq(readies, 0);
	ck_assert_int_eq(losts, 1);
}
END_TEST

START_TEST(backends_are_found_by_name)
{
	ck_assert_ptr_eq(agent_find("vcrt"), &agent_vcrt_ops);
	ck_assert_ptr_eq(agent_find("noop"), &agent_noop_ops);
	ck_assert_ptr_null(agent_find("kata"));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("client");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, calls_before_the_hello_are_sent_after_it_without_waiting_for_answers);
	tcase_add_test(tc, answers_find_their_call_in_any_order);
	tcase_add_test(tc, events_are_passed_on);
	tcase_add_test(tc, error_text_is_made_fit_for_a_terminal);
	tcase_add_test(tc, another_version_is_refused_with_what_to_do);
	tcase_add_loop_test(tc, a_guest_that_breaks_the_protocol_is_lost_with_the_reason, 0,
	                    (int)ARRAY_SIZE(breaches));
	tcase_add_test(tc, a_message_with_too_many_values_is_a_breach);
	tcase_add_test(tc, the_longest_list_of_processes_is_none);
	tcase_add_test(tc, text_that_is_no_json_is_a_breach);
	tcase_add_test(tc, an_answer_comes_once);
	tcase_add_test(tc, when_the_guest_is_gone_every_call_is_answered_and_later_ones_too);
	tcase_add_loop_test(tc, a_callback_may_close_the_agent, 0, 2);
	tcase_add_test(tc, a_request_that_is_too_long_fails_alone);
	tcase_add_test(tc, streams_are_numbered_upwards_and_flow);
	tcase_add_test(tc, with_a_clone_no_hello_is_exchanged);
	tcase_add_test(tc, a_clone_of_another_version_is_refused);
	tcase_add_test(tc, backends_are_found_by_name);
	return scratch_run(tc);
}
