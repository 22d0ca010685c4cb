#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "netns/netns-internal.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"

struct opening {
	struct endpoint *ep;
	unsigned index, wanted;
};

/* A file system of our own, which is nowhere in the tree: a descriptor of its root. */
static int mount_detached(const char *type, struct error *err)
{
	auto_close int fs = fsopen(type, FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return error_sys(err, "make a file system '%s'", type);
	fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	return fd < 0 ? error_sys(err, "mount a file system '%s'", type) : fd;
}

/* The kernel numbers them over all namespaces, and only a sysfs of this one tells which it is. */
static int find_device(unsigned index, dev_t *dev, struct error *err)
{
	auto_free char *path = str_fmt("class/macvtap/tap%u/dev", index);
	auto_close int sysfs = mount_detached("sysfs", err);
	auto_free char *text = NULL;
	auto_strv char **part = NULL;
	uint64_t major, minor;

	if (sysfs < 0 || fs_read_at(sysfs, path, 64, &text, NULL, err) < 0)
		return -err->code;
	text[strcspn(text, "\n")] = '\0';
	part = str_split(text, ':');
	if (strv_len(part) != 2 || str_to_u64(part[0], 0, UINT32_MAX, &major) < 0 ||
	    str_to_u64(part[1], 0, UINT32_MAX, &minor) < 0)
		return error_set(err, EPROTO, "sysfs has an odd device number '%s'", text);
	*dev = makedev((unsigned)major, (unsigned)minor);
	return 0;
}

static int open_queue(const struct opening *o, int dir, struct error *err)
{
	auto_close int fd = openat(dir, "tap", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };

	if (fd < 0)
		return error_sys(err, "open macvtap '%s'", o->ep->tap);
	if (o->wanted > 1)
		req.ifr_flags |= IFF_MULTI_QUEUE;
	if (ioctl(fd, TUNSETIFF, &req) < 0)
		return error_sys(err, "set up macvtap '%s'", o->ep->tap);
	return steal_fd(&fd);
}

static int open_inside(void *arg, struct error *err)
{
	const struct opening *o = arg;
	auto_close int dir = -1;
	dev_t dev = 0;

	if (find_device(o->index, &dev, err) < 0)
		return -err->code;
	dir = mount_detached("tmpfs", err);
	if (dir < 0)
		return dir;
	if (mknodat(dir, "tap", S_IFCHR | 0600, dev) < 0)
		return error_sys(err, "make a device node");
	for (unsigned i = 0; i < o->wanted; i++) {
		int fd = open_queue(o, dir, err);

		if (fd < 0) {
			endpoint_close_fds(o->ep);
			return fd;
		}
		o->ep->fds[o->ep->n_queues++] = fd;
	}
	return 0;
}

int netns_open_macvtap(struct netns *ns, struct endpoint *ep, unsigned wanted, struct error *err)
{
	struct opening o = { .ep = ep, .wanted = wanted };
	struct netns_found found;

	if (netns_find(ns, ep->tap, &found, err) < 0)
		return -err->code;
	o.index = found.index;
	return netns_inside(ns, open_inside, &o, err);
}
