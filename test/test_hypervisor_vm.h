/* A small VM of the real QEMU for each test, with its files and both ends of its channel. */
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include "hypervisor/qemu-internal.h"
#include "test/test_hypervisor_kernel.h"

static struct hv_config cfg;
static char *kernel, *initrd;
static int channel = -1;

static inline void setup_vm(const struct tiny_kernel *k)
{
	auto_free char *log = NULL;
	int pair[2];

	scratch_setup();
	log = scratch_path("log");
	kernel = write_scratch("vmlinux", k, sizeof(*k));
	initrd = write_scratch("initrd", "07070100000000", 14);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	channel = pair[0];
	cfg = (struct hv_config){
		.path = "/usr/bin/qemu-system-x86_64",
		.accel = HV_ACCEL_TCG,
		.memory_mib = 128,
		.cpus = 1,
		.pcie_ports = 2,
		.kernel = kernel,
		.initrd = initrd,
		.share_path = scratch_root(),
		.share_tag = "share",
		.port_name = "agent",
		.channel_fd = pair[1],
		.log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600),
		.console_fd = -1,
		.share_fd = -1,
	};
	ck_assert_int_ge(cfg.log_fd, 0);
}

static inline void teardown_vm(void)
{
	close_fd(&channel);
	close_fd(&cfg.channel_fd);
	close_fd(&cfg.log_fd);
	auto_freep(&kernel);
	auto_freep(&initrd);
	scratch_remove();
}
