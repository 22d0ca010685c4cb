/* Permanent entries of the neighbour tables. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/guest/network-internal.h"
#include "lib/base/error.h"
#include "lib/base/str.h"

struct neighbours {
	struct net_neighbour *list;
	size_t n;
};

static void neighbours_done(struct neighbours *n)
{
	free(n->list);
}

static bool read_present(const struct nlmsghdr *h, struct net_neighbour *out)
{
	const struct ndmsg *body = NLMSG_DATA(h);
	const struct rtattr *a[NDA_LLADDR + 1];
	int family = body->ndm_family;

	if (h->nlmsg_type != RTM_NEWNEIGH || h->nlmsg_len < NLMSG_LENGTH(sizeof(*body)) ||
	    !(body->ndm_state & NUD_PERMANENT) || (family != AF_INET && family != AF_INET6))
		return false;
	netlink_parse((const void *)((const char *)body + NLMSG_ALIGN(sizeof(*body))),
	              NLMSG_PAYLOAD(h, sizeof(*body)), a, ARRAY_SIZE(a));
	*out = (struct net_neighbour){
		.address = net_ip_from(a[NDA_DST], family, (unsigned)net_ip_len(family) * 8),
		.flags = body->ndm_flags & NTF_ROUTER,
		.index = body->ndm_ifindex,
	};
	if (a[NDA_LLADDR] && RTA_PAYLOAD(a[NDA_LLADDR]) == ETH_ALEN) {
		out->mac.is_set = true;
		memcpy(out->mac.bytes, RTA_DATA(a[NDA_LLADDR]), ETH_ALEN);
	}
	return out->address.family != AF_UNSPEC;
}

static int list_presents(struct netlink *nl, struct neighbours *out, struct error *err)
{
	auto_buf struct buf dump = { 0 };
	struct net_neighbour one;
	const struct nlmsghdr *h;
	size_t len;

	if (netlink_dump(nl, RTM_GETNEIGH, &dump, err) < 0)
		return -err->code;
	len = dump.len;
	for (h = (const void *)dump.data; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		if (!read_present(h, &one))
			continue;
		out->list = xreallocarray(out->list, out->n + 1, sizeof(*out->list));
		out->list[out->n++] = one;
	}
	return 0;
}

static const struct net_neighbour *find(const struct net_neighbour *list, size_t n,
                                        const struct net_neighbour *wish)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].index == wish->index && net_ip_equal(&list[i].address, &wish->address))
			return &list[i];
	return NULL;
}

static int change(struct net_run *run, int type, int flags, const struct net_neighbour *n,
                  struct error *err)
{
	struct ndmsg body = {
		.ndm_family = n->address.family,
		.ndm_ifindex = n->index,
		.ndm_state = NUD_PERMANENT,
		.ndm_flags = n->flags,
	};
	struct netlink_request r;
	char text[NET_IP_TEXT];
	int status;

	netlink_begin(&r, type, flags, &body, sizeof(body));
	netlink_add(&r, NDA_DST, n->address.bytes, net_ip_len(n->address.family));
	if (type == RTM_NEWNEIGH)
		netlink_add(&r, NDA_LLADDR, n->mac.bytes, ETH_ALEN);
	run->changes++;
	status = netlink_do(&run->netlink, &r);
	if (status < 0 && !(type == RTM_DELNEIGH && status == -ENOENT))
		return error_set(err, -status, "network: %s neighbour '%s' of interface '%s': %s",
		                 type == RTM_NEWNEIGH ? "set" : "remove",
		                 net_ip_text(&n->address, text), n->device, strerror(-status));
	return 0;
}

static void find_devices(struct network *n)
{
	for (size_t i = 0; i < n->n_neighbours; i++) {
		const struct net_link *l = network_named_link(n, n->neighbours[i].device);

		n->neighbours[i].index = l ? l->index : 0;
	}
}

static int remove_former(struct net_run *run, const struct neighbours *is, struct network *former,
                         struct error *err)
{
	const struct network *wish = run->wish;

	find_devices(former);
	for (size_t i = 0; i < former->n_neighbours; i++) {
		const struct net_neighbour *n = &former->neighbours[i];

		if (n->index && find(is->list, is->n, n) &&
		    !find(wish->neighbours, wish->n_neighbours, n) &&
		    change(run, RTM_DELNEIGH, 0, n, err) < 0)
			return -err->code;
	}
	return 0;
}

static int apply(struct net_run *run, const struct neighbours *is, const struct net_neighbour *n,
                 struct error *err)
{
	const struct net_neighbour *now = find(is->list, is->n, n);
	const struct net_link *l = network_link(run->wish, n->index);

	if (!l)
		return error_set(err, ENODEV, "network: no interface '%s' for a neighbour",
		                 n->device);
	if (n->address.family == AF_INET6 && !l->has_ipv6)
		return 0;
	if (now && net_mac_equal(&now->mac, &n->mac) && now->flags == n->flags)
		return 0;
	return change(run, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, n, err);
}

int network_apply_neighbours(struct net_run *run, struct error *err)
{
	auto_(neighbours_done) struct neighbours is = { 0 };

	if (list_presents(&run->netlink, &is, err) < 0)
		return -err->code;
	find_devices(run->wish);
	for (struct network *n = run->former; n; n = n->next)
		if (remove_former(run, &is, n, err) < 0)
			return -err->code;
	for (size_t i = 0; i < run->wish->n_neighbours; i++)
		if (apply(run, &is, &run->wish->neighbours[i], err) < 0)
			return -err->code;
	return 0;
}
