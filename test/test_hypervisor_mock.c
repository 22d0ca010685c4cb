#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hypervisor/hypervisor.h"
#include "hypervisor/mock.h"
#include "lib/base/error.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static struct hv *hv;
static struct hv_config cfg;
static int channel;

static void setup(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	channel = pair[0];
	cfg = (struct hv_config){ .memory_mib = 1,
		                  .cpus = 1,
		                  .channel_fd = pair[1],
		                  .log_fd = -1,
		                  .console_fd = -1,
		                  .share_fd = -1 };
	hv = hv_new(&hv_mock_ops);
}

static void teardown(void)
{
	hv_free(hv);
	close_fd(&channel);
	close_fd(&cfg.channel_fd);
}

static void start(void)
{
	auto_error struct error err = { 0 };

	ck_assert_msg(hv_start(hv, &cfg, &err) == 0, "%s", err.msg);
	close_fd(&cfg.channel_fd);
}

static bool is_readable(int fd, int msec)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, msec) == 1;
}

START_TEST(a_process_holds_the_channel_until_it_is_killed)
{
	char c;

	start();
	ck_assert_int_eq(kill(hv->pid, 0), 0);
	ck_assert(!is_readable(channel, 0));
	ck_assert(!is_readable(hv->pidfd, 0));
	ck_assert_int_eq(kill(hv->pid, SIGTERM), 0);
	ck_assert(is_readable(hv->pidfd, 5000));
	ck_assert_int_eq(read(channel, &c, 1), 0);
}
END_TEST

START_TEST(freeing_it_ends_and_reaps_the_process)
{
	pid_t pid;

	start();
	pid = hv->pid;
	hv_free(steal_ptr(&hv));
	ck_assert_int_eq(kill(pid, 0), -1);
	ck_assert_int_eq(errno, ESRCH);
}
END_TEST

START_TEST(calls_are_recorded)
{
	auto_error struct error err = { 0 };
	struct hv_device dev = { .type = HV_DEVICE_BLOCK, .id = "disk0" };
	auto_free char *calls = NULL;

	ck_assert_ptr_null(hv_mock_calls(hv));
	start();
	ck_assert_int_eq(hv_pause(hv, &err), 0);
	ck_assert_int_eq(hv_resume(hv, &err), 0);
	ck_assert_int_eq(hv_add_device(hv, &dev, &err), 0);
	ck_assert_str_eq(dev.pci_path, "01.0/00.0");
	ck_assert_int_eq(hv_add_device(hv, &dev, &err), -EEXIST);
	ck_assert_int_eq(hv_del_device(hv, "disk0", &err), 0);
	ck_assert_int_eq(hv_del_device(hv, "disk0", &err), -ENODEV);
	ck_assert_int_eq(hv_add_device(hv, &dev, &err), 0);
	ck_assert_int_eq(hv_drop_device(hv, "disk0", &err), 0);
	ck_assert_int_eq(hv_drop_device(hv, "disk0", &err), -ENODEV);
	calls = strv_join(hv_mock_calls(hv), ",");
	ck_assert_str_eq(calls, "start,pause,resume,add_device disk0,add_device disk0,"
	                        "del_device disk0,del_device disk0,add_device disk0,"
	                        "drop_device disk0,drop_device disk0");
}
END_TEST

START_TEST(a_vm_grows_as_far_as_it_can)
{
	auto_error struct error err = { 0 };
	struct hv_size size = { 2048, 3 };

	cfg.max = (struct hv_size){ 1024, 4 };
	start();
	ck_assert_int_eq(hv_grow(hv, &size, &err), 0);
	ck_assert(size.memory_mib == 1024 && size.cpus == 3);
	hv_mock_fail(hv, "grow", ENOMEM);
	size = (struct hv_size){ 0, 4 };
	ck_assert_int_eq(hv_grow(hv, &size, &err), -ENOMEM);
	ck_assert(size.memory_mib == 1024 && size.cpus == 3);
	ck_assert_str_eq(hv_mock_calls(hv)[1], "grow 2048 3");
}
END_TEST

START_TEST(a_call_fails_as_asked)
{
	auto_error struct error err = { 0 };

	hv_mock_fail(hv, "start", ENOMEM);
	ck_assert_int_eq(hv_start(hv, &cfg, &err), -ENOMEM);
	ck_assert_str_eq(err.msg, "mock 'start': Cannot allocate memory");
	ck_assert_int_eq(hv->pid, 0);
	hv_mock_fail(hv, "pause", EIO);
	start();
	ck_assert_int_eq(hv_resume(hv, &err), 0);
	ck_assert_int_eq(hv_pause(hv, &err), -EIO);
	hv_mock_fail(hv, "pause", 0);
	ck_assert_int_eq(hv_pause(hv, &err), 0);
}
END_TEST

START_TEST(a_second_start_is_refused)
{
	auto_error struct error err = { 0 };

	start();
	ck_assert_int_eq(hv_start(hv, &cfg, &err), -EALREADY);
}
END_TEST

static int refuse(void *arg, struct error *err)
{
	return error_set(err, EPERM, "prepare '%s'", (const char *)arg);
}

START_TEST(a_failing_preparation_is_reported)
{
	auto_error struct error err = { 0 };

	cfg.prepare = refuse;
	cfg.prepare_arg = (void *)"x";
	ck_assert_int_eq(hv_start(hv, &cfg, &err), -EIO);
	ck_assert_str_eq(err.msg, "start the mock VMM: prepare 'x'");
	ck_assert_int_eq(hv->pid, 0);
	ck_assert_int_eq(hv->pidfd, -1);
}
END_TEST

START_TEST(a_vm_of_no_size_is_refused)
{
	auto_error struct error err = { 0 };

	ck_assert_int_eq(hv_check(&hv_mock_ops, &cfg, &err), 0);
	cfg.cpus = 0;
	ck_assert_int_eq(hv_check(&hv_mock_ops, &cfg, &err), -EINVAL);
}
END_TEST

START_TEST(a_state_is_saved_and_restored)
{
	auto_error struct error err = { 0 };
	int pair[2], progress;

	start();
	ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
	ck_assert_msg(hv_save(hv, pair[1], &err) == 0, "%s", err.msg);
	ck_assert_msg(hv_restore(hv, pair[0], &progress, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(progress, -1);
	ck_assert_int_eq(hv_restored(hv, 0, &err), 1);
	close(pair[1]);
	ck_assert_int_eq(hv_restore(hv, pair[0], &progress, &err), -EIO);
	hv_mock_fail(hv, "save", ENOSPC);
	ck_assert_int_eq(hv_save(hv, pair[0], &err), -ENOSPC);
	close(pair[0]);
}
END_TEST

START_TEST(one_that_somebody_has_killed_is_told_from_others)
{
	const int signals[] = { SIGKILL, SIGTERM };

	ck_assert(!hv_was_killed(NULL, 0));
	ck_assert(!hv_was_killed(hv, 0));
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		if (i > 0) {
			teardown();
			setup();
		}
		start();
		ck_assert(!hv_was_killed(hv, 0));
		ck_assert_int_eq(kill(hv->pid, signals[i]), 0);
		ck_assert(is_readable(hv->pidfd, 5000));
		ck_assert_int_eq(hv_was_killed(hv, 5000), signals[i] == SIGKILL);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("mock");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_process_holds_the_channel_until_it_is_killed);
	tcase_add_test(tc, freeing_it_ends_and_reaps_the_process);
	tcase_add_test(tc, calls_are_recorded);
	tcase_add_test(tc, a_vm_grows_as_far_as_it_can);
	tcase_add_test(tc, a_call_fails_as_asked);
	tcase_add_test(tc, a_second_start_is_refused);
	tcase_add_test(tc, a_failing_preparation_is_reported);
	tcase_add_test(tc, a_vm_of_no_size_is_refused);
	tcase_add_test(tc, one_that_somebody_has_killed_is_told_from_others);
	tcase_add_test(tc, a_state_is_saved_and_restored);
	return scratch_run(tc);
}
