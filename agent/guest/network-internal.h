/* The wished network of the guest, and how it comes about: network.c (the request), network-read.c
 * (its text), network-links.c, -addresses.c, -routes.c, -neighbours.c (one kind of object each). */
#pragma once

#include <linux/if_ether.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/guest/netlink.h"
#include "agent/guest/network.h"

struct error;
struct rtattr;

#define NET_FOREVER UINT32_MAX

struct net_ip {
	uint8_t family; /* AF_UNSPEC: none */
	uint8_t prefix; /* bits */
	uint8_t bytes[16];
};
#define NET_IP_TEXT 64 /* characters, with prefix and NUL */

struct net_mac {
	bool is_set;
	uint8_t bytes[ETH_ALEN];
};
#define NET_MAC_TEXT 18

/* The constants of rtnetlink: scope RT_SCOPE_*, flags IFA_F_*. */
struct net_address {
	struct net_ip local, peer, broadcast;
	uint8_t scope;
	uint32_t flags;
	uint32_t valid, preferred; /* seconds, NET_FOREVER */
	int index;
};

struct net_link {
	char name[IFNAMSIZ];
	char *pci;     /* its slot; NULL: it is known by its MAC address */
	char *outside; /* its slot, while it may be in the agent's network namespace */
	struct net_mac mac, nic;
	uint32_t mtu;   /* 0: as it is */
	unsigned flags; /* IFF_* */
	struct net_address *addresses;
	size_t n_addresses;
	int index; /* of the guest's interface; 0: not found */
	bool has_ipv6;
};

struct net_route {
	struct net_ip dst, gateway, source;
	char device[IFNAMSIZ];
	uint8_t scope, type, protocol;
	uint32_t metric, table, mtu;
	bool onlink;
	int index; /* 0: none */
};

struct net_neighbour {
	struct net_ip address;
	struct net_mac mac;
	char device[IFNAMSIZ];
	uint8_t flags; /* NTF_* */
	int index;
};

struct network {
	struct network *next; /* an older one of which not everything may be gone */
	struct net_link *links;
	size_t n_links;
	struct net_route *routes;
	size_t n_routes;
	struct net_neighbour *neighbours;
	size_t n_neighbours;
};

/* A change under way. */
struct net_run {
	struct netlink netlink;
	struct netlink outside; /* in the agent's network namespace, when that is another one */
	int netns;              /* then: the one that is changed */
	struct network *wish, *former;
	unsigned changes; /* requests to the kernel that change something */
};

/* Each makes its kind of object what run->wish says. */
int network_apply_links(struct net_run *run, unsigned wait_ms, struct error *err);
int network_remove_addresses(struct net_run *run, struct error *err);
int network_apply_addresses(struct net_run *run, struct error *err);
int network_apply_routes(struct net_run *run, struct error *err);
int network_apply_neighbours(struct net_run *run, struct error *err);

/* The link with this name, or this index (not 0); NULL: there is none. */
struct net_link *network_named_link(const struct network *n, const char *name);
struct net_link *network_link(const struct network *n, int index);

bool net_ip_equal(const struct net_ip *a, const struct net_ip *b); /* with their prefixes */
size_t net_ip_len(int family);                                     /* 4 or 16 bytes */
/* The network that an address is in. */
struct net_ip net_ip_network(const struct net_ip *ip);
/* From an attribute; AF_UNSPEC when it is NULL or has another length. */
struct net_ip net_ip_from(const struct rtattr *a, int family, unsigned prefix);
const char *net_ip_text(const struct net_ip *ip, char text[NET_IP_TEXT]);
const char *net_mac_text(const struct net_mac *mac, char text[NET_MAC_TEXT]);
bool net_mac_equal(const struct net_mac *a, const struct net_mac *b); /* not if one is not set */
