#include <fcntl.h>
#include <errno.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "netns/libnl-internal.h"
#include "netns/netns-internal.h"
#include "lib/base/error.h"

int netns_inside(struct netns *ns, int (*fn)(void *arg, struct error *err), void *arg,
                 struct error *err)
{
	int ret;

	if (setns(ns->fd, CLONE_NEWNET) < 0)
		return error_sys(err, "enter the network namespace");
	ret = fn(arg, err);
	/* In a namespace of somebody else nothing that follows would be right. */
	if (setns(ns->home, CLONE_NEWNET) < 0)
		abort();
	return ret;
}

static int open_sockets(void *arg, struct error *err)
{
	struct netns *ns = arg;

	ns->inet = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ns->inet < 0)
		return error_sys(err, "make a socket in the network namespace");
	return 0;
}

static int copy_fd(int fd, struct error *err)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy < 0 ? error_sys(err, "copy a descriptor") : copy;
}

static int open_namespaces(struct netns *ns, int fd, int dev, struct error *err)
{
	struct stat st;

	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return error_set(err, EINVAL, "the descriptor is no network namespace");
	if (fstat(fd, &st) < 0)
		return error_sys(err, "stat the network namespace");
	ns->dev = st.st_dev;
	ns->ino = st.st_ino;
	ns->fd = copy_fd(fd, err);
	if (ns->fd < 0)
		return -err->code;
	ns->home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (ns->home < 0)
		return error_sys(err, "open '/proc/self/ns/net'");
	if (dev >= 0) {
		ns->devices = copy_fd(dev, err);
		return ns->devices < 0 ? -err->code : 0;
	}
	ns->devices = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return ns->devices < 0 ? error_sys(err, "open '/dev'") : 0;
}

int netns_open(int fd, int dev, struct netns **ns, struct error *err)
{
	auto_netns struct netns *new = xzalloc(sizeof(*new));

	new->fd = new->home = new->devices = new->inet = new->events = -1;
	if (open_namespaces(new, fd, dev, err) < 0 || netns_inside(new, open_sockets, new, err) < 0)
		return -err->code;
	*ns = steal_ptr(&new);
	return 0;
}

void netns_free(struct netns *ns)
{
	if (!ns)
		return;
	netns_unwatch(ns);
	if (ns->rtnl)
		libnl.nl_socket_free(ns->rtnl);
	close_fd(&ns->inet);
	close_fd(&ns->devices);
	close_fd(&ns->home);
	close_fd(&ns->fd);
	free(ns);
}

void netns_freep(struct netns **ns)
{
	netns_free(*ns);
	*ns = NULL;
}

bool netns_is(const struct netns *ns, int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_dev == ns->dev && st.st_ino == ns->ino;
}
