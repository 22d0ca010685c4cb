#include <errno.h>
#include <fcntl.h>
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

START_TEST(a_root_keeps_links_and_dots_inside)
{
	auto_error struct error err = { 0 };
	auto_close int root = -1;
	static const char *const paths[] = { "/etc/passwd", "etc/passwd", "../../../etc/passwd",
		                             "abs",         "up",         "/abs" };

	scratch_file("root/etc/passwd", "inside");
	scratch_link("/etc/passwd", "root/abs");
	scratch_link("../../../../../etc/passwd", "root/up");
	root = dir_open("root");
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		auto_free char *text = NULL;
		auto_close int fd = fs_open_in_root(root, paths[i], O_RDONLY, 0, &err);

		ck_assert_msg(fd >= 0, "%s", err.msg);
		ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
		ck_assert_int_eq(fs_read_fd(fd, paths[i], 100, &text, NULL, &err), 0);
		ck_assert_str_eq(text, "inside");
	}
}
END_TEST

START_TEST(a_root_lets_no_magic_link_out)
{
	auto_error struct error err = { 0 };
	auto_close int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_free char *path = str_fmt("%d/root/etc/passwd", (int)getpid());

	ck_assert_int_ge(proc, 0);
	ck_assert_int_eq(fs_open_in_root(proc, path, O_RDONLY, 0, &err), -ELOOP);
	ck_assert(str_starts(err.msg, "open '"));
}
END_TEST

START_TEST(a_root_can_have_files_made_in_it)
{
	auto_error struct error err = { 0 };
	auto_close int root = dir_open("");
	auto_close int fd = -1;
	struct stat st;

	umask(0);
	fd = fs_open_in_root(root, "../new", O_WRONLY | O_CREAT | O_EXCL, 0640, &err);
	ck_assert_msg(fd >= 0, "%s", err.msg);
	ck_assert_int_eq(fstatat(root, "new", &st, 0), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0640);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("fs-root");

	tcase_add_checked_fixture(tc, scratch_setup, scratch_remove);
	tcase_add_test(tc, a_root_keeps_links_and_dots_inside);
	tcase_add_test(tc, a_root_lets_no_magic_link_out);
	tcase_add_test(tc, a_root_can_have_files_made_in_it);
	return scratch_run(tc);
}
