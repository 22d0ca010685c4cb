/* Kernel modules of the initramfs (agent/image/modules.list). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
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
	char type;
	int64_t major, minor; /* minor -1: each */
	const char *module;
} devices[] = {
	{ 'b', 7, -1, "loop" },
	{ 'c', 10, 200, "tun" },
	{ 'c', 10, 229, "fuse" },
	{ 'c', 10, 237, "loop" },
};

/* type: as in linux.devices, with 'a' for both; minor -1: each */
static int load_for_numbers(char type, int64_t major, int64_t minor, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		if (major != devices[i].major || (type != 'a' && type != devices[i].type))
			continue;
		if (minor >= 0 && devices[i].minor >= 0 && minor != devices[i].minor)
			continue;
		if (modules_load(devices[i].module, err) < 0)
			return -err->code;
	}
	return 0;
}

/* A bind may bring a node: its source is a path of the guest by now. One that cannot be examined
 * is for the mount to complain about. */
static int load_for_source(const char *source, struct error *err)
{
	struct stat st;

	if (!source || source[0] != '/' || lstat(source, &st) < 0)
		return 0;
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		return 0;
	return load_for_numbers(S_ISCHR(st.st_mode) ? 'c' : 'b', major(st.st_rdev),
	                        minor(st.st_rdev), err);
}

static int load_for_mount(const struct oci_mount *m, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(file_systems); i++)
		if (str_eq(m->type, file_systems[i].type))
			return modules_load(file_systems[i].module, err);
	return load_for_source(m->source, err);
}

static int load_for_device(const struct oci_device *d, struct error *err)
{
	char type = str_eq(d->type, "u") ? 'c' : d->type[0];

	return load_for_numbers(type, d->major, d->minor, err);
}

/* Who may use a device can have a node for it in many ways (in a directory that is bound, made by
 * mknod). A rule for all devices names none. */
static int load_for_rule(const struct oci_device_cgroup *r, struct error *err)
{
	if (!r->allow || !r->has_major)
		return 0;
	return load_for_numbers(r->type ? r->type[0] : 'a', r->major, r->has_minor ? r->minor : -1,
	                        err);
}

static int load_for_linux(const struct oci_linux *x, struct error *err)
{
	const struct oci_resources *r = x->resources;

	for (size_t i = 0; i < x->n_devices; i++)
		if (load_for_device(&x->devices[i], err) < 0)
			return error_wrap(err, "linux.devices: '%s'", x->devices[i].path);
	for (size_t i = 0; r && i < r->n_devices; i++)
		if (load_for_rule(&r->devices[i], err) < 0)
			return error_wrap(err, "linux.resources.devices[%zu]", i);
	return 0;
}

int modules_for(const struct oci_spec *spec, struct error *err)
{
	for (size_t i = 0; i < spec->n_mounts; i++)
		if (load_for_mount(&spec->mounts[i], err) < 0)
			return error_wrap(err, "mounts: '%s'", spec->mounts[i].destination);
	return spec->linux_ ? load_for_linux(spec->linux_, err) : 0;
}
