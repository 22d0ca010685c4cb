#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "agent/guest/network-internal.h"
#include "agent/guest/work.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

#define WAIT_MS 40000  /* for a device that was plugged, in a VM that gets little time */
#define LIMIT_MS 80000 /* for all of it */
/* Networks of which something may be left, because the change to the next one failed. */
#define MAX_FORMER 16

int network_apply(struct network *wish, struct network *former, unsigned wait_ms, struct error *err)
{
	auto_close int fd = netlink_open(0, err);
	struct net_run run = { .netlink.fd = fd, .wish = wish, .former = former };

	if (fd < 0 || network_apply_links(&run, wait_ms, err) < 0 ||
	    network_remove_addresses(&run, err) < 0 || network_apply_addresses(&run, err) < 0 ||
	    network_apply_routes(&run, err) < 0 || network_apply_neighbours(&run, err) < 0)
		return -err->code;
	return (int)run.changes;
}

struct network_change {
	struct guest *guest;
	struct work *work;
	struct network *wish;
	guest_changed_fn done;
	void *arg;
};

static int apply(void *in, struct buf *out, struct error *err)
{
	struct network_change *c = in;
	int changes = network_apply(c->wish, c->guest->network, WAIT_MS, err);

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
	int changes = 0;

	if (err->code) {
		c->wish->next = g->network;
	} else {
		network_free(g->network);
		if (len == sizeof(changes))
			memcpy(&changes, data, sizeof(changes));
	}
	g->network = c->wish;
	g->network_change = NULL;
	drop_oldest(g->network);
	c->done(c->arg, (unsigned)changes, err);
	free(c);
}

void guest_network(struct guest *g, const struct json *request, guest_changed_fn done, void *arg)
{
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
