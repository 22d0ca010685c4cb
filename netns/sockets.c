#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "netns/netns-internal.h"
#include "lib/base/error.h"
#include "lib/base/str.h"

#define ALL_STATES UINT32_MAX

static int open_socket(void *arg, struct error *err)
{
	struct netlink *nl = arg;

	nl->fd = netlink_open_family(NETLINK_SOCK_DIAG, 0, err);
	return nl->fd < 0 ? -err->code : 0;
}

/* address: in network order */
static bool has_address(const struct buf *answers, uint32_t address)
{
	size_t len = answers->len;
	const struct nlmsghdr *h;

	for (h = (const void *)answers->data; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		const struct inet_diag_msg *d = NLMSG_DATA(h);

		if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(*d)) && d->idiag_family == AF_INET &&
		    d->id.idiag_src[0] == address)
			return true;
	}
	return false;
}

int netns_has_udp(struct netns *ns, uint32_t address, struct error *err)
{
	struct inet_diag_req_v2 body = { .sdiag_family = AF_INET,
		                         .sdiag_protocol = IPPROTO_UDP,
		                         .idiag_states = ALL_STATES };
	auto_buf struct buf answers = { 0 };
	struct netlink nl = { .fd = -1 };
	struct netlink_request r;
	int status = netns_inside(ns, open_socket, &nl, err);

	if (status < 0)
		return error_wrap(err, "ask for sockets");
	netlink_begin(&r, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &body, sizeof(body));
	status = netlink_dump_request(&nl, &r, &answers);
	close_fd(&nl.fd);
	if (status < 0)
		return error_set(err, -status, "ask for sockets: %s", strerror(-status));
	return has_address(&answers, htonl(address));
}
