/* What a network namespace holds, and how its interfaces reach a virtual machine (DESIGN section
 * 8). Knows neither hypervisors nor containers: facts and descriptors of taps come out.
 *
 * Order of use: netns_open(), netns_scan(), endpoint_attach() for each link that
 * net_state_wants_endpoint(), the descriptors to the VMM, endpoint_close_fds(); netns_watch() and a
 * scan after each call of it; in the end endpoint_detach() and netns_free(). */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/mem.h"

struct error;
struct loop;
struct netns;

/* Load libnl, the library that almost everything here needs, and loads itself. Only netns_open(),
 * netns_inside(), netns_is_empty(), netns_has_udp() and netns_watch() do without it, for whoever
 * has no interface to deal with is spared its memory. -ENOTSUP: the host has none. */
int netns_load(struct error *err);

/* ---- what is there ---- */

#define NET_MAX_OBJECTS 16384 /* of each kind: more is refused, not cut off */
#define NET_MAX_HOPS 256      /* of a route */

struct net_ip {
	uint8_t family; /* AF_INET, AF_INET6; 0: none */
	uint8_t prefix; /* bits */
	uint8_t bytes[16];
};

struct net_link {
	unsigned index;
	unsigned master; /* index of the bridge or bond that it belongs to; 0: none */
	unsigned mtu;
	unsigned flags;      /* of NET_LINK_FLAGS */
	char name[IFNAMSIZ]; /* ends with 0 */
	char kind[32];       /* "veth", "macvlan", "tun", ...; "": a device, or the loopback */
	char bus[32];        /* of a device with a driver: its address, "0000:00:03.0" */
	uint8_t mac[6];
	bool has_mac; /* Ethernet */
};
/* What somebody has set, and not what comes and goes by itself, as a carrier does. */
#define NET_LINK_FLAGS                                                                             \
	(IFF_UP | IFF_BROADCAST | IFF_LOOPBACK | IFF_POINTOPOINT | IFF_NOARP | IFF_MULTICAST)

struct net_addr {
	unsigned link;             /* index */
	struct net_ip local;       /* with its prefix */
	struct net_ip peer;        /* point to point: the other side, with the prefix */
	struct net_ip broadcast;   /* prefix unused */
	unsigned scope;            /* RT_SCOPE_* */
	unsigned flags;            /* IFA_F_*, without states of duplicate address detection */
	uint32_t valid, preferred; /* seconds from the scan on, UINT32_MAX: for ever */
};

struct net_hop {
	unsigned link;         /* index, 0: none */
	struct net_ip gateway; /* may be of the other family (RFC 5549) */
	unsigned flags;        /* RTNH_F_ONLINK or 0 */
	unsigned weight;       /* from 1 on */
};

struct net_route {
	struct net_hop *hops; /* none for blackholes and the like, several: multipath */
	size_t n_hops;
	struct net_ip dst;                             /* family is always set; prefix 0: default */
	struct net_ip from;                            /* only for packets from there (IPv6) */
	struct net_ip source;                          /* the preferred source address */
	unsigned table, metric, type, scope, protocol; /* RT_TABLE_*, RTN_*, RT_SCOPE_*, RTPROT_* */
	unsigned tos;
	unsigned mtu; /* 0: the link's */
};

struct net_neigh {
	unsigned link;
	struct net_ip address; /* prefix is that of a host */
	uint8_t mac[6];
	unsigned flags; /* NTF_* */
};

/* A namespace as it would be without us: what endpoint_attach() makes is left out, and an
 * interface has the MAC that it had before. Sorted: links by index, the rest as the kernel has it.
 *
 * Also left out is what each kernel makes by itself, so also the guest's: 127.0.0.1 and ::1 on the
 * loopback, the kernel's routes in its table "local", routes with protocol "redirect", and
 * neighbours that are not permanent. IPv6 link-local addresses are there, and the routes that come
 * with an address (protocol "kernel"). */
struct net_state {
	struct net_link *links;
	struct net_addr *addrs;
	struct net_route *routes;
	struct net_neigh *neighs;
	size_t n_links, n_addrs, n_routes, n_neighs;
	uint64_t when; /* of the scan, as loop_now_ms() tells */
};
void net_state_free(struct net_state *s); /* NULL is fine */
void net_state_freep(struct net_state **s);
#define auto_net_state auto_(net_state_freep)
const struct net_link *net_state_link(const struct net_state *s, unsigned index); /* NULL: none */
/* The same interfaces, addresses, routes and neighbours, in whatever order? Lifetimes that only got
 * shorter by the time between the scans are the same (within 2 seconds). */
bool net_state_equal(const struct net_state *a, const struct net_state *b);
/* Is the link meant for the container? Not the loopback, not one that belongs to a bridge of
 * somebody else (but a tap may), and not one that is neither up nor has an address, as the tunnels
 * that some modules put into every namespace. */
bool net_state_wants_endpoint(const struct net_state *s, const struct net_link *link);

/* ---- the namespace ---- */

/* A handle on the network namespace behind the descriptor fd; dev is the host's directory /dev, for
 * net/tun and vhost-net (-1: "/dev"). Both stay the caller's. Whoever uses it is single-threaded,
 * because it is in the other namespace for instants (CAP_SYS_ADMIN), with CAP_NET_ADMIN there, and
 * with CAP_MKNOD for macvtaps. /proc is needed here only, not later. The handle keeps the namespace
 * alive. 0, or -errno: EINVAL when it is no network namespace. */
int netns_open(int fd, int dev, struct netns **ns, struct error *err);
void netns_free(struct netns *ns); /* ends the watch, NULL is fine */
void netns_freep(struct netns **ns);
#define auto_netns auto_(netns_freep)
/* Is it the one behind that other descriptor? */
bool netns_is(const struct netns *ns, int fd);
/* Call fn inside the namespace, to make a socket there for example; it must come back. Returns
 * what fn does, or -errno. */
int netns_inside(struct netns *ns, int (*fn)(void *arg, struct error *err), void *arg,
                 struct error *err);
/* Has the namespace nothing that a VM could want: no interface but the loopback that is up or has
 * an address, and no addresses, routes and neighbours but what each kernel makes by itself? 1, 0 or
 * -errno. */
int netns_is_empty(struct netns *ns, struct error *err);
/* A new *state, owned by the caller. -E2BIG beyond NET_MAX_OBJECTS. */
int netns_scan(struct netns *ns, struct net_state **state, struct error *err);

/* Is an UDP socket bound to this IPv4 address (in the host's order), at whatever port? 1, 0 or
 * -errno; -ENOENT: this kernel does not tell (CONFIG_INET_UDP_DIAG). */
int netns_has_udp(struct netns *ns, uint32_t address, struct error *err);

/* Take an interface of one namespace to another one, under a name that is free there. Like MTU and
 * MAC, its permanent addresses of global scope are kept; it is set up. Only for what
 * endpoint_check() lets have a NIC. A failure after the move leaves it in the other namespace. */
int netns_move(struct netns *from, const char *name, struct netns *to, const char *as,
               struct error *err);

/* Call fn once things have been quiet for NET_QUIET_MS after a change of interfaces, addresses,
 * routes or permanent neighbours, at the latest NET_PATIENCE_MS after the first; also when changes
 * were too many for the kernel to tell them all. Our own changes are told as well: compare states.
 * fn may end the watch, not free the handle. At most one watch of a handle; it ends before the loop
 * does. */
#define NET_QUIET_MS 10
#define NET_PATIENCE_MS 100
typedef void (*netns_fn)(void *arg);
int netns_watch(struct netns *ns, struct loop *loop, netns_fn fn, void *arg, struct error *err);
void netns_unwatch(struct netns *ns);

/* ---- a way into the VM ---- */

/* How a NIC of the VM and an interface of the namespace are joined. Addresses and routes stay where
 * they are in the namespace, for scans and for its other users (statistics, port forwarding).
 *
 * NET_TCFILTER: a tap; filters at the ingress of either send each packet out of the other.
 * NET_MACVTAP:  a macvtap in passthru mode on the interface; the namespace itself still sees what
 *               is sent to all.
 * NET_BRIDGE:   a tap, and a bridge with both; the interface gets another MAC, the guest has its.
 * NET_NONE:     a tap that nothing is connected to: somebody else does that.
 *
 * The guest's NIC has the MAC of the interface, so that neither its peers nor filters on the way
 * see a difference. The VMM should tell the guest's driver the MTU. */
enum net_model { NET_TCFILTER, NET_MACVTAP, NET_BRIDGE, NET_NONE };
int net_model_parse(const char *name, enum net_model *model); /* -EINVAL */
const char *net_model_name(enum net_model model);

#define NET_MAX_QUEUES 8

struct endpoint_opts {
	enum net_model model;
	unsigned queues; /* wanted; 0 is 1, at most NET_MAX_QUEUES are made */
	bool vhost;      /* with a descriptor of vhost-net for each queue if the host has it */
};

/* One interface of the namespace that a NIC of the VM stands for. Read only for callers. */
struct endpoint {
	unsigned link;        /* index */
	char name[IFNAMSIZ];  /* of the link, when it was attached */
	enum net_model model; /* not the one asked for where that cannot be: see endpoint_check() */
	char tap[IFNAMSIZ];   /* the device with the queues */
	uint8_t mac[6];       /* of the NIC in the guest */
	unsigned mtu;
	/* A queue each, with virtio-net headers (IFF_VNET_HDR, and IFF_MULTI_QUEUE when there are
	 * several); non-blocking. vhost_fds are -1 without vhost-net. */
	int fds[NET_MAX_QUEUES], vhost_fds[NET_MAX_QUEUES];
	unsigned n_queues; /* descriptors in each of the two */
	int lock;     /* a socket in the namespace: who has it uses the link, all others are dead */
	bool is_ours; /* tap was made here, and goes with the endpoint */
};

/* Whether and how a link can be attached; *actual (may be NULL) is the model that will be used:
 *
 *   veth             each
 *   macvlan, ipvlan  tcfilter, or none: the device below lets no other MAC and no other user
 * through macvtap, tap     their own queues, whatever the model (*actual is NET_NONE)
 *
 * -EOPNOTSUPP names the interface: devices ("physical") need VFIO, other kinds are not known. */
int endpoint_check(const struct net_link *link, enum net_model model, enum net_model *actual,
                   struct error *err);

/* Attach. What an earlier monitor that crashed has left on the link is taken away first; -EBUSY
 * when one that lives uses the link. A failure leaves the namespace as it was. */
int endpoint_attach(struct netns *ns, const struct net_link *link, const struct endpoint_opts *opts,
                    struct endpoint **ep, struct error *err);
/* Who is in the namespace itself, as Docker's name server, asks name servers, too: what comes from
 * port 53 by IPv4 to a socket of the namespace is for that, and not for the VM. (Answers to ARP,
 * and fragments of UDP but the first, are for both.) Goes with the endpoint. -EOPNOTSUPP: the model
 * does not let a choice. */
int endpoint_let_in_answers(struct netns *ns, const struct endpoint *ep, struct error *err);
/* The link's MTU has changed: the same for what was made. */
int endpoint_set_mtu(struct netns *ns, struct endpoint *ep, unsigned mtu, struct error *err);
/* The VMM has them now; they live as long as it wants. */
void endpoint_close_fds(struct endpoint *ep);
/* Take away what was made; the link is as before. That something is gone already is success. On a
 * failure the rest is taken away all the same. ep is free afterwards in any case. */
int endpoint_detach(struct netns *ns, struct endpoint *ep, struct error *err);
/* Forget an endpoint without touching the namespace (which is gone, say); NULL is fine. */
void endpoint_free(struct endpoint *ep);
/* Take away everything that monitors which are gone have left in the namespace. */
int netns_clean(struct netns *ns, struct error *err);
