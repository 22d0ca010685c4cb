/* update, stats and events through the public functions. */
#include "test/test_lib_life.h"

START_TEST(an_update_is_checked_before_the_guest_sees_it)
{
	auto_free char *long_text = NULL;
	pid_t pid = created();

	ck_assert_msg(vcrt_container_update(v, id, "{\"memory\":{\"limit\":67108864}}", &err) == 0,
	              "%s", err.msg);
	assert_error(vcrt_container_update(v, id, "[]", &err), EINVAL,
	             "resources: expected an object, not an array");
	assert_error(vcrt_container_update(v, id, "{\"blockIO\":{\"weight\":70000}}", &err), EINVAL,
	             "resources.blockIO.weight: 70000 is out of range (0 to 65535)");
	ck_assert_int_lt(vcrt_container_update(v, id, "{", &err), 0);
	vcrt_error_clear(&err);
	long_text = malloc(VCRT_MAX_RESOURCES + 2);
	memset(long_text, ' ', VCRT_MAX_RESOURCES + 1);
	long_text[VCRT_MAX_RESOURCES + 1] = '\0';
	assert_error(vcrt_container_update(v, id, long_text, &err), E2BIG,
	             "more than 1048576 bytes of resources");
	ck_assert_int_eq(vcrt_container_kill(v, id, SIGKILL, false, &err), 0);
	ck_assert_int_eq(wait_exit(pid), 137);
	assert_error(vcrt_container_update(v, id, "{}", &err), ESRCH, "container not running");
}
END_TEST

static void check_event(const char *json)
{
	auto_free char *start = str_fmt("{\"type\":\"stats\",\"id\":\"%s\",\"data\":{\"cpu\":", id);

	ck_assert_msg(str_starts(json, start), "%s", json);
}

static int count_down(void *arg, const char *json)
{
	int *left = arg;

	check_event(json);
	return --*left == 0;
}

START_TEST(statistics_come_at_intervals_until_the_caller_has_enough)
{
	int left = 3;
	uint64_t begin;

	created();
	start();
	begin = loop_now_ms();
	ck_assert_msg(vcrt_container_events(v, id, 50, count_down, &left, &err) == 0, "%s",
	              err.msg);
	ck_assert_int_eq(left, 0);
	ck_assert_uint_ge(loop_now_ms() - begin, 150);
}
END_TEST

static int end_container(void *arg, const char *json)
{
	int *events = arg;

	check_event(json);
	if (++*events == 1)
		ck_assert_int_eq(vcrt_container_kill(v, id, SIGKILL, false, &err), 0);
	return 0;
}

START_TEST(events_end_with_the_container)
{
	int events = 0;
	pid_t pid = created();

	start();
	ck_assert_msg(vcrt_container_events(v, id, 10, end_container, &events, &err) == 0, "%s",
	              err.msg);
	ck_assert_int_ge(events, 1);
	ck_assert_int_eq(wait_exit(pid), 137);
}
END_TEST

START_TEST(statistics_of_a_stopped_container_are_refused_as_by_runc)
{
	auto_free char *msg = str_fmt("container with id %s is not running", id);
	char *json = NULL;
	int left = 0;
	pid_t pid;

	assert_error(vcrt_container_stats(v, id, &json, &err), ENOENT, "container does not exist");
	assert_error(vcrt_container_events(v, id, 50, count_down, &left, &err), ENOENT,
	             "container does not exist");
	pid = created();
	ck_assert_msg(vcrt_container_stats(v, id, &json, &err) == 0, "%s", err.msg);
	ck_assert_msg(str_starts(json, "{\"cpu\":{\"usage\":{"), "%s", json);
	free(json);
	ck_assert_int_eq(vcrt_container_kill(v, id, SIGKILL, false, &err), 0);
	ck_assert_int_eq(wait_exit(pid), 137);
	assert_error(vcrt_container_stats(v, id, &json, &err), ESRCH, msg);
	assert_error(vcrt_container_events(v, id, 50, count_down, &left, &err), ESRCH, msg);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("events");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_update_is_checked_before_the_guest_sees_it);
	tcase_add_test(tc, statistics_come_at_intervals_until_the_caller_has_enough);
	tcase_add_test(tc, events_end_with_the_container);
	tcase_add_test(tc, statistics_of_a_stopped_container_are_refused_as_by_runc);
	return scratch_run(tc);
}
