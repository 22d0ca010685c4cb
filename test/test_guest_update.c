/* Limits and statistics of a container that runs; see test_guest_cgroup.h. */
#include <errno.h>

#include "lib/base/json.h"
#include "oci/oci.h"
#include "test/test_guest_cgroup.h"

static void setup(void)
{
	setup_cgroup();
	scratch_file("c/memory.max", "max\n");
	scratch_file("c/memory.current", "5000\n");
	scratch_file("c/cpu.max", "20000 50000\n");
	scratch_file("c/cpuset.cpus", "\n");
}

static int update(const char *json)
{
	auto_oci_resources struct oci_resources *r = NULL;

	error_clear(&err);
	r = oci_resources_parse(json, strlen(json), &err);
	ck_assert_msg(r != NULL, "%s", err.msg);
	return cgroup_update(&cg, r, &err);
}

START_TEST(zeros_leave_things_as_they_are)
{
	ck_assert_int_eq(update("{\"memory\":{\"limit\":0,\"swap\":0},\"pids\":{\"limit\":0},"
	                        "\"cpu\":{\"quota\":0,\"shares\":0},\"blockIO\":{\"weight\":0}}"),
	                 0);
	ck_assert_int_eq(update("{\"cpu\":{\"quota\":0,\"period\":0}}"), 0);
	scratch_expect("c/memory.max", "max\n");
	scratch_expect("c/cpu.max", "20000 50000\n");
}
END_TEST

START_TEST(quota_and_period_change_alone_or_together)
{
	ck_assert_int_eq(update("{\"cpu\":{\"quota\":30000}}"), 0);
	scratch_expect("c/cpu.max", "30000 50000");
	scratch_file("c/cpu.max", "30000 50000\n");
	ck_assert_int_eq(update("{\"cpu\":{\"quota\":0,\"period\":70000}}"), 0);
	scratch_expect("c/cpu.max", "30000 70000");
	ck_assert_int_eq(update("{\"cpu\":{\"quota\":1000,\"period\":2000}}"), 0);
	scratch_expect("c/cpu.max", "1000 2000");
	scratch_file("c/cpu.max", "max 60000\n");
	ck_assert_int_eq(update("{\"cpu\":{\"period\":70000}}"), 0);
	scratch_expect("c/cpu.max", "max 70000");
	scratch_file("c/cpu.max", "1000 60000\n");
	ck_assert_int_eq(update("{\"cpu\":{\"quota\":-1}}"), 0);
	scratch_expect("c/cpu.max", "max 60000");
}
END_TEST

START_TEST(after_a_failure_the_old_limits_hold)
{
	/* pids.max is not there. */
	ck_assert_int_eq(update("{\"memory\":{\"limit\":9000},\"cpu\":{\"cpus\":\"0\"},"
	                        "\"pids\":{\"limit\":5}}"),
	                 -ENOTSUP);
	ck_assert_str_eq(err.msg, "linux.resources.pids.limit: the guest kernel has no "
	                          "'pids.max'");
	scratch_expect("c/memory.max", "max\n");
	scratch_expect("c/cpuset.cpus", "\n");
}
END_TEST

START_TEST(usage_is_checked_when_asked_for)
{
	ck_assert_int_eq(update("{\"memory\":{\"limit\":5000,\"checkBeforeUpdate\":true}}"),
	                 -EBUSY);
	ck_assert_str_eq(err.msg, "rejecting memory limit 5000 <= usage 5000");
	ck_assert_int_eq(
		update("{\"memory\":{\"limit\":10,\"swap\":20,\"checkBeforeUpdate\":true}}"),
		-EBUSY);
	ck_assert_str_eq(err.msg, "rejecting memory+swap limit 20 <= usage 5000");
	scratch_expect("c/memory.max", "max\n");
	ck_assert_int_eq(update("{\"memory\":{\"limit\":5001,\"checkBeforeUpdate\":true}}"), 0);
	scratch_expect("c/memory.max", "5001");
	ck_assert_int_eq(update("{\"memory\":{\"limit\":10}}"), 0);
}
END_TEST

static void expect_stats(const char *key, const char *want)
{
	auto_json struct json *stats = cgroup_stats(&cg);
	const struct json *part = json_get(stats, key);
	auto_free char *text = part ? json_print(part, false) : NULL;

	ck_assert_msg(str_eq(text, want), "%s: %s", key, text ? text : "nothing");
}

START_TEST(statistics_are_the_numbers_of_the_files)
{
	scratch_file("c/cpu.stat", "usage_usec 7\nnr_periods 18446744073709551615\n");
	scratch_file("c/memory.stat", "anon 1\nfile 2\n");
	scratch_file("c/memory.swap.current", "3\n");
	scratch_file("c/memory.swap.max", "4\n");
	scratch_file("c/pids.current", "2\n");
	scratch_file("c/pids.max", "10\n");
	scratch_file("c/io.stat", "8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5\n7:0 \n");
	expect_stats("cpu", "{\"usage_usec\":7,\"nr_periods\":18446744073709551615}");
	expect_stats("memory", "{\"current\":5000,\"swap_current\":3,\"swap_max\":4,"
	                       "\"stat\":{\"anon\":1,\"file\":2}}");
	expect_stats("pids", "{\"current\":2,\"max\":10}");
	expect_stats("io", "[{\"major\":8,\"minor\":16,\"rbytes\":1,\"wbytes\":2,\"rios\":3,"
	                   "\"wios\":4},{\"major\":7,\"minor\":0}]");
	scratch_file("c/memory.max", "6\n");
	expect_stats("memory", "{\"current\":5000,\"max\":6,\"swap_current\":3,\"swap_max\":4,"
	                       "\"stat\":{\"anon\":1,\"file\":2}}");
}
END_TEST

START_TEST(huge_pages_count_per_size)
{
	scratch_file("c/hugetlb.2MB.current", "4096\n");
	scratch_file("c/hugetlb.2MB.rsvd.current", "1\n");
	scratch_file("c/hugetlb.2MB.events", "max 5\n");
	expect_stats("hugetlb", "[{\"size\":\"2MB\",\"current\":4096,\"failures\":5}]");
}
END_TEST

START_TEST(what_the_kernel_does_not_count_is_left_out)
{
	expect_stats("cpu", NULL);
	expect_stats("pids", NULL);
	expect_stats("io", NULL);
	expect_stats("memory", "{\"current\":5000}");
	expect_stats("hugetlb", "[]");
}
END_TEST

START_TEST(odd_lines_are_left_out)
{
	scratch_file("c/cpu.stat", "\nalone\n 5\nbig 99999999999999999999999\nneg -1\nok 1\n");
	scratch_file("c/io.stat", "\nrbytes=1\n8 x=1\n8:1 rbytes wbytes=max rios=1\n");
	expect_stats("cpu", "{\"ok\":1}");
	expect_stats("io", "[{\"major\":8,\"minor\":1,\"rios\":1}]");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("update");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, zeros_leave_things_as_they_are);
	tcase_add_test(tc, quota_and_period_change_alone_or_together);
	tcase_add_test(tc, after_a_failure_the_old_limits_hold);
	tcase_add_test(tc, usage_is_checked_when_asked_for);
	tcase_add_test(tc, statistics_are_the_numbers_of_the_files);
	tcase_add_test(tc, huge_pages_count_per_size);
	tcase_add_test(tc, what_the_kernel_does_not_count_is_left_out);
	tcase_add_test(tc, odd_lines_are_left_out);
	return scratch_run(tc);
}
