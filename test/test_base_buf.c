#include <string.h>

#include "lib/base/str.h"
#include "test/scratch.h"

START_TEST(everything_added_is_there_and_terminated)
{
	auto_buf struct buf b = { 0 };

	buf_adds(&b, "ab");
	buf_addc(&b, 'c');
	buf_add(&b, "\0d", 2);
	buf_addf(&b, "%03d", 7);
	ck_assert_uint_eq(b.len, 8);
	ck_assert_mem_eq(b.data, "abc\0d007", 9);
}
END_TEST

START_TEST(it_grows_through_many_sizes)
{
	auto_buf struct buf b = { 0 };

	for (int i = 0; i < 100000; i++)
		buf_addc(&b, (char)('a' + i % 26));
	ck_assert_uint_eq(b.len, 100000);
	ck_assert_uint_gt(b.cap, b.len);
	for (int i = 0; i < 100000; i++)
		ck_assert_int_eq(b.data[i], 'a' + i % 26);
}
END_TEST

START_TEST(space_used_in_part_is_terminated_too)
{
	auto_buf struct buf b = { 0 };

	buf_adds(&b, "x");
	memset(buf_space(&b, 100), 'y', 3);
	b.len += 2;
	b.data[b.len] = '\0';
	memcpy(buf_space(&b, 100), "zz", 2);
	b.len += 2;
	ck_assert_str_eq(b.data, "xyyzz");
}
END_TEST

START_TEST(drop_forgets_the_front)
{
	auto_buf struct buf b = { 0 };

	buf_drop(&b, 0);
	buf_adds(&b, "abcdef");
	buf_drop(&b, 2);
	ck_assert_str_eq(b.data, "cdef");
	buf_drop(&b, 4);
	ck_assert_uint_eq(b.len, 0);
	ck_assert_str_eq(b.data, "");
	buf_adds(&b, "again");
	ck_assert_str_eq(b.data, "again");
}
END_TEST

START_TEST(steal_gives_a_string_even_when_nothing_was_written)
{
	struct buf b = { 0 };
	auto_free char *empty = buf_steal(&b);
	auto_free char *text = NULL;

	ck_assert_str_eq(empty, "");
	buf_adds(&b, "abc");
	text = buf_steal(&b);
	ck_assert_str_eq(text, "abc");
	ck_assert_ptr_null(b.data);
	ck_assert_uint_eq(b.len + b.cap, 0);
}
END_TEST

START_TEST(adding_nothing_still_makes_a_string)
{
	auto_buf struct buf b = { 0 };

	buf_add(&b, NULL, 0);
	ck_assert_str_eq(b.data, "");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("buf");

	tcase_add_test(tc, everything_added_is_there_and_terminated);
	tcase_add_test(tc, it_grows_through_many_sizes);
	tcase_add_test(tc, space_used_in_part_is_terminated_too);
	tcase_add_test(tc, drop_forgets_the_front);
	tcase_add_test(tc, steal_gives_a_string_even_when_nothing_was_written);
	tcase_add_test(tc, adding_nothing_still_makes_a_string);
	return scratch_run(tc);
}
