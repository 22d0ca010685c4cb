/* Limits on the host; scratch trees stand for the hierarchies of either version. */
#include <errno.h>

#include "lib/cgroup-limits.h"
#include "lib/base/error.h"
#include "lib/base/str.h"
#include "oci/oci.h"
#include "test/scratch.h"

#define MIB (1024ull * 1024)

static const struct cgroup_room room = { .vm = 512 * MIB, .vmm = 100 * MIB };
static char **dirs;
static struct cgroup_place place;
static struct cgroup_undo undo;
static struct error err;

static void setup(void)
{
	scratch_setup();
	dirs = NULL;
}

static void teardown(void)
{
	cgroup_undo_done(&undo);
	strv_free(dirs);
	error_clear(&err);
	scratch_remove();
}

static void add_hierarchy(const char *rel)
{
	strv_take(&dirs, scratch_path(rel));
}

static void make_v1(void)
{
	scratch_file("mem/memory.limit_in_bytes", "9223372036854771712\n");
	scratch_file("mem/memory.memsw.limit_in_bytes", "9223372036854771712\n");
	scratch_file("mem/memory.soft_limit_in_bytes", "9223372036854771712\n");
	scratch_file("mem/memory.swappiness", "60\n");
	scratch_file("cpu/cpu.shares", "1024\n");
	scratch_file("cpu/cpu.cfs_quota_us", "-1\n");
	scratch_file("cpu/cpu.cfs_period_us", "100000\n");
	scratch_file("cpu/cpu.cfs_burst_us", "0\n");
	scratch_file("cpu/cpu.idle", "0\n");
	scratch_file("cpuset/cpuset.cpus", "0-1\n");
	scratch_file("cpuset/cpuset.mems", "0\n");
	scratch_file("pids/pids.max", "max\n");
	scratch_file("blkio/blkio.bfq.weight", "100\n");
	scratch_file("blkio/blkio.bfq.weight_device", "");
	scratch_file("blkio/blkio.throttle.read_bps_device", "");
	scratch_file("blkio/blkio.throttle.write_bps_device", "8:0 5\n");
	scratch_file("blkio/blkio.throttle.read_iops_device", "");
	scratch_file("blkio/blkio.throttle.write_iops_device", "");
	add_hierarchy("mem");
	add_hierarchy("cpu");
	add_hierarchy("cpuset");
	add_hierarchy("pids");
	add_hierarchy("blkio");
}

static void make_v2(void)
{
	scratch_file("v2/memory.max", "max\n");
	scratch_file("v2/memory.swap.max", "max\n");
	scratch_file("v2/memory.low", "0\n");
	scratch_file("v2/cpu.weight", "100\n");
	scratch_file("v2/cpu.max", "max 100000\n");
	scratch_file("v2/cpu.max.burst", "0\n");
	scratch_file("v2/cpu.idle", "0\n");
	scratch_file("v2/cpuset.cpus", "\n");
	scratch_file("v2/cpuset.mems", "\n");
	scratch_file("v2/pids.max", "max\n");
	scratch_file("v2/io.weight", "default 100\n");
	scratch_file("v2/io.max", "");
	add_hierarchy("v2");
}

static int limit(const char *json)
{
	auto_oci_resources struct oci_resources *r = NULL;

	error_clear(&err);
	place = (struct cgroup_place){ .dirs = dirs };
	r = oci_resources_parse(json, strlen(json), &err);
	ck_assert_msg(r && oci_resources_validate(r, &err) == 0, "%s", err.msg);
	if (cgroup_limit_space(&place, r, &room, &undo, &err) == 0)
		cgroup_limit_speed(&place, r, &undo, &err);
	return -err.code;
}

static void limit_ok(const char *json)
{
	ck_assert_msg(limit(json) == 0, "%s", err.msg);
}

static const char everything[] =
	"{\"memory\":{\"limit\":67108864,\"swap\":134217728,\"reservation\":4096,\"swappiness\":7},"
	"\"cpu\":{\"shares\":512,\"quota\":50000,\"burst\":1000,\"cpus\":\"1\",\"mems\":\"0\"},"
	"\"pids\":{\"limit\":10},\"blockIO\":{\"weight\":500,"
	"\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":1000}],"
	"\"throttleWriteBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":0}],"
	"\"throttleReadIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":30}],"
	"\"throttleWriteIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":40}]}}";

START_TEST(version_1_gets_what_is_asked_for_and_room_for_the_vm)
{
	make_v1();
	limit_ok(everything);
	scratch_expect("mem/memory.limit_in_bytes", "641728512"); /* 612 MiB */
	scratch_expect("mem/memory.memsw.limit_in_bytes", "708837376");
	scratch_expect("mem/memory.soft_limit_in_bytes", "4096");
	scratch_expect("mem/memory.swappiness", "7");
	scratch_expect("cpu/cpu.shares", "512");
	scratch_expect("cpu/cpu.cfs_quota_us", "50000");
	scratch_expect("cpu/cpu.cfs_period_us", "100000\n");
	scratch_expect("cpu/cpu.cfs_burst_us", "1000");
	scratch_expect("cpuset/cpuset.cpus", "1");
	scratch_expect("cpuset/cpuset.mems", "0");
	scratch_expect("pids/pids.max", "266");
	scratch_expect("blkio/blkio.bfq.weight", "500");
	scratch_expect("blkio/blkio.throttle.read_bps_device", "8:0 1000");
	scratch_expect("blkio/blkio.throttle.write_bps_device", "8:0 0");
	scratch_expect("blkio/blkio.throttle.read_iops_device", "8:0 30");
	scratch_expect("blkio/blkio.throttle.write_iops_device", "8:0 40");
	limit_ok("{\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":0,\"weight\":20}]}}");
	scratch_expect("blkio/blkio.bfq.weight_device", "8:0 20");
}
END_TEST

START_TEST(version_2_gets_the_same_in_its_words)
{
	make_v2();
	limit_ok(everything);
	scratch_expect("v2/memory.max", "641728512");
	scratch_expect("v2/memory.swap.max", "67108864");
	scratch_expect("v2/memory.low", "4096");
	scratch_expect("v2/cpu.weight", "20");
	scratch_expect("v2/cpu.max", "50000 100000");
	scratch_expect("v2/cpu.max.burst", "1000");
	scratch_expect("v2/cpuset.cpus", "1");
	scratch_expect("v2/pids.max", "266");
	scratch_expect("v2/io.weight", "default 4950");
	scratch_expect("v2/io.max", "8:0 wiops=40"); /* the last of four lines */
	limit_ok("{\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":0}],"
	         "\"weightDevice\":[{\"major\":8,\"minor\":0,\"weight\":1000}]}}");
	scratch_expect("v2/io.max", "8:0 rbps=max");
	scratch_expect("v2/io.weight", "8:0 10000");
}
END_TEST

START_TEST(everything_is_taken_back)
{
	make_v1();
	make_v2();
	limit_ok(everything);
	cgroup_limit_undo(&place, &undo);
	scratch_expect("mem/memory.limit_in_bytes", "9223372036854771712\n");
	scratch_expect("cpu/cpu.shares", "1024\n");
	scratch_expect("cpu/cpu.cfs_quota_us", "-1\n");
	scratch_expect("cpuset/cpuset.cpus", "0-1\n");
	scratch_expect("pids/pids.max", "max\n");
	scratch_expect("blkio/blkio.throttle.read_bps_device", "8:0 0\n");
	scratch_expect("blkio/blkio.throttle.write_bps_device", "8:0 5\n");
	scratch_expect("v2/cpu.max", "max 100000\n");
	scratch_expect("v2/cpuset.cpus", "\n");
	scratch_expect("v2/io.max", "8:0 rbps=max wbps=max riops=max wiops=max\n");
}
END_TEST

START_TEST(a_limit_beyond_the_vm_counts_and_none_is_none)
{
	make_v1();
	make_v2();
	limit_ok("{\"memory\":{\"limit\":1073741824}}");
	scratch_expect("mem/memory.limit_in_bytes", "1178599424"); /* 1024 + 100 MiB */
	scratch_expect("v2/memory.max", "1178599424");
	scratch_expect("v2/memory.swap.max", "max\n");
	limit_ok("{\"memory\":{\"limit\":9223372036854771712}}");
	scratch_expect("v2/memory.max", "9223372036854775807");
	limit_ok("{\"memory\":{\"limit\":-1},\"pids\":{\"limit\":-1},\"cpu\":{\"quota\":-1}}");
	scratch_expect("mem/memory.limit_in_bytes", "-1");
	scratch_expect("mem/memory.memsw.limit_in_bytes", "-1");
	scratch_expect("v2/memory.max", "max");
	scratch_expect("v2/memory.swap.max", "max");
	scratch_expect("pids/pids.max", "max");
	scratch_expect("cpu/cpu.cfs_quota_us", "-1");
	scratch_expect("v2/cpu.max", "max 100000");
}
END_TEST

START_TEST(zeros_leave_things_as_they_are)
{
	make_v1();
	limit_ok("{\"memory\":{\"limit\":0,\"swap\":0,\"reservation\":0},\"pids\":{\"limit\":0},"
	         "\"cpu\":{\"shares\":0,\"quota\":0,\"period\":0,\"cpus\":\"\"},"
	         "\"blockIO\":{\"weight\":0}}");
	ck_assert_uint_eq(undo.files.n, 0);
}
END_TEST

START_TEST(the_vmm_keeps_time_to_answer)
{
	make_v1();
	make_v2();
	limit_ok("{\"cpu\":{\"shares\":2}}");
	scratch_expect("cpu/cpu.shares", "256");
	scratch_expect("v2/cpu.weight", "10");
	limit_ok("{\"cpu\":{\"idle\":1,\"shares\":2048}}");
	scratch_expect("cpu/cpu.shares", "256");
	scratch_expect("cpu/cpu.idle", "0\n");
	scratch_expect("v2/cpu.idle", "0\n");
	limit_ok("{\"cpu\":{\"quota\":1000}}");
	scratch_expect("cpu/cpu.cfs_quota_us", "20000");
	scratch_expect("v2/cpu.max", "20000 100000");
	limit_ok("{\"cpu\":{\"quota\":1000,\"period\":50000}}");
	scratch_expect("cpu/cpu.cfs_period_us", "50000");
	scratch_expect("cpu/cpu.cfs_quota_us", "10000");
	scratch_expect("v2/cpu.max", "10000 50000");
}
END_TEST

START_TEST(swap_is_never_below_memory_in_version_1)
{
	make_v1();
	scratch_file("mem/memory.memsw.limit_in_bytes", "5000\n");
	limit_ok("{\"memory\":{\"limit\":67108864}}");
	scratch_expect("mem/memory.memsw.limit_in_bytes", "641728512");
	ck_assert_int_eq(limit("{\"memory\":{\"swap\":5}}"), -EINVAL);
	ck_assert_str_eq(err.msg, "linux.resources.memory.swap: cannot be set without "
	                          "memory.limit");
}
END_TEST

START_TEST(limits_make_room_for_a_vm_that_grows)
{
	const struct cgroup_room larger = { .vm = 1024 * MIB, .vmm = 100 * MIB };

	make_v1();
	make_v2();
	place = (struct cgroup_place){ .dirs = dirs };
	/* Without a limit there is none afterwards. */
	ck_assert_int_eq(cgroup_limit_room(&place, &larger, &undo, &err), 0);
	scratch_expect("mem/memory.limit_in_bytes", "9223372036854771712\n");
	scratch_expect("v2/memory.max", "max\n");
	limit_ok("{\"memory\":{\"limit\":67108864,\"swap\":134217728}}");
	cgroup_undo_done(&undo);
	ck_assert_int_eq(cgroup_limit_room(&place, &larger, &undo, &err), 0);
	scratch_expect("mem/memory.limit_in_bytes", "1178599424"); /* 1124 MiB */
	scratch_expect("mem/memory.memsw.limit_in_bytes", "1245708288");
	scratch_expect("v2/memory.max", "1178599424");
	scratch_expect("v2/memory.swap.max", "67108864");
	cgroup_limit_undo(&place, &undo);
	scratch_expect("mem/memory.limit_in_bytes", "641728512\n");
	scratch_expect("mem/memory.memsw.limit_in_bytes", "708837376\n");
	scratch_expect("v2/memory.max", "641728512\n");
	/* What is enough stays. */
	ck_assert_int_eq(cgroup_limit_room(&place, &room, &undo, &err), 0);
	scratch_expect("v2/memory.max", "641728512\n");
}
END_TEST

START_TEST(a_host_without_the_files_is_fine_except_for_devices)
{
	scratch_dir("empty");
	add_hierarchy("empty");
	limit_ok("{\"memory\":{\"limit\":67108864,\"swap\":-1},\"pids\":{\"limit\":5},"
	         "\"cpu\":{\"shares\":5,\"quota\":5,\"cpus\":\"0\"},\"blockIO\":{\"weight\":10}}");
	ck_assert_int_eq(limit("{\"blockIO\":{\"throttleWriteIOPSDevice\":"
	                       "[{\"major\":8,\"minor\":0,\"rate\":1}]}}"),
	                 -ENOTSUP);
	ck_assert_str_eq(err.msg, "linux.resources.blockIO.throttleWriteIOPSDevice: the host has "
	                          "no cgroup that can do that");
	ck_assert_int_eq(limit("{\"blockIO\":{\"weightDevice\":"
	                       "[{\"major\":8,\"minor\":0,\"weight\":10}]}}"),
	                 -ENOTSUP);
	ck_assert_int_eq(limit("{\"blockIO\":{\"weightDevice\":"
	                       "[{\"major\":8,\"minor\":0,\"leafWeight\":10}]}}"),
	                 -ENOTSUP);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("cgroup_limits");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, version_1_gets_what_is_asked_for_and_room_for_the_vm);
	tcase_add_test(tc, version_2_gets_the_same_in_its_words);
	tcase_add_test(tc, everything_is_taken_back);
	tcase_add_test(tc, a_limit_beyond_the_vm_counts_and_none_is_none);
	tcase_add_test(tc, zeros_leave_things_as_they_are);
	tcase_add_test(tc, the_vmm_keeps_time_to_answer);
	tcase_add_test(tc, swap_is_never_below_memory_in_version_1);
	tcase_add_test(tc, limits_make_room_for_a_vm_that_grows);
	tcase_add_test(tc, a_host_without_the_files_is_fine_except_for_devices);
	return scratch_run(tc);
}
