/* The smallest guest kernel: an ELF file with the PVH note that stops the CPU. */
#pragma once

#include <elf.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "hypervisor/hypervisor.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "test/scratch.h"

struct tiny_kernel {
	Elf64_Ehdr e;
	Elf64_Phdr p[2];
	struct {
		Elf64_Nhdr n;
		char name[4];
		uint64_t entry;
	} note;
	uint8_t code[8];
};

static inline struct tiny_kernel tiny_kernel_image(void)
{
	enum { BASE = 0x100000 }; /* 1 MiB, where memory begins for a PVH kernel */
	struct tiny_kernel k = {
		.e = {
			.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_entry = BASE + offsetof(struct tiny_kernel, code),
			.e_phoff = offsetof(struct tiny_kernel, p),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 2,
		},
		.p = {
			{ .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = BASE, .p_paddr = BASE,
			  .p_filesz = sizeof(k), .p_memsz = sizeof(k), .p_align = 4096 },
			{ .p_type = PT_NOTE, .p_flags = PF_R,
			  .p_offset = offsetof(struct tiny_kernel, note),
			  .p_vaddr = BASE + offsetof(struct tiny_kernel, note),
			  .p_paddr = BASE + offsetof(struct tiny_kernel, note),
			  .p_filesz = sizeof(k.note), .p_memsz = sizeof(k.note), .p_align = 4 },
		},
		.note = {
			.n = { .n_namesz = 4, .n_descsz = 8, .n_type = 18 },
			.name = "Xen",
			.entry = BASE + offsetof(struct tiny_kernel, code),
		},
		.code = { 0xfa, 0xf4, 0xeb, 0xfc }, /* cli; hlt; jmp, back to cli */
	};

	return k;
}

/* Write the first len bytes of something to a scratch file. Its path is owned by the caller. */
static inline char *write_scratch(const char *rel, const void *data, size_t len)
{
	auto_error struct error err = { 0 };
	char *path = scratch_path(rel);

	ck_assert_msg(fs_write_atomic_at(AT_FDCWD, path, data, len, 0644, false, &err) == 0, "%s",
	              err.msg);
	return path;
}

/* A small VM of the real QEMU with such a kernel. Its log and both ends of its channel are the
 * caller's. */
static inline struct hv_config tiny_vm(const char *kernel, const char *initrd, int *channel)
{
	auto_free char *log = scratch_path("log");
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	*channel = pair[0];
	struct hv_config cfg = {
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
	return cfg;
}
