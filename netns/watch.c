#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "netns/netns-internal.h"
#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"

#define GROUPS                                                                                     \
	(RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |                    \
	 RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE)
#define RECEIVE_BUFFER (256 << 10) /* bytes; when it is too small we are told */
#define ROUND 64                   /* datagrams before others get their turn */

static int open_events(void *arg, struct error *err)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = GROUPS };
	int size = RECEIVE_BUFFER;
	auto_close int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	struct netns *ns = arg;

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return error_sys(err, "open a netlink socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	ns->events = steal_fd(&fd);
	return 0;
}

/* Neighbours come and go with the traffic; only those that somebody set matter. One that is
 * removed is said to have failed before. */
static bool is_change(const struct nlmsghdr *hdr)
{
	const struct ndmsg *neigh;

	if (hdr->nlmsg_type != RTM_NEWNEIGH && hdr->nlmsg_type != RTM_DELNEIGH)
		return true;
	if (hdr->nlmsg_len < NLMSG_LENGTH(sizeof(*neigh)))
		return false;
	neigh = NLMSG_DATA(hdr);
	return neigh->ndm_state & (NUD_PERMANENT | NUD_FAILED);
}

static bool has_change(const void *data, size_t len)
{
	const struct nlmsghdr *hdr = data;

	while (NLMSG_OK(hdr, len)) {
		if (is_change(hdr))
			return true;
		hdr = NLMSG_NEXT(hdr, len);
	}
	return false;
}

static void note_change(struct netns *ns)
{
	uint64_t now = loop_now_ms(), late;

	if (!ns->first_event)
		ns->first_event = now;
	late = ns->first_event + NET_PATIENCE_MS;
	if (late < now + NET_QUIET_MS)
		loop_rearm(ns->timer, late > now ? (unsigned)(late - now) : 0);
	else
		loop_rearm(ns->timer, NET_QUIET_MS);
}

static void on_events(int fd, uint32_t events, void *arg)
{
	_Alignas(struct nlmsghdr) char data[16384];
	struct netns *ns = arg;

	(void)events;
	for (int i = 0; i < ROUND; i++) {
		ssize_t n = netns_receive(fd, data, sizeof(data));

		if (n == -EAGAIN)
			return;
		if (n < 0 && n != -ENOBUFS) {
			log_warn("watch the network namespace: %s, ignoring", strerror((int)-n));
			loop_remove(&ns->source);
			return;
		}
		/* ENOBUFS means that there were more events. */
		if (n < 0 || has_change(data, (size_t)n))
			note_change(ns);
	}
}

static void on_timer(void *arg)
{
	struct netns *ns = arg;

	ns->first_event = 0;
	ns->fn(ns->arg);
}

int netns_watch(struct netns *ns, struct loop *loop, netns_fn fn, void *arg, struct error *err)
{
	if (ns->events >= 0)
		return error_set(err, EALREADY, "the network namespace is watched already");
	if (netns_inside(ns, open_events, ns, err) < 0)
		return error_wrap(err, "watch the network namespace");
	ns->fn = fn;
	ns->arg = arg;
	ns->source = loop_add_fd(loop, ns->events, EPOLLIN, on_events, ns);
	ns->timer = loop_add_timer(loop, 0, on_timer, ns);
	loop_disarm(ns->timer);
	return 0;
}

void netns_unwatch(struct netns *ns)
{
	loop_remove(&ns->source);
	loop_remove(&ns->timer);
	close_fd(&ns->events);
	ns->first_event = 0;
}
