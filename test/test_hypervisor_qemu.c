/* The real QEMU, emulating a guest that only stops its CPU: devices come and go without a guest's
 * help. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/base/json.h"
#include "test/test_hypervisor_vm.h"

static char *disk;
static struct hv *hv;

static void setup(void)
{
	const struct tiny_kernel k = tiny_kernel_image();

	setup_vm(&k);
	disk = write_scratch("disk", k.code, sizeof(k.code));
	ck_assert_int_eq(truncate(disk, 1 << 20), 0);
	hv = hv_new(&hv_qemu_ops);
}

static void teardown(void)
{
	hv_free(hv);
	auto_freep(&disk);
	teardown_vm();
}

static void start(void)
{
	auto_error struct error err = { 0 };

	ck_assert_msg(hv_start(hv, &cfg, &err) == 0, "%s", err.msg);
	ck_assert_int_gt(hv->pid, 0);
}

static void wait_dead(void)
{
	struct pollfd p = { .fd = hv->pidfd, .events = POLLIN };

	ck_assert_int_eq(poll(&p, 1, 10000), 1);
}

static struct hv_device disk_named(const char *id)
{
	struct hv_device dev = { .type = HV_DEVICE_BLOCK, .block = { .path = disk } };

	snprintf(dev.id, sizeof(dev.id), "%s", id);
	return dev;
}

/* A reset takes away what a guest was asked for. "-no-reboot" must be undone first. */
static void reset(void)
{
	auto_error struct error err = { 0 };
	struct json *args = json_new_object();

	json_set(args, "reboot", json_new_string("reset"));
	ck_assert_int_eq(qemu_command(to_qemu(hv), "set-action", args, NULL, 0, &err), 0);
	ck_assert_int_eq(qemu_command(to_qemu(hv), "system_reset", NULL, NULL, 0, &err), 0);
}

START_TEST(a_vm_pauses_and_resumes)
{
	auto_error struct error err = { 0 };

	start();
	ck_assert_msg(hv_pause(hv, &err) == 0, "%s", err.msg);
	ck_assert_msg(hv_resume(hv, &err) == 0, "%s", err.msg);
}
END_TEST

START_TEST(a_disk_is_plugged_and_goes_with_a_reset)
{
	auto_error struct error err = { 0 };
	struct hv_device a = disk_named("disk0"), b = disk_named("disk1"), c = disk_named("disk2");

	start();
	b.block.readonly = true;
	a.block.readonly = c.block.readonly = true; /* QEMU locks a disk that is written */
	ck_assert_msg(hv_add_device(hv, &a, &err) == 0, "%s", err.msg);
	ck_assert_str_eq(a.pci_path, "04.0/00.0");
	ck_assert_msg(hv_add_device(hv, &b, &err) == 0, "%s", err.msg);
	ck_assert_str_eq(b.pci_path, "05.0/00.0");
	ck_assert_int_eq(hv_add_device(hv, &c, &err), -ENOSPC);
	ck_assert_str_eq(err.msg, "add device 'disk2': all 2 PCIe ports are taken");

	to_qemu(hv)->release_ms = 50;
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(hv_del_device(hv, "disk0", &err), -ETIMEDOUT);
		ck_assert_str_eq(err.msg, "remove device 'disk0': the guest did not let go of it "
		                          "within 50 ms");
	}
	error_clear(&err);
	reset();
	to_qemu(hv)->release_ms = 5000;
	ck_assert_msg(hv_del_device(hv, "disk0", &err) == 0, "%s", err.msg);
	ck_assert_int_eq(hv_del_device(hv, "disk0", &err), -ENODEV);
	ck_assert_msg(hv_add_device(hv, &c, &err) == 0, "%s", err.msg);
	ck_assert_str_eq(c.pci_path, "04.0/00.0");
}
END_TEST

START_TEST(a_device_that_cannot_be_plugged_leaves_nothing)
{
	auto_error struct error err = { 0 };
	struct hv_device missing = disk_named("disk0"), twice = disk_named("serial");
	struct hv_device good = disk_named("disk0");

	start();
	missing.block.path = "/x/disk";
	ck_assert_int_eq(hv_add_device(hv, &missing, &err), -ENOENT);
	ck_assert_str_eq(err.msg,
	                 "add device 'disk0': open disk '/x/disk': No such file or directory");
	missing.block.path = "/dev/null";
	ck_assert_int_eq(hv_add_device(hv, &missing, &err), -ENOTBLK);
	/* The name is taken by one of our own devices: the disk itself is open by then. */
	ck_assert_int_eq(hv_add_device(hv, &twice, &err), -EIO);
	ck_assert_msg(str_starts(err.msg, "add device 'serial': QMP 'device_add': "), "%s",
	              err.msg);
	error_clear(&err);
	ck_assert_msg(hv_add_device(hv, &good, &err) == 0, "%s", err.msg);
	ck_assert_str_eq(good.pci_path, "04.0/00.0");
}
END_TEST

/* Queues of a new tap "t0" in a network namespace of this test's own. */
static void open_queues(int *fds, int n)
{
	struct ifreq req = { .ifr_name = "t0",
		             .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR |
		                          (n > 1 ? IFF_MULTI_QUEUE : 0) };

	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	for (int i = 0; i < n; i++) {
		fds[i] = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
		ck_assert_int_ge(fds[i], 0);
		ck_assert_int_eq(ioctl(fds[i], TUNSETIFF, &req), 0);
	}
}

static struct hv_device nic_with(const int *fds, unsigned n, const char *id)
{
	struct hv_device dev = {
		.type = HV_DEVICE_NET,
		.net = { .tap_fds = fds, .n_queues = n, .mac = { 2, 0, 0, 0, 0, 1 } }
	};

	snprintf(dev.id, sizeof(dev.id), "%s", id);
	return dev;
}

START_TEST(a_nic_with_queues_is_dropped_at_once_and_its_place_is_free_when_the_guest_lets_go)
{
	auto_error struct error err = { 0 };
	int fds[2];
	struct hv_device nic, other = disk_named("disk0"), third = disk_named("disk1");

	open_queues(fds, 2);
	nic = nic_with(fds, 2, "net0");
	other.block.readonly = third.block.readonly = true;
	start();
	ck_assert_msg(hv_add_device(hv, &nic, &err) == 0, "%s", err.msg);
	ck_assert_str_eq(nic.pci_path, "04.0/00.0");
	close(fds[0]);
	close(fds[1]);
	ck_assert_uint_ne(if_nametoindex("t0"), 0); /* QEMU has it */
	ck_assert_int_eq(hv_drop_device(hv, "disk7", &err), -ENODEV);
	ck_assert_msg(hv_drop_device(hv, "net0", &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(if_nametoindex("t0"), 0);
	ck_assert_msg(hv_drop_device(hv, "net0", &err) == 0, "%s", err.msg);
	/* The guest has not let go. */
	ck_assert_msg(hv_add_device(hv, &other, &err) == 0, "%s", err.msg);
	ck_assert_str_eq(other.pci_path, "05.0/00.0");
	ck_assert_int_eq(hv_add_device(hv, &third, &err), -ENOSPC);
	error_clear(&err);
	reset();
	ck_assert_msg(hv_add_device(hv, &third, &err) == 0, "%s", err.msg);
	ck_assert_str_eq(third.pci_path, "04.0/00.0");
}
END_TEST

START_TEST(a_nic_that_cannot_be_plugged_leaves_nothing)
{
	auto_error struct error err = { 0 };
	int fd, none = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct hv_device bad = nic_with(&none, 1, "net0"), zero = nic_with(&none, 0, "net0");
	struct hv_device twice, nic;

	open_queues(&fd, 1);
	twice = nic_with(&fd, 1, "serial");
	nic = nic_with(&fd, 1, "net0");
	start();
	ck_assert_int_eq(hv_add_device(hv, &zero, &err), -EINVAL);
	ck_assert_str_eq(err.msg, "add device 'net0': a NIC has 1 to 8 queues, not 0");
	ck_assert_int_eq(hv_add_device(hv, &bad, &err), -EIO);
	ck_assert_int_eq(hv_add_device(hv, &twice, &err), -EIO);
	error_clear(&err);
	ck_assert_msg(hv_add_device(hv, &nic, &err) == 0, "%s", err.msg);
	ck_assert_str_eq(nic.pci_path, "04.0/00.0");
	close(fd);
	close(none);
}
END_TEST

START_TEST(a_bad_name_for_a_device_is_refused)
{
	static const char *const names[] = { "", "0disk", "-x", "a,b", "a b", "a\"b" };
	auto_error struct error err = { 0 };

	start();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct hv_device dev = disk_named(names[i]);

		ck_assert_int_eq(hv_add_device(hv, &dev, &err), -EINVAL);
	}
}
END_TEST

START_TEST(a_killed_vmm_is_seen_and_told)
{
	auto_error struct error err = { 0 };

	start();
	ck_assert_int_eq(kill(hv->pid, SIGKILL), 0);
	wait_dead();
	ck_assert_int_eq(hv_pause(hv, &err), -EPIPE);
	ck_assert_str_eq(err.msg, "QEMU was killed by signal 9");
}
END_TEST

START_TEST(a_vmm_that_gives_up_is_quoted)
{
	auto_error struct error err = { 0 };

	cfg.machine = "nosuch";
	start();
	wait_dead();
	ck_assert_int_eq(hv_pause(hv, &err), -EPIPE);
	ck_assert_msg(str_starts(err.msg, "QEMU exited with status 1: qemu-system-x86_64: "), "%s",
	              err.msg);
	ck_assert_msg(strstr(err.msg, "unsupported machine type"), "%s", err.msg);
}
END_TEST

START_TEST(the_vmm_holds_no_other_descriptor_of_ours)
{
	auto_error struct error err = { 0 };
	int pair[2];
	char c;

	ck_assert_int_eq(pipe(pair), 0); /* not close-on-exec, on purpose */
	start();
	ck_assert_int_eq(hv_pause(hv, &err), 0);
	close(pair[1]);
	ck_assert_int_eq(read(pair[0], &c, 1), 0);
	close(pair[0]);
}
END_TEST

static int refuse(void *arg, struct error *err)
{
	(void)arg;
	return error_set(err, EPERM, "no way");
}

START_TEST(a_failing_preparation_starts_nothing)
{
	auto_error struct error err = { 0 };

	cfg.prepare = refuse;
	ck_assert_int_eq(hv_start(hv, &cfg, &err), -EPERM);
	ck_assert_msg(strstr(err.msg, "no way"), "%s", err.msg);
	ck_assert_int_eq(hv->pid, 0);
	ck_assert_int_eq(hv_pause(hv, &err), -ESRCH);
}
END_TEST

START_TEST(the_end_of_the_vmm_ends_the_channel)
{
	char c;

	start();
	close_fd(&cfg.channel_fd);
	hv_free(steal_ptr(&hv));
	ck_assert_int_eq(read(channel, &c, 1), 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("qemu");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 40);
	tcase_add_test(tc, a_vm_pauses_and_resumes);
	tcase_add_test(tc, a_disk_is_plugged_and_goes_with_a_reset);
	tcase_add_test(tc, a_device_that_cannot_be_plugged_leaves_nothing);
	tcase_add_test(
		tc,
		a_nic_with_queues_is_dropped_at_once_and_its_place_is_free_when_the_guest_lets_go);
	tcase_add_test(tc, a_nic_that_cannot_be_plugged_leaves_nothing);
	tcase_add_test(tc, a_bad_name_for_a_device_is_refused);
	tcase_add_test(tc, a_killed_vmm_is_seen_and_told);
	tcase_add_test(tc, a_vmm_that_gives_up_is_quoted);
	tcase_add_test(tc, the_vmm_holds_no_other_descriptor_of_ours);
	tcase_add_test(tc, a_failing_preparation_starts_nothing);
	tcase_add_test(tc, the_end_of_the_vmm_ends_the_channel);
	return scratch_run(tc);
}
