/* The path of a container's cgroup, as its specification names it. */
#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "lib/cgroup.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "oci/oci.h"
#include "test/scratch.h"

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

int main(void)
{
	TCase *tc = tcase_create("cgroup-path");

	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, without_a_path_the_id_is_it);
	tcase_add_test(tc, paths_are_cleaned);
	tcase_add_test(tc, no_path_leads_out_of_the_hierarchy);
	tcase_add_test(tc, without_systemd_its_cgroups_are_refused);
	tcase_add_test(tc, with_systemd_the_path_has_three_parts);
	tcase_add_test(tc, a_systemd_path_stays_within_the_hierarchy);
	return scratch_run(tc);
}
