#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "lib/network.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "netns/netns.h"

/* The links that the guest has, by the indexes of the namespace. */
struct view {
	const struct net_state *s;
	const struct network_nic *nics;
	size_t n_nics;
};

static struct json *text_of(const struct net_ip *ip)
{
	char host[INET6_ADDRSTRLEN];
	auto_free char *text = NULL;

	if (!ip->family || !inet_ntop(ip->family, ip->bytes, host, sizeof(host)))
		return NULL;
	text = str_fmt("%s/%u", host, ip->prefix);
	return json_new_string(text);
}

static const struct network_nic *find_nic(const struct view *v, unsigned link)
{
	for (size_t i = 0; i < v->n_nics; i++)
		if (v->nics[i].link == link)
			return &v->nics[i];
	return NULL;
}

/* The name of a link that the guest has, or NULL. */
static const char *name_in_guest(const struct view *v, unsigned index)
{
	const struct net_link *link = net_state_link(v->s, index);

	if (!link || !((link->flags & IFF_LOOPBACK) || find_nic(v, index)))
		return NULL;
	return link->name;
}

static struct json *new_address(const struct net_addr *a)
{
	struct net_ip broadcast = a->broadcast;
	struct json *j = json_new_object();

	broadcast.prefix = 32;
	json_set(j, "address", text_of(&a->local));
	json_set(j, "peer", text_of(&a->peer));
	json_set(j, "broadcast", text_of(&broadcast));
	json_set(j, "scope", json_new_u64(a->scope));
	json_set(j, "flags", json_new_u64(a->flags));
	json_set(j, "valid", json_new_u64(a->valid));
	json_set(j, "preferred", json_new_u64(a->preferred));
	return j;
}

static struct json *addresses_of(const struct view *v, unsigned link)
{
	struct json *list = json_new_array();

	for (size_t i = 0; i < v->s->n_addrs; i++) {
		const struct net_addr *a = &v->s->addrs[i];

		/* One whose time has run out is about to go. */
		if (a->link == link && a->valid > 0)
			json_add(list, new_address(a));
	}
	return list;
}

static struct json *interfaces_of(const struct view *v)
{
	struct json *list = json_new_array();

	for (size_t i = 0; i < v->s->n_links; i++) {
		const struct net_link *link = &v->s->links[i];
		const struct network_nic *nic = find_nic(v, link->index);
		auto_free char *mac = str_mac(link->mac), *own = nic ? str_mac(nic->mac) : NULL;
		struct json *j, *addresses;

		if (!name_in_guest(v, link->index))
			continue;
		addresses = addresses_of(v, link->index);
		if (!nic && json_len(addresses) == 0) { /* the loopback as it always is */
			json_free(addresses);
			continue;
		}
		j = json_new_object();
		json_set(j, "name", json_new_string(link->name));
		json_set(j, "mtu", json_new_u64(link->mtu));
		json_set(j, "flags", json_new_u64(link->flags));
		json_set(j, "addresses", addresses);
		if (nic) {
			json_set(j, "mac", json_new_string(mac));
			json_set(j, "nic", json_new_string(own));
			json_set(j, "pci", json_new_string(nic->pci));
		}
		json_add(list, j);
	}
	return list;
}

/* ---- routes ---- */

static void warn_of_route(const struct net_route *r, const char *what)
{
	auto_json struct json *dst = text_of(&r->dst);

	log_warn("network: the route to %s %s, which the guest's cannot, ignoring",
	         dst ? json_string(dst) : "?", what);
}

static struct json *new_route(const struct net_route *r, const struct net_hop *hop,
                              const char *device)
{
	struct json *j = json_new_object();

	json_set(j, "dst", text_of(&r->dst));
	json_set(j, "source", text_of(&r->source));
	json_set(j, "scope", json_new_u64(r->scope));
	json_set(j, "metric", json_new_u64(r->metric));
	json_set(j, "table", json_new_u64(r->table));
	json_set(j, "type", json_new_u64(r->type));
	json_set(j, "protocol", json_new_u64(r->protocol));
	json_set(j, "mtu", json_new_u64(r->mtu));
	json_set(j, "device", json_new_string(device));
	if (hop) {
		json_set(j, "gateway", text_of(&hop->gateway));
		json_set(j, "onlink", json_new_bool(hop->flags & RTNH_F_ONLINK));
	}
	return j;
}

static void add_route(const struct view *v, const struct net_route *r, struct json *list)
{
	if (r->tos || r->from.family) {
		warn_of_route(r, r->tos ? "is for some types of service only"
		                        : "is for some sources only");
		return;
	}
	/* IPv6 shows routes to the same network as one with several hops. */
	if (r->n_hops > 1 && r->dst.family == AF_INET) {
		warn_of_route(r, "has several next hops");
		return;
	}
	if (r->n_hops == 0)
		json_add(list, new_route(r, NULL, NULL));
	for (size_t i = 0; i < r->n_hops; i++) {
		const struct net_hop *hop = &r->hops[i];
		const char *device = hop->link ? name_in_guest(v, hop->link) : NULL;

		if (!hop->link || device)
			json_add(list, new_route(r, hop, device));
	}
}

static struct json *routes_of(const struct view *v)
{
	struct json *list = json_new_array();

	for (size_t i = 0; i < v->s->n_routes; i++)
		add_route(v, &v->s->routes[i], list);
	return list;
}

/* ---- neighbours ---- */

static struct json *neighbours_of(const struct view *v)
{
	struct json *list = json_new_array();

	for (size_t i = 0; i < v->s->n_neighs; i++) {
		const struct net_neigh *n = &v->s->neighs[i];
		const char *device = name_in_guest(v, n->link);
		auto_free char *mac = str_mac(n->mac);
		struct json *j;

		/* Proxy entries have no MAC address, and are none of the guest's. */
		if (!device)
			continue;
		j = json_new_object();
		json_set(j, "address", text_of(&n->address));
		json_set(j, "mac", json_new_string(mac));
		json_set(j, "device", json_new_string(device));
		json_set(j, "flags", json_new_u64(n->flags & NTF_ROUTER));
		json_add(list, j);
	}
	return list;
}

struct json *network_request(const struct net_state *s, const struct network_nic *nics, size_t n)
{
	struct view v = { .s = s, .nics = nics, .n_nics = n };
	struct json *j = json_new_object();

	json_set(j, "interfaces", interfaces_of(&v));
	json_set(j, "routes", routes_of(&v));
	json_set(j, "neighbours", neighbours_of(&v));
	return j;
}
