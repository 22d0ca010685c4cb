#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hypervisor/accel-internal.h"
#include "lib/base/error.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"

enum {
	LOOP_ROUNDS = 100000,
	LOOP_TIMEOUT_MS = 3000,
	GUEST_PAGE = 0x1000, /* the one page of guest memory, and its address */
	MAX_CPUID = 256,     /* entries; hosts have about 60 */
	MSR_ARCH_CAPABILITIES = 0x10a,
	CPUID7_EDX_ARCH_CAPABILITIES = 1 << 29,
};

/* What the child reports. */
struct probe_report {
	int code; /* errno, 0: it worked */
	uint32_t usec;
	const char *step; /* a constant: the child is a fork, so the pointer holds */
};

static int fail(struct probe_report *r, const char *step)
{
	r->code = errno ? errno : EIO;
	r->step = step;
	return -1;
}

/* A guest page with the loop, and a vCPU in real mode about to run it. */
static int make_guest(int vm, int vcpu, struct probe_report *r)
{
	static const uint8_t code[] = {
		0x66, 0xb9, LOOP_ROUNDS & 0xff, LOOP_ROUNDS >> 8 & 0xff, LOOP_ROUNDS >> 16,
		0x00,       /* mov ecx, LOOP_ROUNDS */
		0x66, 0x49, /* dec ecx */
		0x75, 0xfc, /* jnz, back to dec */
		0xf4,       /* hlt */
	};
	struct kvm_userspace_memory_region region = { .guest_phys_addr = GUEST_PAGE,
		                                      .memory_size = GUEST_PAGE };
	struct kvm_regs regs = { .rip = 0, .rflags = 2 };
	struct kvm_sregs sregs;
	void *page =
		mmap(NULL, GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return fail(r, "map memory for a guest");
	memcpy(page, code, sizeof(code));
	region.userspace_addr = (uintptr_t)page;
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return fail(r, "give memory to a guest");
	if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
		return fail(r, "read the state of a vCPU");
	sregs.cs.selector = GUEST_PAGE >> 4;
	sregs.cs.base = GUEST_PAGE;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0 || ioctl(vcpu, KVM_SET_REGS, &regs) < 0)
		return fail(r, "set the state of a vCPU");
	return 0;
}

static bool has_arch_capabilities(const struct kvm_cpuid2 *cpuid)
{
	for (uint32_t i = 0; i < cpuid->nent && i < MAX_CPUID; i++)
		if (cpuid->entries[i].function == 7 && cpuid->entries[i].index == 0)
			return cpuid->entries[i].edx & CPUID7_EDX_ARCH_CAPABILITIES;
	return false;
}

/* Give the vCPU the host's features and the one MSR value that broken hosts offer but refuse, as
 * QEMU does with "-cpu host": it aborts when this fails. */
static int set_features(int kvm, int vcpu, struct probe_report *r)
{
	struct kvm_cpuid2 *cpuid = xzalloc(sizeof(*cpuid) + MAX_CPUID * sizeof(cpuid->entries[0]));
	struct kvm_msrs *msr = xzalloc(sizeof(*msr) + sizeof(msr->entries[0]));

	cpuid->nent = MAX_CPUID;
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid) < 0 ||
	    ioctl(vcpu, KVM_SET_CPUID2, cpuid) < 0)
		return fail(r, "set the CPU features of a guest");
	msr->nmsrs = 1;
	msr->entries[0].index = MSR_ARCH_CAPABILITIES;
	if (!has_arch_capabilities(cpuid) || ioctl(kvm, KVM_GET_MSRS, msr) != 1)
		return 0;
	errno = 0;
	if (ioctl(vcpu, KVM_SET_MSRS, msr) != 1)
		return fail(r, "set MSR 0x10a of a guest");
	return 0;
}

static int run_loop(int vcpu, const struct kvm_run *run, struct probe_report *r)
{
	struct timespec from, to;

	clock_gettime(CLOCK_MONOTONIC, &from);
	if (ioctl(vcpu, KVM_RUN, NULL) < 0)
		return fail(r, "run a guest");
	clock_gettime(CLOCK_MONOTONIC, &to);
	errno = 0;
	if (run->exit_reason != KVM_EXIT_HLT)
		return fail(r, "run a guest to its end");
	r->usec = (uint32_t)((to.tv_sec - from.tv_sec) * 1000000 +
	                     (to.tv_nsec - from.tv_nsec) / 1000);
	return 0;
}

/* In the child, which is about to exit: nothing is freed or closed. */
static int probe(const char *device, struct probe_report *r)
{
	int kvm = open(device, O_RDWR | O_CLOEXEC), vm, vcpu, size;
	const struct kvm_run *run;

	if (kvm < 0)
		return fail(r, "open");
	errno = 0;
	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return fail(r, "ask for the API version");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		return fail(r, "create a VM");
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (vcpu < 0 || size < (int)sizeof(*run))
		return fail(r, "create a vCPU");
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		return fail(r, "map a vCPU");
	if (set_features(kvm, vcpu, r) < 0 || make_guest(vm, vcpu, r) < 0)
		return -1;
	return run_loop(vcpu, run, r);
}

static void probe_child(const char *device, int fd)
{
	struct probe_report r = { 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	probe(device, &r);
	_exit(write(fd, &r, sizeof(r)) == sizeof(r) ? 0 : 1);
}

/* The report, or ETIMEDOUT, or EIO when the child died. */
static int read_report(int fd, struct probe_report *r)
{
	const uint64_t deadline = loop_now_ms() + LOOP_TIMEOUT_MS;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (;;) {
		uint64_t now = loop_now_ms();
		int n = poll(&p, 1, now < deadline ? (int)(deadline - now) : 0);

		if (n > 0)
			return read(fd, r, sizeof(*r)) == sizeof(*r) ? 0 : -EIO;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -ETIMEDOUT;
	}
}

int kvm_time_loop(const char *device, unsigned *usec, struct error *err)
{
	auto_close int reader = -1, writer = -1;
	struct probe_report r = { 0 };
	int pair[2], ret;
	pid_t pid;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return error_sys(err, "create a pipe");
	reader = pair[0];
	writer = pair[1];
	pid = fork();
	if (pid < 0)
		return error_sys(err, "fork");
	if (pid == 0)
		probe_child(device, writer);
	close_fd(&writer);
	ret = read_report(reader, &r);
	kill(pid, SIGKILL); /* our child, not yet reaped */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	if (ret == -ETIMEDOUT)
		return error_set(err, ETIMEDOUT, "'%s': a guest did not end in %d s", device,
		                 LOOP_TIMEOUT_MS / 1000);
	if (ret < 0)
		return error_set(err, -ret, "'%s': the probe died", device);
	if (r.code)
		return error_set(err, r.code, "%s '%s': %s", r.step, device, strerror(r.code));
	*usec = r.usec;
	return 0;
}
