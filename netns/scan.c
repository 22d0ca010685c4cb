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

static bool get_mac(const struct rtattr *a, uint8_t mac[6])
{
	if (!a || RTA_PAYLOAD(a) != 6)
		return false;
	memcpy(mac, RTA_DATA(a), 6);
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

static const char *kind_of(const struct rtattr *info)
{
	const struct rtattr *a[IFLA_INFO_KIND + 1] = { 0 };

	if (info)
		netlink_parse(RTA_DATA(info), RTA_PAYLOAD(info), a, ARRAY_SIZE(a));
	return netlink_text(a[IFLA_INFO_KIND]);
}

static int add_link(const void *body, const struct rtattr *const *a, void *arg, struct error *err)
{
	const struct ifinfomsg *info = body;
	const char *name = netlink_text(a[IFLA_IFNAME]), *alias = netlink_text(a[IFLA_IFALIAS]);
	const char *kind = kind_of(a[IFLA_LINKINFO]);
	unsigned index = (unsigned)info->ifi_index;
	struct links *l = arg;
	struct net_link *link;

	if (!name)
		return error_set(err, EPROTO, "an interface has no name");
	if (alias && str_starts(alias, NETNS_ALIAS))
		return add_own(l, index, name, alias, err);
	link = netns_grow(l->s->links, &l->s->n_links, sizeof(*link), "interfaces", err);
	if (!link)
		return -err->code;
	l->s->links = link;
	link += l->s->n_links - 1;
	link->index = index;
	link->master = netlink_u32(a[IFLA_MASTER], 0);
	link->mtu = netlink_u32(a[IFLA_MTU], 0);
	link->flags = info->ifi_flags & NET_LINK_FLAGS;
	snprintf(link->name, sizeof(link->name), "%s", name);
	snprintf(link->kind, sizeof(link->kind), "%s", kind ? kind : "");
	link->has_mac = info->ifi_type == ARPHRD_ETHER && get_mac(a[IFLA_ADDRESS], link->mac);
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
	int r = netns_dump(ns, RTM_GETLINK, add_link, &l, err);

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

/* IPv6 says IFA_ADDRESS only; IPv4 both, and they differ when the former is that of the other end,
 * whose network it is then. */
static void fill_ips(struct net_addr *addr, const struct ifaddrmsg *info,
                     const struct rtattr *const *a)
{
	struct net_ip *of_network = &addr->local;

	addr->local = netns_ip(a[IFA_LOCAL] ? a[IFA_LOCAL] : a[IFA_ADDRESS], info->ifa_family);
	addr->peer = netns_ip(a[IFA_ADDRESS], info->ifa_family);
	addr->broadcast = netns_ip(a[IFA_BROADCAST], info->ifa_family);
	if (memcmp(&addr->peer, &addr->local, sizeof(addr->peer)) == 0)
		addr->peer = (struct net_ip){ 0 };
	if (addr->peer.family)
		of_network = &addr->peer;
	of_network->prefix = info->ifa_prefixlen;
}

static void fill_lifetime(struct net_addr *addr, const struct rtattr *cache)
{
	struct ifa_cacheinfo times;

	addr->valid = addr->preferred = UINT32_MAX;
	if ((addr->flags & IFA_F_PERMANENT) || !cache || RTA_PAYLOAD(cache) < sizeof(times))
		return;
	memcpy(&times, RTA_DATA(cache), sizeof(times));
	addr->valid = times.ifa_valid;
	addr->preferred = times.ifa_prefered;
}

static int add_addr(const void *body, const struct rtattr *const *a, void *arg, struct error *err)
{
	const struct ifaddrmsg *info = body;
	struct net_state *s = arg;
	const struct net_link *link = net_state_link(s, info->ifa_index);
	struct net_addr new = { .link = info->ifa_index, .scope = info->ifa_scope }, *addr;

	fill_ips(&new, info, a);
	/* Not of a link that has just come, which the next scan sees. */
	if (!link || !new.local.family || is_kernels(link, &new.local))
		return 0;
	new.flags = netlink_u32(a[IFA_FLAGS], info->ifa_flags) &
	            ~(unsigned)(IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_OPTIMISTIC);
	fill_lifetime(&new, a[IFA_CACHEINFO]);
	addr = netns_grow(s->addrs, &s->n_addrs, sizeof(*addr), "addresses", err);
	if (!addr)
		return -err->code;
	s->addrs = addr;
	addr[s->n_addrs - 1] = new;
	return 0;
}

/* ---- neighbours ---- */

static int add_neigh(const void *body, const struct rtattr *const *a, void *arg, struct error *err)
{
	const struct ndmsg *info = body;
	struct net_state *s = arg;
	const struct net_link *link = net_state_link(s, (unsigned)info->ndm_ifindex);
	struct net_neigh new = { .address = netns_ip(a[NDA_DST], info->ndm_family) }, *neigh;

	if (!link || !(info->ndm_state & NUD_PERMANENT) || !new.address.family ||
	    !get_mac(a[NDA_LLADDR], new.mac))
		return 0;
	new.link = link->index;
	new.flags = info->ndm_flags;
	neigh = netns_grow(s->neighs, &s->n_neighs, sizeof(*neigh), "neighbours", err);
	if (!neigh)
		return -err->code;
	s->neighs = neigh;
	neigh[s->n_neighs - 1] = new;
	return 0;
}

int netns_scan(struct netns *ns, struct net_state **state, struct error *err)
{
	auto_net_state struct net_state *s = xzalloc(sizeof(*s));

	s->when = loop_now_ms();
	if (scan_links(ns, s, err) < 0 || netns_dump(ns, RTM_GETADDR, add_addr, s, err) < 0 ||
	    netns_scan_routes(ns, s, err) < 0 ||
	    netns_dump(ns, RTM_GETNEIGH, add_neigh, s, err) < 0)
		return error_wrap(err, "read the network namespace");
	*state = steal_ptr(&s);
	return 0;
}
