#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "netns/libnl-internal.h"
#include "netns/netns-internal.h"
#include "lib/base/error.h"
#include "lib/base/str.h"

#define MODEL(m) (1u << (m))
#define ANY_MODEL (MODEL(NET_TCFILTER) | MODEL(NET_MACVTAP) | MODEL(NET_BRIDGE) | MODEL(NET_NONE))

/* A kind of interface. Which models it can have, or that it has queues of its own. */
struct endpoint_ops {
	const char *kind; /* as the kernel names it; "" is a device */
	unsigned models;  /* MODEL() bits; what is not there becomes NET_TCFILTER */
	int (*open)(struct netns *ns, struct endpoint *ep, unsigned queues, struct error *err);
	bool other_mac; /* its MAC is that of the namespace at the other end */
	const char *refusal;
};

static const struct endpoint_ops kinds[] = {
	{ .kind = "veth", .models = ANY_MODEL },
	{ .kind = "macvlan", .models = MODEL(NET_TCFILTER) | MODEL(NET_NONE) },
	{ .kind = "ipvlan", .models = MODEL(NET_TCFILTER) | MODEL(NET_NONE) },
	{ .kind = "macvtap", .open = netns_open_macvtap },
	{ .kind = "tun", .open = netns_open_tap, .other_mac = true },
	{ .kind = "", .refusal = "is a device, which a VM gets by VFIO only: not supported" },
};

static const struct endpoint_ops *find_kind(const struct net_link *link)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (str_eq(kinds[i].kind, link->kind))
			return &kinds[i];
	return NULL;
}

int endpoint_check(const struct net_link *link, enum net_model model, enum net_model *actual,
                   struct error *err)
{
	const struct endpoint_ops *ops = find_kind(link);

	if (link->flags & IFF_LOOPBACK)
		return error_set(err, EOPNOTSUPP, "interface '%s' is the loopback", link->name);
	if (!ops)
		return error_set(err, EOPNOTSUPP,
		                 "interface '%s' is of kind '%s', which is not supported",
		                 link->name, link->kind);
	if (ops->refusal)
		return error_set(err, EOPNOTSUPP, "interface '%s' %s", link->name, ops->refusal);
	if (!link->has_mac)
		return error_set(err, EOPNOTSUPP,
		                 "interface '%s' has no Ethernet, which is not supported",
		                 link->name);
	if (ops->open)
		model = NET_NONE;
	else if (!(ops->models & MODEL(model)))
		model = NET_TCFILTER;
	if (actual)
		*actual = model;
	return 0;
}

/* ---- who uses the link ---- */

struct lock {
	unsigned link;
	int fd;
};

/* Names of abstract sockets belong to the network namespace, and to whoever has the socket. */
static int lock_inside(void *arg, struct error *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct lock *lock = arg;
	auto_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int n = snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "vcrt-endpoint-%u",
	                 lock->link);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);

	if (fd < 0)
		return error_sys(err, "make a socket");
	if (bind(fd, (struct sockaddr *)&addr, len) < 0) {
		if (errno == EADDRINUSE)
			return error_set(err, EBUSY, "another VM uses it");
		return error_sys(err, "lock the interface");
	}
	lock->fd = steal_fd(&fd);
	return 0;
}

/* The descriptor, or -EBUSY. */
static int lock_link(struct netns *ns, unsigned link, struct error *err)
{
	struct lock lock = { .link = link, .fd = -1 };

	return netns_inside(ns, lock_inside, &lock, err) < 0 ? -err->code : lock.fd;
}

/* ---- attach ---- */

static struct endpoint *new_endpoint(const struct net_link *link, enum net_model model)
{
	struct endpoint *ep = xzalloc(sizeof(*ep));

	ep->link = link->index;
	ep->model = model;
	ep->mtu = link->mtu;
	ep->lock = -1;
	memcpy(ep->name, link->name, sizeof(ep->name));
	for (size_t i = 0; i < NET_MAX_QUEUES; i++)
		ep->fds[i] = ep->vhost_fds[i] = -1;
	return ep;
}

static int open_own(struct netns *ns, struct endpoint *ep, const struct net_link *link,
                    unsigned queues, struct error *err)
{
	const struct endpoint_ops *ops = find_kind(link);

	memcpy(ep->tap, link->name, sizeof(ep->tap));
	if (ops->other_mac)
		netns_other_mac(link->mac, ep->mac);
	return ops->open(ns, ep, queues, err);
}

static int attach(struct netns *ns, struct endpoint *ep, const struct net_link *link,
                  const struct endpoint_opts *opts, struct error *err)
{
	unsigned queues = opts->queues > NET_MAX_QUEUES ? NET_MAX_QUEUES : opts->queues;
	int r;

	if (netns_ready(ns, err) < 0)
		return -err->code;
	if (queues == 0)
		queues = 1;
	ep->lock = lock_link(ns, link->index, err);
	if (ep->lock < 0)
		return -err->code;
	memcpy(ep->mac, link->mac, sizeof(ep->mac));
	if (find_kind(link)->open) {
		r = open_own(ns, ep, link, queues, err);
	} else {
		r = netns_detach_all(ns, link->index, err);
		if (r == 0)
			r = netns_models[ep->model].attach(ns, ep, queues, err);
	}
	if (r == 0 && opts->vhost)
		netns_open_vhost(ns, ep);
	return r;
}

int endpoint_attach(struct netns *ns, const struct net_link *link, const struct endpoint_opts *opts,
                    struct endpoint **ep, struct error *err)
{
	struct endpoint *new;
	enum net_model model;

	if (endpoint_check(link, opts->model, &model, err) < 0)
		return -err->code;
	new = new_endpoint(link, model);
	if (attach(ns, new, link, opts, err) < 0) {
		endpoint_free(new);
		return error_wrap(err, "attach interface '%s'", link->name);
	}
	*ep = new;
	return 0;
}

/* ---- and after ---- */

static int set_mtu(struct netns *ns, const char *name, unsigned mtu, struct error *err)
{
	struct netns_found found;

	if (netns_find(ns, name, &found, err) < 0)
		return -err->code;
	return netns_set_mtu(ns, found.index, mtu, err);
}

int endpoint_set_mtu(struct netns *ns, struct endpoint *ep, unsigned mtu, struct error *err)
{
	char bridge[IFNAMSIZ];

	netns_name(bridge, 'b', ep->link);
	if (ep->is_ours && (set_mtu(ns, ep->tap, mtu, err) < 0 ||
	                    (ep->model == NET_BRIDGE && set_mtu(ns, bridge, mtu, err) < 0)))
		return error_wrap(err, "interface '%s'", ep->name);
	ep->mtu = mtu;
	return 0;
}

void endpoint_close_fds(struct endpoint *ep)
{
	for (size_t i = 0; i < NET_MAX_QUEUES; i++) {
		close_fd(&ep->fds[i]);
		close_fd(&ep->vhost_fds[i]);
	}
	ep->n_queues = 0;
}

void endpoint_free(struct endpoint *ep)
{
	if (!ep)
		return;
	endpoint_close_fds(ep);
	close_fd(&ep->lock);
	free(ep);
}

int endpoint_detach(struct netns *ns, struct endpoint *ep, struct error *err)
{
	int r = 0;

	/* First the descriptors: a tap that nobody else has is gone with them. */
	endpoint_close_fds(ep);
	if (ep->is_ours)
		r = netns_models[ep->model].detach(ns, ep->link, err);
	if (r < 0)
		error_wrap(err, "detach interface '%s'", ep->name);
	endpoint_free(ep);
	return r;
}

/* ---- what others have left ---- */

struct indexes {
	unsigned *list;
	size_t n;
};

static int collect_link(struct nl_object *obj, void *arg, struct error *err)
{
	struct rtnl_link *link = (struct rtnl_link *)obj;
	const char *alias = libnl.rtnl_link_get_ifalias(link),
		   *name = libnl.rtnl_link_get_name(link);
	uint64_t number = (uint64_t)libnl.rtnl_link_get_ifindex(link);
	struct indexes *found = arg;
	unsigned *grown;

	/* Ours is named after its link, which may be gone: netns_name(). */
	if (alias && str_starts(alias, NETNS_ALIAS) && name && strlen(name) > 3 &&
	    str_to_u64(name + 3, 1, INT32_MAX, &number) < 0)
		return 0;
	grown = netns_grow(found->list, &found->n, sizeof(*found->list), "interfaces", err);
	if (!grown)
		return -err->code;
	found->list = grown;
	found->list[found->n - 1] = (unsigned)number;
	return 0;
}

static int clean_link(struct netns *ns, unsigned link, struct error *err)
{
	auto_error struct error why = { 0 };
	auto_close int lock = lock_link(ns, link, &why);

	if (lock == -EBUSY)
		return 0;
	if (lock < 0)
		return error_move(err, &why);
	return netns_detach_all(ns, link, err);
}

/* Every interface, whatever it is: redirections have no other sign. */
static int collect_links(struct netns *ns, struct indexes *found, struct error *err)
{
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < NETNS_TRIES; i++) {
		error_clear(err);
		found->n = 0;
		auto_freep(&found->list);
		r = netns_dump(ns, RTM_GETLINK, 0, collect_link, found, err);
	}
	return r;
}

int netns_clean(struct netns *ns, struct error *err)
{
	auto_error struct error failed = { 0 };
	struct indexes found = { 0 };
	int r = collect_links(ns, &found, err);

	for (size_t i = 0; r == 0 && i < found.n; i++) {
		auto_error struct error why = { 0 };

		if (clean_link(ns, found.list[i], &why) < 0 && failed.code == 0)
			error_move(&failed, &why);
	}
	free(found.list);
	if (r == 0 && failed.code)
		r = error_move(err, &failed);
	return r < 0 ? error_wrap(err, "clean the network namespace") : 0;
}
