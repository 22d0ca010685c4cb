/* The directory of a sandbox. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/sandbox.h"
#include "lib/verbs.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
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

/* ---- leaving ---- */

/* The record of one that is a member. In place of cgroups it has directories with a list. */
static struct record *make_member(const char *id, const char *cgroup)
{
	struct record *r = record_new(id, "/");
	auto_close int fd = -1;

	r->sandbox_dir = str_dup(dir);
	r->monitor = r->shim = proc_ref_of(getpid());
	if (cgroup)
		strv_take(&r->cgroup_dirs, scratch_path(cgroup));
	fd = record_make(root, r, &err);
	ck_assert_msg(fd >= 0, "%s", err.msg);
	add(id);
	return r;
}

/* In a process of its own, when "a" has left: "b" gets its cgroup. Returns its exit status. */
static int get_cgroup_later(struct record *b)
{
	auto_free char *path = str_fmt("%s/b", root);
	auto_free char *made = scratch_path("made"), *new = scratch_path("new");
	auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; i < 1000 && members() > 1; i++)
		usleep(10000);
	strv_push(&b->cgroup_dirs, new);
	record_journal(fd, b, &err);
	/* It is known before it is there. */
	usleep(50000);
	scratch_file("made/cgroup.procs", "");
	return rename(made, new) < 0 || err.code;
}

START_TEST(who_leaves_waits_until_the_vm_can_be_charged_to_who_comes)
{
	auto_record struct record *a = make_member("a", "old");
	auto_record struct record *b = make_member("b", NULL);
	struct vcrt v = { .root = root };
	int status;
	pid_t pid;

	scratch_file("old/cgroup.procs", "4711\n");
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(get_cgroup_later(b));
	ck_assert_msg(cleanup_sandbox(&v, a, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	scratch_expect("new/cgroup.procs", "4711");
	ck_assert(fs_exists(dir));
}
END_TEST

START_TEST(who_leaves_does_not_wait_for_a_create_that_was_killed)
{
	auto_record struct record *a = make_member("a", "old");
	auto_record struct record *b = make_member("b", NULL);
	auto_free char *path = str_fmt("%s/b", root);
	uint64_t begun = loop_now_ms();
	struct vcrt v = { .root = root };
	auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	b->creator.start++;
	ck_assert_int_eq(record_journal(fd, b, &err), 0);
	ck_assert_msg(cleanup_sandbox(&v, a, &err) == 0, "%s", err.msg);
	ck_assert_uint_lt(loop_now_ms() - begun, 9000);
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
	tcase_add_test(tc, who_leaves_waits_until_the_vm_can_be_charged_to_who_comes);
	tcase_add_test(tc, who_leaves_does_not_wait_for_a_create_that_was_killed);
	tcase_set_timeout(tc, 60);
	return scratch_run(tc);
}
