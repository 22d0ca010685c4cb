/* The directory of a sandbox. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/sandbox.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static struct error err;
static char *run, *dir, *root;

static void setup(void)
{
	scratch_setup();
	run = scratch_path("run");
	dir = scratch_path("run/s");
	root = scratch_path("root");
	ck_assert_int_eq(mkdir(run, 0700), 0);
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	ck_assert_int_eq(mkdir(root, 0700), 0);
}

static void teardown(void)
{
	free(run);
	free(dir);
	free(root);
	error_clear(&err);
	scratch_remove();
}

static void make_state(const char *id)
{
	auto_free char *path = str_fmt("%s/%s", root, id);

	ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void remove_state(const char *id)
{
	auto_free char *path = str_fmt("%s/%s", root, id);

	ck_assert_int_eq(rmdir(path), 0);
}

static void add(const char *id)
{
	ck_assert_msg(sandbox_add_member(dir, root, id, &err) == 0, "%s", err.msg);
}

static size_t members(void)
{
	auto_strv char **list = sandbox_members(dir);

	return strv_len(list);
}

START_TEST(the_last_member_that_goes_is_told)
{
	make_state("a");
	make_state("b");
	add("a");
	add("b");
	ck_assert_uint_eq(members(), 2);
	ck_assert(!sandbox_remove_member(dir, root, "a"));
	ck_assert_uint_eq(members(), 1);
	ck_assert(sandbox_remove_member(dir, root, "b"));
}
END_TEST

START_TEST(a_member_whose_state_was_removed_by_hand_counts_no_more)
{
	make_state("a");
	make_state("b");
	add("a");
	add("b");
	remove_state("a");
	ck_assert_uint_eq(members(), 1);
	/* The id can be used again. */
	make_state("a");
	add("a");
	ck_assert_uint_eq(members(), 2);
	remove_state("a");
	ck_assert(sandbox_remove_member(dir, root, "b"));
}
END_TEST

START_TEST(a_sandbox_is_found_by_its_namespaces_whatever_its_name)
{
	const struct ns_id ours = { .flag = CLONE_NEWIPC, .dev = 4, .ino = 4711 };
	const struct ns_id other = { .flag = CLONE_NEWUTS, .dev = 4, .ino = 4711 };
	struct record r = { .monitor = proc_ref_of(getpid()) };
	auto_json struct json *card = sandbox_card(&r, &ours, 1);
	auto_free char *hidden = scratch_path("run/.hidden");
	auto_sandbox struct sandbox *s = NULL;
	auto_close int fd = -1;

	ck_assert_int_eq(mkdir(hidden, 0700), 0);
	fd = open(hidden, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(sandbox_publish(fd, card, &err), 0);
	ck_assert(!sandbox_find(run, &other));
	s = sandbox_find(run, &ours);
	ck_assert(s != NULL);
	ck_assert_str_eq(s->id, ".hidden");
}
END_TEST

START_TEST(a_directory_that_others_can_write_to_is_not_used)
{
	auto_close int fd = sandbox_lock(run, &err);

	ck_assert_int_ge(fd, 0);
	close_fd(&fd);
	ck_assert_int_eq(chmod(run, 01777), 0);
	ck_assert_int_eq(sandbox_lock(run, &err), -EPERM);
	ck_assert_msg(strstr(err.msg, "other users can write"), "%s", err.msg);
	error_clear(&err);
	ck_assert_int_eq(chmod(run, 0755), 0);
	if (geteuid() != 0)
		return;
	ck_assert_int_eq(chown(run, 12345, 0), 0);
	ck_assert_int_eq(sandbox_lock(run, &err), -EPERM);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("sandbox");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_last_member_that_goes_is_told);
	tcase_add_test(tc, a_member_whose_state_was_removed_by_hand_counts_no_more);
	tcase_add_test(tc, a_sandbox_is_found_by_its_namespaces_whatever_its_name);
	tcase_add_test(tc, a_directory_that_others_can_write_to_is_not_used);
	return scratch_run(tc);
}
