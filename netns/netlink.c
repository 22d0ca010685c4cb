#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "netns/libnl-internal.h"
#include "netns/netns-internal.h"
#include "lib/base/error.h"
#include "lib/base/str.h"

#define RECEIVE_BUFFER (1 << 20) /* bytes: an answer can be long */

void netns_msg_free(struct nl_msg **msg)
{
	if (*msg)
		libnl.nlmsg_free(*msg);
	*msg = NULL;
}

static int connect_inside(void *arg, struct error *err)
{
	struct nl_sock *sock = libnl.nl_socket_alloc();
	struct netns *ns = arg;
	int on = 1, r;

	if (!sock)
		abort(); /* out of memory */
	r = libnl.nl_connect(sock, NETLINK_ROUTE);
	if (r < 0) {
		libnl.nl_socket_free(sock);
		return error_set(err, EIO, "open a netlink socket: %s", libnl.nl_geterror(r));
	}
	/* Better answers, no condition: old kernels have none, rmem_max may be small. */
	setsockopt(libnl.nl_socket_get_fd(sock), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	libnl.nl_socket_set_buffer_size(sock, RECEIVE_BUFFER, 0);
	ns->rtnl = sock;
	return 0;
}

int netns_ready(struct netns *ns, struct error *err)
{
	if (ns->rtnl)
		return 0;
	if (netns_load(err) < 0)
		return -err->code;
	return netns_inside(ns, connect_inside, ns, err);
}

struct nl_msg *netns_link_msg(int type, int flags, unsigned index)
{
	struct ifinfomsg link = { .ifi_index = (int)index };
	struct nl_msg *msg = libnl.nlmsg_alloc_simple(type, flags);

	if (!msg || libnl.nlmsg_append(msg, &link, sizeof(link), NLMSG_ALIGNTO) < 0)
		abort(); /* out of memory */
	return msg;
}

/* ---- one request ---- */

struct answer {
	int code; /* errno */
	char text[128];
	netns_object_fn fn; /* of a dump */
	void *arg;
	struct error *err;
	bool is_interrupted;
};

/* What the kernel says besides the number, if it says something (NETLINK_EXT_ACK). */
static void read_reason(const struct nlmsghdr *hdr, struct answer *a)
{
	const struct nlmsgerr *e = libnl.nlmsg_data(hdr);
	int skip = (int)sizeof(*e), len = libnl.nlmsg_datalen(hdr);
	const struct nlattr *text;

	if (!(hdr->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(hdr->nlmsg_flags & NLM_F_CAPPED))
		skip += (int)NLMSG_ALIGN(e->msg.nlmsg_len) - NLMSG_HDRLEN;
	if (skip < (int)sizeof(*e) || skip > len)
		return;
	text = libnl.nla_find((const struct nlattr *)((const char *)e + skip), len - skip,
	                      NLMSGERR_ATTR_MSG);
	if (text)
		libnl.nla_strlcpy(a->text, text, sizeof(a->text));
	str_clean(a->text, strlen(a->text));
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *arg)
{
	struct answer *a = arg;

	(void)from;
	a->code = -e->error;
	read_reason((const struct nlmsghdr *)((const char *)e - NLMSG_HDRLEN), a);
	return NL_STOP;
}

static int on_ack(struct nl_msg *msg, void *arg)
{
	(void)msg;
	(void)arg;
	return NL_STOP;
}

static int on_dump_end(struct nl_msg *msg, void *arg)
{
	struct answer *a = arg;
	const struct nlmsghdr *hdr = libnl.nlmsg_hdr(msg);

	/* NLMSG_DONE has an error number, too. */
	if (libnl.nlmsg_datalen(hdr) >= (int)sizeof(int)) {
		int code;

		memcpy(&code, libnl.nlmsg_data(hdr), sizeof(code));
		a->code = code < 0 ? -code : 0;
	}
	return NL_STOP;
}

static int on_interrupted(struct nl_msg *msg, void *arg)
{
	struct answer *a = arg;

	(void)msg;
	a->is_interrupted = true;
	return NL_OK;
}

static void on_object(struct nl_object *obj, void *arg)
{
	struct answer *a = arg;

	if (a->err->code == 0)
		a->fn(obj, a->arg, a->err);
}

static int on_valid(struct nl_msg *msg, void *arg)
{
	struct answer *a = arg;
	int r;

	if (!a->fn || a->err->code) /* read on to the end all the same: the socket is used again */
		return NL_SKIP;
	r = libnl.nl_msg_parse(msg, on_object, a);
	if (r < 0)
		error_set(a->err, EPROTO, "read the kernel's answer: %s", libnl.nl_geterror(r));
	return NL_OK;
}

static int talk(struct netns *ns, struct nl_msg *msg, struct answer *a, struct error *err)
{
	struct nl_cb *cb = libnl.nl_cb_alloc(NL_CB_DEFAULT);
	int r;

	if (!cb)
		abort(); /* out of memory */
	libnl.nl_cb_err(cb, NL_CB_CUSTOM, on_error, a);
	libnl.nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_ack, a);
	libnl.nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_dump_end, a);
	libnl.nl_cb_set(cb, NL_CB_DUMP_INTR, NL_CB_CUSTOM, on_interrupted, a);
	libnl.nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, a);
	r = libnl.nl_send_auto(ns->rtnl, msg);
	if (r >= 0)
		r = libnl.nl_recvmsgs(ns->rtnl, cb);
	libnl.nl_cb_put(cb);
	if (a->code)
		return error_set(err, a->code, "%s%s%s", strerror(a->code), a->text[0] ? ": " : "",
		                 a->text);
	if (r < 0)
		return error_set(err, EIO, "talk to the kernel: %s", libnl.nl_geterror(r));
	return 0;
}

int netns_request(struct netns *ns, struct nl_msg *msg, struct error *err)
{
	struct answer a = { .err = err };

	if (netns_ready(ns, err) < 0)
		return -err->code;
	libnl.nlmsg_hdr(msg)->nlmsg_flags |= NLM_F_ACK;
	return talk(ns, msg, &a, err);
}

int netns_dump(struct netns *ns, int type, int family, netns_object_fn fn, void *arg,
               struct error *err)
{
	auto_error struct error failed = { 0 };
	struct answer a = { .fn = fn, .arg = arg, .err = &failed };
	struct rtgenmsg gen = { .rtgen_family = (unsigned char)family };
	auto_msg struct nl_msg *msg = NULL;

	if (netns_ready(ns, err) < 0)
		return -err->code;
	msg = libnl.nlmsg_alloc_simple(type, NLM_F_DUMP);
	if (!msg || libnl.nlmsg_append(msg, &gen, sizeof(gen), NLMSG_ALIGNTO) < 0)
		abort(); /* out of memory */
	if (talk(ns, msg, &a, err) < 0)
		return -err->code;
	if (failed.code)
		return error_move(err, &failed);
	return a.is_interrupted ? error_set(err, EAGAIN, "the network changes too often") : 0;
}
