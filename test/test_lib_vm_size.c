/* How large a VM is for what its containers may use. */
#include <string.h>
#include <unistd.h>

#include "lib/config.h"
#include "lib/vm-size.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "oci/oci.h"
#include "test/scratch.h"

static struct config c;

static void setup(void)
{
	c = (struct config){ .memory_mib = 512,
		             .memory_max_mib = 4096,
		             .memory_overhead_mib = 256,
		             .cpus = 1,
		             .cpus_max = 4,
		             .accel = "kvm" };
}

static void update(struct vm_need *n, const char *json)
{
	auto_error struct error err = { 0 };
	auto_oci_resources struct oci_resources *r = oci_resources_parse(json, strlen(json), &err);

	ck_assert_msg(r != NULL, "%s", err.msg);
	vm_need_update(n, r);
}

static struct hv_size size_for(const char *json)
{
	struct vm_need n = { 0 };
	struct vm_sum sum = { 0 };

	update(&n, json);
	vm_sum_add(&sum, &n);
	return vm_size_for(&c, &sum);
}

static unsigned memory(const char *limit)
{
	auto_free char *text = str_fmt("{\"memory\":{\"limit\":%s}}", limit);

	return size_for(text).memory_mib;
}

static unsigned cpus(const char *quota, const char *period)
{
	auto_free char *text = str_fmt("{\"cpu\":{\"quota\":%s,\"period\":%s}}", quota, period);

	return size_for(text).cpus;
}

START_TEST(memory_fits_the_limit_and_what_the_guest_needs_itself_in_steps)
{
	ck_assert_uint_eq(size_for("{}").memory_mib, 512);
	ck_assert_uint_eq(memory("0"), 512);
	ck_assert_uint_eq(memory("-1"), 512);
	ck_assert_uint_eq(memory("9223372036854771712"), 512);
	ck_assert_uint_eq(memory("67108864"), 512);
	ck_assert_uint_eq(memory("396361728"), 512);        /* 378 + 6 + 128 */
	ck_assert_uint_eq(memory("397410304"), 512 + 128);  /* one more */
	ck_assert_uint_eq(memory("1073741824"), 512 + 768); /* 1024 + 17 + 128 */
	ck_assert_uint_eq(memory("1099511627776000"), 4096);
	c.memory_max_mib = 1000;
	ck_assert_uint_eq(memory("1073741824"), 512 + 384);
	c.memory_max_mib = 100;
	ck_assert_uint_eq(memory("1073741824"), 512);
	c.memory_max_mib = 0;
	ck_assert_uint_gt(memory("1099511627776000"), 512);
}
END_TEST

START_TEST(processors_are_as_many_as_a_quota_keeps_busy)
{
	ck_assert_uint_eq(cpus("0", "0"), 1);
	ck_assert_uint_eq(cpus("-1", "100000"), 1);
	ck_assert_uint_eq(cpus("50000", "100000"), 1);
	ck_assert_uint_eq(cpus("100000", "100000"), 1);
	ck_assert_uint_eq(cpus("100001", "100000"), 2);
	ck_assert_uint_eq(cpus("250000", "0"), 3); /* of the usual period */
	ck_assert_uint_eq(cpus("2000", "1000"), 2);
	ck_assert_uint_eq(cpus("9223372036854775807", "1"), 4);
	ck_assert_uint_eq(cpus("9223372036854775806", "9223372036854775807"), 1);
	c.cpus_max = 0;
	ck_assert_uint_eq(cpus("9223372036854775807", "1"),
	                  (unsigned)sysconf(_SC_NPROCESSORS_ONLN));
	c.cpus = 200;
	ck_assert_uint_eq(cpus("100000", "100000"), 200);
}
END_TEST

START_TEST(limits_add_up)
{
	struct vm_need a = { 0 }, b = { 0 };
	struct vm_sum sum = { 0 };
	struct hv_size size;

	update(&a,
	       "{\"memory\":{\"limit\":536870912},\"cpu\":{\"quota\":50000,\"period\":100000}}");
	update(&b, "{\"memory\":{\"limit\":536870912},\"cpu\":{\"quota\":4000,\"period\":10000}}");
	vm_sum_add(&sum, &a);
	vm_sum_add(&sum, &b);
	size = vm_size_for(&c, &sum);
	ck_assert_uint_eq(size.memory_mib, 512 + 768);
	ck_assert_uint_eq(size.cpus, 1);
	vm_sum_add(&sum, &b);
	ck_assert_uint_eq(vm_size_for(&c, &sum).cpus, 2);
}
END_TEST

START_TEST(an_update_leaves_what_it_does_not_name)
{
	struct vm_need n = { 0 }, other = { .memory_mib = 64, .quota = 30000, .period = 10000 };
	auto_json struct json *j = NULL;
	struct vm_need back;

	update(&n, "{\"memory\":{\"limit\":1048577},\"cpu\":{\"quota\":150000,\"period\":100000}}");
	ck_assert_uint_eq(n.memory_mib, 2);
	update(&n, "{\"cpu\":{\"shares\":5}}");
	update(&n, "{\"memory\":{\"limit\":0}}");
	ck_assert(n.memory_mib == 2 && n.quota == 150000 && n.period == 100000);
	update(&n, "{\"cpu\":{\"period\":50000}}");
	vm_need_raise(&n, &other);
	ck_assert(n.memory_mib == 64 && n.quota == 150000 && n.period == 50000);
	other.quota = 30001;
	vm_need_raise(&n, &other);
	ck_assert(n.quota == 30001 && n.period == 10000);
	j = vm_need_to_json(&n);
	vm_need_from_json(&back, j);
	ck_assert_int_eq(memcmp(&back, &n, sizeof(n)), 0);
	update(&n, "{\"memory\":{\"limit\":-1},\"cpu\":{\"quota\":-1}}");
	ck_assert(n.memory_mib == 0 && n.quota == 0);
	vm_need_from_json(&back, NULL);
	ck_assert(back.memory_mib == 0 && back.quota == 0 && back.period == 0);
}
END_TEST

START_TEST(the_reach_does_not_depend_on_the_hosts_memory_of_today)
{
	unsigned mib;

	ck_assert_uint_eq(vm_size_reach(&c).memory_mib, 4096);
	c.memory_max_mib = 0;
	mib = vm_size_reach(&c).memory_mib;
	ck_assert_uint_eq(mib & (mib - 1), 0);
	ck_assert_uint_ge(mib, vm_size_max(&c).memory_mib);
	ck_assert_uint_eq(vm_size_reach(&c).cpus, 4);
}
END_TEST

START_TEST(the_host_has_room_for_vm_and_vmm)
{
	struct cgroup_room room = vm_room(&c, 1024);

	ck_assert_uint_eq(room.vm, 1024u << 20);
	ck_assert_uint_eq(room.vmm, (256 + 4) << 20);
	c.accel = "tcg";
	ck_assert_uint_eq(vm_room(&c, 1024).vmm, (256 + 4 + HV_TCG_CODE_MIB) << 20);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("vm_size");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, memory_fits_the_limit_and_what_the_guest_needs_itself_in_steps);
	tcase_add_test(tc, processors_are_as_many_as_a_quota_keeps_busy);
	tcase_add_test(tc, limits_add_up);
	tcase_add_test(tc, an_update_leaves_what_it_does_not_name);
	tcase_add_test(tc, the_reach_does_not_depend_on_the_hosts_memory_of_today);
	tcase_add_test(tc, the_host_has_room_for_vm_and_vmm);
	return scratch_run(tc);
}
