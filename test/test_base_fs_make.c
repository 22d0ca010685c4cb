#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "test/scratch.h"

static struct error err;
static int root = -1;

static void setup(void)
{
	auto_free char *path = NULL;

	scratch_setup();
	scratch_dir("root");
	scratch_dir("outside");
	path = scratch_path("root");
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(root, 0);
}

static void teardown(void)
{
	close_fd(&root);
	error_clear(&err);
	scratch_remove();
}

static void make(const char *path, bool is_dir, const char *made)
{
	auto_close int fd = fs_make_in_root(root, path, is_dir, &err);
	auto_free char *where = scratch_path(made);
	struct stat got, want;

	ck_assert_msg(fd >= 0, "%s", err.msg);
	ck_assert_int_eq(fstat(fd, &got), 0);
	ck_assert_msg(lstat(where, &want) == 0, "'%s' is missing", made);
	ck_assert_uint_eq(got.st_ino, want.st_ino);
	ck_assert(is_dir ? S_ISDIR(want.st_mode) : S_ISREG(want.st_mode));
}

static void expect_absent(const char *rel)
{
	auto_free char *path = scratch_path(rel);

	ck_assert_int_ne(access(path, F_OK), 0);
}

START_TEST(missing_directories_and_files_are_made)
{
	make("/a/b/c", true, "root/a/b/c");
	make("/a/f", false, "root/a/f");
	make("plain", true, "root/plain");
	make("/slash/", true, "root/slash");
}
END_TEST

START_TEST(what_exists_is_used)
{
	scratch_file("root/etc/hosts", "x");
	make("/etc/hosts", false, "root/etc/hosts");
	make("/etc", true, "root/etc");
	make("/", true, "root");
}
END_TEST

START_TEST(absolute_links_start_at_the_root)
{
	scratch_dir("root/run");
	scratch_link("/run", "root/var/run");
	make("/var/run/new", true, "root/run/new");
}
END_TEST

START_TEST(links_that_climb_stay_inside)
{
	scratch_link("../../../../outside", "root/evil");
	make("/evil/x", true, "root/outside/x");
	expect_absent("outside/x");
}
END_TEST

START_TEST(a_dangling_link_is_followed_inside)
{
	scratch_link("/run/lock", "root/lock");
	make("/lock/x", true, "root/run/lock/x");
	scratch_link("target", "root/dir/file");
	make("/dir/file", false, "root/dir/target");
}
END_TEST

START_TEST(links_in_a_circle_are_refused)
{
	scratch_link("b", "root/a");
	scratch_link("a", "root/b");
	ck_assert_int_eq(fs_make_in_root(root, "/a/x", true, &err), -ELOOP);
}
END_TEST

START_TEST(a_file_in_the_way_is_refused)
{
	scratch_file("root/f", "");
	ck_assert_int_eq(fs_make_in_root(root, "/f/x", true, &err), -ENOTDIR);
	ck_assert_int_eq(fs_make_in_root(root, "/f", true, &err), -ENOTDIR);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("fs-make");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, missing_directories_and_files_are_made);
	tcase_add_test(tc, what_exists_is_used);
	tcase_add_test(tc, absolute_links_start_at_the_root);
	tcase_add_test(tc, links_that_climb_stay_inside);
	tcase_add_test(tc, a_dangling_link_is_followed_inside);
	tcase_add_test(tc, links_in_a_circle_are_refused);
	tcase_add_test(tc, a_file_in_the_way_is_refused);
	return scratch_run(tc);
}
