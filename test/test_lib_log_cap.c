#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log-cap.h"
#include "lib/base/fs.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static int ours, theirs; /* two open file descriptions of one log */

static void setup(void)
{
	auto_free char *path = NULL;

	scratch_setup();
	path = str_fmt("%s/log", scratch_root());
	ours = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	theirs = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	ck_assert_int_ge(ours, 0);
	ck_assert_int_ge(theirs, 0);
}

static void teardown(void)
{
	close_fd(&ours);
	close_fd(&theirs);
	scratch_remove();
}

static off_t size(void)
{
	struct stat st;

	ck_assert_int_eq(fstat(ours, &st), 0);
	return st.st_size;
}

static void say(const char *first, size_t len, const char *last)
{
	auto_free char *text = xmalloc(len);

	memset(text, 'x', len);
	ck_assert_int_eq(fs_write_all(theirs, first, strlen(first)), 0);
	ck_assert_int_eq(fs_write_all(theirs, text, len), 0);
	ck_assert_int_eq(fs_write_all(theirs, last, strlen(last)), 0);
}

static void expect_ends(const char *first, const char *last)
{
	auto_free char *text = xzalloc((size_t)size() + 1);
	size_t len = (size_t)size();

	ck_assert_int_eq(pread(ours, text, len, 0), (ssize_t)len);
	ck_assert(strncmp(text, first, strlen(first)) == 0);
	ck_assert_str_eq(text + len - strlen(last), last);
}

START_TEST(a_short_log_stays_as_it_is)
{
	say("first", 1000000, "last");
	log_cap_trim(ours);
	ck_assert_int_eq(size(), 1000009);
}
END_TEST

START_TEST(a_long_log_keeps_both_ends_and_can_go_on)
{
	say("first", 5000000, "last");
	log_cap_trim(ours);
	ck_assert_int_lt(size(), 300000);
	expect_ends("first", "last");
	ck_assert_int_eq(fs_write_all(theirs, " more", 5), 0);
	expect_ends("first", "last more");
}
END_TEST

START_TEST(a_log_that_grows_is_cut_from_the_loop)
{
	struct loop *loop = loop_new();
	const int fds[] = { -1, ours };
	struct log_cap *c = log_cap_new(loop, fds, 2);

	for (int round = 0; round < 2; round++) {
		say("first", 3000000, "last");
		for (int i = 0; i < 1000 && size() > 1000000; i++)
			ck_assert_int_eq(loop_step(loop, 20), 0);
		ck_assert_int_lt(size(), 300000);
		expect_ends("first", "last");
	}
	log_cap_free(c);
	loop_free(loop);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("log-cap");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_short_log_stays_as_it_is);
	tcase_add_test(tc, a_long_log_keeps_both_ends_and_can_go_on);
	tcase_add_test(tc, a_log_that_grows_is_cut_from_the_loop);
	return scratch_run(tc);
}
