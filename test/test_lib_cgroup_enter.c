/* Processes and cgroups: how they come in, and how a cgroup is removed that they are in. */
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "lib/base/child.h"
#include "lib/base/loop.h"
#include "test/test_lib_cgroup.h"

/* The lines of /proc/PID/cgroup that end in this. */
static size_t cgroups_ending(pid_t pid, const char *end)
{
	auto_error struct error err = { 0 };
	auto_free char *proc = str_fmt("/proc/%d/cgroup", (int)pid), *text = NULL;
	auto_strv char **lines = NULL;
	size_t n = 0;

	ck_assert_int_eq(fs_read(proc, 1 << 16, &text, NULL, &err), 0);
	lines = str_split(text, '\n');
	for (char **line = lines; *line; line++)
		n += str_ends(*line, end);
	return n;
}

START_TEST(a_process_is_moved_in_every_hierarchy)
{
	auto_error struct error err = { 0 };

	make(name);
	start_child();
	ck_assert_msg(cgroup_attach(all, child, &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(cgroups_ending(child, name), strv_len(all));
}
END_TEST

static void start_entering(const char *born_in)
{
	auto_error struct error err = { 0 };
	int status;

	child = child_clone(0, born_in, NULL);
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		alarm(30);
		if (cgroup_enter(all, &err) < 0) {
			fprintf(stderr, "%s\n", err.msg);
			_exit(1);
		}
		raise(SIGSTOP);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
	ck_assert(WIFSTOPPED(status));
}

START_TEST(a_process_enters_every_hierarchy)
{
	make(name);
	start_entering(NULL);
	ck_assert_uint_eq(cgroups_ending(child, name), strv_len(all));
	end_child();
	start_entering(cgroup_unified(all));
	ck_assert_uint_eq(cgroups_ending(child, name), strv_len(all));
	end_child();
	/* Who cannot be born there is born all the same. */
	start_entering("/proc/self");
	ck_assert_uint_eq(cgroups_ending(child, name), strv_len(all));
}
END_TEST

static bool has_clone3(void)
{
	return syscall(SYS_clone3, NULL, 0) == 0 || errno != ENOSYS;
}

START_TEST(a_process_is_born_in_the_cgroup_of_version_2)
{
	const char *unified;

	make(name);
	unified = cgroup_unified(all);
	if (!unified)
		return;
	child = child_clone(0, unified, NULL);
	if (child == 0) {
		alarm(30);
		pause();
		_exit(0);
	}
	ck_assert_int_gt(child, 0);
	/* valgrind does not know clone3: there it is as with an old kernel. */
	ck_assert_uint_eq(cgroups_ending(child, name), has_clone3() ? 1 : 0);
}
END_TEST

START_TEST(what_cannot_be_entered_is_named)
{
	char *dirs[] = { "/proc/self", NULL };
	auto_error struct error err = { 0 };

	ck_assert_int_eq(cgroup_enter(NULL, &err), 0);
	ck_assert_int_lt(cgroup_enter(dirs, &err), 0);
	ck_assert_msg(str_starts(err.msg, "join the cgroup '/proc/self': "), "%s", err.msg);
}
END_TEST

START_TEST(a_process_that_is_gone_cannot_be_moved)
{
	auto_error struct error err = { 0 };
	pid_t gone;

	make(name);
	start_child();
	gone = child;
	end_child();
	ck_assert_int_eq(cgroup_attach(all, gone, &err), -ESRCH);
	ck_assert_msg(str_starts(err.msg, "join the cgroup '"), "%s", err.msg);
	ck_assert_int_eq(cgroup_attach(NULL, gone, &err), 0);
}
END_TEST

START_TEST(removing_waits_for_processes_to_end)
{
	auto_error struct error err = { 0 };

	make(name);
	child = fork();
	if (child == 0) {
		usleep(300000);
		_exit(0);
	}
	ck_assert_int_eq(cgroup_attach(all, child, &err), 0);
	ck_assert_int_eq(cgroup_remove(made, 5000, &err), 0);
	ck_assert_msg(!fs_exists(made[0]), "%s", made[0]);
}
END_TEST

START_TEST(a_parent_that_others_use_stays_and_is_not_waited_for)
{
	auto_error struct error err = { 0 };
	auto_strv char **all2 = NULL, **made2 = NULL;
	auto_free char *path = str_fmt("%s/sub", name);
	uint64_t start;

	make(name);
	ck_assert_int_eq(make_all(path, &all2, &made2, &err), 0);
	start = loop_now_ms();
	ck_assert_int_eq(cgroup_remove(made, 5000, &err), 0);
	ck_assert_uint_lt(loop_now_ms() - start, 2000);
	for (char **dir = made; *dir; dir++)
		ck_assert_msg(fs_exists(*dir), "%s", *dir);
	ck_assert_int_eq(cgroup_remove(made2, 2000, &err), 0);
}
END_TEST

START_TEST(removing_gives_up_in_time_when_somebody_stays)
{
	auto_error struct error err = { 0 };
	uint64_t start;

	make(name);
	start_child();
	ck_assert_int_eq(cgroup_attach(all, child, &err), 0);
	start = loop_now_ms();
	cgroup_remove(made, 100, &err);
	ck_assert_uint_lt(loop_now_ms() - start, 3000);
	ck_assert_msg(fs_exists(made[0]), "%s", made[0]);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("cgroup-enter");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_process_is_moved_in_every_hierarchy);
	tcase_add_test(tc, a_process_that_is_gone_cannot_be_moved);
	tcase_add_test(tc, a_process_enters_every_hierarchy);
	tcase_add_test(tc, a_process_is_born_in_the_cgroup_of_version_2);
	tcase_add_test(tc, what_cannot_be_entered_is_named);
	tcase_add_test(tc, removing_waits_for_processes_to_end);
	tcase_add_test(tc, a_parent_that_others_use_stays_and_is_not_waited_for);
	tcase_add_test(tc, removing_gives_up_in_time_when_somebody_stays);
	return scratch_run(tc);
}
