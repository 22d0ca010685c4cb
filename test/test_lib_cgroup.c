#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cgroup.h"
#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "oci/oci.h"
#include "test/scratch.h"

static char *name; /* of a cgroup that nobody else uses: "/vcrt-test-PID" */
static char **all, **made;
static pid_t child;

static void setup(void)
{
	name = str_fmt("/vcrt-test-%d", (int)getpid());
	all = made = NULL;
	child = 0;
}

static void end_child(void)
{
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	child = 0;
}

static void teardown(void)
{
	auto_error struct error err = { 0 };

	end_child();
	ck_assert_msg(cgroup_remove(made, 2000, &err) == 0, "%s", err.msg);
	strv_free(all);
	strv_free(made);
	free(name);
}

static void start_child(void)
{
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		alarm(30);
		pause();
		_exit(0);
	}
}

static int make_all(const char *path, char ***dirs, char ***own, struct error *err)
{
	int r = cgroup_plan(path, dirs, own, err);

	return r < 0 ? r : cgroup_make(*dirs, *own, err);
}

static void make(const char *path)
{
	auto_error struct error err = { 0 };

	ck_assert_msg(make_all(path, &all, &made, &err) == 0, "%s", err.msg);
	ck_assert_msg(strv_len(all) > 0, "this host has no cgroups");
}

/* The path for a container "id" with this cgroupsPath. */
static void assert_path(const char *cgroups_path, const char *expected)
{
	struct oci_linux l = { .cgroups_path = (char *)cgroups_path };
	struct oci_spec spec = { .linux_ = &l };
	auto_error struct error err = { 0 };
	auto_free char *path = cgroup_path(&spec, "id", false, &err);

	ck_assert_msg(path != NULL, "%s", err.msg);
	ck_assert_str_eq(path, expected);
}

START_TEST(without_a_path_the_id_is_it)
{
	struct oci_spec spec = { 0 };
	auto_error struct error err = { 0 };
	auto_free char *path = cgroup_path(&spec, "id", false, &err);

	ck_assert_str_eq(path, "id");
	assert_path(NULL, "id");
	assert_path("", "id");
}
END_TEST

START_TEST(paths_are_cleaned)
{
	assert_path("/a/b", "/a/b");
	assert_path("a/b", "a/b");
	assert_path("./a//b", "a/b");
	assert_path("//a///b/", "/a/b");
	assert_path("/a/./b/.", "/a/b");
	assert_path("/a/../b", "/b");
	assert_path("/a/b/../../c", "/c");
	assert_path("/a b/c", "/a b/c");
}
END_TEST

START_TEST(no_path_leads_out_of_the_hierarchy)
{
	assert_path("../../x", "x");
	assert_path("/../../../etc", "/etc");
	assert_path("/a/../../b", "/b");
	assert_path("/..", "/id");
	assert_path("/", "/id");
	assert_path("a/..", "id");
	assert_path("..a/b..", "..a/b..");
}
END_TEST

START_TEST(without_systemd_its_cgroups_are_refused)
{
	struct oci_linux l = { .cgroups_path = (char *)"system.slice:docker:abc" };
	struct oci_spec spec = { .linux_ = &l };
	auto_error struct error err = { 0 };

	if (fs_exists("/run/systemd/system"))
		return;
	ck_assert_ptr_null(cgroup_path(&spec, "id", true, &err));
	ck_assert_str_eq(err.msg,
	                 "systemd not running on this host, cannot use systemd cgroups manager");
}
END_TEST

START_TEST(with_systemd_the_path_has_three_parts)
{
	static const struct {
		const char *from, *to;
	} paths[] = {
		{ "system.slice:docker:abc", "/system.slice/docker-abc.scope" },
		{ ":cri:x", "/system.slice/cri-x.scope" },
		{ "-.slice:cri:x", "/cri-x.scope" },
		{ "kubepods-burstable-pod1.slice:cri:x",
		  "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/"
		  "cri-x.scope" },
		{ NULL, "/system.slice/vcrt-id.scope" },
	};
	struct oci_linux l = { 0 };
	struct oci_spec spec = { .linux_ = &l };
	auto_error struct error err = { 0 };

	scratch_unshare_mounts();
	ck_assert_int_eq(mount("none", "/run", "tmpfs", 0, NULL), 0);
	ck_assert_int_eq(fs_mkdir_p("/run/systemd/system", 0755, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		auto_free char *path = NULL;

		l.cgroups_path = (char *)paths[i].from;
		path = cgroup_path(&spec, "id", true, &err);
		ck_assert_msg(path != NULL, "%s", err.msg);
		ck_assert_str_eq(path, paths[i].to);
	}
	l.cgroups_path = (char *)"/docker/abc";
	ck_assert_ptr_null(cgroup_path(&spec, "id", true, &err));
	ck_assert_str_eq(err.msg, "expected cgroupsPath to be of format \"slice:prefix:name\" for "
	                          "systemd cgroups, got \"/docker/abc\" instead");
}
END_TEST

START_TEST(a_systemd_path_stays_within_the_hierarchy)
{
	static const char *const bad[] = {
		"../..:a:b",         "a/b:c:d",      "..:a:b",     "s.slice:../x:y",
		"s.slice:a:../../b", "s.slice:a:",   "user:a:b",   "-a.slice:b:c",
		"a--b.slice:c:d",    "a-.slice:b:c", ".slice:a:b", "s.slice:a:b.slice"
	};
	struct oci_linux l = { 0 };
	struct oci_spec spec = { .linux_ = &l };

	scratch_unshare_mounts();
	ck_assert_int_eq(mount("none", "/run", "tmpfs", 0, NULL), 0);
	ck_assert_int_eq(mkdir("/run/systemd", 0755), 0);
	ck_assert_int_eq(mkdir("/run/systemd/system", 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		auto_error struct error err = { 0 };

		l.cgroups_path = (char *)bad[i];
		ck_assert_msg(!cgroup_path(&spec, "id", true, &err), "%s", bad[i]);
		ck_assert_int_eq(err.code, EINVAL);
	}
}
END_TEST

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
	TCase *tc = tcase_create("cgroup");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, without_a_path_the_id_is_it);
	tcase_add_test(tc, paths_are_cleaned);
	tcase_add_test(tc, no_path_leads_out_of_the_hierarchy);
	tcase_add_test(tc, without_systemd_its_cgroups_are_refused);
	tcase_add_test(tc, with_systemd_the_path_has_three_parts);
	tcase_add_test(tc, a_systemd_path_stays_within_the_hierarchy);
	tcase_add_test(tc, directories_are_made_in_every_hierarchy_and_removed);
	tcase_add_test(tc, a_relative_path_is_below_our_own_cgroup);
	tcase_add_test(tc, each_hierarchy_counts_once);
	tcase_add_test(tc, what_was_there_before_is_not_ours_to_remove);
	tcase_add_test(tc, a_part_of_a_hierarchy_shown_elsewhere_is_not_another);
	tcase_add_test(tc, a_frozen_cgroup_takes_no_container);
	tcase_add_test(tc, a_cgroup_with_processes_is_warned_about);
	tcase_add_test(tc, an_empty_cpuset_on_the_way_is_filled);
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
