#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "netns/netns-internal.h"
#include "lib/base/error.h"
#include "lib/base/mem.h"

struct opening {
	struct netns *ns;
	struct endpoint *ep;
	unsigned wanted;
};

/* The file belongs to the namespace in which it is opened. */
static int open_queue(const struct opening *o, unsigned flags, struct error *err)
{
	auto_close int fd = openat(o->ns->devices, "net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	struct ifreq req = { .ifr_flags = (short)flags };

	if (fd < 0)
		return error_sys(err, "open '/dev/net/tun'");
	memcpy(req.ifr_name, o->ep->tap, IFNAMSIZ);
	if (ioctl(fd, TUNSETIFF, &req) < 0)
		return error_sys(err, "open tap '%s'", o->ep->tap);
	return steal_fd(&fd);
}

static int open_queues(const struct opening *o, unsigned n, struct error *err)
{
	unsigned flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (n > 1 ? IFF_MULTI_QUEUE : 0);

	for (unsigned i = 0; i < n; i++) {
		/* The first one makes it, and must not find another of that name. */
		unsigned excl = o->ep->is_ours && i == 0 ? IFF_TUN_EXCL : 0;
		int fd = open_queue(o, flags | excl, err);

		if (fd < 0) {
			endpoint_close_fds(o->ep);
			return fd;
		}
		o->ep->fds[o->ep->n_queues++] = fd;
	}
	return 0;
}

static int open_inside(void *arg, struct error *err)
{
	const struct opening *o = arg;
	int r = open_queues(o, o->wanted, err);

	/* A tap of somebody else has many queues or one, as its maker wanted. */
	if (r == -EINVAL && !o->ep->is_ours) {
		error_clear(err);
		r = open_queues(o, o->wanted > 1 ? 1 : 2, err);
	}
	return r;
}

int netns_open_tap(struct netns *ns, struct endpoint *ep, unsigned wanted, struct error *err)
{
	struct opening o = { .ns = ns, .ep = ep, .wanted = wanted };

	return netns_inside(ns, open_inside, &o, err);
}

void netns_open_vhost(struct netns *ns, struct endpoint *ep)
{
	/* All or nothing: VMMs want one for each queue. */
	for (unsigned i = 0; i < ep->n_queues; i++) {
		ep->vhost_fds[i] = openat(ns->devices, "vhost-net", O_RDWR | O_CLOEXEC);
		if (ep->vhost_fds[i] >= 0)
			continue;
		while (i-- > 0)
			close_fd(&ep->vhost_fds[i]);
		return;
	}
}
