#include <string.h>

#include "lib/stats.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "test/scratch.h"

/* What becomes of key of the guest's answer. */
static char *shown(const char *guest, const char *key)
{
	auto_error struct error err = { 0 };
	auto_json struct json *in = json_parse(guest, strlen(guest), false, &err), *out = NULL;

	ck_assert_msg(in != NULL, "%s", err.msg);
	out = stats_of_guest(in);
	ck_assert_ptr_nonnull(json_get(out, key));
	return json_print(json_get(out, key), false);
}

static void expect(const char *guest, const char *key, const char *want)
{
	auto_free char *text = shown(guest, key);

	ck_assert_str_eq(text, want);
}

START_TEST(cpu_times_are_nanoseconds)
{
	expect("{\"cpu\":{\"usage_usec\":3,\"user_usec\":1,\"system_usec\":2,\"nr_periods\":4,"
	       "\"nr_throttled\":5,\"throttled_usec\":6,\"core_sched.force_idle_usec\":7}}",
	       "cpu",
	       "{\"usage\":{\"total\":3000,\"kernel\":2000,\"user\":1000},\"throttling\":"
	       "{\"periods\":4,\"throttledPeriods\":5,\"throttledTime\":6000}}");
}
END_TEST

START_TEST(swap_counts_memory_and_swap_together)
{
	expect("{\"memory\":{\"current\":10,\"max\":100,\"swap_current\":5,\"swap_max\":50,"
	       "\"stat\":{\"file\":7,\"anon\":3}}}",
	       "memory",
	       "{\"cache\":7,\"usage\":{\"limit\":100,\"usage\":10,\"failcnt\":0},"
	       "\"swap\":{\"limit\":150,\"usage\":15,\"failcnt\":0},"
	       "\"kernel\":{\"limit\":0,\"failcnt\":0},\"kernelTCP\":{\"limit\":0,\"failcnt\":0},"
	       "\"raw\":{\"anon\":3,\"file\":7}}");
}
END_TEST

START_TEST(no_limit_is_the_greatest_number)
{
	expect("{\"memory\":{\"current\":10,\"swap_current\":5}}", "memory",
	       "{\"usage\":{\"limit\":18446744073709551615,\"usage\":10,\"failcnt\":0},"
	       "\"swap\":{\"limit\":18446744073709551615,\"usage\":15,\"failcnt\":0},"
	       "\"kernel\":{\"limit\":0,\"failcnt\":0},"
	       "\"kernelTCP\":{\"limit\":0,\"failcnt\":0}}");
	expect("{\"pids\":{\"current\":2}}", "pids", "{\"current\":2}");
	expect("{\"pids\":{\"current\":2,\"max\":9}}", "pids", "{\"current\":2,\"limit\":9}");
}
END_TEST

START_TEST(sums_do_not_wrap_around)
{
	expect("{\"memory\":{\"current\":18446744073709551615,\"max\":18446744073709551615,"
	       "\"swap_current\":2,\"swap_max\":2}}",
	       "memory",
	       "{\"usage\":{\"limit\":18446744073709551615,\"usage\":18446744073709551615,"
	       "\"failcnt\":0},\"swap\":{\"limit\":18446744073709551615,"
	       "\"usage\":18446744073709551615,\"failcnt\":0},"
	       "\"kernel\":{\"limit\":0,\"failcnt\":0},"
	       "\"kernelTCP\":{\"limit\":0,\"failcnt\":0}}");
	expect("{\"cpu\":{\"usage_usec\":18446744073709551615}}", "cpu",
	       "{\"usage\":{\"total\":18446744073709551615,\"kernel\":0,\"user\":0},"
	       "\"throttling\":{}}");
}
END_TEST

START_TEST(devices_have_an_entry_per_direction)
{
	expect("{\"io\":[{\"major\":8,\"minor\":16,\"rbytes\":1,\"wbytes\":2,\"rios\":3,"
	       "\"wios\":0},{\"major\":7,\"minor\":1}]}",
	       "blkio",
	       "{\"ioServiceBytesRecursive\":[{\"major\":8,\"minor\":16,\"op\":\"Read\","
	       "\"value\":1},{\"major\":8,\"minor\":16,\"op\":\"Write\",\"value\":2}],"
	       "\"ioServicedRecursive\":[{\"major\":8,\"minor\":16,\"op\":\"Read\",\"value\":3},"
	       "{\"major\":8,\"minor\":16,\"op\":\"Write\"}]}");
}
END_TEST

START_TEST(huge_pages_have_an_entry_per_size)
{
	expect("{\"hugetlb\":[{\"size\":\"2MB\",\"current\":4,\"failures\":1},"
	       "{\"size\":\"1GB\"}]}",
	       "hugetlb", "{\"2MB\":{\"usage\":4,\"failcnt\":1},\"1GB\":{\"failcnt\":0}}");
}
END_TEST

START_TEST(members_come_in_the_order_of_runc)
{
	static const char *const keys[] = { "cpu",   "cpuset",  "memory",    "pids",
		                            "blkio", "hugetlb", "intel_rdt", "network_interfaces" };
	auto_json struct json *out = stats_of_guest(NULL);

	ck_assert_uint_eq(json_len(out), ARRAY_SIZE(keys));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		ck_assert_str_eq(json_key_at(out, i), keys[i]);
}
END_TEST

static const struct {
	const char *guest, *key;
} odd[] = {
	{ "{\"cpu\":{\"usage_usec\":-1,\"user_usec\":1.5,\"nr_periods\":\"1\",\"x\":1}}", "cpu" },
	{ "{\"cpu\":[1]}", "cpu" },
	{ "{\"memory\":7}", "memory" },
	{ "{\"pids\":{\"current\":{\"a\":1},\"max\":\"\\u001b[2J\"}}", "pids" },
	{ "{\"io\":{\"major\":1}}", "blkio" },
	{ "{\"io\":[7,null,{\"rbytes\":\"1\"}]}", "blkio" },
	{ "{\"hugetlb\":[7,{\"size\":7},{\"size\":\"\\u001b\"},{\"size\":\"MB\"}]}", "hugetlb" },
	{ "{\"hugetlb\":[{\"size\":\"123456789MB\"},{\"size\":\"2MBx\"}]}", "hugetlb" },
};

START_TEST(what_a_hostile_guest_makes_up_counts_as_absent)
{
	auto_free char *nothing = shown("{}", odd[_i].key);

	expect(odd[_i].guest, odd[_i].key, nothing);
}
END_TEST

START_TEST(names_of_memory_statistics_are_plain_words)
{
	auto_free char *text = shown("{\"memory\":{\"stat\":{\"ok_1\":1,\"\\u001b[2J\":2,\"\":3,"
	                             "\"a\\\"b\":4,\"B\":5,\"neg\":-1,\"word\":\"x\"}}}",
	                             "memory");

	ck_assert_msg(str_ends(text, ",\"raw\":{\"ok_1\":1}}"), "%s", text);
}
END_TEST

START_TEST(lists_of_a_hostile_guest_are_cut)
{
	auto_buf struct buf names = { 0 }, sizes = { 0 };
	auto_error struct error err = { 0 };
	auto_json struct json *in = NULL, *out = NULL;

	for (unsigned i = 0; i < 1000; i++) {
		buf_addf(&names, "%s\"n%u\":1", i ? "," : "", i);
		buf_addf(&sizes, "%s{\"size\":\"%uMB\"}", i ? "," : "", i);
	}
	buf_adds(&names, "}},\"hugetlb\":[");
	buf_adds(&names, sizes.data);
	buf_adds(&names, "]}");
	auto_free char *text = str_fmt("{\"memory\":{\"stat\":{%s", names.data);
	in = json_parse(text, strlen(text), false, &err);
	ck_assert_msg(in != NULL, "%s", err.msg);
	out = stats_of_guest(in);
	ck_assert_uint_eq(json_len(json_get(json_get(out, "memory"), "raw")), 256);
	ck_assert_uint_eq(json_len(json_get(out, "hugetlb")), 16);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("stats");

	tcase_add_test(tc, cpu_times_are_nanoseconds);
	tcase_add_test(tc, swap_counts_memory_and_swap_together);
	tcase_add_test(tc, no_limit_is_the_greatest_number);
	tcase_add_test(tc, sums_do_not_wrap_around);
	tcase_add_test(tc, devices_have_an_entry_per_direction);
	tcase_add_test(tc, huge_pages_have_an_entry_per_size);
	tcase_add_test(tc, members_come_in_the_order_of_runc);
	tcase_add_loop_test(tc, what_a_hostile_guest_makes_up_counts_as_absent, 0,
	                    (int)ARRAY_SIZE(odd));
	tcase_add_test(tc, names_of_memory_statistics_are_plain_words);
	tcase_add_test(tc, lists_of_a_hostile_guest_are_cut);
	return scratch_run(tc);
}
