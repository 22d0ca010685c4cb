#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "test/box.h"
#include "test/frames.h"
#include "test/scratch.h"
#include "test/shell.h"

enum { BOX_FD = 3 }; /* in children */
#define MAX_MAPS (16u << 20)

int box;
struct netns *net;
static int before;

static int current(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static int enter(void *arg, struct error *err)
{
	(void)arg;
	return setns(BOX_FD, CLONE_NEWNET) < 0 ? error_sys(err, "enter the box") : 0;
}

char *box_output(int ns, const char *fmt, ...)
{
	struct child_fd fd = { .fd = ns, .as = BOX_FD };
	auto_free char *script = NULL;
	char *argv[4];
	struct child_opts opts;
	va_list ap;

	va_start(ap, fmt);
	script = str_vfmt(fmt, ap);
	va_end(ap);
	opts = shell_opts(argv, script);
	opts.prepare = enter;
	opts.fds = &fd;
	opts.n_fds = 1;
	return shell_output(&opts, NULL);
}

void box_run(int ns, const char *fmt, ...)
{
	auto_free char *script = NULL, *out = NULL;
	va_list ap;

	va_start(ap, fmt);
	script = str_vfmt(fmt, ap);
	va_end(ap);
	out = box_output(ns, "set -e; { %s; } >&2", script);
}

void box_inside(int ns, void (*fn)(void *arg), void *arg)
{
	auto_close int home = current();

	ck_assert_int_eq(setns(ns, CLONE_NEWNET), 0);
	fn(arg);
	ck_assert_int_eq(setns(home, CLONE_NEWNET), 0);
}

int box_new(void)
{
	auto_close int home = current();
	int ns;

	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	ns = current();
	ck_assert_int_eq(setns(home, CLONE_NEWNET), 0);
	box_run(ns, "ip link set lo up");
	return ns;
}

bool box_has_libnl(void)
{
	auto_error struct error err = { 0 };
	auto_free char *maps = NULL;

	ck_assert_int_eq(fs_read("/proc/self/maps", MAX_MAPS, &maps, NULL, &err), 0);
	return strstr(maps, "/libnl-route-3.so") != NULL;
}

void box_setup(void)
{
	auto_error struct error err = { 0 };

	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	before = scratch_count_fds();
	box = box_new();
	ck_assert_msg(netns_open(box, -1, &net, &err) == 0, "%s", err.msg);
}

void box_teardown(void)
{
	netns_freep(&net);
	close(box);
	ck_assert_int_eq(scratch_count_fds(), before);
}

int box_outside;

void box_setup_with_peer(void)
{
	box_setup();
	box_outside = box_new_peer();
}

void box_teardown_with_peer(void)
{
	close(box_outside);
	box_teardown();
}

struct net_state *box_scan(void)
{
	auto_error struct error err = { 0 };
	struct net_state *state = NULL;

	ck_assert_msg(netns_scan(net, &state, &err) == 0, "%s", err.msg);
	return state;
}

struct net_link box_link(const char *name)
{
	auto_net_state struct net_state *state = box_scan();

	for (size_t i = 0; i < state->n_links; i++)
		if (str_eq(state->links[i].name, name))
			return state->links[i];
	ck_abort_msg("no link '%s'", name);
}

bool box_has(int ns, const char *name)
{
	auto_free char *out = box_output(
		ns, "ip link show dev '%s' >/dev/null 2>&1 && echo yes || echo no", name);

	return str_starts(out, "yes");
}

int box_new_peer(void)
{
	int outside = box_new();

	box_run(box,
	        "ip link add eth0 address " FRAMES_GUEST_MAC " type veth peer name p0\n"
	        "ip link set eth0 up\n"
	        "ip addr add " FRAMES_GUEST_IP "/24 dev eth0\n"
	        "ip route add default via " FRAMES_PEER_IP "\n"
	        "ip link set p0 netns /proc/%d/fd/%d",
	        (int)getpid(), outside);
	box_run(outside, "ip link set p0 address " FRAMES_PEER_MAC " up\n"
	                 "ip addr add " FRAMES_PEER_IP "/24 dev p0");
	return outside;
}

struct endpoint *box_attach(const char *name, enum net_model model, unsigned queues)
{
	auto_error struct error err = { 0 };
	struct endpoint_opts opts = { .model = model, .queues = queues };
	struct net_link link = box_link(name);
	struct endpoint *ep = NULL;

	ck_assert_msg(endpoint_attach(net, &link, &opts, &ep, &err) == 0, "%s", err.msg);
	return ep;
}

void box_detach(struct endpoint *ep)
{
	auto_error struct error err = { 0 };

	ck_assert_msg(endpoint_detach(net, ep, &err) == 0, "%s", err.msg);
}

char *box_look(void)
{
	return box_output(box, "ip -d addr | sed -e 's/valid_lft.*//' -e 's/ promiscuity [0-9]*//' "
	                       "-e 's/allmulti [0-9]*//' -e 's/state [A-Z]*//' "
	                       "-e 's/ tentative//' -e 's/noqueue//'\n"
	                       "ip route; tc qdisc; tc filter show dev eth0 ingress");
}
