#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/guest/network-internal.h"
#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/str.h"

/* Lifetimes run; that much later they are still the same ones. */
#define SLACK_SECONDS 5
#define IPV6_PREFIX_METRIC 256 /* IP6_RT_PRIO_ADDRCONF: of the route that comes with an address */

struct addresses {
	struct net_address *list;
	size_t n;
};

static void addresses_done(struct addresses *a)
{
	free(a->list);
}

static void read_lifetime(const struct rtattr *a, struct net_address *out)
{
	struct ifa_cacheinfo info;

	out->valid = out->preferred = NET_FOREVER;
	if (!a || RTA_PAYLOAD(a) < sizeof(info))
		return;
	memcpy(&info, RTA_DATA(a), sizeof(info));
	out->valid = info.ifa_valid;
	out->preferred = info.ifa_prefered;
}

/* false: nothing that we know. */
static bool read_present(const struct nlmsghdr *h, struct net_address *out)
{
	const struct ifaddrmsg *body = NLMSG_DATA(h);
	const struct rtattr *a[IFA_FLAGS + 1];
	int family = body->ifa_family;

	if (h->nlmsg_type != RTM_NEWADDR || (family != AF_INET && family != AF_INET6))
		return false;
	netlink_parse(IFA_RTA(body), IFA_PAYLOAD(h), a, ARRAY_SIZE(a));
	*out = (struct net_address){
		.peer = net_ip_from(a[IFA_ADDRESS], family, body->ifa_prefixlen),
		.local = net_ip_from(a[IFA_LOCAL], family, body->ifa_prefixlen),
		.broadcast = net_ip_from(a[IFA_BROADCAST], family, 32),
		.scope = body->ifa_scope,
		.flags = netlink_u32(a[IFA_FLAGS], body->ifa_flags),
		.index = (int)body->ifa_index,
	};
	read_lifetime(a[IFA_CACHEINFO], out);
	if (!out->local.family)
		out->local = out->peer; /* IPv6 without a peer */
	return out->local.family != AF_UNSPEC;
}

static int list_presents(struct netlink *nl, struct addresses *out, struct error *err)
{
	auto_buf struct buf dump = { 0 };
	struct net_address one;
	const struct nlmsghdr *h;
	size_t len;

	if (netlink_dump(nl, RTM_GETADDR, &dump, err) < 0)
		return -err->code;
	len = dump.len;
	for (h = (const void *)dump.data; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_len < NLMSG_LENGTH(sizeof(struct ifaddrmsg)) || !read_present(h, &one))
			continue;
		out->list = xreallocarray(out->list, out->n + 1, sizeof(*out->list));
		out->list[out->n++] = one;
	}
	return 0;
}

/* What the kernel tells addresses apart by. */
static bool is_same(const struct net_address *a, const struct net_address *b)
{
	return net_ip_equal(&a->local, &b->local) && net_ip_equal(&a->peer, &b->peer);
}

static bool is_near(uint32_t wish, uint32_t is)
{
	if (wish == NET_FOREVER || is == NET_FOREVER)
		return wish == is;
	return wish > is ? wish - is <= SLACK_SECONDS : is - wish <= SLACK_SECONDS;
}

static bool lifetime_fits(const struct net_address *wish, const struct net_address *is)
{
	return is_near(wish->valid, is->valid) && is_near(wish->preferred, is->preferred);
}

/* All but the lifetime. IPv6 makes the scope up from the address. */
static bool attributes_fit(const struct net_address *wish, const struct net_address *is)
{
	uint32_t looked_at = IFA_F_HOMEADDRESS | IFA_F_MCAUTOJOIN;

	if ((wish->flags & looked_at) != (is->flags & looked_at))
		return false;
	return wish->local.family == AF_INET6 ||
	       (wish->scope == is->scope && net_ip_equal(&wish->broadcast, &is->broadcast));
}

static const struct net_address *find(const struct net_address *list, size_t n,
                                      const struct net_address *a, int index)
{
	for (size_t i = 0; i < n; i++)
		if (is_same(&list[i], a) && (!index || list[i].index == index))
			return &list[i];
	return NULL;
}

/* Whether the wish has the route that the kernel makes by itself for this address. If not, it must
 * not: the host has removed it, or has one with another metric. */
static bool wants_prefix_route(const struct network *wish, const struct net_link *l,
                               const struct net_address *a)
{
	struct net_ip dst = net_ip_network(&a->peer);
	uint32_t metric = a->local.family == AF_INET6 ? IPV6_PREFIX_METRIC : 0;

	for (size_t i = 0; i < wish->n_routes; i++) {
		const struct net_route *r = &wish->routes[i];

		if (net_ip_equal(&r->dst, &dst) && str_eq(r->device, l->name) &&
		    r->table == RT_TABLE_MAIN && r->protocol == RTPROT_KERNEL &&
		    r->metric == metric && !r->gateway.family)
			return true;
	}
	return false;
}

static int change(struct net_run *run, int type, int flags, const struct net_address *a, int index,
                  const char *device, struct error *err)
{
	struct ifaddrmsg body = {
		.ifa_family = a->local.family,
		.ifa_prefixlen = a->local.prefix,
		.ifa_scope = a->scope,
		.ifa_index = (unsigned)index,
	};
	struct ifa_cacheinfo lifetime = { .ifa_valid = a->valid, .ifa_prefered = a->preferred };
	size_t len = net_ip_len(a->local.family);
	struct netlink_request r;
	char text[NET_IP_TEXT];
	int status;

	netlink_begin(&r, type, flags, &body, sizeof(body));
	netlink_add(&r, IFA_LOCAL, a->local.bytes, len);
	netlink_add(&r, IFA_ADDRESS, a->peer.bytes, len);
	if (type == RTM_NEWADDR) {
		if (a->broadcast.family)
			netlink_add(&r, IFA_BROADCAST, a->broadcast.bytes, len);
		netlink_add_u32(&r, IFA_FLAGS, a->flags);
		netlink_add(&r, IFA_CACHEINFO, &lifetime, sizeof(lifetime));
	}
	status = netlink_do(&run->netlink, &r);
	run->changes++;
	if (status < 0)
		return error_set(err, -status, "network: %s address '%s' of interface '%s': %s",
		                 type == RTM_NEWADDR ? "set" : "remove",
		                 net_ip_text(&a->local, text), device, strerror(-status));
	return 0;
}

static bool is_loopback(const struct net_address *a)
{
	static const uint8_t one[16] = { [15] = 1 };

	if (a->local.family == AF_INET)
		return a->local.bytes[0] == 127 && a->local.prefix == 8;
	return memcmp(a->local.bytes, one, sizeof(one)) == 0;
}

static int remove_former(struct net_run *run, const struct addresses *is, const struct net_link *l,
                         struct error *err)
{
	const struct net_link *now = network_link(run->wish, l->index);

	for (size_t i = 0; l->index && i < l->n_addresses; i++) {
		const struct net_address *a = &l->addresses[i];

		if ((now && find(now->addresses, now->n_addresses, a, 0)) ||
		    !find(is->list, is->n, a, l->index) ||
		    (str_eq(l->name, "lo") && is_loopback(a)))
			continue;
		if (change(run, RTM_DELADDR, 0, a, l->index, l->name, err) < 0 &&
		    err->code != EADDRNOTAVAIL) /* it went with another one */
			return -err->code;
		error_clear(err);
	}
	return 0;
}

/* Addresses of IPv4 that need another broadcast address or scope must be made anew. */
static int remove_unfit(struct net_run *run, const struct addresses *is, const struct net_link *l,
                        struct error *err)
{
	for (size_t i = 0; i < l->n_addresses; i++) {
		const struct net_address *wish = &l->addresses[i];
		const struct net_address *a = find(is->list, is->n, wish, l->index);

		if (!a || attributes_fit(wish, a))
			continue;
		if (change(run, RTM_DELADDR, 0, a, l->index, l->name, err) < 0 &&
		    err->code != EADDRNOTAVAIL)
			return -err->code;
		error_clear(err);
	}
	return 0;
}

int network_remove_addresses(struct net_run *run, struct error *err)
{
	auto_(addresses_done) struct addresses is = { 0 };

	if (list_presents(&run->netlink, &is, err) < 0)
		return -err->code;
	for (struct network *n = run->former; n; n = n->next)
		for (size_t i = 0; i < n->n_links; i++)
			if (remove_former(run, &is, &n->links[i], err) < 0)
				return -err->code;
	for (size_t i = 0; i < run->wish->n_links; i++)
		if (remove_unfit(run, &is, &run->wish->links[i], err) < 0)
			return -err->code;
	return 0;
}

/* Without duplicate address detection: the host's kernel has done it, and the address is to work at
 * once. */
static int set_address(struct net_run *run, const struct net_link *l, struct net_address a,
                       struct error *err)
{
	bool is_ipv6 = a.local.family == AF_INET6;

	if (is_ipv6)
		a.flags |= IFA_F_NODAD;
	if (!(str_eq(l->name, "lo") && !is_ipv6) && !wants_prefix_route(run->wish, l, &a))
		a.flags |= IFA_F_NOPREFIXROUTE;
	return change(run, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &a, l->index, l->name, err);
}

static int apply_link(struct net_run *run, const struct addresses *is, const struct net_link *l,
                      struct error *err)
{
	bool is_refused = false;

	for (size_t i = 0; i < l->n_addresses; i++) {
		const struct net_address *wish = &l->addresses[i];
		const struct net_address *a = find(is->list, is->n, wish, l->index);

		if (wish->local.family == AF_INET6 && !l->has_ipv6) {
			is_refused = true;
			continue;
		}
		if (a && lifetime_fits(wish, a))
			continue;
		if (set_address(run, l, *wish, err) < 0)
			return -err->code;
	}
	if (is_refused)
		log_warn("network: IPv6 is off on interface '%s' of the guest: its IPv6 addresses "
		         "and routes are left out",
		         l->name);
	return 0;
}

int network_apply_addresses(struct net_run *run, struct error *err)
{
	auto_(addresses_done) struct addresses is = { 0 };

	if (list_presents(&run->netlink, &is, err) < 0)
		return -err->code;
	for (size_t i = 0; i < run->wish->n_links; i++)
		if (apply_link(run, &is, &run->wish->links[i], err) < 0)
			return -err->code;
	return 0;
}
