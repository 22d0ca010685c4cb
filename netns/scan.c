#include <errno.h>
#include <net/if.h> /* before linux/if.h, which gives way to it */
#include <linux/ethtool.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "netns/libnl-internal.h"
#include "netns/netns-internal.h"
#include "lib/base/error.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"

void *netns_grow(void *array, size_t *n, size_t size, const char *what, struct error *err)
{
	char *grown = array;

	if (*n >= NET_MAX_OBJECTS) {
		error_set(err, E2BIG, "more than %d %s in a network namespace", NET_MAX_OBJECTS,
		          what);
		return NULL;
	}
	/* Twice the size when n is a power of two. */
	if ((*n & (*n - 1)) == 0)
		grown = xreallocarray(array, *n ? *n * 2 : 1, size);
	memset(grown + *n * size, 0, size);
	(*n)++;
	return grown;
}

struct net_ip netns_ip(const struct nl_addr *addr)
{
	struct net_ip ip = { 0 };
	unsigned len = addr ? libnl.nl_addr_get_len(addr) : 0;

	if (!addr || len > sizeof(ip.bytes))
		return ip;
	ip.family = (uint8_t)libnl.nl_addr_get_family(addr);
	ip.prefix = (uint8_t)libnl.nl_addr_get_prefixlen(addr);
	memcpy(ip.bytes, libnl.nl_addr_get_binary_addr(addr), len);
	return ip;
}

static bool get_mac(const struct nl_addr *addr, uint8_t mac[6])
{
	if (!addr || libnl.nl_addr_get_len(addr) != 6)
		return false;
	memcpy(mac, libnl.nl_addr_get_binary_addr(addr), 6);
	return true;
}

/* ---- links ---- */

/* What we made, which the others must be seen without. */
struct own {
	unsigned index, of; /* of: the link that it stands for, 0: unknown */
	uint8_t mac[6];     /* that link's own, when has_mac */
	bool has_mac;
};

struct links {
	struct netns *ns;
	struct net_state *s;
	struct own *own;
	size_t n_own;
};

static int add_own(struct links *l, unsigned index, const char *name, const char *alias,
                   struct error *err)
{
	uint64_t of;
	struct own *own = netns_grow(l->own, &l->n_own, sizeof(*own), "interfaces", err);

	if (!own)
		return -err->code;
	l->own = own;
	own += l->n_own - 1;
	own->index = index;
	/* netns_name() */
	if (strlen(name) > 3 && str_to_u64(name + 3, 1, INT32_MAX, &of) == 0)
		own->of = (unsigned)of;
	own->has_mac = netns_mac_parse(alias + strlen(NETNS_ALIAS), own->mac) == 0;
	return 0;
}

/* The address on its bus, of what has a driver. */
static void find_bus(const struct netns *ns, struct net_link *link)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq req = { .ifr_data = (void *)&info };

	memcpy(req.ifr_name, link->name, IFNAMSIZ);
	if (ioctl(ns->inet, SIOCETHTOOL, &req) < 0)
		return;
	info.bus_info[sizeof(info.bus_info) - 1] = '\0';
	snprintf(link->bus, sizeof(link->bus), "%s", info.bus_info);
}

static int add_link(struct nl_object *obj, void *arg, struct error *err)
{
	struct rtnl_link *rl = (struct rtnl_link *)obj;
	const char *name = libnl.rtnl_link_get_name(rl), *kind = libnl.rtnl_link_get_type(rl);
	const char *alias = libnl.rtnl_link_get_ifalias(rl);
	unsigned index = (unsigned)libnl.rtnl_link_get_ifindex(rl);
	struct links *l = arg;
	struct net_link *link;

	if (alias && str_starts(alias, NETNS_ALIAS))
		return add_own(l, index, name, alias, err);
	link = netns_grow(l->s->links, &l->s->n_links, sizeof(*link), "interfaces", err);
	if (!link)
		return -err->code;
	l->s->links = link;
	link += l->s->n_links - 1;
	link->index = index;
	link->master = (unsigned)libnl.rtnl_link_get_master(rl);
	link->mtu = libnl.rtnl_link_get_mtu(rl);
	link->flags = libnl.rtnl_link_get_flags(rl) & NET_LINK_FLAGS;
	snprintf(link->name, sizeof(link->name), "%s", name);
	snprintf(link->kind, sizeof(link->kind), "%s", kind ? kind : "");
	link->has_mac = libnl.rtnl_link_get_arptype(rl) == ARPHRD_ETHER &&
	                get_mac(libnl.rtnl_link_get_addr(rl), link->mac);
	if (!link->kind[0] && !(link->flags & IFF_LOOPBACK))
		find_bus(l->ns, link);
	return 0;
}

static int by_index(const void *a, const void *b)
{
	const struct net_link *x = a, *y = b;

	return x->index < y->index ? -1 : x->index > y->index;
}

static void hide_own(struct links *l)
{
	for (size_t i = 0; i < l->n_own; i++)
		for (size_t j = 0; j < l->s->n_links; j++) {
			struct net_link *link = &l->s->links[j];

			if (link->master == l->own[i].index)
				link->master = 0;
			if (l->own[i].has_mac && link->index == l->own[i].of)
				memcpy(link->mac, l->own[i].mac, sizeof(link->mac));
		}
}

static int scan_links(struct netns *ns, struct net_state *s, struct error *err)
{
	struct links l = { .ns = ns, .s = s };
	int r = netns_dump(ns, RTM_GETLINK, 0, add_link, &l, err);

	if (r == 0) {
		hide_own(&l);
		if (s->n_links)
			qsort(s->links, s->n_links, sizeof(*s->links), by_index);
	}
	free(l.own);
	return r;
}

/* ---- addresses ---- */

bool netns_is_loopback6(const struct net_ip *ip)
{
	static const uint8_t home[16] = { [15] = 1 };

	return ip->family == AF_INET6 && ip->prefix == 128 &&
	       memcmp(ip->bytes, home, sizeof(home)) == 0;
}

static bool is_kernels(const struct net_link *link, const struct net_ip *ip)
{
	static const uint8_t home4[4] = { 127, 0, 0, 1 };

	if (!(link->flags & IFF_LOOPBACK))
		return false;
	if (ip->family == AF_INET)
		return ip->prefix == 8 && memcmp(ip->bytes, home4, sizeof(home4)) == 0;
	return netns_is_loopback6(ip);
}

static int add_addr(struct nl_object *obj, void *arg, struct error *err)
{
	struct rtnl_addr *ra = (struct rtnl_addr *)obj;
	struct net_ip local = netns_ip(libnl.rtnl_addr_get_local(ra));
	struct net_state *s = arg;
	const struct net_link *link = net_state_link(s, (unsigned)libnl.rtnl_addr_get_ifindex(ra));
	struct net_addr *addr;

	/* Not of a link that has just come, which the next scan sees. */
	if (!link || is_kernels(link, &local) ||
	    (local.family != AF_INET && local.family != AF_INET6))
		return 0;
	addr = netns_grow(s->addrs, &s->n_addrs, sizeof(*addr), "addresses", err);
	if (!addr)
		return -err->code;
	s->addrs = addr;
	addr += s->n_addrs - 1;
	addr->link = link->index;
	addr->local = local;
	addr->peer = netns_ip(libnl.rtnl_addr_get_peer(ra));
	addr->broadcast = netns_ip(libnl.rtnl_addr_get_broadcast(ra));
	addr->scope = (unsigned)libnl.rtnl_addr_get_scope(ra);
	addr->flags = libnl.rtnl_addr_get_flags(ra) &
	              ~(unsigned)(IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_OPTIMISTIC);
	addr->valid = addr->preferred = UINT32_MAX;
	if (!(addr->flags & IFA_F_PERMANENT)) {
		addr->valid = libnl.rtnl_addr_get_valid_lifetime(ra);
		addr->preferred = libnl.rtnl_addr_get_preferred_lifetime(ra);
	}
	return 0;
}

/* ---- neighbours ---- */

static int add_neigh(struct nl_object *obj, void *arg, struct error *err)
{
	struct rtnl_neigh *rn = (struct rtnl_neigh *)obj;
	struct net_state *s = arg;
	const struct net_link *link = net_state_link(s, (unsigned)libnl.rtnl_neigh_get_ifindex(rn));
	struct net_neigh new = { .address = netns_ip(libnl.rtnl_neigh_get_dst(rn)) }, *neigh;

	if (!link || !(libnl.rtnl_neigh_get_state(rn) & NUD_PERMANENT) ||
	    (new.address.family != AF_INET &&new.address.family != AF_INET6) ||
	    !get_mac(libnl.rtnl_neigh_get_lladdr(rn), new.mac))
		return 0;
	neigh = netns_grow(s->neighs, &s->n_neighs, sizeof(*neigh), "neighbours", err);
	if (!neigh)
		return -err->code;
	s->neighs = neigh;
	neigh += s->n_neighs - 1;
	neigh->link = link->index;
	neigh->address = new.address;
	memcpy(neigh->mac, new.mac, sizeof(neigh->mac));
	neigh->flags = libnl.rtnl_neigh_get_flags(rn);
	return 0;
}

static int scan_once(struct netns *ns, struct net_state *s, struct error *err)
{
	s->when = loop_now_ms();
	if (scan_links(ns, s, err) < 0 || netns_dump(ns, RTM_GETADDR, 0, add_addr, s, err) < 0 ||
	    netns_scan_routes(ns, s, err) < 0)
		return -err->code;
	return netns_dump(ns, RTM_GETNEIGH, 0, add_neigh, s, err);
}

int netns_scan(struct netns *ns, struct net_state **state, struct error *err)
{
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < NETNS_TRIES; i++) {
		auto_net_state struct net_state *s = xzalloc(sizeof(*s));

		error_clear(err);
		r = scan_once(ns, s, err);
		if (r == 0)
			*state = steal_ptr(&s);
	}
	return r < 0 ? error_wrap(err, "read the network namespace") : 0;
}
