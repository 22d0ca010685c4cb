#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "agent/guest/network-internal.h"
#include "agent/guest/work.h"
#include "agent/protocol.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

#define WAIT_MS 40000 /* for a device that was plugged, in a VM that gets little time */
#define LIMIT_MS (2 * PROTOCOL_STEP_SECONDS * 1000) /* for all of it */
/* Networks of which something may be left, because the change to the next one failed. */
#define MAX_FORMER 16

struct network_change {
	struct guest *guest;
	struct own_network *own; /* NULL: the VM's */
	struct work *work;
	struct network *wish;
	guest_changed_fn done;
	void *arg;
};

static int apply_run(struct net_run *run, unsigned wait_ms, struct error *err)
{
	if (network_apply_links(run, wait_ms, err) < 0 || network_remove_addresses(run, err) < 0 ||
	    network_apply_addresses(run, err) < 0 || network_apply_routes(run, err) < 0 ||
	    network_apply_neighbours(run, err) < 0)
		return -err->code;
	return (int)run->changes;
}

int network_apply(struct network *wish, struct network *former, unsigned wait_ms, struct error *err)
{
	auto_close int fd = netlink_open(0, err);
	struct net_run run = { .netlink.fd = fd, .outside.fd = -1, .wish = wish, .former = former };

	return fd < 0 ? fd : apply_run(&run, wait_ms, err);
}

/* Where the agent's sysfs does not show them devices are known by their MAC addresses. */
static void forget_slots(struct network *n)
{
	for (; n; n = n->next)
		for (size_t i = 0; i < n->n_links; i++) {
			free(n->links[i].outside);
			n->links[i].outside = steal_ptr(&n->links[i].pci);
		}
}

int network_apply_in(int netns, struct network *wish, struct network *former, unsigned wait_ms,
                     struct error *err)
{
	auto_close int outside = netlink_open(0, err), fd = -1;
	struct net_run run = {
		.outside.fd = outside, .netns = netns, .wish = wish, .former = former
	};

	if (outside < 0)
		return outside;
	if (setns(netns, CLONE_NEWNET) < 0)
		return error_sys(err, "enter the network namespace");
	run.netlink.fd = fd = netlink_open(0, err);
	forget_slots(wish);
	forget_slots(former);
	return fd < 0 ? fd : apply_run(&run, wait_ms, err);
}

/* ---- of containers that have one of their own ---- */

struct own_network {
	struct own_network *next;
	char *container;
	int netns;
	struct network *network; /* as guest.network */
};

static void own_network_free(struct own_network *own)
{
	free(own->container);
	close_fd(&own->netns);
	network_free(own->network);
	free(own);
}

static struct own_network *find_own(struct guest *g, const char *container)
{
	struct own_network *own = g->own_networks;

	while (own && !str_eq(own->container, container))
		own = own->next;
	return own;
}

int network_of_container(struct guest *g, const char *container)
{
	const struct own_network *own = find_own(g, container);

	return own ? own->netns : -1;
}

static bool is_same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

/* Another container has the namespace, too: it is that one's from now on. */
static void own_network_pass(struct own_network *own, const char *container)
{
	free(own->container);
	own->container = str_dup(container);
}

void network_forget_container(struct guest *g, const char *container)
{
	struct own_network **at = &g->own_networks, *own;

	while (*at && !str_eq((*at)->container, container))
		at = &(*at)->next;
	own = *at;
	for (const struct container *ct = own ? g->containers : NULL; ct; ct = ct->next) {
		int fd = namespaces_shared(g, ct->id, CLONE_NEWNET);

		if (!str_eq(ct->id, container) && fd >= 0 && is_same_file(fd, own->netns)) {
			own_network_pass(own, ct->id);
			return;
		}
	}
	/* A change under way has it; what is left then is little. */
	if (!own || (g->network_change && g->network_change->own == own))
		return;
	*at = own->next;
	own_network_free(own);
}

/* A new namespace: the agent is in it for a moment. */
static int make_netns(struct error *err)
{
	auto_close int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), fd = -1;

	if (home < 0 || unshare(CLONE_NEWNET) < 0)
		return error_sys(err, "make a network namespace");
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		error_sys(err, "open the new network namespace");
	if (setns(home, CLONE_NEWNET) < 0)
		return error_sys(err, "return to the agent's network namespace");
	return fd < 0 ? -err->code : steal_fd(&fd);
}

/* That of a container, which may not be there yet. */
static struct own_network *get_own(struct guest *g, const char *container, struct error *err)
{
	struct own_network *own = find_own(g, container);
	int fd;

	if (own)
		return own;
	fd = namespaces_shared(g, container, CLONE_NEWNET);
	for (own = fd >= 0 ? g->own_networks : NULL; own; own = own->next)
		if (is_same_file(own->netns, fd)) {
			own_network_pass(own, container);
			return own;
		}
	fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : make_netns(err);
	if (fd < 0) {
		if (!err->code)
			error_sys(err, "keep a network namespace");
		return NULL;
	}
	own = xzalloc(sizeof(*own));
	own->container = str_dup(container);
	own->netns = fd;
	own->next = g->own_networks;
	g->own_networks = own;
	return own;
}

/* ---- the request ---- */

static int apply(void *in, struct buf *out, struct error *err)
{
	struct network_change *c = in;
	struct own_network *own = c->own;
	int changes = own ? network_apply_in(own->netns, c->wish, own->network, WAIT_MS, err)
	                  : network_apply(c->wish, c->guest->network, WAIT_MS, err);

	if (changes < 0)
		return changes;
	buf_add(out, &changes, sizeof(changes));
	return 0;
}

static void drop_oldest(struct network *n)
{
	for (int i = 1; n && i < MAX_FORMER; i++)
		n = n->next;
	if (n) {
		network_free(n->next);
		n->next = NULL;
	}
}

static void on_applied(void *arg, const char *data, size_t len, const struct error *err)
{
	struct network_change *c = arg;
	struct guest *g = c->guest;
	struct network **network = c->own ? &c->own->network : &g->network;
	int changes = 0;

	if (err->code) {
		c->wish->next = *network;
	} else {
		network_free(*network);
		if (len == sizeof(changes))
			memcpy(&changes, data, sizeof(changes));
	}
	*network = c->wish;
	g->network_change = NULL;
	drop_oldest(*network);
	c->done(c->arg, (unsigned)changes, err);
	free(c);
}

void guest_network(struct guest *g, const struct json *request, guest_changed_fn done, void *arg)
{
	const char *container = json_get_string(request, "container");
	auto_error struct error err = { 0 };
	struct network_change *c = xzalloc(sizeof(*c));
	struct work_plan plan = {
		.what = "set up the network",
		.fn = apply,
		.in = c,
		.keep = -1,
		.limit_ms = LIMIT_MS,
		.done = on_applied,
		.arg = c,
	};

	*c = (struct network_change){ .guest = g, .done = done, .arg = arg };
	if (container && (c->own = get_own(g, container, &err)))
		plan.keep = c->own->netns;
	if (!err.code)
		c->wish = network_read(request, &err);
	if (c->wish)
		c->work = work_start(g->loop, &plan, &err);
	if (c->work) {
		g->network_change = c;
		return;
	}
	network_free(c->wish);
	free(c);
	done(arg, 0, &err);
}

void guest_network_done(struct guest *g)
{
	struct network_change *c = g->network_change;

	if (c) {
		work_cancel(&c->work);
		network_free(c->wish);
		free(c);
	}
	network_free(g->network);
	while (g->own_networks) {
		struct own_network *own = g->own_networks;

		g->own_networks = own->next;
		own_network_free(own);
	}
}

int network_loopback_up(struct error *err)
{
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req = { .ifr_name = "lo" };

	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &req) < 0)
		return error_sys(err, "find the interface 'lo'");
	req.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &req) < 0)
		return error_sys(err, "bring up the interface 'lo'");
	return 0;
}
