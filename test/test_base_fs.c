#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static int dir_open(const char *rel)
{
	auto_free char *path = scratch_path(rel);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static int count_entries(const char *rel)
{
	auto_free char *path = scratch_path(rel);
	DIR *d = opendir(path);
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

START_TEST(read_gives_content_and_length)
{
	auto_error struct error err = { 0 };
	auto_free char *path = scratch_path("f");
	auto_free char *text = NULL;
	size_t len;

	scratch_file("f", "hello");
	ck_assert_int_eq(fs_read(path, 5, &text, &len, &err), 0);
	ck_assert_str_eq(text, "hello");
	ck_assert_uint_eq(len, 5);
}
END_TEST

START_TEST(read_takes_files_that_do_not_tell_their_size)
{
	auto_error struct error err = { 0 };
	auto_free char *text = NULL;

	ck_assert_int_eq(fs_read("/proc/self/stat", 4096, &text, NULL, &err), 0);
	ck_assert_int_gt((int)strlen(text), 20);
}
END_TEST

START_TEST(read_takes_large_and_empty_files)
{
	auto_error struct error err = { 0 };
	auto_free char *big = xmalloc(100001);
	auto_free char *path = scratch_path("f");
	auto_free char *text = NULL;
	auto_free char *none = NULL;
	size_t len;

	memset(big, 'x', 100000);
	big[100000] = '\0';
	scratch_file("f", big);
	ck_assert_int_eq(fs_read(path, 1 << 20, &text, &len, &err), 0);
	ck_assert_str_eq(text, big);
	scratch_file("f", "");
	ck_assert_int_eq(fs_read(path, 0, &none, &len, &err), 0);
	ck_assert_str_eq(none, "");
	ck_assert_uint_eq(len, 0);
}
END_TEST

START_TEST(read_refuses_what_is_larger_than_allowed)
{
	auto_error struct error err = { 0 };
	char *text = NULL;
	auto_close int dir = dir_open("");

	scratch_file("f", "hello!");
	ck_assert_int_eq(fs_read_at(dir, "f", 5, &text, NULL, &err), -EFBIG);
	ck_assert_str_eq(err.msg, "read 'f': larger than 5 bytes");
	ck_assert_int_eq(fs_read("/dev/zero", 10000, &text, NULL, &err), -EFBIG);
	ck_assert_ptr_null(text);
}
END_TEST

START_TEST(read_names_what_it_could_not_open_or_read)
{
	auto_error struct error err = { 0 };
	char *text = NULL;

	ck_assert_int_eq(fs_read("/nonexistent", 5, &text, NULL, &err), -ENOENT);
	ck_assert_str_eq(err.msg, "open '/nonexistent': No such file or directory");
	ck_assert_int_eq(fs_read("/", 5, &text, NULL, &err), -EISDIR);
	ck_assert_str_eq(err.msg, "read '/': Is a directory");
}
END_TEST

START_TEST(atomic_write_replaces_and_sets_the_mode)
{
	auto_error struct error err = { 0 };
	auto_close int dir = dir_open("");
	auto_free char *text = NULL;
	struct stat st;

	umask(077);
	scratch_file("f", "old and longer");
	ck_assert_int_eq(fs_write_atomic_at(dir, "f", "new", 3, 0644, true, &err), 0);
	text = scratch_read("f");
	ck_assert_str_eq(text, "new");
	ck_assert_int_eq(fstatat(dir, "f", &st, 0), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0644);
	ck_assert_int_eq(count_entries(""), 1);
}
END_TEST

START_TEST(atomic_write_replaces_a_link_and_not_its_target)
{
	auto_error struct error err = { 0 };
	auto_free char *path = scratch_path("d/link");
	auto_free char *text = NULL;

	scratch_file("target", "precious");
	scratch_link("../target", "d/link");
	ck_assert_int_eq(fs_write_atomic_at(AT_FDCWD, path, "x", 1, 0600, false, &err), 0);
	text = scratch_read("target");
	ck_assert_str_eq(text, "precious");
}
END_TEST

START_TEST(atomic_write_leaves_nothing_behind_when_it_cannot_rename)
{
	auto_error struct error err = { 0 };
	auto_close int dir = dir_open("");

	scratch_dir("d/sub");
	ck_assert_int_eq(fs_write_atomic_at(dir, "d", "x", 1, 0600, false, &err), -EISDIR);
	ck_assert_str_eq(err.msg, "write 'd': Is a directory");
	ck_assert_int_eq(count_entries(""), 1);
}
END_TEST

/* A small tmpfs on "m", in a mount namespace of this process. */
static int tmpfs_mount(void)
{
	auto_free char *path = scratch_path("m");

	scratch_dir("m");
	scratch_unshare_mounts();
	ck_assert_int_eq(mount("test", path, "tmpfs", 0, "size=16k"), 0);
	return dir_open("m");
}

static void tmpfs_umount(int *dir)
{
	auto_free char *path = scratch_path("m");

	close_fd(dir);
	ck_assert_int_eq(umount2(path, MNT_DETACH), 0);
}

START_TEST(atomic_write_to_a_full_disk_keeps_the_old_file_and_nothing_else)
{
	static char big[65536];
	auto_error struct error err = { 0 };
	auto_free char *text = NULL;
	int dir = tmpfs_mount();

	scratch_file("m/f", "old");
	ck_assert_int_eq(fs_write_atomic_at(dir, "f", big, sizeof(big), 0644, true, &err), -ENOSPC);
	ck_assert_str_eq(err.msg, "write 'f': No space left on device");
	text = scratch_read("m/f");
	ck_assert_str_eq(text, "old");
	ck_assert_int_eq(count_entries("m"), 1);
	tmpfs_umount(&dir);
}
END_TEST

START_TEST(atomic_write_to_a_read_only_file_system_changes_nothing)
{
	auto_error struct error err = { 0 };
	auto_free char *path = scratch_path("m");
	int dir = tmpfs_mount();

	ck_assert_int_eq(mount("test", path, "none", MS_REMOUNT | MS_RDONLY, NULL), 0);
	ck_assert_int_eq(fs_write_atomic_at(dir, "f", "x", 1, 0644, true, &err), -EROFS);
	ck_assert_str_eq(err.msg, "write 'f': Read-only file system");
	ck_assert_int_eq(count_entries("m"), 0);
	ck_assert_int_eq(fs_mkdir_p(path, 0755, &err), 0);
	tmpfs_umount(&dir);
}
END_TEST

START_TEST(value_write_needs_an_existing_file)
{
	auto_error struct error err = { 0 };
	auto_close int dir = dir_open("");
	auto_free char *text = NULL;

	ck_assert_int_eq(fs_write_value_at(dir, "cpu.max", "1", &err), -ENOENT);
	ck_assert_str_eq(err.msg, "open 'cpu.max': No such file or directory");
	scratch_file("cpu.max", "max 100000");
	ck_assert_int_eq(fs_write_value_at(dir, "cpu.max", "5", &err), 0);
	text = scratch_read("cpu.max");
	ck_assert_str_eq(text, "5");
}
END_TEST

START_TEST(value_write_names_the_value_that_was_refused)
{
	auto_error struct error err = { 0 };

	ck_assert_int_eq(fs_write_value("/proc/self/oom_score_adj", "abc", &err), -EINVAL);
	ck_assert_str_eq(err.msg, "write 'abc' to '/proc/self/oom_score_adj': Invalid argument");
	ck_assert_int_eq(fs_write_value("/dev/full", "x", &err), -ENOSPC);
}
END_TEST

START_TEST(mkdir_p_makes_parents_and_accepts_what_exists)
{
	auto_error struct error err = { 0 };
	auto_free char *path = scratch_path("a//b/c/");

	ck_assert_int_eq(fs_mkdir_p(path, 0755, &err), 0);
	ck_assert(fs_exists(path));
	ck_assert_int_eq(fs_mkdir_p(path, 0755, &err), 0);
	ck_assert_int_eq(fs_mkdir_p("/", 0755, &err), 0);
}
END_TEST

START_TEST(mkdir_p_refuses_a_file_in_the_way)
{
	auto_error struct error err = { 0 };
	auto_free char *last = scratch_path("f");
	auto_free char *middle = scratch_path("f/sub");
	auto_free char *expected = str_fmt("create directory '%s': Not a directory", last);

	scratch_file("f", "");
	ck_assert_int_eq(fs_mkdir_p(last, 0755, &err), -ENOTDIR);
	ck_assert_str_eq(err.msg, expected);
	ck_assert_int_eq(fs_mkdir_p(middle, 0755, &err), -ENOTDIR);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("fs");

	tcase_add_checked_fixture(tc, scratch_setup, scratch_remove);
	tcase_add_test(tc, read_gives_content_and_length);
	tcase_add_test(tc, read_takes_files_that_do_not_tell_their_size);
	tcase_add_test(tc, read_takes_large_and_empty_files);
	tcase_add_test(tc, read_refuses_what_is_larger_than_allowed);
	tcase_add_test(tc, read_names_what_it_could_not_open_or_read);
	tcase_add_test(tc, atomic_write_replaces_and_sets_the_mode);
	tcase_add_test(tc, atomic_write_replaces_a_link_and_not_its_target);
	tcase_add_test(tc, atomic_write_leaves_nothing_behind_when_it_cannot_rename);
	tcase_add_test(tc, atomic_write_to_a_full_disk_keeps_the_old_file_and_nothing_else);
	tcase_add_test(tc, atomic_write_to_a_read_only_file_system_changes_nothing);
	tcase_add_test(tc, value_write_needs_an_existing_file);
	tcase_add_test(tc, value_write_names_the_value_that_was_refused);
	tcase_add_test(tc, mkdir_p_makes_parents_and_accepts_what_exists);
	tcase_add_test(tc, mkdir_p_refuses_a_file_in_the_way);
	return scratch_run(tc);
}
