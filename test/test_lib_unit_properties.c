/* What stands in a cgroup's files, as systemd has it. */
#include <errno.h>

#include "lib/unit-properties.h"
#include "lib/base/error.h"
#include "lib/base/str.h"
#include "oci/oci.h"
#include "test/scratch.h"

static struct unit_properties p;

static void teardown(void)
{
	unit_properties_done(&p);
}

/* That this line of a file is this one number. */
static void assert_number(const char *file, const char *content, const char *name, uint64_t number)
{
	unit_properties_done(&p);
	unit_properties_add(&p, file, content);
	ck_assert_uint_eq(p.n, 1);
	ck_assert_str_eq(p.v[0].name, name);
	ck_assert_int_eq(p.v[0].type, 't');
	ck_assert_uint_eq(p.v[0].number, number);
}

static void assert_none(const char *file, const char *content)
{
	unit_properties_done(&p);
	unit_properties_add(&p, file, content);
	ck_assert_msg(p.n == 0, "%s: %s", file, content);
}

START_TEST(numbers_are_as_they_are)
{
	assert_number("memory.max", "1048576", "MemoryMax", 1048576);
	assert_number("memory.limit_in_bytes", "1048576", "MemoryLimit", 1048576);
	assert_number("memory.low", "0", "MemoryLow", 0);
	assert_number("memory.swap.max", "0", "MemorySwapMax", 0);
	assert_number("cpu.weight", "39", "CPUWeight", 39);
	assert_number("cpu.shares", "1024", "CPUShares", 1024);
	assert_number("pids.max", "306", "TasksMax", 306);
	assert_number("io.weight", "default 100", "IOWeight", 100);
	assert_number("blkio.weight", "500", "BlockIOWeight", 500);
}
END_TEST

START_TEST(no_limit_has_many_forms)
{
	assert_number("memory.max", "max", "MemoryMax", UINT64_MAX);
	assert_number("pids.max", "max", "TasksMax", UINT64_MAX);
	assert_number("memory.limit_in_bytes", "-1", "MemoryLimit", UINT64_MAX);
	assert_number("memory.limit_in_bytes", "9223372036854771712", "MemoryLimit", UINT64_MAX);
}
END_TEST

START_TEST(what_systemd_does_not_know_is_no_property)
{
	assert_none("memory.swappiness", "10");
	assert_none("cpu.max.burst", "1000");
	assert_none("io.max", "8:0 rbps=1000");
	assert_none("io.weight", "8:0 100");
	assert_none("memory.max", "");
	assert_none("memory.max", "much");
	assert_none("cpu.max", "");
	assert_none("cpu.max", "100000 0");
	assert_none("cpu.max", "max");
	assert_none("cpuset.cpus", "x");
	assert_none("cpuset.cpus", "3-1");
	assert_none("cpuset.cpus", "99999999");
}
END_TEST

static void assert_quota(const char *content, uint64_t each_second, uint64_t period)
{
	unit_properties_done(&p);
	unit_properties_add(&p, "cpu.max", content);
	ck_assert_uint_eq(p.n, 2);
	ck_assert_str_eq(p.v[0].name, "CPUQuotaPeriodUSec");
	ck_assert_uint_eq(p.v[0].number, period);
	ck_assert_str_eq(p.v[1].name, "CPUQuotaPerSecUSec");
	ck_assert_uint_eq(p.v[1].number, each_second);
}

START_TEST(a_quota_is_for_each_second_in_whole_percents)
{
	assert_quota("50000 100000", 500000, 100000);
	assert_quota("200000 50000", 4000000, 50000);
	assert_quota("12345 100000", 130000, 100000); /* rounded up, as by runc */
	assert_quota("max 100000", UINT64_MAX, 100000);
	assert_quota("9223372036854775807 100000", UINT64_MAX, 100000);
}
END_TEST

static void assert_bytes(const char *content, const char *hex)
{
	auto_free char *text = NULL;

	unit_properties_done(&p);
	unit_properties_add(&p, "cpuset.cpus", content);
	ck_assert_uint_eq(p.n, 1);
	ck_assert_str_eq(p.v[0].name, "AllowedCPUs");
	ck_assert_int_eq(p.v[0].type, 'a');
	text = str_hex(p.v[0].bytes, p.v[0].len);
	ck_assert_str_eq(text, hex);
}

START_TEST(a_list_is_a_bit_for_each)
{
	assert_bytes("0", "01");
	assert_bytes("0-3,7", "8f");
	assert_bytes("8", "0001");
	assert_bytes("1, 15-16", "028001");
	assert_bytes("", ""); /* none of its own: systemd takes it back */
	unit_properties_done(&p);
	unit_properties_add(&p, "cpuset.mems", "1");
	ck_assert_str_eq(p.v[0].name, "AllowedMemoryNodes");
}
END_TEST

START_TEST(the_last_word_counts)
{
	unit_properties_add(&p, "cpuset.cpus", "0-31");
	unit_properties_add(&p, "pids.max", "10");
	unit_properties_add(&p, "cpuset.cpus", "1");
	unit_properties_add(&p, "pids.max", "20");
	ck_assert_uint_eq(p.n, 2);
	ck_assert_uint_eq(p.v[0].len, 1);
	ck_assert_uint_eq(p.v[1].number, 20);
}
END_TEST

/* What an annotation of this name says. */
static int annotate(const char *name, const char *value, struct error *err)
{
	auto_free char *key = str_fmt("org.systemd.property.%s", name);
	struct oci_pair pairs[] = { { (char *)"other", (char *)"x" }, { key, (char *)value } };
	struct oci_spec spec = { .annotations = pairs, .n_annotations = 2 };

	unit_properties_done(&p);
	return unit_properties_annotated(&p, &spec, err);
}

START_TEST(annotations_are_properties_of_their_type)
{
	static const struct {
		const char *name, *value, *property;
		char type;
		uint64_t number;
	} cases[] = {
		{ "KillSignal", "15", "KillSignal", 'i', 15 },
		{ "TimeoutStopUSec", "uint64 5000000", "TimeoutStopUSec", 't', 5000000 },
		{ "TimeoutStopSec", "90", "TimeoutStopUSec", 't', 90000000 },
		{ "Nice", "-3", "Nice", 'i', (uint64_t)-3 },
		{ "UMask", "@u 7", "UMask", 'u', 7 },
		{ "Some", "byte 255", "Some", 'y', 255 },
		{ "Most", "int64 -9223372036854775808", "Most", 'x', (uint64_t)INT64_MIN },
		{ "SendSIGHUP", "true", "SendSIGHUP", 'b', 1 },
		{ "SendSIGKILL", "false", "SendSIGKILL", 'b', 0 },
	};
	auto_error struct error err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ck_assert_msg(annotate(cases[i].name, cases[i].value, &err) == 0, "%s", err.msg);
		ck_assert_uint_eq(p.n, 1);
		ck_assert_str_eq(p.v[0].name, cases[i].property);
		ck_assert_int_eq(p.v[0].type, cases[i].type);
		ck_assert_uint_eq(p.v[0].number, cases[i].number);
	}
	ck_assert_int_eq(annotate("CollectMode", "'inactive-or-failed'", &err), 0);
	ck_assert_int_eq(p.v[0].type, 's');
	ck_assert_str_eq(p.v[0].text, "inactive-or-failed");
}
END_TEST

START_TEST(annotations_that_say_nothing_are_errors)
{
	static const struct {
		const char *name, *value;
	} bad[] = {
		{ "", "1" },
		{ "Ab", "1" },
		{ "Kill Signal", "1" },
		{ "Kill1", "1" },
		{ "Some", "" },
		{ "Some", "uint32 -1" },
		{ "Some", "byte 256" },
		{ "Some", "2147483648" },
		{ "Some", "word 1" },
		{ "Some", "['a']" },
		{ "Some", "'a" },
		{ "Some", "'a'b'" },
		{ "Some", "'a\\n'" },
		{ "TimeoutSec", "'a'" },
		{ "TimeoutSec", "-1" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		auto_error struct error err = { 0 };

		ck_assert_msg(annotate(bad[i].name, bad[i].value, &err) == -EINVAL, "%s: %s",
		              bad[i].name, bad[i].value);
		ck_assert_msg(str_starts(err.msg, "annotation 'org.systemd.property."), "%s",
		              err.msg);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("unit_properties");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, numbers_are_as_they_are);
	tcase_add_test(tc, no_limit_has_many_forms);
	tcase_add_test(tc, what_systemd_does_not_know_is_no_property);
	tcase_add_test(tc, a_quota_is_for_each_second_in_whole_percents);
	tcase_add_test(tc, a_list_is_a_bit_for_each);
	tcase_add_test(tc, the_last_word_counts);
	tcase_add_test(tc, annotations_are_properties_of_their_type);
	tcase_add_test(tc, annotations_that_say_nothing_are_errors);
	return scratch_run(tc);
}
