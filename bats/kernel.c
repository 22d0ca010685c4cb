/* In a container, for kernel.bats: asks the kernel for each thing that programs in containers
 * expect of it, and prints those that it does not have with the error. */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/landlock.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

static int missing;

static void has(const char *what, long ret)
{
	if (ret >= 0)
		return;
	printf("%s: %s\n", what, strerrorname_np(errno));
	missing = 1;
}

static void sockets(void)
{
	static const struct {
		const char *name;
		int family, type, protocol;
	} kinds[] = {
		{ "AF_UNIX", AF_UNIX, SOCK_SEQPACKET, 0 },
		{ "TCP", AF_INET, SOCK_STREAM, 0 },
		{ "UDP and IPv6", AF_INET6, SOCK_DGRAM, 0 },
		{ "raw IPv4", AF_INET, SOCK_RAW, IPPROTO_ICMP },
		{ "raw IPv6", AF_INET6, SOCK_RAW, IPPROTO_ICMPV6 },
		{ "UDP-Lite", AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE },
		{ "MPTCP", AF_INET, SOCK_STREAM, 262 },
		{ "AF_PACKET", AF_PACKET, SOCK_RAW, 0 },
		{ "AF_XDP", 44, SOCK_RAW, 0 },
		{ "rtnetlink", AF_NETLINK, SOCK_RAW, NETLINK_ROUTE },
		{ "sock_diag", AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG },
		{ "uevents", AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT },
		{ "generic netlink", AF_NETLINK, SOCK_RAW, NETLINK_GENERIC },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		has(kinds[i].name, socket(kinds[i].family, kinds[i].type, kinds[i].protocol));
}

static void ipc(void)
{
	int key[2];

	has("System V shared memory", shmget(IPC_PRIVATE, 4096, 0600));
	has("System V semaphores", semget(IPC_PRIVATE, 1, 0600));
	has("System V messages", msgget(IPC_PRIVATE, 0600));
	has("POSIX messages", mq_open("/kernel-test", O_CREAT | O_RDWR, 0600, NULL));
	has("a key", key[0] = (int)syscall(SYS_add_key, "user", "test", "x", 1, -3));
	has("a persistent keyring", syscall(SYS_keyctl, 22, -1, -3));
	has("process_vm_readv", syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0));
	has("kcmp", syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 0));
}

static void descriptors(void)
{
	struct io_uring_params uring = { 0 };
	struct perf_event_attr perf = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(perf),
		.config = PERF_COUNT_SW_TASK_CLOCK,
	};
	sigset_t none;
	unsigned long aio = 0;

	sigemptyset(&none);
	has("epoll", syscall(SYS_epoll_create1, 0));
	has("eventfd", eventfd(0, 0));
	has("signalfd", signalfd(-1, &none, 0));
	has("timerfd", timerfd_create(CLOCK_BOOTTIME, 0));
	has("inotify", inotify_init());
	has("fanotify", fanotify_init(FAN_CLASS_CONTENT, O_RDONLY));
	has("memfd", memfd_create("test", MFD_ALLOW_SEALING));
	has("pidfd", syscall(SYS_pidfd_open, getpid(), 0));
	has("userfaultfd", syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY));
	has("io_uring", syscall(SYS_io_uring_setup, 4, &uring));
	has("AIO", syscall(SYS_io_setup, 4, &aio));
	has("perf_event_open", syscall(SYS_perf_event_open, &perf, 0, -1, -1, 0));
	has("a new mount interface", syscall(SYS_fsopen, "tmpfs", 0));
}

static void memory(void)
{
	unsigned long node = 1;
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	has("a memory policy", syscall(SYS_set_mempolicy, 2 /* MPOL_BIND */, &node, 64));
	has("membarrier", syscall(SYS_membarrier, 0, 0, 0));
	has("huge pages on demand", madvise(page, 4096, MADV_HUGEPAGE));
	has("mlock2", syscall(SYS_mlock2, page, 4096, 1));
}

/* Each in a process of its own: some can be entered only by a single thread, or once. */
static void new_namespace(const char *name, int flag)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		has(name, unshare(flag));
		fflush(stdout);
		_exit(missing);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
		missing = 1;
}

/* The program's own addresses fit into 32 bits only if it was linked so: all arguments are 0. */
static long call_i386(long nr)
{
	long ret;

	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(nr), "b"(0), "c"(0), "d"(0) : "memory");
	errno = (int)-ret;
	return ret > -4096 && ret < 0 ? -1 : 0;
}

static void security(void)
{
	struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SK_LOOKUP,
		.insns = (unsigned long)insns,
		.insn_cnt = 2,
		.license = (unsigned long)"GPL",
		.expected_attach_type = BPF_SK_LOOKUP,
	};

	has("BPF", syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)));
	has("Landlock",
	    syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION));
	has("seccomp",
	    syscall(SYS_seccomp, 2 /* GET_ACTION_AVAIL */, 0, &(unsigned){ 0x7fc00000 }));
}

int main(void)
{
	sockets();
	ipc();
	descriptors();
	memory();
	security();
	new_namespace("user namespaces", CLONE_NEWUSER);
	new_namespace("network namespaces", CLONE_NEWNET);
	new_namespace("time namespaces", 0x80 /* CLONE_NEWTIME */);
	new_namespace("cgroup namespaces", CLONE_NEWCGROUP);
	new_namespace("other namespaces", CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID);
	has("32-bit system calls", call_i386(20 /* getpid */));
	has("32-bit time", call_i386(13 /* time */));
	if (!missing)
		puts("all there");
	return 0;
}
