/* Interfaces that go from one namespace to another. */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "netns/libnl-internal.h"
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
	auto_msg struct nl_msg *msg = netns_link_msg(RTM_NEWLINK, 0, index);
	struct ifinfomsg *link = libnl.nlmsg_data(libnl.nlmsg_hdr(msg));
	uint32_t fd = (uint32_t)to->fd;

	/* Before Linux 6.2 only an interface that is down can be renamed. */
	link->ifi_change = IFF_UP;
	if (libnl.nla_put_u32(msg, IFLA_NET_NS_FD, fd) < 0 ||
	    libnl.nla_put_string(msg, IFLA_IFNAME, name) < 0)
		abort(); /* out of memory */
	return netns_request(from, msg, err);
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

static struct nl_addr *new_addr(const struct net_ip *ip)
{
	struct nl_addr *addr =
		libnl.nl_addr_build(ip->family, ip->bytes, ip->family == AF_INET ? 4 : 16);

	if (!addr)
		abort(); /* out of memory */
	libnl.nl_addr_set_prefixlen(addr, ip->prefix);
	return addr;
}

static int add_address(struct netns *ns, unsigned index, const struct net_addr *a,
                       struct error *err)
{
	struct nl_addr *local = new_addr(&a->local);
	struct rtnl_addr *request = libnl.rtnl_addr_alloc();
	auto_msg struct nl_msg *msg = NULL;

	if (!request)
		abort(); /* out of memory */
	libnl.rtnl_addr_set_ifindex(request, (int)index);
	if (libnl.rtnl_addr_set_local(request, local) < 0 ||
	    libnl.rtnl_addr_build_add_request(request, NLM_F_CREATE, &msg) < 0)
		abort(); /* out of memory */
	libnl.rtnl_addr_put(request);
	libnl.nl_addr_put(local);
	return netns_request(ns, msg, err);
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
