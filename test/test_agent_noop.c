#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static struct loop *loop;
static struct agent *agent;
static struct buf seen; /* one line each */
static bool closes_in_callback;

static void on_ready(void *arg, const struct json *hello)
{
	(void)arg;
	(void)hello;
	buf_adds(&seen, "ready\n");
}

static void on_event(void *arg, const char *name, const struct json *event)
{
	auto_free char *text = json_print(event, false);

	(void)arg;
	(void)name;
	buf_addf(&seen, "%s\n", text);
}

static void on_lost(void *arg, const struct error *err)
{
	(void)arg;
	ck_abort_msg("lost: %s", err->msg);
}

static const struct agent_events events = { on_ready, on_event, on_lost };

static void on_answer(void *arg, const struct json *result, const struct error *err)
{
	auto_free char *text = json_print(result, false);

	ck_assert_int_eq(err->code, 0);
	buf_addf(&seen, "%s: %s\n", (const char *)arg, text);
	if (closes_in_callback) {
		agent_close(agent);
		agent = NULL;
	}
}

static void setup(void)
{
	loop = loop_new();
	closes_in_callback = false;
	agent = agent_open(agent_find("noop"), loop, -1, &events, NULL);
}

static void teardown(void)
{
	agent_close(agent);
	loop_free(loop);
	buf_done(&seen);
}

static void settle(void)
{
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(loop_step(loop, 1), 0);
}

START_TEST(everything_succeeds_and_is_answered_from_the_loop)
{
	ck_assert(!agent_is_ready(agent));
	agent_call(agent, "create", NULL, on_answer, "create");
	agent_call(agent, "start", NULL, on_answer, "start");
	agent_call(agent, "ps", NULL, on_answer, "ps");
	agent_call(agent, "winsize", NULL, NULL, NULL);
	ck_assert_uint_eq(seen.len, 0);
	settle();
	ck_assert(agent_is_ready(agent));
	ck_assert_str_eq(seen.data, "ready\ncreate: {\"pid\":101}\nstart: {}\n"
	                            "ps: {\"processes\":[]}\n");
}
END_TEST

START_TEST(a_deadly_signal_ends_the_process)
{
	struct json *args = json_new_object();

	settle();
	buf_done(&seen);
	json_set(args, "container", json_new_string("c"));
	json_set(args, "signal", json_new_i64(9));
	agent_call(agent, "signal", args, on_answer, "signal");
	settle();
	ck_assert_str_eq(seen.data, "signal: {}\n{\"event\":\"exit\",\"container\":\"c\","
	                            "\"process\":\"\",\"code\":137}\n");
}
END_TEST

START_TEST(other_signals_do_not)
{
	struct json *args = json_new_object();

	settle();
	buf_done(&seen);
	json_set(args, "container", json_new_string("c"));
	json_set(args, "signal", json_new_i64(1));
	agent_call(agent, "signal", args, on_answer, "signal");
	settle();
	ck_assert_str_eq(seen.data, "signal: {}\n");
}
END_TEST

START_TEST(a_callback_may_close_the_agent)
{
	closes_in_callback = true;
	agent_call(agent, "create", NULL, on_answer, "create");
	agent_call(agent, "start", NULL, on_answer, "start");
	settle();
	ck_assert_ptr_null(agent);
	ck_assert_str_eq(seen.data, "ready\ncreate: {\"pid\":101}\n");
}
END_TEST

START_TEST(there_are_no_streams_but_numbers_for_them)
{
	ck_assert_ptr_null(agent_mux(agent));
	ck_assert_uint_eq(agent_next_stream(agent), 1);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("noop");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, everything_succeeds_and_is_answered_from_the_loop);
	tcase_add_test(tc, a_deadly_signal_ends_the_process);
	tcase_add_test(tc, other_signals_do_not);
	tcase_add_test(tc, a_callback_may_close_the_agent);
	tcase_add_test(tc, there_are_no_streams_but_numbers_for_them);
	return scratch_run(tc);
}
