#include <errno.h>
#include <string.h>

#include "lib/base/str.h"
#include "test/scratch.h"

START_TEST(dup_of_null_is_null)
{
	ck_assert_ptr_null(str_dup(NULL));
}
END_TEST

START_TEST(ndup_stops_at_the_end_and_at_the_limit)
{
	auto_free char *a = str_ndup("abc", 2);
	auto_free char *b = str_ndup("abc", 9);

	ck_assert_str_eq(a, "ab");
	ck_assert_str_eq(b, "abc");
}
END_TEST

START_TEST(fmt_makes_long_and_empty_strings)
{
	auto_free char *a = str_fmt("%0300d|%s", 1, "x");
	auto_free char *b = str_fmt("%s", "");

	ck_assert_uint_eq(strlen(a), 302);
	ck_assert(str_ends(a, "01|x"));
	ck_assert_str_eq(b, "");
}
END_TEST

START_TEST(null_equals_only_null)
{
	ck_assert(str_eq(NULL, NULL));
	ck_assert(!str_eq(NULL, ""));
	ck_assert(!str_eq("", NULL));
	ck_assert(str_eq("a", "a"));
	ck_assert(!str_eq("a", "b"));
}
END_TEST

START_TEST(prefix_and_suffix)
{
	ck_assert(str_starts("abc", "ab"));
	ck_assert(str_starts("abc", ""));
	ck_assert(!str_starts("ab", "abc"));
	ck_assert(str_ends("abc", "bc"));
	ck_assert(str_ends("abc", ""));
	ck_assert(!str_ends("bc", "abc"));
}
END_TEST

START_TEST(unsigned_numbers_within_their_range)
{
	uint64_t n = 5;

	ck_assert_int_eq(str_to_u64("18446744073709551615", 0, UINT64_MAX, &n), 0);
	ck_assert_uint_eq(n, UINT64_MAX);
	ck_assert_int_eq(str_to_u64("0007", 7, 7, &n), 0);
	ck_assert_uint_eq(n, 7);
}
END_TEST

START_TEST(what_is_no_unsigned_number_is_refused_and_changes_nothing)
{
	static const char *const bad[] = { "",    "+1",  "-1",  " 1", "1 ",
		                           "0x1", "1e3", "1.0", "a",  "18446744073709551616x" };
	uint64_t n = 5;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(str_to_u64(bad[i], 0, UINT64_MAX, &n) == -EINVAL, "'%s'", bad[i]);
	ck_assert_int_eq(str_to_u64("18446744073709551616", 0, UINT64_MAX, &n), -ERANGE);
	ck_assert_int_eq(str_to_u64("99999999999999999999999999", 0, UINT64_MAX, &n), -ERANGE);
	ck_assert_int_eq(str_to_u64("6", 7, 9, &n), -ERANGE);
	ck_assert_int_eq(str_to_u64("10", 7, 9, &n), -ERANGE);
	ck_assert_uint_eq(n, 5);
}
END_TEST

START_TEST(signed_numbers_reach_both_ends)
{
	int64_t n = 5;

	ck_assert_int_eq(str_to_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &n), 0);
	ck_assert(n == INT64_MIN);
	ck_assert_int_eq(str_to_i64("9223372036854775807", INT64_MIN, INT64_MAX, &n), 0);
	ck_assert(n == INT64_MAX);
	ck_assert_int_eq(str_to_i64("-0", INT64_MIN, INT64_MAX, &n), 0);
	ck_assert_int_eq(n, 0);
}
END_TEST

START_TEST(what_is_no_signed_number_is_refused_and_changes_nothing)
{
	static const char *const bad[] = { "", "-", "+1", "--1", "- 1", "1-", "-a" };
	int64_t n = 5;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(str_to_i64(bad[i], INT64_MIN, INT64_MAX, &n) == -EINVAL, "'%s'",
		              bad[i]);
	ck_assert_int_eq(str_to_i64("9223372036854775808", INT64_MIN, INT64_MAX, &n), -ERANGE);
	ck_assert_int_eq(str_to_i64("-9223372036854775809", INT64_MIN, INT64_MAX, &n), -ERANGE);
	ck_assert_int_eq(str_to_i64("-2", -1, 1, &n), -ERANGE);
	ck_assert_int_eq(n, 5);
}
END_TEST

START_TEST(utf8_sequences_are_measured)
{
	static const struct {
		const char *s;
		size_t len;
	} cases[] = {
		{ "a", 1 },
		{ "\xc3\xa9", 2 },
		{ "\xe2\x82\xac", 3 },
		{ "\xf0\x9f\x98\x80", 4 },
		{ "\xed\x9f\xbf", 3 },
		{ "\xf4\x8f\xbf\xbf", 4 },
		{ "\x80", 0 },
		{ "\xc0\x80", 0 },         /* overlong NUL */
		{ "\xe0\x80\xaf", 0 },     /* overlong slash */
		{ "\xf0\x80\x80\xaf", 0 }, /* and again */
		{ "\xed\xa0\x80", 0 },     /* surrogate */
		{ "\xf4\x90\x80\x80", 0 }, /* beyond U+10FFFF */
		{ "\xf5\x80\x80\x80", 0 },
		{ "\xe2\x82", 0 }, /* cut off */
		{ "\xe2\x82g", 0 },
		{ "\xff", 0 },
		{ "", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		ck_assert_msg(str_utf8_len(cases[i].s, strlen(cases[i].s)) == cases[i].len,
		              "case %zu", i);
}
END_TEST

START_TEST(hex_is_read_back)
{
	unsigned char bytes[2] = { 7, 7 };

	ck_assert_int_eq(str_unhex("00ff", bytes, 2), 0);
	ck_assert_uint_eq(bytes[0], 0);
	ck_assert_uint_eq(bytes[1], 255);
	ck_assert_int_eq(str_unhex("", bytes, 0), 0);
	ck_assert_int_eq(str_unhex("00f", bytes, 2), -EINVAL);
	ck_assert_int_eq(str_unhex("00ff0", bytes, 2), -EINVAL);
	ck_assert_int_eq(str_unhex("0FFF", bytes, 2), -EINVAL);
	ck_assert_int_eq(str_unhex("0g00", bytes, 2), -EINVAL);
}
END_TEST

START_TEST(hex_is_lower_case)
{
	auto_free char *a = str_hex("\x00\xff\x1a", 3);
	auto_free char *b = str_hex("", 0);

	ck_assert_str_eq(a, "00ff1a");
	ck_assert_str_eq(b, "");
}
END_TEST

START_TEST(hash_is_fnv_1a_and_chains)
{
	uint64_t h = str_hash(STR_HASH_SEED, "foobar", 6);

	ck_assert(h == UINT64_C(0x85944171f73967e8));
	ck_assert(h == str_hash(str_hash(STR_HASH_SEED, "foo", 3), "bar", 3));
}
END_TEST

START_TEST(vectors_grow_join_and_copy)
{
	auto_strv char **v = NULL;
	auto_strv char **copy = NULL;
	auto_free char *joined = NULL;

	ck_assert_uint_eq(strv_len(v), 0);
	strv_push(&v, "a");
	strv_pushf(&v, "%d", 2);
	strv_take(&v, str_dup(""));
	copy = strv_dup(v);
	ck_assert_uint_eq(strv_len(copy), 3);
	joined = strv_join(copy, ", ");
	ck_assert_str_eq(joined, "a, 2, ");
	ck_assert(strv_has(v, "2"));
	ck_assert(strv_has(v, ""));
	ck_assert(!strv_has(v, "b"));
}
END_TEST

START_TEST(a_null_vector_is_empty)
{
	auto_free char *joined = strv_join(NULL, ",");

	ck_assert_str_eq(joined, "");
	ck_assert(!strv_has(NULL, "a"));
	ck_assert_ptr_null(strv_dup(NULL));
	strv_free(NULL);
}
END_TEST

START_TEST(split_keeps_empty_fields)
{
	auto_strv char **v = str_split("a::b:", ':');
	auto_strv char **empty = str_split("", ':');

	ck_assert_uint_eq(strv_len(v), 4);
	ck_assert_str_eq(v[0], "a");
	ck_assert_str_eq(v[1], "");
	ck_assert_str_eq(v[2], "b");
	ck_assert_str_eq(v[3], "");
	ck_assert_uint_eq(strv_len(empty), 1);
	ck_assert_str_eq(empty[0], "");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("str");

	tcase_add_test(tc, dup_of_null_is_null);
	tcase_add_test(tc, ndup_stops_at_the_end_and_at_the_limit);
	tcase_add_test(tc, fmt_makes_long_and_empty_strings);
	tcase_add_test(tc, null_equals_only_null);
	tcase_add_test(tc, prefix_and_suffix);
	tcase_add_test(tc, unsigned_numbers_within_their_range);
	tcase_add_test(tc, what_is_no_unsigned_number_is_refused_and_changes_nothing);
	tcase_add_test(tc, signed_numbers_reach_both_ends);
	tcase_add_test(tc, what_is_no_signed_number_is_refused_and_changes_nothing);
	tcase_add_test(tc, utf8_sequences_are_measured);
	tcase_add_test(tc, hex_is_lower_case);
	tcase_add_test(tc, hex_is_read_back);
	tcase_add_test(tc, hash_is_fnv_1a_and_chains);
	tcase_add_test(tc, vectors_grow_join_and_copy);
	tcase_add_test(tc, a_null_vector_is_empty);
	tcase_add_test(tc, split_keeps_empty_fields);
	return scratch_run(tc);
}
