/* The smallest guest kernel: an ELF file with the PVH note that stops the CPU. */
#pragma once

#include <elf.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>

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
