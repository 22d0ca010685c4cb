#include <errno.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "oci/oci.h"
#include "test/scratch.h"

START_TEST(ids_are_mapped_to_the_outside)
{
	struct oci_id_mapping maps[] = {
		{ .container_id = 0, .host_id = 1000, .size = 1 },
		{ .container_id = 1, .host_id = 100000, .size = 10 },
	};

	ck_assert_uint_eq(idmap_to_outside(maps, 2, 0), 1000);
	ck_assert_uint_eq(idmap_to_outside(maps, 2, 10), 100009);
	ck_assert_uint_eq(idmap_to_outside(maps, 2, 11), 11);
	ck_assert_uint_eq(idmap_to_outside(NULL, 0, 5), 5);
}
END_TEST

static struct container holder = { .id = "holder", .shared = { -1, -1, -1, -1 } };
static struct guest guest = { .containers = &holder };

/* What the agent makes of linux.namespaces with this entry. 0 or -errno with err filled. */
static int plan(const char *type, const char *path, struct ns_plan *ns, struct error *err)
{
	struct oci_namespace list[] = { { .type = "mount" },
		                        { .type = (char *)type, .path = (char *)path } };
	struct oci_linux x = { .namespaces = list, .n_namespaces = 2 };

	return namespaces_plan(ns, &guest, &x, err);
}

START_TEST(an_entry_without_a_path_is_made)
{
	auto_error struct error err = { 0 };
	struct ns_plan ns = { 0 };

	ck_assert_msg(plan("network", NULL, &ns, &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(ns.create, CLONE_NEWNS | CLONE_NEWNET);
	ck_assert_uint_eq(ns.join, 0);
}
END_TEST

START_TEST(a_path_is_that_of_another_container)
{
	auto_error struct error err = { 0 };
	struct ns_plan ns = { 0 };
	struct stat ours, joined;

	holder.ns.create = CLONE_NEWUTS | CLONE_NEWIPC;
	namespaces_keep(&holder, getpid());
	ck_assert_msg(plan("uts", "/run/vcrt/namespaces/holder/uts", &ns, &err) == 0, "%s",
	              err.msg);
	ck_assert_uint_eq(ns.create, CLONE_NEWNS);
	ck_assert_uint_eq(ns.join, CLONE_NEWUTS);
	ck_assert_uint_eq(ns.n_joined, 1);
	ck_assert_int_eq(stat("/proc/self/ns/uts", &ours), 0);
	ck_assert_int_eq(fstat(ns.joined[0].fd, &joined), 0);
	ck_assert_uint_eq(ours.st_ino, joined.st_ino);
	namespaces_done(&ns);
	namespaces_forget(holder.shared);
	ck_assert_int_eq(plan("uts", "/run/vcrt/namespaces/holder/uts", &ns, &err), -ENOENT);
}
END_TEST

START_TEST(no_other_path_is_joined)
{
	static const char *const paths[][2] = {
		{ "uts", "/proc/self/ns/uts" },
		{ "uts", "/run/vcrt/namespaces/nobody/uts" },
		{ "uts", "/run/vcrt/namespaces/holder/ipc" },
		{ "uts", "/run/vcrt/namespaces/holder" },
		{ "uts", "/run/vcrt/namespaces/holder/../holder/uts" },
		{ "pid", "/run/vcrt/namespaces/holder/pid" },
		{ "user", "/run/vcrt/namespaces/holder/user" },
		{ "mount", "/run/vcrt/namespaces/holder/mount" },
	};

	holder.ns.create = CLONE_NEWUTS | CLONE_NEWIPC;
	namespaces_keep(&holder, getpid());
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		auto_error struct error err = { 0 };
		struct ns_plan ns = { 0 };

		ck_assert_msg(plan(paths[i][0], paths[i][1], &ns, &err) == -ENOENT, "%s taken",
		              paths[i][1]);
		ck_assert_uint_eq(ns.n_joined, 0);
	}
	namespaces_forget(holder.shared);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("namespaces");

	tcase_add_test(tc, ids_are_mapped_to_the_outside);
	tcase_add_test(tc, an_entry_without_a_path_is_made);
	tcase_add_test(tc, a_path_is_that_of_another_container);
	tcase_add_test(tc, no_other_path_is_joined);
	return scratch_run(tc);
}
