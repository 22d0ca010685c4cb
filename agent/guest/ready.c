/* What the process that waits for the first container (spare.c) makes before it knows its document:
 * the file systems that nearly every container has, and their devices. */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "oci/oci.h"

/* The options that a file system gets; those of its mount are set when it is used. */
static const struct {
	const char *type, *source, *options;
	unsigned long flags;
	bool is_dev; /* has the devices of a container without any of its own */
} usual[] = {
	{ "proc", "proc", "", 0, false },
	{ "tmpfs", "tmpfs", "mode=755,size=65536k", 0, true },
	{ "devpts", "devpts", "newinstance,ptmxmode=0666,mode=0620,gid=5", 0, false },
	{ "tmpfs", "shm", "mode=1777,size=65536k", 0, false },
	{ "mqueue", "mqueue", "", 0, false },
	{ "sysfs", "sysfs", "", MS_RDONLY, false },
	{ "cgroup2", "cgroup", "", MS_RDONLY, false },
};

/* Where file systems are usually mounted in /dev. */
static const char *const dev_dirs[] = { "pts", "shm", "mqueue" };

struct ready {
	int fd[ARRAY_SIZE(usual)]; /* -1: taken */
	int empty;
};

static int fill_dev(int dev, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(dev_dirs); i++)
		if (mkdirat(dev, dev_dirs[i], 0755) < 0)
			return error_sys(err, "create '/dev/%s'", dev_dirs[i]);
	return devices_fill(dev, err);
}

int ready_trim_dev(struct mount_state *ms, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(dev_dirs); i++) {
		auto_free char *path = str_fmt("/dev/%s", dev_dirs[i]);
		auto_close int dev = -1;

		if (oci_spec_find_mount(ms->l->spec, path))
			continue;
		dev = fs_open_in_root(ms->rootfd, "/dev", O_RDONLY | O_DIRECTORY, 0, err);
		if (dev < 0)
			return dev;
		/* EBUSY: something is mounted there, by another name. */
		if (unlinkat(dev, dev_dirs[i], AT_REMOVEDIR) < 0 && errno != EBUSY)
			return error_sys(err, "remove '%s'", path);
	}
	return 0;
}

static int make(struct ready *r, size_t i, struct error *err)
{
	auto_strv char **data = usual[i].options[0] ? str_split(usual[i].options, ',') : NULL;
	const struct mount_options o = { .flags = usual[i].flags, .data = data };
	const struct oci_mount m = { .type = (char *)usual[i].type,
		                     .source = (char *)usual[i].source };

	r->fd[i] = mounts_new_filesystem(usual[i].type, &m, &o, err);
	if (r->fd[i] < 0)
		return error_wrap(err, "mount %s", usual[i].type);
	return usual[i].is_dev ? fill_dev(r->fd[i], err) : 0;
}

struct ready *ready_new(struct error *err)
{
	struct ready *r = xzalloc(sizeof(*r));

	r->empty = mount_tmpfs(MOUNT_ATTR_RDONLY, err);
	for (size_t i = 0; i < ARRAY_SIZE(usual) && !err->code; i++)
		make(r, i, err);
	if (!err->code)
		return r;
	free(r); /* its process ends */
	return NULL;
}

int ready_take_empty(struct launch *l, struct error *err)
{
	return l->ready && l->ready->empty >= 0 ? steal_fd(&l->ready->empty)
	                                        : mount_tmpfs(MOUNT_ATTR_RDONLY, err);
}

static bool is_same(size_t i, const char *type, const struct oci_mount *m,
                    const struct mount_options *o)
{
	auto_free char *data = NULL;

	if (!str_eq(usual[i].type, type) || !str_eq(usual[i].source, m->source) ||
	    (o->flags & ~MOUNT_ONLY_FLAGS) != usual[i].flags)
		return false;
	data = strv_join(o->data, ",");
	return str_eq(usual[i].options, data ? data : "") ||
	       (str_eq(data, "mode=1777,size=67108864") && /* Docker's words for the same */
	        str_eq(usual[i].options, "mode=1777,size=65536k"));
}

int ready_take(struct launch *l, const char *type, const struct oci_mount *m,
               const struct mount_options *o, struct error *err)
{
	struct ready *r = l->ready;
	uint64_t set, clear;

	for (size_t i = 0; r && i < ARRAY_SIZE(usual); i++) {
		auto_close int fd = -1;

		if (r->fd[i] < 0 || !is_same(i, type, m, o))
			continue;
		fd = steal_fd(&r->fd[i]);
		if (usual[i].is_dev && str_eq(m->destination, "/dev"))
			l->dev_is_filled = true;
		else if (usual[i].is_dev)
			return -ENOENT;
		mount_options_attr(o, &set, &clear);
		return mount_set(fd, set, clear, false, err) < 0 ? -err->code : steal_fd(&fd);
	}
	return -ENOENT;
}
