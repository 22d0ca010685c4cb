#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "hypervisor/hypervisor.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static const struct hv_ops nothing = { .name = "nothing", .size = sizeof(struct hv) };

/* The tail of a log with this content, opened with these flags. */
static char *tail_of(const char *text, int flags, size_t max)
{
	auto_free char *path = NULL;
	auto_close int fd = -1;

	scratch_file("log", text);
	path = scratch_path("log");
	fd = open(path, flags | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return hv_log_tail(fd, max);
}

START_TEST(backends_are_found_by_name)
{
	ck_assert_ptr_eq(hv_find("qemu"), &hv_qemu_ops);
	ck_assert_ptr_eq(hv_find("mock"), &hv_mock_ops);
	ck_assert_ptr_null(hv_find("xen"));
	ck_assert_ptr_null(hv_find(NULL));
}
END_TEST

START_TEST(what_a_backend_lacks_is_told)
{
	auto_error struct error err = { 0 };
	struct hv *hv = hv_new(&nothing);
	struct hv_config cfg = { 0 };
	struct hv_device dev = { 0 };
	int progress;
	struct hv_size size = { 0 };

	ck_assert_int_eq(hv_check(&nothing, &cfg, &err), -ENOTSUP);
	ck_assert_int_eq(hv_start(hv, &cfg, &err), -ENOTSUP);
	ck_assert_str_eq(err.msg, "hypervisor 'nothing' cannot start a VM");
	ck_assert_int_eq(hv_pause(hv, &err), -ENOTSUP);
	ck_assert_str_eq(err.msg, "hypervisor 'nothing' cannot pause a VM");
	ck_assert_int_eq(hv_resume(hv, &err), -ENOTSUP);
	ck_assert_int_eq(hv_save(hv, -1, &err), -ENOTSUP);
	ck_assert_int_eq(hv_restore(hv, -1, &progress, &err), -ENOTSUP);
	ck_assert_str_eq(err.msg, "hypervisor 'nothing' cannot restore a VM");
	ck_assert_int_eq(hv_add_device(hv, &dev, &err), -ENOTSUP);
	ck_assert_int_eq(hv_del_device(hv, "x", &err), -ENOTSUP);
	ck_assert_str_eq(err.msg, "hypervisor 'nothing' cannot remove a device");
	ck_assert_int_eq(hv_drop_device(hv, "x", &err), -ENOTSUP);
	ck_assert_str_eq(err.msg, "hypervisor 'nothing' cannot drop a device");
	ck_assert_int_eq(hv_grow(hv, &size, &err), -ENOTSUP);
	ck_assert_str_eq(err.msg, "hypervisor 'nothing' cannot grow a VM");
	ck_assert(!hv_can(hv, HV_CAP_PAUSE));
	hv_free(hv);
	hv_free(NULL);
}
END_TEST

START_TEST(commands_before_the_start_are_refused)
{
	auto_error struct error err = { 0 };
	struct hv *hv = hv_new(&hv_qemu_ops);
	struct hv_device dev = { .id = "x" };

	ck_assert_int_eq(hv->pidfd, -1);
	ck_assert_int_eq(hv_pause(hv, &err), -ESRCH);
	ck_assert_str_eq(err.msg, "pause a VM: the VM was not started");
	ck_assert_int_eq(hv_add_device(hv, &dev, &err), -ESRCH);
	ck_assert(hv_can(hv, HV_CAP_PAUSE | HV_CAP_FS_9P | HV_CAP_FS_VIRTIO));
	hv_free(hv);
}
END_TEST

START_TEST(a_log_becomes_one_line)
{
	auto_free char *t = tail_of("qemu: one\n\n  two\tx\r\n\x1b[31mthree\n", O_RDWR, 100);

	ck_assert_str_eq(t, "qemu: one; two x; ?[31mthree");
}
END_TEST

START_TEST(only_whole_lines_of_a_long_log_are_quoted)
{
	auto_free char *t = tail_of("first line\nsecond\nthird\n", O_RDONLY, 14);
	auto_free char *one = tail_of("a very long line without an end", O_RDONLY, 6);

	ck_assert_str_eq(t, "second; third");
	ck_assert_str_eq(one, "an end");
}
END_TEST

START_TEST(a_log_opened_for_writing_is_read_too)
{
	auto_free char *t = tail_of("one\n", O_WRONLY | O_APPEND, 100);

	ck_assert_str_eq(t, "one");
}
END_TEST

START_TEST(no_log_gives_an_empty_text)
{
	auto_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	auto_free char *a = hv_log_tail(-1, 100), *b = hv_log_tail(null, 100);
	auto_free char *c = tail_of("", O_RDWR, 100), *d = tail_of("x", O_RDWR, 0);
	auto_free char *e = tail_of("\n\n\n", O_RDWR, 100);
	int pair[2];
	auto_free char *f = NULL;

	ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
	f = hv_log_tail(pair[1], 100); /* must not wait for a writer */
	close(pair[0]);
	close(pair[1]);
	ck_assert_str_eq(a, "");
	ck_assert_str_eq(b, "");
	ck_assert_str_eq(c, "");
	ck_assert_str_eq(d, "");
	ck_assert_str_eq(e, "");
	ck_assert_str_eq(f, "");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("wrappers");

	tcase_add_checked_fixture(tc, scratch_setup, scratch_remove);
	tcase_add_test(tc, backends_are_found_by_name);
	tcase_add_test(tc, what_a_backend_lacks_is_told);
	tcase_add_test(tc, commands_before_the_start_are_refused);
	tcase_add_test(tc, a_log_becomes_one_line);
	tcase_add_test(tc, only_whole_lines_of_a_long_log_are_quoted);
	tcase_add_test(tc, a_log_opened_for_writing_is_read_too);
	tcase_add_test(tc, no_log_gives_an_empty_text);
	return scratch_run(tc);
}
