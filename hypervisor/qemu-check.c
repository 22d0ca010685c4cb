#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hypervisor/qemu-internal.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"

/* The note that carries the 32-bit PVH entry (XEN_ELFNOTE_PHYS32_ENTRY of the Xen ELF notes). */
enum { PVH_NOTE_TYPE = 18, MAX_PROGRAM_HEADERS = 64, MAX_NOTES = 64 << 10 };

/* Clients take the system's words for a missing file to be about the container's program. */
static int missing(const char *what, const char *path, struct error *err)
{
	if (errno == ENOENT || errno == ENOTDIR)
		return error_set(err, errno, "%s is missing: '%s'", what, path);
	return error_sys(err, "%s cannot be opened: '%s'", what, path);
}

static int check_binary(const struct hv_config *cfg, struct error *err)
{
	struct stat st;

	if (!cfg->path || cfg->path[0] != '/')
		return error_set(err, EINVAL, "the path of QEMU is not absolute: '%s'",
		                 cfg->path ? cfg->path : "");
	if (stat(cfg->path, &st) < 0)
		return missing("QEMU", cfg->path, err);
	if (!S_ISREG(st.st_mode))
		return error_set(err, EACCES, "QEMU is not a file: '%s'", cfg->path);
	if (access(cfg->path, X_OK) < 0)
		return error_set(err, errno, "QEMU is not an executable file: '%s'", cfg->path);
	return 0;
}

static int check_size(const struct hv_config *cfg, struct error *err)
{
	if (cfg->memory_mib < QEMU_MIN_MEMORY_MIB)
		return error_set(err, EINVAL,
		                 "%u MiB of memory is too small for a VM, at least %d MiB",
		                 cfg->memory_mib, QEMU_MIN_MEMORY_MIB);
	if (cfg->memory_mib > QEMU_MAX_MEMORY_MIB)
		return error_set(err, EINVAL,
		                 "%u MiB of memory is too large for a VM, at most %u MiB",
		                 cfg->memory_mib, QEMU_MAX_MEMORY_MIB);
	if (cfg->cpus < 1 || cfg->cpus > QEMU_MAX_CPUS)
		return error_set(err, EINVAL, "a VM has 1 to %d CPUs, not %u", QEMU_MAX_CPUS,
		                 cfg->cpus);
	if (!cfg->memory_path != (cfg->memory == HV_MEMORY_OWN))
		return error_set(err, EINVAL, "the memory of a template needs a file");
	if (cfg->memory_path && cfg->share_fd >= 0)
		return error_set(err, ENOTSUP,
		                 "a template cannot have a virtio-fs share, which has the "
		                 "guest's memory");
	if (cfg->pcie_ports > QEMU_MAX_PORTS)
		return error_set(err, EINVAL, "a VM has at most %d PCIe ports, not %u",
		                 QEMU_MAX_PORTS, cfg->pcie_ports);
	return 0;
}

static int open_file(const char *what, const char *path, struct error *err)
{
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
	struct stat st;

	if (!path)
		return error_set(err, EINVAL, "no %s is configured", what);
	if (fd < 0)
		return missing(what, path, err);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close_fd(&fd);
		return error_set(err, EINVAL, "%s is not a file: '%s'", what, path);
	}
	return fd;
}

static size_t align4(uint32_t n)
{
	return ((size_t)n + 3) & ~(size_t)3;
}

/* One note segment of len bytes: is the PVH note in it? */
static bool has_pvh_note(const char *notes, size_t len)
{
	while (len >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr n;
		size_t size;

		memcpy(&n, notes, sizeof(n));
		size = sizeof(n) + align4(n.n_namesz) + align4(n.n_descsz);
		if (size > len)
			return false;
		if (n.n_type == PVH_NOTE_TYPE && n.n_namesz == 4 &&
		    memcmp(notes + sizeof(n), "Xen", 4) == 0)
			return true;
		notes += size;
		len -= size;
	}
	return false;
}

static bool segment_has_pvh_note(int fd, uint64_t offset, uint64_t size)
{
	auto_free char *notes = NULL;
	ssize_t n;

	if (size > MAX_NOTES || offset > INT64_MAX)
		return false;
	notes = xmalloc(size + 1);
	n = pread(fd, notes, size, (off_t)offset);
	return n == (ssize_t)size && has_pvh_note(notes, size);
}

/* A 64-bit x86 ELF file with the PVH note: anything else boots slowly through firmware or not at
 * all. */
static int check_kernel(const struct hv_config *cfg, struct error *err)
{
	auto_close int fd = open_file("guest kernel", cfg->kernel, err);
	Elf64_Ehdr e;
	Elf64_Phdr p;

	if (fd < 0)
		return -err->code;
	if (pread(fd, &e, sizeof(e), 0) != sizeof(e) || memcmp(e.e_ident, ELFMAG, SELFMAG) != 0 ||
	    e.e_ident[EI_CLASS] != ELFCLASS64 || e.e_machine != EM_X86_64 ||
	    e.e_phentsize != sizeof(p) || e.e_phnum > MAX_PROGRAM_HEADERS || e.e_phoff > INT32_MAX)
		return error_set(err, EINVAL, "guest kernel is not an uncompressed vmlinux: '%s'",
		                 cfg->kernel);
	for (unsigned i = 0; i < e.e_phnum; i++) {
		off_t at = (off_t)(e.e_phoff + i * sizeof(p));

		if (pread(fd, &p, sizeof(p), at) != sizeof(p))
			break;
		if (p.p_type == PT_NOTE && segment_has_pvh_note(fd, p.p_offset, p.p_filesz))
			return 0;
	}
	return error_set(err, EINVAL, "guest kernel has no PVH entry: '%s'", cfg->kernel);
}

static int check_initrd(const struct hv_config *cfg, struct error *err)
{
	static const struct {
		size_t len;
		const char *bytes;
	} magic[] = {
		{ 6, "070701" },           /* cpio, newc */
		{ 6, "070702" },           /* cpio, with checksums */
		{ 2, "\x1f\x8b" },         /* gzip */
		{ 4, "\x28\xb5\x2f\xfd" }, /* zstd */
		{ 4, "\x02\x21\x4c\x18" }, /* lz4, the kernel's own format */
		{ 6, "\xfd"
		     "7zXZ\0" }, /* xz */
	};
	auto_close int fd = open_file("guest initrd", cfg->initrd, err);
	char head[8] = "";

	if (fd < 0)
		return -err->code;
	if (pread(fd, head, sizeof(head), 0) == sizeof(head))
		for (size_t i = 0; i < ARRAY_SIZE(magic); i++)
			if (memcmp(head, magic[i].bytes, magic[i].len) == 0)
				return 0;
	return error_set(err, EINVAL, "guest initrd is not a cpio archive: '%s'", cfg->initrd);
}

int qemu_check(const struct hv_config *cfg, struct error *err)
{
	if (check_binary(cfg, err) < 0 || check_size(cfg, err) < 0 || check_kernel(cfg, err) < 0 ||
	    check_initrd(cfg, err) < 0)
		return -err->code;
	return 0;
}
