#include <errno.h>
#include <unistd.h>

#include "oci/oci.h"
#include "test/test_guest_cgroup.h"

static void setup(void)
{
	setup_cgroup();
	scratch_file("c/cgroup.events", "populated 1\nfrozen 0\n");
	scratch_file("c/memory.max", "");
	scratch_file("c/memory.swap.max", "");
	scratch_file("c/cpu.weight", "");
	scratch_file("c/cpu.max", "");
	scratch_file("c/pids.max", "");
	scratch_file("c/io.weight", "");
}

START_TEST(limits_are_written_in_the_words_of_version_2)
{
	struct oci_memory memory = {
		.has_limit = true, .limit = 1048576, .has_swap = true, .swap = 2097152
	};
	struct oci_cpu cpu = {
		.has_shares = true, .shares = 1024, .has_quota = true, .quota = 50000
	};
	struct oci_pids pids = { .has_limit = true, .limit = -1 };
	struct oci_block_io io = { .has_weight = true, .weight = 10 };
	struct oci_resources r = { .memory = &memory, .cpu = &cpu, .pids = &pids, .block_io = &io };

	ck_assert_msg(cgroup_limit(&cg, &r, NULL, &err) == 0, "%s", err.msg);
	scratch_expect("c/memory.max", "1048576");
	scratch_expect("c/memory.swap.max", "1048576");
	scratch_expect("c/cpu.weight", "39");
	scratch_expect("c/cpu.max", "50000 100000");
	scratch_expect("c/pids.max", "max");
	scratch_expect("c/io.weight", "default 1");
}
END_TEST

START_TEST(zero_is_no_limit_at_all)
{
	struct oci_memory memory = { .has_limit = true, .has_swap = true };
	struct oci_cpu cpu = { .has_shares = true };
	struct oci_pids pids = { .has_limit = true };
	struct oci_resources r = { .memory = &memory, .cpu = &cpu, .pids = &pids };

	ck_assert_msg(cgroup_limit(&cg, &r, NULL, &err) == 0, "%s", err.msg);
	scratch_expect("c/memory.max", "");
	scratch_expect("c/cpu.weight", "");
	scratch_expect("c/pids.max", "");
}
END_TEST

START_TEST(a_limit_that_the_kernel_lacks_is_named)
{
	struct oci_cpu cpu = { .cpus = "0-1" };
	struct oci_resources r = { .cpu = &cpu };

	ck_assert_int_eq(cgroup_limit(&cg, &r, NULL, &err), -ENOTSUP);
	ck_assert_str_eq(err.msg, "linux.resources.cpu.cpus: the guest kernel has no "
	                          "'cpuset.cpus'");
}
END_TEST

START_TEST(what_only_version_1_could_do_is_refused)
{
	struct oci_cpu cpu = { .has_realtime_runtime = true, .realtime_runtime = 1000 };
	struct oci_resources r = { .cpu = &cpu };

	ck_assert_int_eq(cgroup_limit(&cg, &r, NULL, &err), -ENOTSUP);
	ck_assert_str_eq(err.msg, "linux.resources.cpu.realtimeRuntime, realtimePeriod: not "
	                          "supported with cgroup version 2");
}
END_TEST

START_TEST(unified_words_go_last_and_stay_in_the_cgroup)
{
	struct oci_pair good[] = { { .key = "memory.max", .value = "7" } };
	struct oci_pair bad[] = { { .key = "../memory.max", .value = "7" } };
	struct oci_memory memory = { .has_limit = true, .limit = 5 };
	struct oci_resources r = { .memory = &memory, .unified = good, .n_unified = 1 };

	ck_assert_msg(cgroup_limit(&cg, &r, NULL, &err) == 0, "%s", err.msg);
	scratch_expect("c/memory.max", "7");
	r.unified = bad;
	ck_assert_int_eq(cgroup_limit(&cg, &r, NULL, &err), -EINVAL);
}
END_TEST

START_TEST(statistics_are_found_by_their_whole_key)
{
	scratch_file("c/memory.events", "low 1\noom 2\noom_kill 3\n");
	ck_assert_uint_eq(cgroup_stat(&cg, "memory.events", "oom_kill"), 3);
	ck_assert_uint_eq(cgroup_stat(&cg, "memory.events", "oom"), 2);
	ck_assert_uint_eq(cgroup_stat(&cg, "memory.events", "kill"), 0);
	ck_assert_uint_eq(cgroup_stat(&cg, "none", "oom"), 0);
	ck_assert(cgroup_is_populated(&cg));
}
END_TEST

START_TEST(processes_of_descendants_count)
{
	auto_free pid_t *pids = NULL;
	size_t n;

	scratch_file("c/cgroup.procs", "10\n11\n");
	scratch_file("c/sub/deep/cgroup.procs", "12\n");
	scratch_file("c/sub/cgroup.procs", "");
	pids = cgroup_pids(&cg, &n, &err);
	ck_assert_msg(pids != NULL, "%s", err.msg);
	ck_assert_uint_eq(n, 3);
	ck_assert_int_eq(pids[0] + pids[1] + pids[2], 33);
}
END_TEST

/* "c" with 0/0/0/... in it, and a process in each of these. */
static void nest(unsigned depth)
{
	auto_buf struct buf path = { 0 };

	scratch_file("c/cgroup.procs", "");
	buf_adds(&path, "c");
	for (unsigned i = 0; i < depth; i++) {
		auto_free char *procs = NULL;

		buf_adds(&path, "/0");
		procs = str_fmt("%s/cgroup.procs", path.data);
		scratch_file(procs, "5\n");
	}
}

START_TEST(no_process_hides_in_the_depth)
{
	auto_free pid_t *pids = NULL;
	size_t n;

	nest(50);
	pids = cgroup_pids(&cg, &n, &err);
	ck_assert_msg(pids != NULL, "%s", err.msg);
	ck_assert_uint_eq(n, 50);

	nest(260);
	ck_assert_ptr_null(cgroup_pids(&cg, &n, &err));
	ck_assert_int_eq(err.code, ELOOP);
}
END_TEST

static bool has(const char *name)
{
	return faccessat(cg.fd, name, F_OK, 0) == 0;
}

/* There, the files of a cgroup do not keep it from being removed; here, they would. */
START_TEST(a_cgroup_is_removed_with_all_below_it)
{
	const char *root = scratch_root();
	auto_buf struct buf deep = { 0 };
	int rounds = 0;

	buf_adds(&deep, "c");
	for (int i = 0; i < 300; i++) {
		auto_free char *other = str_fmt("c/other-%d/below", i);

		scratch_dir(other);
		buf_adds(&deep, "/0");
	}
	scratch_dir(deep.data);
	ck_assert_int_eq(cgroup_remove(&cg, root), -EBUSY); /* it is populated */
	ck_assert(has("0") && has("other-0/below"));

	scratch_file("c/cgroup.events", "populated 0\n");
	while (has("0") || has("other-0") || has("other-299")) {
		ck_assert_int_eq(cgroup_remove(&cg, root), -ENOTEMPTY);
		ck_assert_int_lt(rounds++, 10);
	}
	ck_assert_int_gt(rounds, 1); /* others have their turn meanwhile */
	scratch_file("c/x/file", "");
	ck_assert_int_eq(cgroup_remove(&cg, root), -ENOTEMPTY);
	ck_assert(has("x/file"));
}
END_TEST

START_TEST(a_cgroup_path_cannot_lead_out)
{
	struct cgroup other = { .fd = -1 };

	scratch_file("cgroup.controllers", "cpu memory pids\n");
	scratch_file("cgroup.subtree_control", "cpu\n");
	ck_assert_int_eq(cgroup_create(&other, scratch_root(), "/../x", &err), -EINVAL);
	ck_assert_str_eq(err.msg, "linux.cgroupsPath: '/../x' has a '..'");
	ck_assert_int_eq(cgroup_create(&other, scratch_root(), "/c", &err), -EBUSY);
	ck_assert_int_eq(other.fd, -1);
	scratch_expect("cgroup.subtree_control", "+memory +pids");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("cgroup");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, limits_are_written_in_the_words_of_version_2);
	tcase_add_test(tc, zero_is_no_limit_at_all);
	tcase_add_test(tc, a_limit_that_the_kernel_lacks_is_named);
	tcase_add_test(tc, what_only_version_1_could_do_is_refused);
	tcase_add_test(tc, unified_words_go_last_and_stay_in_the_cgroup);
	tcase_add_test(tc, statistics_are_found_by_their_whole_key);
	tcase_add_test(tc, processes_of_descendants_count);
	tcase_add_test(tc, no_process_hides_in_the_depth);
	tcase_add_test(tc, a_cgroup_is_removed_with_all_below_it);
	tcase_add_test(tc, a_cgroup_path_cannot_lead_out);
	return scratch_run(tc);
}
