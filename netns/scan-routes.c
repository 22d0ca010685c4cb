#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "netns/netns-internal.h"
#include "lib/base/error.h"

/* A gateway of the other family says which. */
static struct net_ip read_via(const struct rtattr *a)
{
	const struct rtvia *via = a ? RTA_DATA(a) : NULL;
	struct net_ip ip = { 0 };

	if (!a || RTA_PAYLOAD(a) != sizeof(*via) + sizeof(ip.bytes) ||
	    via->rtvia_family != AF_INET6)
		return ip;
	ip.family = AF_INET6;
	ip.prefix = sizeof(ip.bytes) * 8;
	memcpy(ip.bytes, via->rtvia_addr, sizeof(ip.bytes));
	return ip;
}

/* False: it is through a link that is not in the state. */
static bool add_hop(const struct net_state *s, struct net_route *route, unsigned link,
                    unsigned flags, const struct rtattr *const *a)
{
	struct net_hop *hop;

	route->hops = xreallocarray(route->hops, route->n_hops + 1, sizeof(*route->hops));
	hop = &route->hops[route->n_hops++];
	*hop = (struct net_hop){ .link = link, .flags = flags & RTNH_F_ONLINK, .weight = 1 };
	hop->gateway = netns_ip(a[RTA_GATEWAY], route->dst.family);
	if (!hop->gateway.family)
		hop->gateway = read_via(a[RTA_VIA]);
	return !link || net_state_link(s, link);
}

/* 1, 0 for a route that is left out as above, or -errno. */
static int add_hops(const struct net_state *s, struct net_route *route, const struct rtattr *list,
                    struct error *err)
{
	const struct rtnexthop *hop = RTA_DATA(list);
	int left = (int)RTA_PAYLOAD(list);
	bool is_known = true;

	for (; RTNH_OK(hop, left); left -= (int)RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop)) {
		const struct rtattr *a[RTA_VIA + 1];

		if (route->n_hops >= NET_MAX_HOPS)
			return error_set(err, E2BIG, "more than %d next hops of a route",
			                 NET_MAX_HOPS);
		netlink_parse(RTNH_DATA(hop), hop->rtnh_len - sizeof(*hop), a, ARRAY_SIZE(a));
		is_known &= add_hop(s, route, (unsigned)hop->rtnh_ifindex, hop->rtnh_flags, a);
		/* On the wire it is one less. */
		route->hops[route->n_hops - 1].weight = hop->rtnh_hops + 1u;
	}
	return is_known;
}

/* Each kernel's own, also with the same interfaces and addresses in another namespace. What comes
 * with an address in another table can be changed and removed, so it counts. */
static bool is_kernels(const struct net_route *route, const struct rtmsg *info)
{
	switch (route->protocol) {
	case RTPROT_KERNEL:
		return route->table == RT_TABLE_LOCAL || netns_is_loopback6(&route->dst);
	case RTPROT_REDIRECT:
		return true;
	default:
		return info->rtm_flags & RTM_F_CLONED;
	}
}

/* A default route has no destination. */
static struct net_ip network(const struct rtattr *a, const struct rtmsg *info, unsigned prefix)
{
	struct net_ip ip = netns_ip(a, info->rtm_family);

	ip.family = info->rtm_family;
	ip.prefix = (uint8_t)prefix;
	return ip;
}

static void fill_route(struct net_route *route, const struct rtmsg *info,
                       const struct rtattr *const *a)
{
	const struct rtattr *metrics[RTAX_MTU + 1] = { 0 };

	route->dst = network(a[RTA_DST], info, info->rtm_dst_len);
	if (a[RTA_SRC])
		route->from = network(a[RTA_SRC], info, info->rtm_src_len);
	route->source = netns_ip(a[RTA_PREFSRC], info->rtm_family);
	route->table = netlink_u32(a[RTA_TABLE], info->rtm_table);
	route->metric = netlink_u32(a[RTA_PRIORITY], 0);
	route->type = info->rtm_type;
	route->scope = info->rtm_scope;
	route->protocol = info->rtm_protocol;
	route->tos = info->rtm_tos;
	if (a[RTA_METRICS])
		netlink_parse(RTA_DATA(a[RTA_METRICS]), RTA_PAYLOAD(a[RTA_METRICS]), metrics,
		              ARRAY_SIZE(metrics));
	route->mtu = netlink_u32(metrics[RTAX_MTU], 0);
}

static int add_route(const void *body, const struct rtattr *const *a, void *arg, struct error *err)
{
	const struct rtmsg *info = body;
	struct net_route new = { 0 }, *route;
	struct net_state *s = arg;
	int is_known = true;

	if (info->rtm_family != AF_INET && info->rtm_family != AF_INET6)
		return 0;
	fill_route(&new, info, a);
	if (is_kernels(&new, info))
		return 0;
	if (a[RTA_MULTIPATH])
		is_known = add_hops(s, &new, a[RTA_MULTIPATH], err);
	else if (a[RTA_OIF] || a[RTA_GATEWAY] || a[RTA_VIA])
		is_known = add_hop(s, &new, netlink_u32(a[RTA_OIF], 0), info->rtm_flags, a);
	route = is_known > 0 ? netns_grow(s->routes, &s->n_routes, sizeof(*route), "routes", err)
	                     : NULL;
	if (!route) {
		free(new.hops);
		return -err->code;
	}
	s->routes = route;
	route[s->n_routes - 1] = new;
	return 0;
}

int netns_scan_routes(struct netns *ns, struct net_state *s, struct error *err)
{
	return netns_dump(ns, RTM_GETROUTE, add_route, s, err);
}
