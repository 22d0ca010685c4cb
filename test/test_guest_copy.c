#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "test/scratch.h"

START_TEST(a_tree_is_copied_with_modes_and_links)
{
	auto_error struct error err = { 0 };
	auto_free char *from_path = scratch_path("from"), *to_path = scratch_path("to");
	auto_free char *file = scratch_path("from/d/f"), *copied = scratch_path("to/d/f");
	auto_close int from = -1, to = -1;
	auto_free char *text = NULL;
	char link[16] = "";
	struct stat st;

	scratch_file("from/d/f", "content");
	scratch_link("/etc/shadow", "from/d/l");
	scratch_dir("to");
	ck_assert_int_eq(chmod(file, 04711), 0);
	from = open(from_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	to = open(to_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_msg(copy_tree(from, to, &err) == 0, "%s", err.msg);
	text = scratch_read("to/d/f");
	ck_assert_str_eq(text, "content");
	ck_assert_int_eq(stat(copied, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 04711);
	ck_assert_int_eq(readlinkat(to, "d/l", link, sizeof(link) - 1), 11);
	ck_assert_str_eq(link, "/etc/shadow");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("copy");

	tcase_add_checked_fixture(tc, scratch_setup, scratch_remove);
	tcase_add_test(tc, a_tree_is_copied_with_modes_and_links);
	return scratch_run(tc);
}
