#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "hypervisor/hypervisor.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "test/scratch.h"

/* A file stands for the KVM device: it opens, but no request to it works, so a verdict other than
 * that can only come from the cache. */
static char *device, *cache;

static void setup(void)
{
	scratch_setup();
	scratch_file("kvm", "");
	device = scratch_path("kvm");
	cache = scratch_path("cache");
}

static void teardown(void)
{
	auto_freep(&device);
	auto_freep(&cache);
	scratch_remove();
}

/* What the probe would have cached when KVM is at fault like that ("": works), and what follows. */
static char *cache_text(const char *fault)
{
	auto_error struct error err = { 0 };
	auto_free char *boot = NULL;
	struct stat st;

	ck_assert_int_eq(fs_read("/proc/sys/kernel/random/boot_id", 64, &boot, NULL, &err), 0);
	boot[strcspn(boot, "\n")] = '\0';
	ck_assert_int_eq(stat(device, &st), 0);
	return str_fmt("vcrt-kvm-probe 2 %s %u:%u:%llu %s", boot, major(st.st_rdev),
	               minor(st.st_rdev), (unsigned long long)st.st_ino, fault);
}

static void write_cache(const char *text)
{
	scratch_file("cache", text);
	ck_assert_int_eq(chmod(cache, 0600), 0);
}

static enum hv_accel probe(char **why)
{
	auto_error struct error err = { 0 };
	enum hv_accel accel = HV_ACCEL_AUTO;

	ck_assert_int_eq(hv_probe_accel(HV_ACCEL_AUTO, device, cache, &accel, why, &err), 0);
	return accel;
}

START_TEST(names_are_parsed_and_printed)
{
	enum hv_accel a = HV_ACCEL_TCG;

	ck_assert_int_eq(hv_accel_parse("auto", &a), 0);
	ck_assert_int_eq(a, HV_ACCEL_AUTO);
	ck_assert_int_eq(hv_accel_parse("kvm", &a), 0);
	ck_assert_str_eq(hv_accel_name(a), "kvm");
	ck_assert_int_eq(hv_accel_parse("tcg", &a), 0);
	ck_assert_str_eq(hv_accel_name(a), "tcg");
	ck_assert_int_eq(hv_accel_parse("TCG", &a), -EINVAL);
	ck_assert_int_eq(hv_accel_parse("", &a), -EINVAL);
	ck_assert_str_eq(hv_accel_name(a), "tcg");
}
END_TEST

START_TEST(tcg_is_taken_without_a_look)
{
	auto_error struct error err = { 0 };
	auto_free char *why = NULL;
	enum hv_accel accel = HV_ACCEL_AUTO;

	ck_assert_int_eq(hv_probe_accel(HV_ACCEL_TCG, "/x/kvm", NULL, &accel, &why, &err), 0);
	ck_assert_int_eq(accel, HV_ACCEL_TCG);
	ck_assert_ptr_null(why);
}
END_TEST

START_TEST(auto_without_a_device_is_tcg_and_says_why)
{
	auto_error struct error err = { 0 };
	auto_free char *why = NULL;
	enum hv_accel accel = HV_ACCEL_AUTO;

	ck_assert_int_eq(hv_probe_accel(HV_ACCEL_AUTO, "/x/kvm", cache, &accel, &why, &err), 0);
	ck_assert_int_eq(accel, HV_ACCEL_TCG);
	ck_assert_str_eq(why, "KVM does not work, VMs are emulated and slow: open '/x/kvm': "
	                      "No such file or directory");
}
END_TEST

START_TEST(kvm_without_a_device_is_an_error)
{
	auto_error struct error err = { 0 };
	auto_free char *why = NULL;
	enum hv_accel accel = HV_ACCEL_AUTO;

	ck_assert_int_eq(hv_probe_accel(HV_ACCEL_KVM, "/x/kvm", NULL, &accel, &why, &err), -ENOENT);
	ck_assert_str_eq(err.msg, "KVM does not work: open '/x/kvm': No such file or directory");
}
END_TEST

#define NOT_KVM "ask for the API version '%s': Inappropriate ioctl for device"

static void assert_probed(const char *why)
{
	auto_free char *expected =
		str_fmt("KVM does not work, VMs are emulated and slow: " NOT_KVM, device);

	ck_assert_str_eq(why, expected);
}

START_TEST(a_device_that_is_not_kvm_is_found_out_and_remembered)
{
	auto_free char *why = NULL, *again = NULL, *text = NULL, *expected = NULL;
	auto_free char *fault = str_fmt(NOT_KVM "\n", device);

	ck_assert_int_eq(probe(&why), HV_ACCEL_TCG);
	assert_probed(why);
	text = scratch_read("cache");
	expected = cache_text(fault);
	ck_assert_str_eq(text, expected);
	ck_assert_int_eq(probe(&again), HV_ACCEL_TCG);
	ck_assert_str_eq(again, why);
}
END_TEST

START_TEST(a_cached_success_is_kvm)
{
	auto_free char *text = cache_text("\n"), *why = NULL;

	write_cache(text);
	ck_assert_int_eq(probe(&why), HV_ACCEL_KVM);
	ck_assert_ptr_null(why);
}
END_TEST

START_TEST(a_cached_fault_is_tcg)
{
	auto_free char *text = cache_text("too slow\n"), *why = NULL;

	write_cache(text);
	ck_assert_int_eq(probe(&why), HV_ACCEL_TCG);
	ck_assert_str_eq(why, "KVM does not work, VMs are emulated and slow: too slow");
}
END_TEST

START_TEST(forced_kvm_with_a_cached_fault_is_an_error)
{
	auto_error struct error err = { 0 };
	auto_free char *text = cache_text("too slow\n"), *why = NULL;
	enum hv_accel accel = HV_ACCEL_AUTO;

	write_cache(text);
	ck_assert_int_eq(hv_probe_accel(HV_ACCEL_KVM, device, cache, &accel, &why, &err), -ENODEV);
	ck_assert_str_eq(err.msg, "KVM does not work: too slow");
}
END_TEST

/* Each would be "KVM works", or a fault of foreign making, if it were believed. */
static const char *const corrupt[] = { "", "\n\n", "\r\n", "\nx", "\033[2J\n", "a\nb\n" };

START_TEST(a_corrupt_cache_is_probed_again_and_rewritten)
{
	auto_free char *text = cache_text(corrupt[_i]), *why = NULL, *now = NULL, *expected = NULL;
	auto_free char *fault = str_fmt(NOT_KVM "\n", device);

	write_cache(text);
	ck_assert_int_eq(probe(&why), HV_ACCEL_TCG);
	assert_probed(why);
	now = scratch_read("cache");
	expected = cache_text(fault);
	ck_assert_str_eq(now, expected);
}
END_TEST

START_TEST(a_cache_of_another_boot_is_not_believed)
{
	auto_free char *text = cache_text("\n"), *why = NULL;

	text[strlen("vcrt-kvm-probe 2 ")] ^= 1;
	write_cache(text);
	ck_assert_int_eq(probe(&why), HV_ACCEL_TCG);
}
END_TEST

START_TEST(a_cache_that_others_can_write_is_not_believed)
{
	auto_free char *text = cache_text("\n"), *why = NULL, *why2 = NULL;

	write_cache(text);
	ck_assert_int_eq(chmod(cache, 0666), 0);
	ck_assert_int_eq(probe(&why), HV_ACCEL_TCG);
	ck_assert_int_eq(unlink(cache), 0);
	scratch_file("elsewhere", text);
	scratch_link("elsewhere", "cache");
	ck_assert_int_eq(probe(&why2), HV_ACCEL_TCG);
}
END_TEST

/* On any machine: whatever the verdict, it is the same the second time. */
START_TEST(the_real_device_gets_a_verdict_that_is_cached)
{
	auto_free char *why = NULL, *again = NULL, *text = NULL;
	enum hv_accel first;

	auto_freep(&device);
	device = str_dup("/dev/kvm");
	write_cache("garbage");
	first = probe(&why);
	ck_assert_int_eq(!why, first == HV_ACCEL_KVM);
	ck_assert_int_eq(probe(&again), first);
	ck_assert(str_eq(why, again));
	text = scratch_read("cache");
	/* Unless it may pass (permissions, lack of memory), it is remembered. */
	if (first == HV_ACCEL_KVM || strstr(why, "interpreted"))
		ck_assert_msg(str_starts(text, "vcrt-kvm-probe 2 "), "%s", text);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("accel");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 20);
	tcase_add_test(tc, names_are_parsed_and_printed);
	tcase_add_test(tc, tcg_is_taken_without_a_look);
	tcase_add_test(tc, auto_without_a_device_is_tcg_and_says_why);
	tcase_add_test(tc, kvm_without_a_device_is_an_error);
	tcase_add_test(tc, a_device_that_is_not_kvm_is_found_out_and_remembered);
	tcase_add_test(tc, a_cached_success_is_kvm);
	tcase_add_test(tc, a_cached_fault_is_tcg);
	tcase_add_test(tc, forced_kvm_with_a_cached_fault_is_an_error);
	tcase_add_loop_test(tc, a_corrupt_cache_is_probed_again_and_rewritten, 0,
	                    ARRAY_SIZE(corrupt));
	tcase_add_test(tc, a_cache_of_another_boot_is_not_believed);
	tcase_add_test(tc, a_cache_that_others_can_write_is_not_believed);
	tcase_add_test(tc, the_real_device_gets_a_verdict_that_is_cached);
	return scratch_run(tc);
}
