#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hypervisor/hypervisor.h"
#include "test/test_hypervisor_kernel.h"

static struct hv_config cfg;
static char *qemu, *kernel, *initrd;

static void set_kernel(const void *data, size_t len)
{
	auto_freep(&kernel);
	cfg.kernel = kernel = write_scratch("vmlinux", data, len);
}

static void set_initrd(const void *data, size_t len)
{
	auto_freep(&initrd);
	cfg.initrd = initrd = write_scratch("initrd", data, len);
}

static void setup(void)
{
	const struct tiny_kernel k = tiny_kernel_image();

	scratch_setup();
	qemu = write_scratch("qemu", "x", 1);
	ck_assert_int_eq(chmod(qemu, 0755), 0);
	cfg = (struct hv_config){
		.path = qemu,
		.memory_mib = 128,
		.cpus = 1,
		.pcie_ports = 24,
		.share_fd = -1,
	};
	set_kernel(&k, sizeof(k));
	set_initrd("07070100000000", 14);
}

static void teardown(void)
{
	auto_freep(&qemu);
	auto_freep(&kernel);
	auto_freep(&initrd);
	scratch_remove();
}

static void assert_refused(int code, const char *before, const char *path, const char *after)
{
	auto_error struct error err = { 0 };
	auto_free char *message = str_fmt("%s%s%s", before, path, after);

	ck_assert_int_eq(hv_check(&hv_qemu_ops, &cfg, &err), -code);
	ck_assert_str_eq(err.msg, message);
}

START_TEST(what_is_right_passes)
{
	auto_error struct error err = { 0 };

	ck_assert_msg(hv_check(&hv_qemu_ops, &cfg, &err) == 0, "%s", err.msg);
	cfg.cpus = 255;
	cfg.memory_mib = 4096;
	ck_assert_msg(hv_check(&hv_qemu_ops, &cfg, &err) == 0, "%s", err.msg);
}
END_TEST

START_TEST(templates_have_a_memory_file_of_their_own)
{
	cfg.memory = HV_MEMORY_SHARED;
	assert_refused(EINVAL, "the memory of a template needs a file", "", "");
	cfg.memory_path = "/memory";
	cfg.share_fd = 9;
	assert_refused(ENOTSUP,
	               "a template cannot have a virtio-fs share, which has the guest's "
	               "memory",
	               "", "");
}
END_TEST

START_TEST(a_missing_qemu_is_named)
{
	cfg.path = "/x/qemu";
	assert_refused(ENOENT, "QEMU is missing: '/x/qemu'", "", "");
}
END_TEST

START_TEST(a_relative_path_of_qemu_is_refused)
{
	cfg.path = "qemu-system-x86_64";
	assert_refused(EINVAL, "the path of QEMU is not absolute: 'qemu-system-x86_64'", "", "");
	cfg.path = NULL;
	assert_refused(EINVAL, "the path of QEMU is not absolute: ''", "", "");
}
END_TEST

START_TEST(a_qemu_that_cannot_be_run_is_named)
{
	ck_assert_int_eq(chmod(qemu, 0644), 0);
	assert_refused(EACCES, "QEMU is not an executable file: '", qemu, "'");
	cfg.path = scratch_root();
	assert_refused(EACCES, "QEMU is not a file: '", cfg.path, "'");
}
END_TEST

START_TEST(sizes_out_of_range_are_refused)
{
	cfg.memory_mib = 127;
	assert_refused(EINVAL, "127 MiB of memory is too small for a VM, at least 128 MiB", "", "");
	cfg.memory_mib = UINT32_MAX;
	assert_refused(EINVAL,
	               "4294967295 MiB of memory is too large for a VM, at most 16777216 MiB", "",
	               "");
	cfg.memory_mib = 256;
	cfg.cpus = 0;
	assert_refused(EINVAL, "a VM has 1 to 255 CPUs, not 0", "", "");
	cfg.cpus = 256;
	assert_refused(EINVAL, "a VM has 1 to 255 CPUs, not 256", "", "");
	cfg.cpus = 1;
	cfg.pcie_ports = 25;
	assert_refused(EINVAL, "a VM has at most 24 PCIe ports, not 25", "", "");
}
END_TEST

START_TEST(a_missing_kernel_or_initrd_is_named)
{
	cfg.kernel = "/x/vmlinux";
	assert_refused(ENOENT, "guest kernel is missing: '/x/vmlinux'", "", "");
	cfg.kernel = NULL;
	assert_refused(EINVAL, "no guest kernel is configured", "", "");
	cfg.kernel = kernel;
	cfg.initrd = "/x/initrd";
	assert_refused(ENOENT, "guest initrd is missing: '/x/initrd'", "", "");
	cfg.initrd = scratch_root();
	assert_refused(EINVAL, "guest initrd is not a file: '", cfg.initrd, "'");
}
END_TEST

START_TEST(a_kernel_that_is_not_an_elf_file_is_refused)
{
	static const char bzimage[128] = "MZ";

	set_kernel(bzimage, sizeof(bzimage));
	assert_refused(EINVAL, "guest kernel is not an uncompressed vmlinux: '", kernel, "'");
	set_kernel("", 0);
	assert_refused(EINVAL, "guest kernel is not an uncompressed vmlinux: '", kernel, "'");
}
END_TEST

/* Each breaks the PVH note in another way. */
static void no_note(struct tiny_kernel *k)
{
	k->e.e_phnum = 1;
}

static void other_note(struct tiny_kernel *k)
{
	k->note.n.n_type = 17;
}

static void other_owner(struct tiny_kernel *k)
{
	memcpy(k->note.name, "GNU", 4);
}

static void note_too_long(struct tiny_kernel *k)
{
	k->note.n.n_descsz = UINT32_MAX - 2;
}

static void name_too_long(struct tiny_kernel *k)
{
	k->note.n.n_namesz = UINT32_MAX;
}

static void segment_beyond_end(struct tiny_kernel *k)
{
	k->p[1].p_offset = INT64_MAX;
}

static void segment_too_big(struct tiny_kernel *k)
{
	k->p[1].p_filesz = UINT64_MAX;
}

static void headers_beyond_end(struct tiny_kernel *k)
{
	k->e.e_phoff = 1 << 20;
}

static void (*const breaks[])(struct tiny_kernel *) = {
	no_note,       other_note,         other_owner,     note_too_long,
	name_too_long, segment_beyond_end, segment_too_big, headers_beyond_end,
};

START_TEST(a_kernel_without_a_pvh_entry_is_refused)
{
	struct tiny_kernel k = tiny_kernel_image();

	breaks[_i](&k);
	set_kernel(&k, sizeof(k));
	assert_refused(EINVAL, "guest kernel has no PVH entry: '", kernel, "'");
}
END_TEST

START_TEST(an_initrd_may_be_compressed)
{
	static const char *const heads[] = { "\x1f\x8b", "\x28\xb5\x2f\xfd", "\x02\x21\x4c\x18",
		                             "\xfd"
		                             "7zXZ",
		                             "070702" };

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		auto_error struct error err = { 0 };
		char data[16] = "";

		memcpy(data, heads[i], strlen(heads[i]));
		set_initrd(data, sizeof(data));
		ck_assert_msg(hv_check(&hv_qemu_ops, &cfg, &err) == 0, "%s", err.msg);
	}
}
END_TEST

START_TEST(an_initrd_that_is_not_an_archive_is_refused)
{
	set_initrd("#!/bin/sh\n", 10);
	assert_refused(EINVAL, "guest initrd is not a cpio archive: '", initrd, "'");
	set_initrd("0707", 4);
	assert_refused(EINVAL, "guest initrd is not a cpio archive: '", initrd, "'");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("check");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_is_right_passes);
	tcase_add_test(tc, templates_have_a_memory_file_of_their_own);
	tcase_add_test(tc, a_missing_qemu_is_named);
	tcase_add_test(tc, a_relative_path_of_qemu_is_refused);
	tcase_add_test(tc, a_qemu_that_cannot_be_run_is_named);
	tcase_add_test(tc, sizes_out_of_range_are_refused);
	tcase_add_test(tc, a_missing_kernel_or_initrd_is_named);
	tcase_add_test(tc, a_kernel_that_is_not_an_elf_file_is_refused);
	tcase_add_loop_test(tc, a_kernel_without_a_pvh_entry_is_refused, 0, ARRAY_SIZE(breaks));
	tcase_add_test(tc, an_initrd_may_be_compressed);
	tcase_add_test(tc, an_initrd_that_is_not_an_archive_is_refused);
	return scratch_run(tc);
}
