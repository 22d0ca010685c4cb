#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/base/library.h"
#include "test/scratch.h"

#define FUNCTIONS(X)                                                                               \
	X(strlen)                                                                                  \
	X(strcmp)

struct functions {
	FUNCTIONS(LIBRARY_FIELD)
};

START_TEST(functions_are_found_by_their_names)
{
	static const char *const names[] = { FUNCTIONS(LIBRARY_NAME) NULL };
	auto_error struct error err = { 0 };
	struct functions f = { 0 };
	void *library = library_load("libc.so.6", names, &f, &err);

	ck_assert_msg(library != NULL, "%s", err.msg);
	ck_assert_uint_eq(f.strlen("four"), 4);
	ck_assert_int_eq(f.strcmp("a", "a"), 0);
	dlclose(library);
}
END_TEST

START_TEST(a_library_without_a_function_is_too_old)
{
	static const char *const names[] = { "strlen", "frobnicate", NULL };
	auto_error struct error err = { 0 };
	struct functions f = { 0 };

	ck_assert_ptr_null(library_load("libc.so.6", names, &f, &err));
	ck_assert_int_eq(err.code, ENOTSUP);
	ck_assert_str_eq(err.msg, "'libc.so.6' is too old: it has no frobnicate");
}
END_TEST

START_TEST(a_missing_library_is_named)
{
	static const char *const names[] = { NULL };
	auto_error struct error err = { 0 };

	ck_assert_ptr_null(library_load("libnowhere.so.1", names, NULL, &err));
	ck_assert_int_eq(err.code, ENOTSUP);
	ck_assert_msg(strstr(err.msg, "load 'libnowhere.so.1': ") == err.msg, "%s", err.msg);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("library");

	tcase_add_test(tc, functions_are_found_by_their_names);
	tcase_add_test(tc, a_library_without_a_function_is_too_old);
	tcase_add_test(tc, a_missing_library_is_named);
	return scratch_run(tc);
}
