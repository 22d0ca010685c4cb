/* Interfaces that go from one namespace to another. */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "netns/netns-internal.h"
#include "lib/base/error.h"
#include "lib/base/str.h"

static const struct net_link *find_link(const struct net_state *s, const char *name)
{
	for (size_t i = 0; i < s->n_links; i++)
		if (str_eq(s->links[i].name, name))
			return &s->links[i];
	return NULL;
}

static int move_link(struct netns *from, unsigned index, struct netns *to, const char *name,
                     struct error *err)
{
	/* Before Linux 6.2 only an interface that is down can be renamed. */
	struct ifinfomsg link = { .ifi_index = (int)index, .ifi_change = IFF_UP };
	struct netlink_request r;

	netlink_begin(&r, RTM_NEWLINK, 0, &link, sizeof(link));
	netlink_add_u32(&r, IFLA_NET_NS_FD, (uint32_t)to->fd);
	netlink_add(&r, IFLA_IFNAME, name, strlen(name) + 1);
	return netns_request(from, &r, err);
}

/* The kernel renames what has been moved already. */
static int check_free(struct netns *ns, const char *name, struct error *err)
{
	auto_error struct error why = { 0 };
	struct netns_found found;
	int r = netns_find(ns, name, &found, &why);

	if (r == -ENODEV)
		return 0;
	if (r < 0)
		return error_move(err, &why);
	return error_set(err, EEXIST, "there is an interface '%s' already", name);
}

/* Those that somebody has set, and that mean something elsewhere. */
static bool is_kept(const struct net_addr *a)
{
	return a->scope == RT_SCOPE_UNIVERSE && (a->flags & IFA_F_PERMANENT);
}

static int add_address(struct netns *ns, unsigned index, const struct net_addr *a,
                       struct error *err)
{
	struct ifaddrmsg info = { .ifa_family = a->local.family,
		                  .ifa_prefixlen = a->local.prefix,
		                  .ifa_index = index };
	size_t len = a->local.family == AF_INET ? 4 : sizeof(a->local.bytes);
	struct netlink_request r;

	netlink_begin(&r, RTM_NEWADDR, NLM_F_CREATE, &info, sizeof(info));
	netlink_add(&r, IFA_LOCAL, a->local.bytes, len);
	netlink_add(&r, IFA_ADDRESS, a->local.bytes, len);
	return netns_request(ns, &r, err);
}

static int settle(struct netns *to, const char *name, const struct net_state *before,
                  unsigned index, struct error *err)
{
	struct netns_found found;

	if (netns_find(to, name, &found, err) < 0)
		return -err->code;
	for (size_t i = 0; i < before->n_addrs; i++)
		if (before->addrs[i].link == index && is_kept(&before->addrs[i]) &&
		    add_address(to, found.index, &before->addrs[i], err) < 0)
			return error_wrap(err, "set an address");
	return netns_set_up(to, found.index, err);
}

int netns_move(struct netns *from, const char *name, struct netns *to, const char *as,
               struct error *err)
{
	auto_net_state struct net_state *before = NULL;
	const struct net_link *link;

	if (netns_scan(from, &before, err) < 0)
		return -err->code;
	link = find_link(before, name);
	if (!link)
		return error_set(err, ENODEV, "no interface '%s'", name);
	if (endpoint_check(link, NET_TCFILTER, NULL, err) < 0 || check_free(to, as, err) < 0)
		return -err->code;
	if (move_link(from, link->index, to, as, err) < 0 ||
	    settle(to, as, before, link->index, err) < 0)
		return error_wrap(err, "move interface '%s'", name);
	return 0;
}
