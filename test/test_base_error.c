#include <errno.h>

#include "lib/base/error.h"
#include "test/scratch.h"

START_TEST(set_returns_the_negative_code_and_formats_the_message)
{
	auto_error struct error err = { 0 };

	ck_assert_int_eq(error_set(&err, ENODEV, "disk '%s' of %d", "a", 3), -ENODEV);
	ck_assert_int_eq(err.code, ENODEV);
	ck_assert_str_eq(err.msg, "disk 'a' of 3");
}
END_TEST

START_TEST(set_replaces_a_message_and_may_quote_the_old_one)
{
	auto_error struct error err = { 0 };

	error_set(&err, EIO, "inner");
	ck_assert_int_eq(error_set(&err, EPERM, "outer (%s)", err.msg), -EPERM);
	ck_assert_str_eq(err.msg, "outer (inner)");
}
END_TEST

START_TEST(sys_takes_code_and_text_from_errno)
{
	auto_error struct error err = { 0 };

	errno = ENOENT;
	ck_assert_int_eq(error_sys(&err, "open '%s'", "/dev/kvm"), -ENOENT);
	ck_assert_str_eq(err.msg, "open '/dev/kvm': No such file or directory");
}
END_TEST

START_TEST(sys_is_an_error_even_when_errno_is_zero)
{
	auto_error struct error err = { 0 };

	errno = 0;
	ck_assert_int_eq(error_sys(&err, "read"), -EIO);
	ck_assert_str_eq(err.msg, "read: Input/output error");
}
END_TEST

START_TEST(wrap_prefixes_the_message_and_keeps_the_code)
{
	auto_error struct error err = { 0 };

	error_set(&err, EBUSY, "in use");
	ck_assert_int_eq(error_wrap(&err, "VFIO group %d", 12), -EBUSY);
	ck_assert_int_eq(error_wrap(&err, "pause"), -EBUSY);
	ck_assert_str_eq(err.msg, "pause: VFIO group 12: in use");
}
END_TEST

START_TEST(clear_forgets_everything_and_leaves_it_usable)
{
	auto_error struct error err = { 0 };

	error_set(&err, EIO, "x");
	error_clear(&err);
	ck_assert_int_eq(err.code, 0);
	ck_assert_ptr_null(err.msg);
	ck_assert_int_eq(error_set(&err, EIO, "y"), -EIO);
}
END_TEST

START_TEST(move_hands_the_message_over)
{
	auto_error struct error dst = { 0 };
	auto_error struct error src = { 0 };

	error_set(&dst, EIO, "old");
	error_set(&src, EPERM, "new");
	ck_assert_int_eq(error_move(&dst, &src), -EPERM);
	ck_assert_str_eq(dst.msg, "new");
	ck_assert_int_eq(src.code, 0);
	ck_assert_ptr_null(src.msg);
}
END_TEST

START_TEST(move_to_itself_changes_nothing)
{
	auto_error struct error err = { 0 };

	error_set(&err, EIO, "x");
	ck_assert_int_eq(error_move(&err, &err), -EIO);
	ck_assert_str_eq(err.msg, "x");
}
END_TEST

START_TEST(text_starts_with_a_small_letter)
{
	auto_free char *plain = error_text(ENOENT), *name = error_text(EMULTIHOP);
	auto_free char *upper = error_text(EREMCHG), *rfs = error_text(EDOTDOT);

	ck_assert_str_eq(plain, "no such file or directory");
	ck_assert_str_eq(name, "multihop attempted");
	ck_assert_str_eq(upper, "remote address changed");
	ck_assert_str_eq(rfs, "RFS specific error");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("error");

	tcase_add_test(tc, set_returns_the_negative_code_and_formats_the_message);
	tcase_add_test(tc, set_replaces_a_message_and_may_quote_the_old_one);
	tcase_add_test(tc, sys_takes_code_and_text_from_errno);
	tcase_add_test(tc, sys_is_an_error_even_when_errno_is_zero);
	tcase_add_test(tc, wrap_prefixes_the_message_and_keeps_the_code);
	tcase_add_test(tc, clear_forgets_everything_and_leaves_it_usable);
	tcase_add_test(tc, move_hands_the_message_over);
	tcase_add_test(tc, move_to_itself_changes_nothing);
	tcase_add_test(tc, text_starts_with_a_small_letter);
	return scratch_run(tc);
}
