/* Numbers of cgroup version 1 in the words of version 2. */
#include <errno.h>

#include "lib/base/error.h"
#include "lib/base/str.h"
#include "oci/oci.h"
#include "test/scratch.h"

START_TEST(what_only_version_1_has_is_refused)
{
	auto_error struct error err = { 0 };
	struct oci_network net = { .class_id = 1 };
	struct oci_cpu cpu = { .realtime_period = 1000 };
	struct oci_block_io io = { .leaf_weight = 50 };
	struct oci_resources r = { 0 };

	ck_assert_int_eq(oci_cgroup2_check(NULL, &err), 0);
	r.block_io = &io;
	ck_assert_int_eq(oci_cgroup2_check(&r, &err), -ENOTSUP);
	ck_assert_str_eq(err.msg, "linux.resources.blockIO.leafWeight: not supported with cgroup "
	                          "version 2");
	error_clear(&err);
	r.cpu = &cpu;
	ck_assert_int_eq(oci_cgroup2_check(&r, &err), -ENOTSUP);
	ck_assert_str_eq(err.msg, "linux.resources.cpu.realtimeRuntime, realtimePeriod: not "
	                          "supported with cgroup version 2");
	error_clear(&err);
	r.network = &net;
	ck_assert_int_eq(oci_cgroup2_check(&r, &err), -ENOTSUP);
	ck_assert_str_eq(err.msg, "linux.resources.network: not supported with cgroup version 2");
	error_clear(&err);
	net.class_id = 0;
	cpu.realtime_period = 0;
	io.leaf_weight = 0;
	ck_assert_int_eq(oci_cgroup2_check(&r, &err), 0);
}
END_TEST

START_TEST(weights_are_converted_over_their_whole_range)
{
	ck_assert_uint_eq(oci_cpu_weight(0), 0);
	ck_assert_uint_eq(oci_cpu_weight(1), 1);
	ck_assert_uint_eq(oci_cpu_weight(2), 1);
	ck_assert_uint_eq(oci_cpu_weight(1024), 39);
	ck_assert_uint_eq(oci_cpu_weight(262144), 10000);
	ck_assert_uint_eq(oci_cpu_weight(UINT64_MAX), 10000);
	ck_assert_uint_eq(oci_io_weight(0), 0);
	ck_assert_uint_eq(oci_io_weight(10), 1);
	ck_assert_uint_eq(oci_io_weight(500), 4950);
	ck_assert_uint_eq(oci_io_weight(1000), 10000);
}
END_TEST

static int swap_of(int64_t limit, int64_t swap, int64_t *out, struct error *err)
{
	struct oci_memory m = {
		.has_limit = limit != 0, .limit = limit, .has_swap = swap != 0, .swap = swap
	};

	error_clear(err);
	return oci_swap_max(&m, out, err);
}

START_TEST(swap_is_what_exceeds_memory)
{
	auto_error struct error err = { 0 };
	int64_t out;

	ck_assert_int_eq(swap_of(100, 300, &out, &err), 1);
	ck_assert_int_eq(out, 200);
	ck_assert_int_eq(swap_of(100, 100, &out, &err), 1);
	ck_assert_int_eq(out, 0);
	ck_assert_int_eq(swap_of(100, -1, &out, &err), 1);
	ck_assert_int_eq(out, -1);
	ck_assert_int_eq(swap_of(-1, 0, &out, &err), 1);
	ck_assert_int_eq(out, -1);
	ck_assert_int_eq(swap_of(100, 0, &out, &err), 0);
	ck_assert_int_eq(swap_of(0, 0, &out, &err), 0);
	ck_assert_int_eq(swap_of(0, 300, &out, &err), -EINVAL);
	ck_assert_int_eq(swap_of(400, 300, &out, &err), -EINVAL);
	ck_assert_str_eq(err.msg, "linux.resources.memory.swap: must not be less than "
	                          "memory.limit");
}
END_TEST

START_TEST(quota_and_period_are_one_line)
{
	static const struct {
		int64_t quota;
		uint64_t period;
		const char *now, *want;
	} lines[] = {
		{ 0, 0, "max 100000\n", NULL },
		{ 5000, 0, NULL, "5000 100000" },
		{ 5000, 0, "max 20000\n", "5000 20000" },
		{ 5000, 0, "", "5000 100000" },
		{ -1, 0, "7000 20000\n", "max 20000" },
		{ 0, 50000, "7000 20000\n", "7000 50000" },
		{ 0, 50000, "max 20000\n", "max 50000" },
		{ 1000, 2000, "7000 20000\n", "1000 2000" },
		{ -1, 2000, NULL, "max 2000" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct oci_cpu c = { .quota = lines[i].quota, .period = lines[i].period };
		auto_free char *text = oci_cpu_max(&c, lines[i].now);

		ck_assert_msg(str_eq(text, lines[i].want), "%zu: %s", i, text ? text : "nothing");
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("cgroup2");

	tcase_add_test(tc, what_only_version_1_has_is_refused);
	tcase_add_test(tc, weights_are_converted_over_their_whole_range);
	tcase_add_test(tc, swap_is_what_exceeds_memory);
	tcase_add_test(tc, quota_and_period_are_one_line);
	return scratch_run(tc);
}
