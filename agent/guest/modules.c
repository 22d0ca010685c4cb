/* Kernel modules of the initramfs (agent/image/modules.list). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/guest/modules.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define MODULES "/lib/modules/"
#define MAX_LIST (64 * 1024)

/* One module without its dependencies. The file is removed afterwards: it occupies memory. */
static int load_file(const char *path, struct error *err)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return 0; /* loaded before */
	if (fd < 0)
		return error_sys(err, "open module '%s'", path);
	if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST)
		return error_sys(err, "load module '%s'", path);
	unlink(path);
	return 0;
}

/* The lines of a list: NAME PATH [DEPENDENCY]... */
static char **read_list(const char *list, struct error *err)
{
	auto_free char *path = str_fmt(MODULES "%s", list);
	auto_free char *text = NULL;

	if (!fs_exists(path))
		return str_split("", '\n');
	if (fs_read(path, MAX_LIST, &text, NULL, err) < 0)
		return NULL;
	return str_split(text, '\n');
}

/* The list is in load order. */
int modules_load_list(const char *list, struct error *err)
{
	auto_strv char **lines = read_list(list, err);

	if (!lines)
		return -err->code;
	for (size_t i = 0; lines[i]; i++) {
		auto_strv char **words = str_split(lines[i], ' ');

		if (strv_len(words) >= 2 && load_file(words[1], err) < 0)
			return -err->code;
	}
	return 0;
}

/* Dependencies stand above; so go upwards and collect what is needed, then load downwards. */
int modules_load(const char *name, struct error *err)
{
	auto_strv char **lines = read_list("lazy", err);
	auto_strv char **needed = NULL;
	auto_strv char **paths = NULL;
	size_t n;

	if (!lines)
		return -err->code;
	strv_push(&needed, name);
	for (size_t i = strv_len(lines); i-- > 0;) {
		auto_strv char **words = str_split(lines[i], ' ');

		n = strv_len(words);
		if (n < 2 || !strv_has(needed, words[0]))
			continue;
		strv_push(&paths, words[1]);
		for (size_t j = 2; j < n; j++)
			strv_push(&needed, words[j]);
	}
	for (n = strv_len(paths); n-- > 0;) {
		if (load_file(paths[n], err) < 0)
			return -err->code;
	}
	return 0;
}

/* There is no modprobe that the kernel could ask. */
static const struct {
	const char *type, *module;
} file_systems[] = {
	{ "binfmt_misc", "binfmt_misc" },
	{ "ext2", "ext4" },
	{ "ext3", "ext4" },
	{ "ext4", "ext4" },
	{ "fuse", "fuse" },
	{ "fuseblk", "fuse" },
	{ "fusectl", "fuse" },
	{ "overlay", "overlay" },
	{ "virtiofs", "virtiofs" },
	{ "xfs", "xfs" },
};

static const struct {
	int64_t major, minor; /* minor -1: each */
	const char *module;
} devices[] = {
	{ 7, -1, "loop" },
	{ 10, 200, "tun" },
	{ 10, 229, "fuse" },
	{ 10, 237, "loop" },
};

static int load_for_mount(const struct oci_mount *m, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(file_systems); i++)
		if (str_eq(m->type, file_systems[i].type))
			return modules_load(file_systems[i].module, err);
	return 0;
}

static int load_for_device(const struct oci_device *d, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		if (d->major == devices[i].major &&
		    (d->minor == devices[i].minor || devices[i].minor < 0))
			return modules_load(devices[i].module, err);
	return 0;
}

int modules_for(const struct oci_spec *spec, struct error *err)
{
	for (size_t i = 0; i < spec->n_mounts; i++)
		if (load_for_mount(&spec->mounts[i], err) < 0)
			return error_wrap(err, "mounts: '%s'", spec->mounts[i].destination);
	for (size_t i = 0; spec->linux_ && i < spec->linux_->n_devices; i++)
		if (load_for_device(&spec->linux_->devices[i], err) < 0)
			return error_wrap(err, "linux.devices: '%s'",
			                  spec->linux_->devices[i].path);
	return 0;
}
