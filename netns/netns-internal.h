#pragma once

#include <sys/types.h>

#include "netns/netns.h"

struct loop_source;
struct nl_addr;
struct nl_msg;
struct nl_object;
struct nl_sock;

struct netns {
	dev_t dev; /* of the namespace, which these two identify */
	ino_t ino;
	int fd, home;         /* the namespace, and the one that we live in */
	int devices;          /* the host's /dev */
	int inet;             /* a socket inside, for ioctls on interfaces */
	struct nl_sock *rtnl; /* requests; its socket is inside; NULL: none was made */
	int events;           /* multicast, inside; -1: nobody watches */
	struct loop_source *source, *timer;
	uint64_t first_event; /* ms, of a change that was not told yet; 0: none */
	netns_fn fn;
	void *arg;
};

/* ---- netlink.c ---- */

void netns_msg_free(struct nl_msg **msg);
#define auto_msg auto_(netns_msg_free)
/* Make libnl and ns->rtnl ready for use, if they are not. Before any other call of the two. */
int netns_ready(struct netns *ns, struct error *err);
/* A new request RTM_* of a link (index 0: by name, or none yet). */
struct nl_msg *netns_link_msg(int type, int flags, unsigned index);
/* Send a request, and wait for the answer. Returns 0 or what the kernel says; err has its reason,
 * without saying what was tried: wrap it. */
int netns_request(struct netns *ns, struct nl_msg *msg, struct error *err);
#define NETNS_TRIES 5 /* of a dump, while others change the namespace all the time */
/* fn for each object that the kernel has of that kind: RTM_GET*, family AF_* or 0. fn returns 0 or
 * -errno with err filled, and is not called again then. -EAGAIN: things changed meanwhile. */
typedef int (*netns_object_fn)(struct nl_object *obj, void *arg, struct error *err);
int netns_dump(struct netns *ns, int type, int family, netns_object_fn fn, void *arg,
               struct error *err);

/* ---- plain.c ---- */

/* A datagram of the kernel from a netlink socket. Its length, 0: it was of somebody else; or
 * -errno. */
ssize_t netns_receive(int fd, void *data, size_t size);

/* ---- link.c: interfaces ---- */

#define NETNS_ALIAS                                                                                \
	"vcrt:" /* begins the alias of each interface that is ours; a MAC may follow               \
	         */

struct netns_found {
	unsigned index;
	char alias[64];
};
/* A link by name. 0, or -ENODEV. */
int netns_find(struct netns *ns, const char *name, struct netns_found *found, struct error *err);
/* Name of what we make for a link: "vct4" for a tap ('t'), a bridge ('b') or a macvtap ('m'). */
void netns_name(char name[IFNAMSIZ], char what, unsigned link);
/* Take away the link of that name if it is there and ours. */
int netns_remove_ours(struct netns *ns, const char *name, struct error *err);
/* A new link is ours, with that alias and MTU. */
int netns_adopt(struct netns *ns, unsigned index, const char *alias, unsigned mtu,
                struct error *err);
/* No IPv6 addresses, router solicitations or ARP of its own. Before it is up. */
int netns_silence(struct netns *ns, unsigned index, struct error *err);
int netns_set_mtu(struct netns *ns, unsigned index, unsigned mtu, struct error *err);
int netns_set_up(struct netns *ns, unsigned index, struct error *err);
int netns_set_mac(struct netns *ns, unsigned index, const uint8_t mac[6], struct error *err);
int netns_set_master(struct netns *ns, unsigned index, unsigned master, struct error *err);
/* -ENODEV when it is gone already. */
int netns_remove_link(struct netns *ns, unsigned index, struct error *err);
int netns_make_bridge(struct netns *ns, const char *name, struct error *err);
int netns_make_macvtap(struct netns *ns, const char *name, unsigned link, struct error *err);
int netns_mac_parse(const char *text, uint8_t mac[6]); /* -EINVAL */

/* ---- tap.c, macvtap.c: descriptors ---- */

/* Open wanted queues of the endpoint's tap; it is made when ep->is_ours. */
int netns_open_tap(struct netns *ns, struct endpoint *ep, unsigned wanted, struct error *err);
/* The same of a macvtap that exists. */
int netns_open_macvtap(struct netns *ns, struct endpoint *ep, unsigned wanted, struct error *err);
void netns_open_vhost(struct netns *ns, struct endpoint *ep);

/* ---- tc.c ---- */

/* Send every packet that comes in on one link out of the other. */
int netns_redirect(struct netns *ns, unsigned from, unsigned to, struct error *err);
/* Ask a program (of type SCHED_CLS, with verdicts) before, on that link. */
int netns_add_bpf_filter(struct netns *ns, unsigned link, int program, struct error *err);
/* Undo both on that link, also what somebody before us has left. Nothing there is success. */
int netns_unredirect(struct netns *ns, unsigned from, struct error *err);

/* ---- endpoint-models.c ---- */

/* Lets a tap and a link exchange packets. */
struct net_model_ops {
	const char *name; /* as in the configuration file */
	/* Fill ep->tap, ep->fds; on failure nothing is left. */
	int (*attach)(struct netns *ns, struct endpoint *ep, unsigned queues, struct error *err);
	/* Take away what attach() made, or a part of it, or what is left of another's; -errno when
	 * something could not be, after everything was tried. */
	int (*detach)(struct netns *ns, unsigned link, struct error *err);
};
extern const struct net_model_ops netns_models[NET_NONE + 1]; /* by enum net_model */
/* detach() of each model. */
int netns_detach_all(struct netns *ns, unsigned link, struct error *err);
/* A MAC of nobody else, always the same for that one: locally administered. */
void netns_other_mac(const uint8_t mac[6], uint8_t other[6]);

/* ---- scan.c ---- */

/* Needs s->links. */
int netns_scan_routes(struct netns *ns, struct net_state *s, struct error *err);
/* Room for one more, zeroed, in an array of *n things; it is counted. NULL, with err filled, beyond
 * NET_MAX_OBJECTS. */
void *netns_grow(void *array, size_t *n, size_t size, const char *what, struct error *err);
struct net_ip netns_ip(const struct nl_addr *addr); /* NULL: none */
bool netns_is_loopback6(const struct net_ip *ip);   /* ::1 */
