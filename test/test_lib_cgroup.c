/* The directories of a cgroup in each hierarchy: where they are, made, checked and removed. */
#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "lib/base/json.h"
#include "lib/base/log.h"
#include "test/test_lib_cgroup.h"

START_TEST(directories_are_made_in_every_hierarchy_and_removed)
{
	auto_error struct error err = { 0 };
	auto_free char *path = str_fmt("%s/sub", name);

	make(path);
	ck_assert_uint_eq(strv_len(made), 2 * strv_len(all));
	for (char **dir = all; *dir; dir++) {
		ck_assert_msg(str_ends(*dir, path), "%s", *dir);
		ck_assert_msg(fs_exists(*dir), "%s", *dir);
	}
	ck_assert_int_eq(cgroup_remove(made, 2000, &err), 0);
	for (char **dir = made; *dir; dir++)
		ck_assert_msg(!fs_exists(*dir), "%s", *dir);
	/* Again: nothing to do. */
	ck_assert_int_eq(cgroup_remove(made, 2000, &err), 0);
	ck_assert_int_eq(cgroup_remove(NULL, 0, &err), 0);
}
END_TEST

/* In a process that is in the cgroup name: does "rel" mean these directories? */
static bool is_resolved(char *const *expected)
{
	auto_strv char **dirs = NULL, **missing = NULL;
	auto_error struct error err = { 0 };

	if (cgroup_attach(all, getpid(), &err) < 0 || cgroup_plan("rel", &dirs, &missing, &err) < 0)
		return false;
	for (size_t i = 0; i < strv_len(expected); i++)
		if (!str_eq(dirs[i], expected[i]) || !strv_has(missing, expected[i]))
			return false;
	return strv_len(dirs) == strv_len(expected);
}

START_TEST(a_relative_path_is_below_our_own_cgroup)
{
	auto_strv char **expected = NULL;
	int status;

	make(name);
	for (char **dir = all; *dir; dir++) {
		/* Version 2 alone: beside our own. */
		size_t n = all[1] ? strlen(*dir) : (size_t)(strrchr(*dir, '/') - *dir);

		strv_pushf(&expected, "%.*s/rel", (int)n, *dir);
	}
	child = fork();
	if (child == 0)
		_exit(is_resolved(expected) ? 0 : 1);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	child = 0;
	ck_assert_int_eq(status, 0);
}
END_TEST

/* A further mount of a hierarchy, as one of a container on the host, is no further hierarchy. */
START_TEST(each_hierarchy_counts_once)
{
	auto_error struct error err = { 0 };
	auto_strv char **before = NULL, **after = NULL, **none = NULL;

	make(name);
	ck_assert_int_eq(cgroup_plan("/x", &before, &none, &err), 0);
	scratch_new();
	scratch_unshare_mounts();
	ck_assert_int_eq(mount(all[0], scratch_root(), "none", MS_BIND, NULL), 0);
	ck_assert_int_eq(cgroup_plan("/x", &after, &none, &err), 0);
	umount2(scratch_root(), MNT_DETACH);
	scratch_remove();
	ck_assert_uint_eq(strv_len(after), strv_len(before));
	for (size_t i = 0; before[i]; i++)
		ck_assert_str_eq(after[i], before[i]);
}
END_TEST

/* A file of the cgroup, in whichever hierarchy has it, or NULL. */
static char *file_of_cgroup(const char *file)
{
	for (char **dir = all; *dir; dir++) {
		auto_free char *path = str_fmt("%s/%s", *dir, file);

		if (fs_exists(path))
			return steal_ptr(&path);
	}
	return NULL;
}

START_TEST(a_frozen_cgroup_takes_no_container)
{
	auto_free char *path = str_fmt("%s/sub/sub", name), *v1 = NULL, *v2 = NULL;
	auto_strv char **all2 = NULL, **missing = NULL, **made2 = NULL;
	auto_error struct error err = { 0 }, err2 = { 0 };

	make(name);
	v1 = file_of_cgroup("freezer.state");
	v2 = file_of_cgroup("cgroup.freeze");
	ck_assert_int_eq(cgroup_check(all, &err), 0);
	ck_assert_int_eq(fs_write_value(v1 ? v1 : v2, v1 ? "FROZEN" : "1", &err), 0);
	ck_assert_int_eq(cgroup_check(all, &err), -EBUSY);
	ck_assert_str_eq(err.msg, "container's cgroup unexpectedly frozen");
	/* What is not made yet would be frozen there. */
	ck_assert_int_eq(cgroup_plan(path, &all2, &missing, &err2), 0);
	ck_assert_int_eq(cgroup_check(all2, &err2), -EBUSY);
	/* What is there is, too. */
	strv_pushf(&made2, "%.*s/sub", (int)(strrchr(v1 ? v1 : v2, '/') - (v1 ? v1 : v2)),
	           v1 ? v1 : v2);
	ck_assert_int_eq(mkdir(made2[0], 0755), 0);
	ck_assert_int_eq(cgroup_check(all2, &err2), -EBUSY);
	ck_assert_int_eq(cgroup_remove(made2, 2000, &err2), 0);
}
END_TEST

START_TEST(a_cgroup_with_processes_is_warned_about)
{
	auto_json struct json *warnings = json_new_array();
	auto_error struct error err = { 0 };

	make(name);
	start_child();
	ck_assert_int_eq(cgroup_attach(all, child, &err), 0);
	log_collect(warnings);
	ck_assert_int_eq(cgroup_check(all, &err), 0);
	log_collect(NULL);
	ck_assert_str_eq(json_string(json_at(warnings, 0)),
	                 "container's cgroup is not empty: 1 process(es) found");
	ck_assert_uint_eq(json_len(warnings), 1);
}
END_TEST

START_TEST(an_empty_cpuset_on_the_way_is_filled)
{
	auto_strv char **all2 = NULL, **made2 = NULL;
	auto_free char *path = str_fmt("%s/sub", name), *file = NULL;
	auto_error struct error err = { 0 };

	make(name);
	file = file_of_cgroup("cpuset.cpu_exclusive");
	if (!file) /* only version 1 has empty ones, which take no process */
		return;
	*strrchr(file, '/') = '\0';
	ck_assert_int_eq(rmdir(file), 0);
	ck_assert_int_eq(mkdir(file, 0755), 0);
	ck_assert_int_eq(make_all(path, &all2, &made2, &err), 0);
	start_child();
	ck_assert_msg(cgroup_attach(all2, child, &err) == 0, "%s", err.msg);
	end_child();
	ck_assert_int_eq(cgroup_remove(made2, 2000, &err), 0);
}
END_TEST

START_TEST(what_was_there_before_is_not_ours_to_remove)
{
	auto_error struct error err = { 0 };
	auto_strv char **all2 = NULL, **made2 = NULL;
	auto_free char *path = str_fmt("%s/sub", name);

	make(name);
	ck_assert_int_eq(make_all(path, &all2, &made2, &err), 0);
	ck_assert_uint_eq(strv_len(made2), strv_len(all2));
	ck_assert_int_eq(cgroup_remove(made2, 2000, &err), 0);
	for (char **dir = all; *dir; dir++)
		ck_assert_msg(fs_exists(*dir), "%s", *dir);
}
END_TEST

/* As containers of other runtimes have it. */
START_TEST(a_part_of_a_hierarchy_shown_elsewhere_is_not_another)
{
	auto_error struct error err = { 0 };
	auto_strv char **all2 = NULL, **made2 = NULL;
	auto_free char *path = str_fmt("%s/sub", name);
	auto_free char *point = NULL;

	make(name);
	scratch_unshare_mounts();
	scratch_new();
	point = scratch_path("part");
	ck_assert_int_eq(mkdir(point, 0755), 0);
	ck_assert_int_eq(mount(all[0], point, "none", MS_BIND, NULL), 0);
	ck_assert_msg(cgroup_plan(path, &all2, &made2, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(umount(point), 0);
	scratch_remove();
	ck_assert_uint_eq(strv_len(all2), strv_len(all));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("cgroup");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, directories_are_made_in_every_hierarchy_and_removed);
	tcase_add_test(tc, a_relative_path_is_below_our_own_cgroup);
	tcase_add_test(tc, each_hierarchy_counts_once);
	tcase_add_test(tc, what_was_there_before_is_not_ours_to_remove);
	tcase_add_test(tc, a_part_of_a_hierarchy_shown_elsewhere_is_not_another);
	tcase_add_test(tc, a_frozen_cgroup_takes_no_container);
	tcase_add_test(tc, a_cgroup_with_processes_is_warned_about);
	tcase_add_test(tc, an_empty_cpuset_on_the_way_is_filled);
	return scratch_run(tc);
}
