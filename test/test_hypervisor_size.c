/* Memory and CPUs of a VM that runs: what QEMU is told, and what the real one makes of it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/json.h"
#include "test/test_hypervisor_vm.h"

#define HELLO "{\"execute\":\"qmp_capabilities\",\"id\":1}\n"

static int peer = -1;
static struct hv *hv;

static void setup(void)
{
	const struct tiny_kernel k = tiny_kernel_image();

	setup_vm(&k);
	cfg.max = (struct hv_size){ 4096, 3 };
	hv = hv_new(&hv_qemu_ops);
}

static void teardown(void)
{
	hv_free(hv);
	close_fd(&peer);
	teardown_vm();
}

/* ---- recorded ---- */

/* In place of a QEMU: its answers, which it gives before it is asked. */
static struct qemu *recorded(const char *name)
{
	auto_error struct error err = { 0 };
	auto_free char *path = str_fmt("%s/%s.txt", QMP_DATA, name), *text = NULL;
	struct qemu *q = to_qemu(hv);
	int pair[2];
	size_t len;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	peer = pair[1];
	q->qmp = qmp_new(pair[0]);
	ck_assert_msg(fs_read(path, 1 << 16, &text, &len, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(fs_write_all(peer, text, len), 0);
	qemu_set_size(q, &cfg);
	return q;
}

static void assert_heard(const char *expected)
{
	char text[4096];
	ssize_t n = recv(peer, text, sizeof(text) - 1, MSG_DONTWAIT);

	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	ck_assert_str_eq(text, expected);
}

START_TEST(memory_is_plugged_in_blocks_and_cpus_in_the_first_free_place)
{
	auto_error struct error err = { 0 };
	struct hv_size size = { 300, 2 };

	recorded("grow");
	ck_assert_msg(qemu_grow(hv, &size, &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(size.memory_mib, 128 + 256);
	ck_assert_uint_eq(size.cpus, 2);
	assert_heard(
		HELLO
		"{\"execute\":\"object-add\",\"arguments\":{\"qom-type\":\"memory-backend-ram\","
		"\"id\":\"memory0\",\"size\":268435456,\"share\":false},\"id\":2}\n"
		"{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"pc-dimm\","
		"\"id\":\"dimm0\",\"memdev\":\"memory0\"},\"id\":3}\n"
		"{\"execute\":\"query-hotpluggable-cpus\",\"id\":4}\n"
		"{\"execute\":\"device_add\",\"arguments\":{\"core-id\":1,\"thread-id\":0,"
		"\"socket-id\":0,\"driver\":\"max-x86_64-cpu\",\"id\":\"cpu1\"},\"id\":5}\n");
}
END_TEST

START_TEST(memory_that_is_refused_is_taken_back)
{
	auto_error struct error err = { 0 };
	struct hv_size size = { 256, 2 };

	cfg.share_fd = 9;
	recorded("grow-refused");
	ck_assert_int_eq(qemu_grow(hv, &size, &err), -EIO);
	ck_assert_str_eq(err.msg, "add 128 MiB of memory to the VM: QMP 'device_add': a used vhost "
	                          "backend has no free memory slots left");
	ck_assert_uint_eq(size.memory_mib, 128);
	ck_assert_uint_eq(size.cpus, 1);
	assert_heard(HELLO "{\"execute\":\"object-add\",\"arguments\":{\"qom-type\":"
	                   "\"memory-backend-memfd\",\"id\":\"memory0\",\"size\":134217728,"
	                   "\"share\":true},\"id\":2}\n"
	                   "{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"pc-dimm\","
	                   "\"id\":\"dimm0\",\"memdev\":\"memory0\"},\"id\":3}\n"
	                   "{\"execute\":\"object-del\",\"arguments\":{\"id\":\"memory0\"},"
	                   "\"id\":4}\n");
}
END_TEST

START_TEST(a_cpu_without_a_place_is_an_error)
{
	auto_error struct error err = { 0 };
	struct hv_size size = { 0, 2 };

	recorded("grow-nowhere");
	ck_assert_int_eq(qemu_grow(hv, &size, &err), -EPROTO);
	ck_assert_str_eq(err.msg, "add a CPU to the VM: QEMU has no place for it");
	ck_assert_uint_eq(size.cpus, 1);
}
END_TEST

/* ---- the real one ---- */

static void start(void)
{
	auto_error struct error err = { 0 };

	ck_assert_msg(hv_start(hv, &cfg, &err) == 0, "%s", err.msg);
}

static void assert_grows(unsigned memory, unsigned cpus, unsigned to_memory, unsigned to_cpus)
{
	auto_error struct error err = { 0 };
	struct hv_size size = { memory, cpus };

	ck_assert_msg(hv_grow(hv, &size, &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(size.memory_mib, to_memory);
	ck_assert_uint_eq(size.cpus, to_cpus);
}

static size_t count(const char *command)
{
	auto_error struct error err = { 0 };
	auto_json struct json *list = NULL;

	ck_assert_msg(qmp_command(to_qemu(hv)->qmp, command, NULL, NULL, 0, &list, &err) == 0, "%s",
	              err.msg);
	return json_len(list);
}

START_TEST(a_vm_grows_to_its_maximum)
{
	start();
	assert_grows(0, 0, 128, 1);
	ck_assert_uint_eq(count("query-memory-devices"), 0);
	assert_grows(1000, 1, 1024, 1);
	assert_grows(1024, 2, 1024, 2);
	ck_assert_uint_eq(count("query-memory-devices"), 1);
	ck_assert_uint_eq(count("query-cpus-fast"), 2);
	assert_grows(100000, 50, 4096, 3);
	assert_grows(100000, 50, 4096, 3);
	ck_assert_uint_eq(count("query-memory-devices"), 2);
	ck_assert_uint_eq(count("query-cpus-fast"), 3);
}
END_TEST

START_TEST(a_guest_is_not_given_more_than_it_can_describe)
{
	start();
	assert_grows(4096, 1, 4096, 1);
	/* 128 + 8 * 128 + the rest */
	ck_assert_uint_eq(count("query-memory-devices"), 2);
}
END_TEST

START_TEST(the_slots_are_enough_for_any_number_of_steps)
{
	struct hv_size size = { 128, 1 };

	cfg.max.memory_mib = 8192;
	start();
	for (unsigned last = 0; size.memory_mib != last;) {
		auto_error struct error err = { 0 };

		last = size.memory_mib;
		size.memory_mib++;
		ck_assert_msg(hv_grow(hv, &size, &err) == 0, "%s", err.msg);
	}
	ck_assert_uint_eq(size.memory_mib, 8192);
}
END_TEST

START_TEST(without_a_maximum_a_vm_stays_as_it_is)
{
	cfg.max = (struct hv_size){ 0 };
	start();
	assert_grows(1024, 2, 128, 1);
	ck_assert(hv_can(hv, HV_CAP_GROW));
}
END_TEST

START_TEST(a_clone_grows)
{
	auto_error struct error err = { 0 };
	auto_free char *memory = write_scratch("memory", "", 0), *path = scratch_path("state");
	auto_close int state = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int progress;

	ck_assert_int_eq(truncate(memory, 128 << 20), 0);
	cfg.memory_path = memory;
	cfg.memory = HV_MEMORY_SHARED;
	start();
	ck_assert_msg(hv_save(hv, state, &err) == 0, "%s", err.msg);
	hv_free(hv);
	hv = hv_new(&hv_qemu_ops);
	cfg.memory = HV_MEMORY_PRIVATE;
	start();
	ck_assert_int_eq(lseek(state, 0, SEEK_SET), 0);
	ck_assert_msg(hv_restore(hv, state, &progress, &err) == 0, "%s", err.msg);
	assert_grows(512, 2, 512, 2);
	ck_assert_uint_eq(count("query-memory-devices"), 1);
	ck_assert_uint_eq(count("query-cpus-fast"), 2);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("size");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, memory_is_plugged_in_blocks_and_cpus_in_the_first_free_place);
	tcase_add_test(tc, memory_that_is_refused_is_taken_back);
	tcase_add_test(tc, a_cpu_without_a_place_is_an_error);
	tcase_add_test(tc, a_vm_grows_to_its_maximum);
	tcase_add_test(tc, a_guest_is_not_given_more_than_it_can_describe);
	tcase_add_test(tc, the_slots_are_enough_for_any_number_of_steps);
	tcase_add_test(tc, without_a_maximum_a_vm_stays_as_it_is);
	tcase_add_test(tc, a_clone_grows);
	return scratch_run(tc);
}
