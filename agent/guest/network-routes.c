#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/guest/network-internal.h"
#include "lib/base/error.h"
#include "lib/base/str.h"

#define IPV6_METRIC 1024 /* IP6_RT_PRIO_USER: what 0 means */

struct routes {
	struct net_route *list;
	size_t n;
};

static void routes_done(struct routes *r)
{
	free(r->list);
}

static struct net_ip read_via(const struct rtattr *a)
{
	const struct rtvia *via = a ? RTA_DATA(a) : NULL;
	struct net_ip ip = { .family = AF_UNSPEC };

	if (!a || RTA_PAYLOAD(a) != sizeof(*via) + net_ip_len(AF_INET6) ||
	    via->rtvia_family != AF_INET6)
		return ip;
	ip.family = AF_INET6;
	ip.prefix = 128;
	memcpy(ip.bytes, via->rtvia_addr, net_ip_len(AF_INET6));
	return ip;
}

static struct net_ip read_gateway(const struct rtattr *const *a, int family)
{
	struct net_ip ip = net_ip_from(a[RTA_GATEWAY], family, (unsigned)net_ip_len(family) * 8);

	return ip.family ? ip : read_via(a[RTA_VIA]);
}

static void routes_add(struct routes *out, const struct net_route *r)
{
	out->list = xreallocarray(out->list, out->n + 1, sizeof(*out->list));
	out->list[out->n++] = *r;
}

/* IPv6 shows routes to the same network, which were added one by one, as one with several hops. */
static void read_hops(struct routes *out, struct net_route *r, const struct rtattr *hops)
{
	const struct rtnexthop *hop = RTA_DATA(hops);
	int left = (int)RTA_PAYLOAD(hops);

	for (; RTNH_OK(hop, left); left -= (int)RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop)) {
		const struct rtattr *a[RTA_VIA + 1];

		netlink_parse(RTNH_DATA(hop), hop->rtnh_len - sizeof(*hop), a, ARRAY_SIZE(a));
		r->index = hop->rtnh_ifindex;
		r->gateway = read_gateway(a, r->dst.family);
		r->onlink = hop->rtnh_flags & RTNH_F_ONLINK;
		routes_add(out, r);
	}
}

static uint32_t read_mtu(const struct rtattr *metrics)
{
	const struct rtattr *a[RTAX_MTU + 1];

	if (!metrics)
		return 0;
	netlink_parse(RTA_DATA(metrics), RTA_PAYLOAD(metrics), a, ARRAY_SIZE(a));
	return netlink_u32(a[RTAX_MTU], 0);
}

static void read_present(const struct nlmsghdr *h, struct routes *out)
{
	const struct rtmsg *body = NLMSG_DATA(h);
	const struct rtattr *a[RTA_VIA + 1];
	int family = body->rtm_family;
	struct net_route r;

	if (h->nlmsg_type != RTM_NEWROUTE || (family != AF_INET && family != AF_INET6) ||
	    (body->rtm_flags & RTM_F_CLONED) || body->rtm_tos != 0)
		return;
	netlink_parse(RTM_RTA(body), RTM_PAYLOAD(h), a, ARRAY_SIZE(a));
	r = (struct net_route){
		.dst = net_ip_from(a[RTA_DST], family, body->rtm_dst_len),
		.gateway = read_gateway(a, family),
		.source = net_ip_from(a[RTA_PREFSRC], family, (unsigned)net_ip_len(family) * 8),
		.scope = body->rtm_scope,
		.type = body->rtm_type,
		.protocol = body->rtm_protocol,
		.metric = netlink_u32(a[RTA_PRIORITY], 0),
		.table = netlink_u32(a[RTA_TABLE], body->rtm_table),
		.mtu = read_mtu(a[RTA_METRICS]),
		.onlink = body->rtm_flags & RTNH_F_ONLINK,
		.index = (int)netlink_u32(a[RTA_OIF], 0),
	};
	r.dst.family = (uint8_t)family; /* also for the default route, which has no RTA_DST */
	if (a[RTA_MULTIPATH] && family == AF_INET6)
		read_hops(out, &r, a[RTA_MULTIPATH]);
	else if (!a[RTA_MULTIPATH]) /* one of IPv4 with several hops was never ours */
		routes_add(out, &r);
}

static int list_presents(struct netlink *nl, struct routes *out, struct error *err)
{
	auto_buf struct buf dump = { 0 };
	const struct nlmsghdr *h;
	size_t len;

	if (netlink_dump(nl, RTM_GETROUTE, &dump, err) < 0)
		return -err->code;
	len = dump.len;
	for (h = (const void *)dump.data; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len))
		if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct rtmsg)))
			read_present(h, out);
	return 0;
}

static bool goes_nowhere(const struct net_route *r)
{
	return r->type == RTN_BLACKHOLE || r->type == RTN_UNREACHABLE || r->type == RTN_PROHIBIT ||
	       r->type == RTN_THROW;
}

/* What IPv6 does not know, or shows in another way than it was given. */
static struct net_route normal(struct net_route r)
{
	if (goes_nowhere(&r)) {
		r.index = 0;
		r.scope = RT_SCOPE_UNIVERSE;
	}
	if (r.dst.family == AF_INET6) {
		r.scope = RT_SCOPE_UNIVERSE;
		if (r.metric == 0)
			r.metric = IPV6_METRIC;
	}
	return r;
}

static bool is_same_place(const struct net_route *a, const struct net_route *b)
{
	return net_ip_equal(&a->dst, &b->dst) && a->table == b->table && a->metric == b->metric &&
	       a->index == b->index;
}

static bool is_equal(const struct net_route *x, const struct net_route *y)
{
	struct net_route a = normal(*x), b = normal(*y);

	return is_same_place(&a, &b) && net_ip_equal(&a.gateway, &b.gateway) &&
	       net_ip_equal(&a.source, &b.source) && a.scope == b.scope && a.type == b.type &&
	       a.protocol == b.protocol && a.mtu == b.mtu && a.onlink == b.onlink;
}

static const struct net_route *find(const struct net_route *list, size_t n,
                                    const struct net_route *r)
{
	for (size_t i = 0; i < n; i++)
		if (is_equal(&list[i], r))
			return &list[i];
	return NULL;
}

static void add_gateway(struct netlink_request *r, const struct net_route *route)
{
	size_t len = net_ip_len(route->gateway.family);
	char bytes[sizeof(struct rtvia) + 16];
	struct rtvia *via = (void *)bytes;

	if (route->gateway.family == route->dst.family) {
		netlink_add(r, RTA_GATEWAY, route->gateway.bytes, len);
		return;
	}
	via->rtvia_family = route->gateway.family;
	memcpy(via->rtvia_addr, route->gateway.bytes, len);
	netlink_add(r, RTA_VIA, bytes, sizeof(*via) + len);
}

static int change(struct net_run *run, int type, int flags, const struct net_route *route)
{
	struct rtmsg body = {
		.rtm_family = route->dst.family,
		.rtm_dst_len = route->dst.prefix,
		.rtm_scope = route->scope,
		.rtm_type = route->type,
		.rtm_protocol = route->protocol,
		.rtm_flags = route->onlink ? RTNH_F_ONLINK : 0,
	};
	size_t len = net_ip_len(route->dst.family);
	struct netlink_request r;
	struct rtattr *metrics;

	netlink_begin(&r, type, flags, &body, sizeof(body));
	netlink_add(&r, RTA_DST, route->dst.bytes, len);
	netlink_add_u32(&r, RTA_TABLE, route->table);
	if (route->metric)
		netlink_add_u32(&r, RTA_PRIORITY, route->metric);
	if (route->index && !goes_nowhere(route))
		netlink_add_u32(&r, RTA_OIF, (uint32_t)route->index);
	if (route->source.family)
		netlink_add(&r, RTA_PREFSRC, route->source.bytes, len);
	if (route->gateway.family)
		add_gateway(&r, route);
	if (route->mtu && type == RTM_NEWROUTE) {
		metrics = netlink_nest(&r, RTA_METRICS);
		netlink_add_u32(&r, RTAX_MTU, route->mtu);
		netlink_nest_end(&r, metrics);
	}
	run->changes++;
	return netlink_do(&run->netlink, &r);
}

static int refuse(const char *what, const struct net_route *r, int status, struct error *err)
{
	char dst[NET_IP_TEXT];

	return error_set(err, -status, "network: %s route '%s'%s%s: %s", what,
	                 net_ip_text(&r->dst, dst), r->device[0] ? " over " : "", r->device,
	                 strerror(-status));
}

static int remove_route(struct net_run *run, const struct net_route *r, struct error *err)
{
	int status = change(run, RTM_DELROUTE, 0, r);

	return status < 0 && status != -ESRCH ? refuse("remove", r, status, err) : 0;
}

/* The interfaces of the routes: those of n, else any of the guest. */
static void find_devices(struct network *n)
{
	for (size_t i = 0; i < n->n_routes; i++) {
		const struct net_link *l = network_named_link(n, n->routes[i].device);

		if (l)
			n->routes[i].index = l->index;
		else if (n->routes[i].device[0])
			n->routes[i].index = (int)if_nametoindex(n->routes[i].device);
	}
}

static int remove_former(struct net_run *run, const struct routes *is, struct network *former,
                         struct error *err)
{
	find_devices(former);
	for (size_t i = 0; i < former->n_routes; i++) {
		const struct net_route *r = &former->routes[i];

		if ((!r->device[0] || r->index) && find(is->list, is->n, r) &&
		    !find(run->wish->routes, run->wish->n_routes, r) &&
		    remove_route(run, r, err) < 0)
			return -err->code;
	}
	return 0;
}

/* What stands in the place of a wished route and is no wish itself makes room. */
static int make_room(struct net_run *run, const struct routes *is, const struct net_route *r,
                     struct error *err)
{
	struct net_route wish = normal(*r);

	for (size_t i = 0; i < is->n; i++) {
		struct net_route other = normal(is->list[i]);

		if (is_same_place(&wish, &other) &&
		    !find(run->wish->routes, run->wish->n_routes, &is->list[i]) &&
		    remove_route(run, &is->list[i], err) < 0)
			return -err->code;
	}
	return 0;
}

static int check_device(const struct net_route *r, struct error *err)
{
	return r->device[0] && !r->index ? refuse("set", r, -ENODEV, err) : 0;
}

static bool is_left_out(const struct net_run *run, const struct net_route *r)
{
	const struct net_link *l = network_link(run->wish, r->index);

	return r->dst.family == AF_INET6 && l && !l->has_ipv6;
}

/* One round over the routes that are to be made (pending[]); how many were, or -errno. What fails
 * may need another route first: *last says which one failed, and how. */
static int add_round(struct net_run *run, const struct routes *is, bool *pending, bool gateways,
                     int *status, const struct net_route **last, struct error *err)
{
	int added = 0;

	for (size_t i = 0; i < run->wish->n_routes; i++) {
		const struct net_route *r = &run->wish->routes[i];
		int result;

		if (!pending[i] || (r->gateway.family != AF_UNSPEC) != gateways)
			continue;
		if (make_room(run, is, r, err) < 0)
			return -err->code;
		result = change(run, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND, r);
		if (result == 0) {
			pending[i] = false;
			added++;
		} else {
			*status = result;
			*last = r;
		}
	}
	return added;
}

static int add_all(struct net_run *run, const struct routes *is, bool *pending, bool gateways,
                   struct error *err)
{
	const struct net_route *last;
	int added, status;

	do {
		last = NULL;
		status = 0;
		added = add_round(run, is, pending, gateways, &status, &last, err);
	} while (added > 0 && last);
	if (added < 0)
		return added;
	return last ? refuse("set", last, status, err) : 0;
}

int network_apply_routes(struct net_run *run, struct error *err)
{
	auto_(routes_done) struct routes is = { 0 };
	auto_free bool *pending = xcalloc(run->wish->n_routes + 1, sizeof(*pending));
	struct network *wish = run->wish;

	if (list_presents(&run->netlink, &is, err) < 0)
		return -err->code;
	find_devices(wish);
	for (struct network *n = run->former; n; n = n->next)
		if (remove_former(run, &is, n, err) < 0)
			return -err->code;
	for (size_t i = 0; i < wish->n_routes; i++) {
		const struct net_route *r = &wish->routes[i];

		if (check_device(r, err) < 0)
			return -err->code;
		pending[i] = !is_left_out(run, r) && !find(is.list, is.n, r);
	}
	if (add_all(run, &is, pending, false, err) < 0)
		return -err->code;
	return add_all(run, &is, pending, true, err);
}
