/* Values that are written, and taken back. */
#include <errno.h>
#include <fcntl.h>

#include "lib/base/changes.h"
#include "lib/base/error.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static struct changes changes;
static struct error err;

static void teardown(void)
{
	changes_done(&changes);
	error_clear(&err);
	scratch_remove();
}

static int change(const char *rel, const char *value, const char *otherwise)
{
	auto_free char *path = scratch_path(rel);

	return changes_write(&changes, AT_FDCWD, path, value, otherwise, &err);
}

START_TEST(the_first_line_comes_back)
{
	scratch_file("a", "1\nmore\n");
	scratch_file("b", "\n");
	ck_assert_int_eq(change("a", "2", NULL), 0);
	ck_assert_int_eq(change("b", "3", NULL), 0);
	ck_assert_int_eq(change("a", "4", NULL), 0);
	scratch_expect("a", "4");
	changes_undo(&changes);
	scratch_expect("a", "1\n");
	scratch_expect("b", "\n");
	changes_undo(&changes); /* nothing more */
}
END_TEST

START_TEST(of_a_list_the_line_of_the_device_comes_back)
{
	scratch_file("l", "8:0 rbps=1\n8:16 rbps=2 wbps=3\n");
	ck_assert_int_eq(change("l", "8:16 wbps=5", "8:16 none"), 0);
	changes_undo(&changes);
	scratch_expect("l", "8:16 rbps=2 wbps=3\n");
	scratch_file("l", "8:0 rbps=1\n8:16 rbps=2\n");
	ck_assert_int_eq(change("l", "8:1 rbps=5", "8:1 rbps=max"), 0);
	changes_undo(&changes);
	scratch_expect("l", "8:1 rbps=max\n");
}
END_TEST

START_TEST(what_was_not_written_is_not_taken_back)
{
	ck_assert_int_eq(change("none", "1", NULL), -ENOENT);
	ck_assert_uint_eq(changes.n, 0);
	error_clear(&err);
	scratch_file("a", "1\n");
	ck_assert_int_eq(change("a", "2", NULL), 0);
	changes_done(&changes);
	changes_undo(&changes);
	scratch_expect("a", "2");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("changes");

	tcase_add_checked_fixture(tc, scratch_setup, teardown);
	tcase_add_test(tc, the_first_line_comes_back);
	tcase_add_test(tc, of_a_list_the_line_of_the_device_comes_back);
	tcase_add_test(tc, what_was_not_written_is_not_taken_back);
	return scratch_run(tc);
}
