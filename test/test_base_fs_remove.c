#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static void removes(const char *rel)
{
	auto_error struct error err = { 0 };
	auto_free char *path = scratch_path(rel);
	struct stat st;

	ck_assert_msg(fs_remove_tree_at(AT_FDCWD, path, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(lstat(path, &st), -1);
	ck_assert_int_eq(errno, ENOENT);
}

START_TEST(removes_files_and_nested_directories)
{
	scratch_file("t/a/b/c", "");
	scratch_file("t/a/.hidden", "");
	scratch_dir("t/empty");
	removes("t");
	scratch_file("file", "");
	removes("file");
}
END_TEST

START_TEST(what_does_not_exist_is_removed)
{
	removes("none");
	removes("none/at/all");
}
END_TEST

START_TEST(links_are_removed_and_not_followed)
{
	auto_free char *text = NULL;

	scratch_file("keep/f", "precious");
	scratch_link("../keep", "t/link");
	scratch_link("keep", "top");
	removes("t");
	removes("top");
	text = scratch_read("keep/f");
	ck_assert_str_eq(text, "precious");
}
END_TEST

START_TEST(any_depth_needs_few_descriptors)
{
	auto_close int top = -1;
	int dir;

	scratch_dir("t");
	{
		auto_free char *path = scratch_path("t");

		top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	dir = fcntl(top, F_DUPFD_CLOEXEC, 0);
	for (int i = 0; i < 3000; i++) {
		int next;

		ck_assert_int_eq(mkdirat(dir, "d", 0755), 0);
		next = openat(dir, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ck_assert_int_ge(next, 0);
		close(dir);
		dir = next;
	}
	close(dir);
	close_fd(&top);
	removes("t");
}
END_TEST

START_TEST(many_entries_are_all_removed)
{
	for (int i = 0; i < 3000; i++) {
		auto_free char *rel = str_fmt("t/%d", i);

		scratch_file(rel, "");
	}
	removes("t");
}
END_TEST

START_TEST(a_mount_is_not_entered_and_is_named)
{
	auto_error struct error err = { 0 };
	auto_free char *tree = scratch_path("t");
	auto_free char *source = scratch_path("keep");
	auto_free char *target = scratch_path("t/a/m");
	auto_free char *expected = str_fmt("remove '%s': 'm' is a mount point", tree);
	auto_free char *text = NULL;

	scratch_file("keep/f", "precious");
	scratch_dir("t/a/m");
	scratch_unshare_mounts();
	/* On the same device: only the mount tells that it is not ours to remove. */
	ck_assert_int_eq(mount(source, target, "none", MS_BIND, NULL), 0);
	ck_assert_int_eq(fs_remove_tree_at(AT_FDCWD, tree, &err), -EBUSY);
	ck_assert_str_eq(err.msg, expected);
	ck_assert_int_eq(fs_remove_tree_at(AT_FDCWD, target, &err), -EBUSY);
	text = scratch_read("keep/f");
	ck_assert_str_eq(text, "precious");
	ck_assert_int_eq(umount2(target, MNT_DETACH), 0);
}
END_TEST

START_TEST(a_name_that_is_no_entry_is_refused)
{
	static const char *const bad[] = { "", "/", ".", "..", "a/", "a/..", "a/." };
	auto_error struct error err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		auto_free char *expected = str_fmt("remove '%s': not the name of an entry", bad[i]);

		ck_assert_int_eq(fs_remove_tree_at(AT_FDCWD, bad[i], &err), -EINVAL);
		ck_assert_str_eq(err.msg, expected);
	}
}
END_TEST

START_TEST(works_relative_to_a_directory)
{
	auto_error struct error err = { 0 };
	auto_close int dir = open(scratch_root(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_free char *path = scratch_path("x/y");

	scratch_file("x/y/z", "");
	ck_assert_int_eq(fs_remove_tree_at(dir, "x/y", &err), 0);
	ck_assert(!fs_exists(path));
}
END_TEST

START_TEST(several_may_remove_the_same_tree)
{
	auto_free char *path = scratch_path("t");
	auto_error struct error err = { 0 };
	pid_t pids[4];
	int status;

	for (int i = 0; i < 300; i++) {
		auto_free char *file = str_fmt("t/%d/a/b", i);

		scratch_file(file, "");
	}
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		ck_assert_int_ge(pids[i], 0);
		if (pids[i] == 0)
			_exit(fs_remove_tree_at(AT_FDCWD, path, &err) < 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert_int_eq(status, 0);
	}
	ck_assert(!fs_exists(path));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("fs-remove");

	tcase_add_checked_fixture(tc, scratch_setup, scratch_remove);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, removes_files_and_nested_directories);
	tcase_add_test(tc, what_does_not_exist_is_removed);
	tcase_add_test(tc, links_are_removed_and_not_followed);
	tcase_add_test(tc, any_depth_needs_few_descriptors);
	tcase_add_test(tc, many_entries_are_all_removed);
	tcase_add_test(tc, a_mount_is_not_entered_and_is_named);
	tcase_add_test(tc, a_name_that_is_no_entry_is_refused);
	tcase_add_test(tc, works_relative_to_a_directory);
	tcase_add_test(tc, several_may_remove_the_same_tree);
	return scratch_run(tc);
}
