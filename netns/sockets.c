#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "netns/netns-internal.h"
#include "lib/base/error.h"

#define ALL_STATES UINT32_MAX

struct search {
	struct nl_sock *sock;
	uint32_t address; /* network order */
	bool is_found;
	int code; /* errno */
};

static int open_socket(void *arg, struct error *err)
{
	struct search *s = arg;
	int r = nl_connect(s->sock, NETLINK_SOCK_DIAG);

	return r < 0 ? error_set(err, EIO, "ask for sockets: %s", nl_geterror(r)) : 0;
}

static int on_message(struct nl_msg *msg, void *arg)
{
	struct search *s = arg;
	const struct nlmsghdr *hdr = nlmsg_hdr(msg);
	const struct inet_diag_msg *d = nlmsg_data(hdr);

	if (nlmsg_datalen(hdr) >= (int)sizeof(*d) && d->idiag_family == AF_INET &&
	    d->id.idiag_src[0] == s->address)
		s->is_found = true;
	return NL_OK;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *arg)
{
	struct search *s = arg;

	(void)from;
	s->code = -e->error;
	return NL_STOP;
}

int netns_has_udp(struct netns *ns, uint32_t address, struct error *err)
{
	struct inet_diag_req_v2 request = { .sdiag_family = AF_INET,
		                            .sdiag_protocol = IPPROTO_UDP,
		                            .idiag_states = ALL_STATES };
	struct search s = { .sock = nl_socket_alloc(), .address = htonl(address) };
	int r;

	if (!s.sock)
		abort(); /* out of memory */
	r = netns_inside(ns, open_socket, &s, err);
	if (r == 0) {
		nl_socket_modify_cb(s.sock, NL_CB_VALID, NL_CB_CUSTOM, on_message, &s);
		nl_socket_modify_err_cb(s.sock, NL_CB_CUSTOM, on_error, &s);
		r = nl_send_simple(s.sock, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &request,
		                   sizeof(request));
		if (r >= 0)
			r = nl_recvmsgs_default(s.sock);
		if (s.code != 0)
			error_set(err, s.code, "ask for sockets: %s", strerror(s.code));
		else if (r < 0)
			error_set(err, EIO, "ask for sockets: %s", nl_geterror(r));
	}
	nl_socket_free(s.sock);
	return err->code ? -err->code : s.is_found;
}
