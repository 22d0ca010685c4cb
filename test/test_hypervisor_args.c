#include <string.h>

#include "hypervisor/qemu-internal.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static struct hv_config cfg;

static void setup(void)
{
	cfg = (struct hv_config){
		.path = "/usr/bin/qemu",
		.accel = HV_ACCEL_TCG,
		.memory_mib = 256,
		.cpus = 2,
		.pcie_ports = 2,
		.kernel = "/img/vmlinux",
		.initrd = "/img/initrd",
		.cmdline = "vcrt.debug",
		.share_path = "/share",
		.share_tag = "vcrt",
		.port_name = "vcrt.agent",
		.channel_fd = 7,
		.log_fd = 8,
		.console_fd = -1,
		.share_fd = -1,
	};
}

/* All arguments, one line each: options and their values stay together. */
static char *lines(void)
{
	auto_strv char **v = qemu_build_args(&cfg);
	auto_buf struct buf b = { 0 };

	for (size_t i = 0; v[i]; i++) {
		if (i > 0)
			buf_addc(&b, v[i][0] == '-' ? '\n' : ' ');
		buf_adds(&b, v[i]);
	}
	return buf_steal(&b);
}

static void assert_has(const char *line)
{
	auto_free char *all = lines();

	ck_assert_msg(strstr(all, line), "'%s' is not in:\n%s", line, all);
}

static void assert_lacks(const char *text)
{
	auto_free char *all = lines();

	ck_assert_msg(!strstr(all, text), "'%s' is in:\n%s", text, all);
}

#define MACHINE "smm=off,sata=off,smbus=off,usb=off,vmport=off,hpet=off,i8042=off"
#define PARAMS                                                                                     \
	"tsc=reliable no_timer_check rcupdate.rcu_expedited=1 cryptomgr.notests "                  \
	"lsm=landlock,yama reboot=t panic=-1 oops=panic swiotlb=noforce "                          \
	"memhp_default_state=online pcie_ports=compat noreplace-smp "

/* Line by line, for a message that shows the difference. */
static void assert_lines(const char *expected)
{
	auto_free char *all = lines();
	auto_strv char **have = str_split(all, '\n');
	auto_strv char **want = str_split(expected, '\n');

	ck_assert_uint_eq(strv_len(have), strv_len(want));
	for (size_t i = 0; have[i]; i++)
		ck_assert_str_eq(have[i], want[i]);
}

START_TEST(the_whole_command_line_is_as_expected)
{
	assert_lines(
		"/usr/bin/qemu\n"
		"-name vcrt\n"
		"-machine q35," MACHINE "\n"
		"-accel tcg,thread=single,tb-size=256\n"
		"-cpu max,-erms,-fsrm\n"
		"-smp 2\n"
		"-m 256M\n"
		"-nodefaults\n"
		"-no-user-config\n"
		"-no-reboot\n"
		"-display none\n"
		"-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny\n"
		"-kernel /img/vmlinux\n"
		"-initrd /img/initrd\n"
		"-append " PARAMS "quiet 8250.nr_uarts=0 vcrt.debug\n"
		"-chardev socket,id=qmp,fd=4\n"
		"-mon chardev=qmp,mode=control\n"
		"-chardev socket,id=channel,fd=3\n"
		"-device virtio-serial-pci-non-transitional,id=serial,addr=1,max_ports=2\n"
		"-device virtserialport,bus=serial.0,nr=1,chardev=channel,name=vcrt.agent\n"
		"-object rng-random,id=rng,filename=/dev/urandom\n"
		"-device virtio-rng-pci-non-transitional,addr=2,rng=rng\n"
		"-device vmgenid,guid=auto\n"
		"-device pcie-root-port,id=port0,chassis=1,addr=0x4\n"
		"-device pcie-root-port,id=port1,chassis=2,addr=0x5\n"
		"-fsdev local,id=share,path=/share,security_model=passthrough,multidevs=remap\n"
		"-device virtio-9p-pci-non-transitional,addr=3,fsdev=share,mount_tag=vcrt");
}
END_TEST

START_TEST(kvm_takes_the_hosts_cpu)
{
	cfg.accel = HV_ACCEL_KVM;
	assert_has("\n-accel kvm\n-cpu host\n");
	cfg.cpu_model = "Nehalem";
	assert_has("\n-accel kvm\n-cpu Nehalem\n");
}
END_TEST

START_TEST(a_console_is_a_serial_port_and_the_kernel_talks)
{
	cfg.console_fd = 9;
	assert_has("\n-chardev stdio,id=console,signal=off\n-device isa-serial,chardev=console\n");
	assert_has("\n-append " PARAMS "console=ttyS0 vcrt.debug\n");
	assert_lacks("quiet");
}
END_TEST

START_TEST(without_a_share_there_is_no_9p)
{
	cfg.share_path = NULL;
	assert_lacks("9p");
	assert_lacks("fsdev");
}
END_TEST

START_TEST(a_served_share_is_virtio_fs_with_shared_memory_and_no_9p)
{
	cfg.share_path = NULL;
	cfg.share_fd = 9;
	cfg.share_tag = "t,x=1";
	assert_has("\n-machine q35," MACHINE ",memory-backend=ram\n");
	assert_has("\n-m 256M\n-object memory-backend-memfd,id=ram,size=256M,share=on\n");
	assert_has("\n-chardev socket,id=share,fd=5\n"
	           "-device vhost-user-fs-pci,addr=3,chardev=share,tag=t,,x=1");
	assert_lacks("9p");
	assert_lacks("fsdev");
}
END_TEST

START_TEST(a_template_writes_its_memory_file_and_a_clone_waits_with_a_private_mapping)
{
	cfg.memory = HV_MEMORY_SHARED;
	cfg.memory_path = "/t,1/memory";
	assert_has("\n-machine q35," MACHINE ",memory-backend=ram\n");
	assert_has(
		"\n-object memory-backend-file,id=ram,size=256M,mem-path=/t,,1/memory,share=on\n");
	assert_lacks("incoming");
	cfg.memory = HV_MEMORY_PRIVATE;
	assert_has(",mem-path=/t,,1/memory,share=off\n-incoming defer\n");
}
END_TEST

START_TEST(a_vm_that_can_grow_has_places_for_it)
{
	cfg.max = (struct hv_size){ 256, 2 };
	assert_has("\n-smp 2\n-m 256M\n");
	cfg.max = (struct hv_size){ 8192, 4 };
	assert_has("\n-smp 2,maxcpus=4\n-m 256M,slots=16,maxmem=8192M\n");
	cfg.share_path = NULL;
	cfg.share_fd = 9;
	assert_has("\n-m 256M,slots=4,maxmem=8192M\n");
	cfg.max.memory_mib = 16 << 20; /* some CPU models have addresses for a TiB */
	assert_has(",maxmem=524288M\n");
}
END_TEST

START_TEST(clones_and_their_template_have_one_identity)
{
	auto_free char *plain = hv_identity(&hv_qemu_ops, &cfg), *clone = NULL, *other = NULL;

	cfg.name = "another";
	cfg.share_path = "/another";
	cfg.memory = HV_MEMORY_PRIVATE;
	cfg.memory_path = "/memory";
	clone = hv_identity(&hv_qemu_ops, &cfg);
	ck_assert_str_eq(plain, clone);
	ck_assert_ptr_nonnull(strstr(plain, "\n-m\n256M\n"));
	cfg.pcie_ports++;
	other = hv_identity(&hv_qemu_ops, &cfg);
	ck_assert_str_ne(plain, other);
}
END_TEST

START_TEST(without_ports_there_are_none)
{
	cfg.pcie_ports = 0;
	assert_lacks("pcie-root-port");
}
END_TEST

START_TEST(the_last_port_is_below_the_chipset)
{
	cfg.pcie_ports = QEMU_MAX_PORTS;
	assert_has("\n-device pcie-root-port,id=port23,chassis=24,addr=0x1b\n");
}
END_TEST

START_TEST(a_comma_in_a_path_cannot_add_an_option)
{
	cfg.share_path = "/a,security_model=none";
	cfg.share_tag = "t,x=1";
	cfg.port_name = "p,,q";
	assert_has("path=/a,,security_model=none,security_model=passthrough,");
	assert_has("mount_tag=t,,x=1");
	assert_has("name=p,,,,q");
}
END_TEST

START_TEST(machine_and_empty_parameters_are_taken)
{
	cfg.machine = "pc-q35-7.2";
	cfg.cmdline = NULL;
	assert_has("\n-machine pc-q35-7.2," MACHINE "\n");
	assert_has("8250.nr_uarts=0\n");
	cfg.cmdline = "";
	assert_has("8250.nr_uarts=0\n");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("args");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, the_whole_command_line_is_as_expected);
	tcase_add_test(tc, kvm_takes_the_hosts_cpu);
	tcase_add_test(tc, a_console_is_a_serial_port_and_the_kernel_talks);
	tcase_add_test(tc, without_a_share_there_is_no_9p);
	tcase_add_test(tc, a_served_share_is_virtio_fs_with_shared_memory_and_no_9p);
	tcase_add_test(tc,
	               a_template_writes_its_memory_file_and_a_clone_waits_with_a_private_mapping);
	tcase_add_test(tc, a_vm_that_can_grow_has_places_for_it);
	tcase_add_test(tc, clones_and_their_template_have_one_identity);
	tcase_add_test(tc, without_ports_there_are_none);
	tcase_add_test(tc, the_last_port_is_below_the_chipset);
	tcase_add_test(tc, a_comma_in_a_path_cannot_add_an_option);
	tcase_add_test(tc, machine_and_empty_parameters_are_taken);
	return scratch_run(tc);
}
