/* The text of a "network" request, and addresses. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/guest/network-internal.h"
#include "agent/protocol.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

#define MAX_PCI 128 /* bytes: a path of slots */

static int odd(struct error *err, const char *key)
{
	return error_set(err, EINVAL, "network: odd \"%s\"", key);
}

/* A missing number is dflt. */
static int read_u32(const struct json *o, const char *key, uint32_t max, uint32_t dflt,
                    uint32_t *out, struct error *err)
{
	const struct json *value = json_get(o, key);
	uint64_t n = dflt;

	if (value && (json_type(value) != JSON_NUMBER || json_to_u64(value, &n) < 0 || n > max))
		return odd(err, key);
	*out = (uint32_t)n;
	return 0;
}

static int read_u8(const struct json *o, const char *key, uint8_t dflt, uint8_t *out,
                   struct error *err)
{
	uint32_t n = 0;
	int status = read_u32(o, key, UINT8_MAX, dflt, &n, err);

	*out = (uint8_t)n;
	return status;
}

/* NULL: it is missing, or, with err set, of another type. */
static const char *read_text(const struct json *o, const char *key, struct error *err)
{
	const struct json *value = json_get(o, key);

	if (value && json_type(value) != JSON_STRING) {
		odd(err, key);
		return NULL;
	}
	return value ? json_string(value) : NULL;
}

static int parse_ip(const char *text, struct net_ip *out)
{
	char host[NET_IP_TEXT];
	size_t len = strcspn(text, "/");
	uint64_t prefix;

	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	out->family = strchr(host, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(out->family, host, out->bytes) != 1)
		return -EINVAL;
	prefix = net_ip_len(out->family) * 8;
	if (text[len] && str_to_u64(text + len + 1, 0, prefix, &prefix) < 0)
		return -EINVAL;
	out->prefix = (uint8_t)prefix;
	return 0;
}

/* A missing one has the family AF_UNSPEC. */
static int read_ip(const struct json *o, const char *key, struct net_ip *out, struct error *err)
{
	const char *text = read_text(o, key, err);

	memset(out, 0, sizeof(*out));
	if (text && parse_ip(text, out) < 0)
		return odd(err, key);
	return -err->code;
}

static int read_mac(const struct json *o, const char *key, struct net_mac *out, struct error *err)
{
	const char *text = read_text(o, key, err);
	char digits[2 * ETH_ALEN + 1] = "";

	memset(out, 0, sizeof(*out));
	if (!text)
		return -err->code;
	if (strlen(text) != NET_MAC_TEXT - 1)
		return odd(err, key);
	for (size_t i = 0; i < ETH_ALEN; i++) {
		if (i > 0 && text[3 * i - 1] != ':')
			return odd(err, key);
		memcpy(digits + 2 * i, text + 3 * i, 2);
	}
	if (str_unhex(digits, out->bytes, ETH_ALEN) < 0)
		return odd(err, key);
	out->is_set = true;
	return 0;
}

/* As the kernel has it in dev_valid_name(). */
static int read_name(const struct json *o, const char *key, char out[IFNAMSIZ], struct error *err)
{
	const char *text = read_text(o, key, err);

	out[0] = '\0';
	if (!text)
		return -err->code;
	if (!*text || strlen(text) >= IFNAMSIZ || strpbrk(text, "/: \t\r\n\v\f%") ||
	    str_eq(text, ".") || str_eq(text, ".."))
		return odd(err, key);
	memcpy(out, text, strlen(text) + 1);
	return 0;
}

/* An array of objects, each read by fn into an element of size bytes. */
typedef int (*read_fn)(const struct json *o, void *element, struct error *err);

static int read_array(const struct json *o, const char *key, size_t max, size_t size, read_fn fn,
                      void *elements, size_t *n, struct error *err)
{
	const struct json *array = json_get(o, key);
	void **out = elements;

	if (!array)
		return 0;
	if (json_type(array) != JSON_ARRAY || json_len(array) > max)
		return odd(err, key);
	*out = xcalloc(json_len(array) + 1, size);
	for (; *n < json_len(array); ++*n) {
		const struct json *element = json_at(array, *n);

		if (json_type(element) != JSON_OBJECT)
			return odd(err, key);
		if (fn(element, (char *)*out + *n * size, err) < 0) {
			++*n; /* for what it owns already */
			return -err->code;
		}
	}
	return 0;
}

static int read_address(const struct json *o, void *element, struct error *err)
{
	struct net_address *a = element;

	if (read_ip(o, "address", &a->local, err) < 0 || read_ip(o, "peer", &a->peer, err) < 0 ||
	    read_ip(o, "broadcast", &a->broadcast, err) < 0 ||
	    read_u8(o, "scope", RT_SCOPE_UNIVERSE, &a->scope, err) < 0 ||
	    read_u32(o, "flags", UINT32_MAX, 0, &a->flags, err) < 0 ||
	    read_u32(o, "valid", NET_FOREVER, NET_FOREVER, &a->valid, err) < 0 ||
	    read_u32(o, "preferred", NET_FOREVER, a->valid, &a->preferred, err) < 0)
		return -err->code;
	if (!a->local.family)
		return odd(err, "address");
	if (a->peer.family && a->peer.family != a->local.family)
		return odd(err, "peer");
	if (a->broadcast.family && (a->broadcast.family != AF_INET || a->local.family != AF_INET))
		return odd(err, "broadcast");
	if (a->valid == 0 || a->preferred > a->valid)
		return odd(err, "valid");
	a->flags &= IFA_F_HOMEADDRESS | IFA_F_MCAUTOJOIN;
	if (a->peer.family)
		a->local.prefix = a->peer.prefix; /* the kernel has one for both */
	else
		a->peer = a->local;
	return 0;
}

static int read_link(const struct json *o, void *element, struct error *err)
{
	struct net_link *l = element;
	const char *pci = read_text(o, "pci", err);

	if (err->code || read_name(o, "name", l->name, err) < 0 ||
	    read_mac(o, "mac", &l->mac, err) < 0 || read_mac(o, "nic", &l->nic, err) < 0 ||
	    read_u32(o, "mtu", INT32_MAX, 0, &l->mtu, err) < 0 ||
	    read_u32(o, "flags", UINT32_MAX, IFF_UP | IFF_MULTICAST, &l->flags, err) < 0)
		return -err->code;
	if (pci && (!*pci || strlen(pci) > MAX_PCI))
		return odd(err, "pci");
	l->pci = str_dup(pci);
	if (!l->name[0])
		return odd(err, "name");
	if (!l->nic.is_set)
		l->nic = l->mac;
	if (!pci && !l->nic.is_set && !str_eq(l->name, "lo"))
		return odd(err, "mac");
	return read_array(o, "addresses", PROTOCOL_MAX_ADDRESSES, sizeof(*l->addresses),
	                  read_address, &l->addresses, &l->n_addresses, err);
}

/* As ip(8) chooses it. */
static uint8_t usual_scope(const struct net_route *r)
{
	if (r->type == RTN_LOCAL)
		return RT_SCOPE_HOST;
	return r->type == RTN_UNICAST && !r->gateway.family ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}

static int read_route(const struct json *o, void *element, struct error *err)
{
	struct net_route *r = element;

	if (read_ip(o, "dst", &r->dst, err) < 0 || read_ip(o, "gateway", &r->gateway, err) < 0 ||
	    read_ip(o, "source", &r->source, err) < 0 ||
	    read_name(o, "device", r->device, err) < 0 ||
	    read_u8(o, "type", RTN_UNICAST, &r->type, err) < 0 ||
	    read_u8(o, "scope", usual_scope(r), &r->scope, err) < 0 ||
	    read_u8(o, "protocol", RTPROT_BOOT, &r->protocol, err) < 0 ||
	    read_u32(o, "metric", UINT32_MAX, 0, &r->metric, err) < 0 ||
	    read_u32(o, "table", UINT32_MAX, RT_TABLE_MAIN, &r->table, err) < 0 ||
	    read_u32(o, "mtu", INT32_MAX, 0, &r->mtu, err) < 0)
		return -err->code;
	if (!r->dst.family)
		return odd(err, "dst");
	if (r->source.family && r->source.family != r->dst.family)
		return odd(err, "source");
	if (r->gateway.family == AF_INET && r->dst.family == AF_INET6)
		return odd(err, "gateway");
	if (json_get(o, "onlink") && json_type(json_get(o, "onlink")) != JSON_BOOL)
		return odd(err, "onlink");
	r->dst = net_ip_network(&r->dst);
	r->onlink = json_get_bool(o, "onlink", false);
	return 0;
}

static int read_neighbour(const struct json *o, void *element, struct error *err)
{
	struct net_neighbour *n = element;

	if (read_ip(o, "address", &n->address, err) < 0 || read_mac(o, "mac", &n->mac, err) < 0 ||
	    read_name(o, "device", n->device, err) < 0 ||
	    read_u8(o, "flags", 0, &n->flags, err) < 0)
		return -err->code;
	if (!n->address.family)
		return odd(err, "address");
	if (!n->mac.is_set)
		return odd(err, "mac");
	if (!n->device[0])
		return odd(err, "device");
	if (n->flags & ~NTF_ROUTER)
		return odd(err, "flags");
	return 0;
}

static int check_names(const struct network *n, struct error *err)
{
	for (size_t i = 0; i < n->n_links; i++)
		if (network_named_link(n, n->links[i].name) != &n->links[i])
			return error_set(err, EINVAL, "network: two interfaces '%s'",
			                 n->links[i].name);
	return 0;
}

struct network *network_read(const struct json *request, struct error *err)
{
	struct network *n = xzalloc(sizeof(*n));

	if (read_array(request, "interfaces", PROTOCOL_MAX_LINKS, sizeof(*n->links), read_link,
	               &n->links, &n->n_links, err) < 0 ||
	    read_array(request, "routes", PROTOCOL_MAX_ROUTES, sizeof(*n->routes), read_route,
	               &n->routes, &n->n_routes, err) < 0 ||
	    read_array(request, "neighbours", PROTOCOL_MAX_NEIGHBOURS, sizeof(*n->neighbours),
	               read_neighbour, &n->neighbours, &n->n_neighbours, err) < 0 ||
	    check_names(n, err) < 0) {
		network_free(n);
		return NULL;
	}
	return n;
}

void network_free(struct network *n)
{
	while (n) {
		struct network *next = n->next;

		for (size_t i = 0; i < n->n_links; i++) {
			free(n->links[i].pci);
			free(n->links[i].outside);
			free(n->links[i].addresses);
		}
		free(n->links);
		free(n->routes);
		free(n->neighbours);
		free(n);
		n = next;
	}
}

struct net_link *network_named_link(const struct network *n, const char *name)
{
	for (size_t i = 0; i < n->n_links; i++)
		if (str_eq(n->links[i].name, name))
			return &n->links[i];
	return NULL;
}

struct net_link *network_link(const struct network *n, int index)
{
	for (size_t i = 0; i < n->n_links; i++)
		if (index > 0 && n->links[i].index == index)
			return &n->links[i];
	return NULL;
}

size_t net_ip_len(int family)
{
	return family == AF_INET6 ? sizeof(struct in6_addr) : sizeof(struct in_addr);
}

bool net_ip_equal(const struct net_ip *a, const struct net_ip *b)
{
	return a->family == b->family && a->prefix == b->prefix &&
	       memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

struct net_ip net_ip_network(const struct net_ip *ip)
{
	struct net_ip out = *ip;

	for (unsigned bit = ip->prefix; bit < net_ip_len(ip->family) * 8; bit++)
		out.bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	return out;
}

struct net_ip net_ip_from(const struct rtattr *a, int family, unsigned prefix)
{
	struct net_ip ip = { .family = AF_UNSPEC };

	if (!a || RTA_PAYLOAD(a) != net_ip_len(family))
		return ip;
	ip.family = (uint8_t)family;
	ip.prefix = (uint8_t)prefix;
	memcpy(ip.bytes, RTA_DATA(a), net_ip_len(family));
	return ip;
}

const char *net_ip_text(const struct net_ip *ip, char text[NET_IP_TEXT])
{
	char host[INET6_ADDRSTRLEN];

	if (!inet_ntop(ip->family, ip->bytes, host, sizeof(host)))
		return "?";
	snprintf(text, NET_IP_TEXT, "%s/%u", host, ip->prefix);
	return text;
}

const char *net_mac_text(const struct net_mac *mac, char text[NET_MAC_TEXT])
{
	const uint8_t *b = mac->bytes;

	snprintf(text, NET_MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4],
	         b[5]);
	return text;
}

bool net_mac_equal(const struct net_mac *a, const struct net_mac *b)
{
	return a->is_set && b->is_set && memcmp(a->bytes, b->bytes, ETH_ALEN) == 0;
}
