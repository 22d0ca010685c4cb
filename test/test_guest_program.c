#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static struct error err;
static char **env;

static void executable(const char *rel, mode_t mode)
{
	auto_free char *path = scratch_path(rel);

	scratch_file(rel, "#!/bin/sh\n");
	ck_assert_int_eq(chmod(path, mode), 0);
}

static void setup(void)
{
	scratch_setup();
	executable("bin/tool", 0755);
	executable("bin/data", 0644);
	executable("sbin/data", 0755);
	scratch_dir("bin/folder");
	strv_pushf(&env, "PATH=%s/none:%s/bin:%s/sbin", scratch_root(), scratch_root(),
	           scratch_root());
}

static void teardown(void)
{
	strv_freep(&env);
	error_clear(&err);
	scratch_remove();
}

static void expect(const char *name, const char *rel)
{
	auto_free char *want = rel ? scratch_path(rel) : str_dup(name);
	auto_free char *found = program_find(name, env, &err);

	ck_assert_msg(found != NULL, "%s", err.msg);
	ck_assert_str_eq(found, want);
}

static void expect_error(const char *name, int code, const char *fmt)
{
	auto_free char *found = program_find(name, env, &err);

	ck_assert_ptr_null(found);
	ck_assert_int_eq(err.code, code);
	ck_assert_str_eq(err.msg, fmt);
}

START_TEST(a_bare_name_is_found_in_path)
{
	expect("tool", "bin/tool");
}
END_TEST

START_TEST(what_cannot_be_executed_is_passed_over)
{
	expect("data", "sbin/data");
}
END_TEST

START_TEST(a_name_that_is_nowhere_gives_runcs_message)
{
	expect_error("foo", ENOENT, "exec: \"foo\": executable file not found in $PATH");
	expect_error("folder", ENOENT, "exec: \"folder\": executable file not found in $PATH");
	expect_error("", ENOENT, "exec: \"\": executable file not found in $PATH");
}
END_TEST

START_TEST(without_path_no_bare_name_is_found)
{
	strv_freep(&env);
	expect_error("tool", ENOENT, "exec: \"tool\": executable file not found in $PATH");
}
END_TEST

START_TEST(a_path_is_taken_as_it_is)
{
	auto_free char *path = scratch_path("bin/tool");

	expect(path, "bin/tool");
}
END_TEST

START_TEST(a_path_that_is_missing_or_no_program_gives_runcs_message)
{
	auto_free char *data = scratch_path("bin/data"), *dir = scratch_path("bin");
	auto_free char *data_msg = str_fmt("exec: \"%s\": permission denied", data);
	auto_free char *dir_msg = str_fmt("exec: \"%s\": permission denied", dir);

	expect_error("/x/foo", ENOENT, "exec: \"/x/foo\": stat /x/foo: no such file or directory");
	expect_error(data, EACCES, data_msg);
	expect_error(dir, EACCES, dir_msg);
}
END_TEST

START_TEST(of_equal_variables_the_last_is_kept)
{
	char *in[] = { "A=1", "HOMER=x", "B=2", "A=3", "AB=", NULL };
	auto_strv char **out = env_build(in);
	auto_free char *joined = strv_join(out, " ");

	ck_assert_str_eq(joined, "HOMER=x B=2 A=3 AB=");
	ck_assert_str_eq(env_get(out, "A"), "3");
	ck_assert_ptr_null(env_get(out, "HOME"));
}
END_TEST

START_TEST(an_empty_home_counts_as_none)
{
	char *in[] = { "HOME=/x", "A=1", "HOME=", NULL };
	auto_strv char **out = env_build(in);
	auto_free char *joined = strv_join(out, " ");

	ck_assert_str_eq(joined, "A=1");
}
END_TEST

START_TEST(nothing_is_run_from_the_current_directory_by_chance)
{
	auto_free char *bin = scratch_path("bin");

	ck_assert_int_eq(chdir(bin), 0);
	strv_freep(&env);
	strv_push(&env, "PATH=/none:");
	expect_error("tool", EACCES,
	             "exec: \"tool\": cannot run executable found relative to current directory");
	expect_error("data", ENOENT, "exec: \"data\": executable file not found in $PATH");
	expect("./tool", NULL);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("program");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_bare_name_is_found_in_path);
	tcase_add_test(tc, what_cannot_be_executed_is_passed_over);
	tcase_add_test(tc, a_name_that_is_nowhere_gives_runcs_message);
	tcase_add_test(tc, without_path_no_bare_name_is_found);
	tcase_add_test(tc, a_path_is_taken_as_it_is);
	tcase_add_test(tc, a_path_that_is_missing_or_no_program_gives_runcs_message);
	tcase_add_test(tc, of_equal_variables_the_last_is_kept);
	tcase_add_test(tc, an_empty_home_counts_as_none);
	tcase_add_test(tc, nothing_is_run_from_the_current_directory_by_chance);
	return scratch_run(tc);
}
