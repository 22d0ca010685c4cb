#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "netns/libnl-internal.h"
#include "netns/netns-internal.h"
#include "lib/base/error.h"

struct routes {
	struct net_state *s;
	int family;
};

struct hops {
	const struct net_state *s;
	struct net_route *route;
	bool is_foreign; /* through a link that is not in the state */
};

static void add_hop(struct rtnl_nexthop *nh, void *arg)
{
	struct hops *h = arg;
	struct net_hop *hop = &h->route->hops[h->route->n_hops++];
	const struct nl_addr *gateway = libnl.rtnl_route_nh_get_gateway(nh);

	if (!gateway)
		gateway = libnl.rtnl_route_nh_get_via(nh);
	hop->link = (unsigned)libnl.rtnl_route_nh_get_ifindex(nh);
	hop->gateway = netns_ip(gateway);
	hop->flags = libnl.rtnl_route_nh_get_flags(nh) & RTNH_F_ONLINK;
	/* On the wire it is one less. */
	hop->weight = libnl.rtnl_route_nh_get_weight(nh) + 1u;
	if (hop->link && !net_state_link(h->s, hop->link))
		h->is_foreign = true;
}

/* Each kernel's own, also with the same interfaces and addresses in another namespace. What comes
 * with an address in another table can be changed and removed, so it counts. */
static bool is_kernels(struct rtnl_route *rr)
{
	struct net_ip dst = netns_ip(libnl.rtnl_route_get_dst(rr));

	switch (libnl.rtnl_route_get_protocol(rr)) {
	case RTPROT_KERNEL:
		return libnl.rtnl_route_get_table(rr) == RT_TABLE_LOCAL || netns_is_loopback6(&dst);
	case RTPROT_REDIRECT:
		return true;
	default:
		return libnl.rtnl_route_get_flags(rr) & RTM_F_CLONED;
	}
}

static struct net_ip ip_of_family(const struct nl_addr *addr, int family)
{
	struct net_ip ip = netns_ip(addr);

	ip.family = (uint8_t)family; /* a default route has a destination without bytes, or none */
	return ip;
}

static void fill_route(struct net_route *route, struct rtnl_route *rr, int family)
{
	uint32_t mtu = 0;

	route->dst = ip_of_family(libnl.rtnl_route_get_dst(rr), family);
	if (libnl.rtnl_route_get_src(rr))
		route->from = ip_of_family(libnl.rtnl_route_get_src(rr), family);
	route->source = netns_ip(libnl.rtnl_route_get_pref_src(rr));
	route->table = libnl.rtnl_route_get_table(rr);
	route->metric = libnl.rtnl_route_get_priority(rr);
	route->type = libnl.rtnl_route_get_type(rr);
	route->scope = libnl.rtnl_route_get_scope(rr);
	route->protocol = libnl.rtnl_route_get_protocol(rr);
	route->tos = libnl.rtnl_route_get_tos(rr);
	if (libnl.rtnl_route_get_metric(rr, RTAX_MTU, &mtu) == 0)
		route->mtu = mtu;
}

static int add_route(struct nl_object *obj, void *arg, struct error *err)
{
	struct rtnl_route *rr = (struct rtnl_route *)obj;
	int n = libnl.rtnl_route_get_nnexthops(rr);
	struct routes *r = arg;
	struct net_state *s = r->s;
	struct hops h = { .s = s };

	/* A kernel without the family tells all. */
	if (libnl.rtnl_route_get_family(rr) != r->family || is_kernels(rr))
		return 0;
	if (n > NET_MAX_HOPS)
		return error_set(err, E2BIG, "more than %d next hops of a route", NET_MAX_HOPS);
	h.route = netns_grow(s->routes, &s->n_routes, sizeof(*h.route), "routes", err);
	if (!h.route)
		return -err->code;
	s->routes = h.route;
	h.route += s->n_routes - 1;
	fill_route(h.route, rr, r->family);
	h.route->hops = n > 0 ? xcalloc((size_t)n, sizeof(*h.route->hops)) : NULL;
	libnl.rtnl_route_foreach_nexthop(rr, add_hop, &h);
	if (h.is_foreign) {
		auto_freep(&h.route->hops);
		s->n_routes--;
	}
	return 0;
}

int netns_scan_routes(struct netns *ns, struct net_state *s, struct error *err)
{
	struct routes r = { .s = s, .family = AF_INET };

	if (netns_dump(ns, RTM_GETROUTE, AF_INET, add_route, &r, err) < 0)
		return -err->code;
	r.family = AF_INET6;
	return netns_dump(ns, RTM_GETROUTE, AF_INET6, add_route, &r, err);
}
