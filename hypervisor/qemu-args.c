#include <stdio.h>

#include "hypervisor/qemu-internal.h"
#include "lib/base/str.h"

/* Guest kernel parameters, for a quick start and nothing to wait for:
 * - the TSC is the clock and the timer check is left out (both are calibrations and waits);
 * - the ciphers' self-tests take 0.3 s under emulation;
 * - PCIe ports take their devices by ACPI: what else they could do (error reports, power events, a
 *   hotplug of their own) is 1.4 % of the instructions until init;
 * - the code for one CPU is not patched in, which is 0.5 % of them, and is to be undone when a
 *   second one is plugged;
 * - memory that is plugged is used at once; that there may be some beyond 4 GiB is no reason to set
 *   64 MiB aside for devices that cannot reach it: there are none;
 * - no security modules that would need a policy, which the guest does not have: their hooks stand
 *   in the way of every system call;
 * - reboot=t: QEMU ends at once on a triple fault, while the keyboard controller is not there;
 * - panic=-1: a panic ends the VM, so that the host sees it; so does a fault in the kernel, which
 *   would otherwise go on with less (given a bad initramfs it idles for ever). */
static const char *const kernel_params[] = {
	"tsc=reliable",
	"no_timer_check",
	"rcupdate.rcu_expedited=1",
	"cryptomgr.notests",
	"lsm=landlock,yama",
	"reboot=t",
	"panic=-1",
	"oops=panic",
	"swiotlb=noforce",
	"memhp_default_state=online",
	"pcie_ports=compat",
	"noreplace-smp",
};

static char *build_cmdline(const struct hv_config *cfg)
{
	auto_strv char **v = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(kernel_params); i++)
		strv_push(&v, kernel_params[i]);
	if (cfg->console_fd >= 0) {
		strv_push(&v, "console=ttyS0");
	} else {
		strv_push(&v, "quiet");
		strv_push(&v, "8250.nr_uarts=0");
	}
	if (cfg->cmdline && *cfg->cmdline)
		strv_push(&v, cfg->cmdline);
	return strv_join(v, " ");
}

static void push2(char ***v, const char *option, const char *value)
{
	strv_push(v, option);
	strv_push(v, value);
}

/* A value inside QEMU's comma-separated options: a comma is written twice. */
static char *escape(const char *s)
{
	auto_buf struct buf b = { 0 };

	for (; *s; s++) {
		buf_addc(&b, *s);
		if (*s == ',')
			buf_addc(&b, ',');
	}
	return buf_steal(&b);
}

static bool has_memory_backend(const struct hv_config *cfg)
{
	return cfg->share_fd >= 0 || cfg->memory_path;
}

static void add_memory(char ***v, const struct hv_config *cfg)
{
	auto_free char *path = escape(cfg->memory_path ? cfg->memory_path : "");

	if (!has_memory_backend(cfg))
		return;
	strv_push(v, "-object");
	if (cfg->memory_path)
		strv_pushf(v, "memory-backend-file,id=ram,size=%uM,mem-path=%s,share=%s",
		           cfg->memory_mib, path, cfg->memory == HV_MEMORY_SHARED ? "on" : "off");
	else /* the server of virtio-fs reads and writes the guest's buffers itself */
		strv_pushf(v, "memory-backend-memfd,id=ram,size=%uM,share=on", cfg->memory_mib);
	if (cfg->memory == HV_MEMORY_PRIVATE)
		push2(v, "-incoming", "defer");
}

/* One thread translates and runs the code of all CPUs in turn. With one for each, QEMU before 8.1
 * may keep a block translated from code that another CPU is just patching, of which kernels do a
 * lot: a guest fails rarely, and then at random (oops=panic). Code for several threads is also the
 * slower one, and a VM that can be given more CPUs would have to run it from its start: 6 % of a
 * boot. */
static void add_accel(char ***v, bool kvm)
{
	strv_push(v, "-accel");
	if (kvm)
		strv_push(v, "kvm");
	else
		strv_pushf(v, "tcg,thread=single,tb-size=%d", HV_TCG_CODE_MIB);
}

/* All that can be emulated, but for the hint that "rep movsb" is the quickest way to copy: it is
 * emulated byte by byte. Kernel and C library then copy and clear by words: 10 % of a boot. */
#define EMULATED_CPU "max,-erms,-fsrm"

static void add_machine(char ***v, const struct hv_config *cfg)
{
	const bool kvm = cfg->accel == HV_ACCEL_KVM;
	auto_free char *name = escape(cfg->name ? cfg->name : "vcrt");

	push2(v, "-name", name);
	strv_push(v, "-machine");
	/* What a container VM never uses costs probing time in the guest and code to attack. */
	strv_pushf(v, "%s,smm=off,sata=off,smbus=off,usb=off,vmport=off,hpet=off,i8042=off%s",
	           cfg->machine ? cfg->machine : "q35",
	           has_memory_backend(cfg) ? ",memory-backend=ram" : "");
	add_accel(v, kvm);
	push2(v, "-cpu", cfg->cpu_model ? cfg->cpu_model : kvm ? "host" : EMULATED_CPU);
	strv_push(v, "-smp");
	if (cfg->max.cpus > cfg->cpus)
		strv_pushf(v, "%u,maxcpus=%u", cfg->cpus, cfg->max.cpus);
	else
		strv_pushf(v, "%u", cfg->cpus);
	strv_push(v, "-m");
	if (qemu_memory_slots(cfg))
		strv_pushf(v, "%uM,slots=%u,maxmem=%uM", cfg->memory_mib, qemu_memory_slots(cfg),
		           qemu_max_memory(cfg));
	else
		strv_pushf(v, "%uM", cfg->memory_mib);
	add_memory(v, cfg);
	strv_push(v, "-nodefaults");
	strv_push(v, "-no-user-config");
	strv_push(v, "-no-reboot");
	push2(v, "-display", "none");
	/* All that QEMU can deny itself; descriptors come from us and no helper is ever run. */
	push2(v, "-sandbox",
	      "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
}

static void add_kernel(char ***v, const struct hv_config *cfg)
{
	auto_free char *cmdline = build_cmdline(cfg);

	push2(v, "-kernel", cfg->kernel);
	push2(v, "-initrd", cfg->initrd);
	push2(v, "-append", cmdline);
}

static void add_share(char ***v, const struct hv_config *cfg)
{
	auto_free char *path = NULL, *tag = NULL;

	if (!cfg->share_path)
		return;
	path = escape(cfg->share_path);
	tag = escape(cfg->share_tag);
	/* passthrough and not none: both keep owner and mode on the host, but none hides it from
	 * the container when they could not be set. */
	strv_push(v, "-fsdev");
	strv_pushf(v, "local,id=share,path=%s,security_model=passthrough,multidevs=remap", path);
	strv_push(v, "-device");
	strv_pushf(v, "virtio-9p-pci-non-transitional,addr=3,fsdev=share,mount_tag=%s", tag);
}

static void add_served_share(char ***v, const struct hv_config *cfg)
{
	auto_free char *tag = NULL;

	if (cfg->share_fd < 0)
		return;
	tag = escape(cfg->share_tag);
	strv_push(v, "-chardev");
	strv_pushf(v, "socket,id=share,fd=%d", QEMU_FD_SHARE);
	strv_push(v, "-device");
	strv_pushf(v, "vhost-user-fs-pci,addr=3,chardev=share,tag=%s", tag);
}

static void add_devices(char ***v, const struct hv_config *cfg)
{
	auto_free char *port = escape(cfg->port_name);

	strv_push(v, "-chardev");
	strv_pushf(v, "socket,id=qmp,fd=%d", QEMU_FD_QMP);
	push2(v, "-mon", "chardev=qmp,mode=control");

	strv_push(v, "-chardev");
	strv_pushf(v, "socket,id=channel,fd=%d", QEMU_FD_CHANNEL);
	push2(v, "-device", "virtio-serial-pci-non-transitional,id=serial,addr=1,max_ports=2");
	strv_push(v, "-device");
	strv_pushf(v, "virtserialport,bus=serial.0,nr=1,chardev=channel,name=%s", port);

	push2(v, "-object", "rng-random,id=rng,filename=/dev/urandom");
	push2(v, "-device", "virtio-rng-pci-non-transitional,addr=2,rng=rng");
	push2(v, "-device", "vmgenid,guid=auto");

	if (cfg->console_fd >= 0) {
		push2(v, "-chardev", "stdio,id=console,signal=off");
		push2(v, "-device", "isa-serial,chardev=console");
	}
	for (unsigned i = 0; i < cfg->pcie_ports; i++) {
		strv_push(v, "-device");
		strv_pushf(v, "pcie-root-port,id=port%u,chassis=%u,addr=%#x", i, i + 1,
		           i + QEMU_FIRST_PORT_SLOT);
	}
}

char **qemu_build_args(const struct hv_config *cfg)
{
	char **v = NULL;

	strv_push(&v, cfg->path);
	add_machine(&v, cfg);
	add_kernel(&v, cfg);
	add_devices(&v, cfg);
	add_share(&v, cfg);
	add_served_share(&v, cfg);
	return v;
}

/* The command line of the template, with whatever differs between its clones left out. */
char *qemu_identity(const struct hv_config *cfg)
{
	struct hv_config shape = *cfg;
	auto_strv char **v = NULL;

	shape.name = NULL;
	shape.memory = HV_MEMORY_SHARED;
	shape.memory_path = "";
	if (shape.share_path)
		shape.share_path = "";
	v = qemu_build_args(&shape);
	/* Clones of one that was paused would not run by themselves. */
	strv_push(&v, "saved while it runs");
	return strv_join(v, "\n");
}
