/* A guest that counts in its memory is saved, and goes on in clones with the real QEMU. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/json.h"
#include "test/test_hypervisor_vm.h"

enum { COUNTER = 0x200000 };

static char *memory;
static int state = -1;

static void setup(void)
{
	struct tiny_kernel k = tiny_kernel_image();
	/* incl COUNTER; jmp to the first */
	static const uint8_t code[] = { 0xff, 0x05, 0, 0, COUNTER >> 16, 0, 0xeb, 0xf8 };
	auto_free char *path = NULL;

	memcpy(k.code, code, sizeof(code));
	setup_vm(&k);
	memory = write_scratch("memory", "", 0);
	ck_assert_int_eq(truncate(memory, 128 << 20), 0);
	path = scratch_path("state");
	state = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(state, 0);
	cfg.memory_path = memory;
}

static void teardown(void)
{
	close_fd(&state);
	auto_freep(&memory);
	teardown_vm();
}

static struct hv *start(enum hv_memory how)
{
	auto_error struct error err = { 0 };
	struct hv *hv = hv_new(&hv_qemu_ops);

	cfg.memory = how;
	ck_assert_msg(hv_start(hv, &cfg, &err) == 0, "%s", err.msg);
	return hv;
}

static uint32_t counter_in(const char *path, off_t at)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint32_t counter = 0;

	ck_assert_int_eq(pread(fd, &counter, sizeof(counter), at), sizeof(counter));
	return counter;
}

/* As the guest has it. */
static uint32_t counter_of(struct hv *hv)
{
	auto_error struct error err = { 0 };
	auto_free char *path = scratch_path("dump");
	struct json *args = json_new_object();

	json_set(args, "val", json_new_i64(COUNTER));
	json_set(args, "size", json_new_i64(4));
	json_set(args, "filename", json_new_string(path));
	ck_assert_msg(qemu_command(to_qemu(hv), "pmemsave", args, NULL, 0, &err) == 0, "%s",
	              err.msg);
	return counter_in(path, 0);
}

static void make_template(void)
{
	auto_error struct error err = { 0 };
	struct hv *hv = start(HV_MEMORY_SHARED);

	for (int i = 0; counter_in(memory, COUNTER) == 0; i++) {
		ck_assert_int_lt(i, 2000);
		poll(NULL, 0, 10);
	}
	ck_assert_msg(hv_save(hv, state, &err) == 0, "%s", err.msg);
	hv_free(hv);
}

static struct hv *start_restore(void)
{
	auto_error struct error err = { 0 };
	struct hv *hv = start(HV_MEMORY_PRIVATE);
	int progress;

	ck_assert_int_eq(lseek(state, 0, SEEK_SET), 0);
	ck_assert_msg(hv_restore(hv, state, &progress, &err) == 0, "%s", err.msg);
	ck_assert_int_ge(progress, 0);
	return hv;
}

static struct hv *clone_vm(void)
{
	auto_error struct error err = { 0 };
	struct hv *hv = start_restore();

	ck_assert_msg(hv_restored(hv, 20000, &err) == 1, "%s", err.msg);
	return hv;
}

START_TEST(clones_go_on_where_the_template_stopped_each_with_its_own_memory)
{
	uint32_t saved, first, second;
	struct hv *a, *b;

	make_template();
	saved = counter_in(memory, COUNTER);
	a = clone_vm();
	for (int i = 0; (first = counter_of(a)) <= saved; i++) {
		ck_assert_int_lt(i, 2000);
		poll(NULL, 0, 10);
	}
	ck_assert_int_eq(hv_pause(a, &(struct error){ 0 }), 0);
	first = counter_of(a);
	b = clone_vm();
	for (int i = 0; (second = counter_of(b)) <= saved; i++) {
		ck_assert_int_lt(i, 2000);
		poll(NULL, 0, 10);
	}
	ck_assert_uint_eq(counter_of(a), first);
	ck_assert_uint_eq(counter_in(memory, COUNTER), saved);
	hv_free(a);
	hv_free(b);
}
END_TEST

START_TEST(a_clone_opens_the_memory_only_for_reading)
{
	unsigned found = 0;
	struct hv *hv;

	make_template();
	cfg.preload = getenv("VCRT_PRIVATE_FILE_LIBRARY");
	ck_assert_ptr_nonnull(cfg.preload);
	hv = clone_vm();
	for (int fd = 0; fd < 64; fd++) {
		auto_free char *link = str_fmt("/proc/%d/fd/%d", (int)hv->pid, fd);
		char path[512];
		ssize_t n = readlink(link, path, sizeof(path) - 1);
		struct stat st;

		path[n < 0 ? 0 : n] = '\0';
		if (!str_eq(path, memory))
			continue;
		found++;
		/* The link's mode tells how the file was opened. */
		ck_assert_int_eq(lstat(link, &st), 0);
		ck_assert_uint_eq(st.st_mode & 0700, 0500);
	}
	ck_assert_uint_eq(found, 1);
	hv_free(hv);
}
END_TEST

START_TEST(a_command_waits_until_the_clone_runs)
{
	struct hv *hv;

	make_template();
	hv = start_restore();
	ck_assert_uint_ge(counter_of(hv), counter_in(memory, COUNTER));
	ck_assert_int_eq(hv_restored(hv, 0, &(struct error){ 0 }), 1);
	hv_free(hv);
}
END_TEST

START_TEST(a_vmm_that_is_killed_is_not_waited_for)
{
	struct hv *hv = start(HV_MEMORY_SHARED);
	struct pollfd p = { .fd = hv->pidfd, .events = POLLIN };

	hv_kill(NULL);
	hv_kill(hv);
	ck_assert_int_gt(hv->pid, 0);
	ck_assert_int_eq(poll(&p, 1, 20000), 1);
	hv_free(hv);
}
END_TEST

START_TEST(the_state_has_none_of_the_memory)
{
	struct stat st;

	make_template();
	ck_assert_int_eq(fstat(state, &st), 0);
	ck_assert_int_gt(st.st_size, 1000);
	ck_assert_int_lt(st.st_size, 4 << 20);
}
END_TEST

START_TEST(a_damaged_state_is_an_error)
{
	auto_error struct error err = { 0 };
	struct hv *hv;

	make_template();
	ck_assert_int_eq(ftruncate(state, 100), 0);
	hv = start_restore();
	ck_assert_int_lt(hv_restored(hv, 20000, &err), 0);
	ck_assert_msg(str_starts(err.msg, "restore the VM: QEMU "), "%s", err.msg);
	hv_free(hv);
}
END_TEST

START_TEST(a_clone_that_lacks_a_device_is_an_error)
{
	auto_error struct error err = { 0 };
	struct hv *hv;

	make_template();
	cfg.pcie_ports = 1;
	hv = start_restore();
	ck_assert_int_lt(hv_restored(hv, 20000, &err), 0);
	hv_free(hv);
}
END_TEST

START_TEST(a_state_that_cannot_be_written_is_an_error)
{
	auto_error struct error err = { 0 };
	auto_close int full = open("/dev/full", O_RDWR | O_CLOEXEC);
	struct hv *hv = start(HV_MEMORY_SHARED);

	ck_assert_int_lt(hv_save(hv, full, &err), 0);
	ck_assert_msg(str_starts(err.msg, "save the VM: "), "%s", err.msg);
	hv_free(hv);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("template");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, clones_go_on_where_the_template_stopped_each_with_its_own_memory);
	tcase_add_test(tc, a_clone_opens_the_memory_only_for_reading);
	tcase_add_test(tc, a_command_waits_until_the_clone_runs);
	tcase_add_test(tc, a_vmm_that_is_killed_is_not_waited_for);
	tcase_add_test(tc, the_state_has_none_of_the_memory);
	tcase_add_test(tc, a_damaged_state_is_an_error);
	tcase_add_test(tc, a_clone_that_lacks_a_device_is_an_error);
	tcase_add_test(tc, a_state_that_cannot_be_written_is_an_error);
	return scratch_run(tc);
}
