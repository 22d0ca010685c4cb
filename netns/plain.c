/* What can be known without libnl, with a few questions to the kernel. */
#include <errno.h>
#include <ifaddrs.h>
#include <linux/inet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "netns/netns-internal.h"
#include "lib/base/error.h"

#define ALL_STATES UINT32_MAX

ssize_t netns_receive(int fd, void *data, size_t size)
{
	struct sockaddr_nl from = { 0 };
	socklen_t len = sizeof(from);
	ssize_t n;

	do {
		n = recvfrom(fd, data, size, 0, (struct sockaddr *)&from, &len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	/* Processes inside can write to the socket, too: only the kernel is port 0. */
	return from.nl_pid == 0 ? n : 0;
}

/* ---- one question ---- */

struct question {
	struct nlmsghdr hdr;
	union {
		struct rtgenmsg objects;
		struct inet_diag_req_v2 sockets;
	};
};

/* Is the message what was asked for? */
typedef bool (*answer_fn)(const struct nlmsghdr *hdr, uint32_t arg);

/* What has been read of them. */
enum { NOT_THERE, IS_THERE, MORE };

/* One of these, or -errno. */
static int read_answers(int fd, answer_fn is_it, uint32_t arg)
{
	_Alignas(struct nlmsghdr) char data[16384];
	ssize_t n = netns_receive(fd, data, sizeof(data));
	const struct nlmsghdr *hdr = (const void *)data;
	int code = 0;

	if (n < 0)
		return (int)n;
	for (size_t len = (size_t)n; NLMSG_OK(hdr, len); hdr = NLMSG_NEXT(hdr, len)) {
		/* Both begin with an error number, which is 0 or negative. */
		if (hdr->nlmsg_type == NLMSG_DONE || hdr->nlmsg_type == NLMSG_ERROR) {
			if (hdr->nlmsg_len >= NLMSG_LENGTH(sizeof(code)))
				memcpy(&code, NLMSG_DATA(hdr), sizeof(code));
			return code < 0 ? code : NOT_THERE;
		}
		if (is_it(hdr, arg))
			return IS_THERE;
	}
	return MORE;
}

/* In the namespace that we are in. NOT_THERE, IS_THERE or -errno. */
static int ask(int family, const struct question *q, answer_fn is_it, uint32_t arg)
{
	auto_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, family);
	int r;

	if (fd < 0 || send(fd, q, q->hdr.nlmsg_len, 0) < 0)
		return -errno;
	do {
		r = read_answers(fd, is_it, arg);
	} while (r == MORE);
	return r;
}

/* ---- interfaces, addresses, routes, neighbours ---- */

/* Not the kernel's own: an interface that is up, or an address. */
static bool is_set(const struct ifaddrs *a)
{
	const struct sockaddr_in *in = (const void *)a->ifa_addr, *mask;
	const struct sockaddr_in6 *in6 = (const void *)a->ifa_addr;

	switch (a->ifa_addr ? a->ifa_addr->sa_family : AF_PACKET) {
	case AF_INET:
		mask = (const void *)a->ifa_netmask;
		return !(a->ifa_flags & IFF_LOOPBACK) || !mask ||
		       in->sin_addr.s_addr != htonl(INADDR_LOOPBACK) ||
		       mask->sin_addr.s_addr != htonl(IN_CLASSA_NET);
	case AF_INET6:
		return !(a->ifa_flags & IFF_LOOPBACK) || !IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
	default:
		return (a->ifa_flags & (IFF_LOOPBACK | IFF_UP)) == IFF_UP;
	}
}

static int has_addresses(void)
{
	struct ifaddrs *all = NULL;
	int found = 0;

	if (getifaddrs(&all) < 0)
		return -errno;
	for (const struct ifaddrs *a = all; a && !found; a = a->ifa_next)
		found = is_set(a);
	freeifaddrs(all);
	return found;
}

static bool is_set_route(const struct nlmsghdr *hdr, uint32_t arg)
{
	const struct rtmsg *r = NLMSG_DATA(hdr);

	(void)arg;
	/* Multicast routes are in the same answer. */
	if (hdr->nlmsg_len < NLMSG_LENGTH(sizeof(*r)) ||
	    (r->rtm_family != AF_INET && r->rtm_family != AF_INET6))
		return false;
	return r->rtm_protocol != RTPROT_KERNEL && r->rtm_protocol != RTPROT_REDIRECT &&
	       !(r->rtm_flags & RTM_F_CLONED);
}

static bool is_set_neighbour(const struct nlmsghdr *hdr, uint32_t arg)
{
	const struct ndmsg *neigh = NLMSG_DATA(hdr);

	(void)arg;
	return hdr->nlmsg_len >= NLMSG_LENGTH(sizeof(*neigh)) && neigh->ndm_state & NUD_PERMANENT;
}

static int ask_for(int type, answer_fn is_it)
{
	struct question q = { .hdr = { .nlmsg_len = NLMSG_LENGTH(sizeof(q.objects)),
		                       .nlmsg_type = (uint16_t)type,
		                       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP } };

	return ask(NETLINK_ROUTE, &q, is_it, 0);
}

static int look_inside(void *arg, struct error *err)
{
	int r = has_addresses();

	(void)arg;
	if (r == 0)
		r = ask_for(RTM_GETROUTE, is_set_route);
	if (r == 0)
		r = ask_for(RTM_GETNEIGH, is_set_neighbour);
	return r < 0 ? error_set(err, -r, "look into the network namespace: %s", strerror(-r)) : r;
}

int netns_is_empty(struct netns *ns, struct error *err)
{
	int r = netns_inside(ns, look_inside, NULL, err);

	return r < 0 ? r : !r;
}

/* ---- sockets ---- */

static bool is_at_address(const struct nlmsghdr *hdr, uint32_t address)
{
	const struct inet_diag_msg *d = NLMSG_DATA(hdr);

	return hdr->nlmsg_len >= NLMSG_LENGTH(sizeof(*d)) && d->idiag_family == AF_INET &&
	       d->id.idiag_src[0] == htonl(address);
}

static int look_for_udp(void *arg, struct error *err)
{
	struct question q = { .hdr = { .nlmsg_len = NLMSG_LENGTH(sizeof(q.sockets)),
		                       .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		                       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		              .sockets = { .sdiag_family = AF_INET,
		                           .sdiag_protocol = IPPROTO_UDP,
		                           .idiag_states = ALL_STATES } };
	const uint32_t *address = arg;
	int r = ask(NETLINK_SOCK_DIAG, &q, is_at_address, *address);

	return r < 0 ? error_set(err, -r, "ask for sockets: %s", strerror(-r)) : r;
}

int netns_has_udp(struct netns *ns, uint32_t address, struct error *err)
{
	return netns_inside(ns, look_for_udp, &address, err);
}
