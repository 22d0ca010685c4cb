#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/guest/netlink.h"
#include "lib/base/error.h"
#include "lib/base/str.h"

#define CHUNK (64 * 1024) /* more than the kernel puts into one answer */
#define MAX_DUMP (64u << 20)
#define MAX_TRIES 10

int netlink_open(unsigned groups, struct error *err)
{
	auto_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct sockaddr_nl self = { .nl_family = AF_NETLINK, .nl_groups = groups };
	int on = 1;

	if (fd < 0)
		return error_sys(err, "open a netlink socket");
	if (bind(fd, (struct sockaddr *)&self, sizeof(self)) < 0)
		return error_sys(err, "bind a netlink socket");
	/* Kernels that do not know it filter nothing for it, and cost a little more. */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	return steal_fd(&fd);
}

void netlink_begin(struct netlink_request *r, int type, int flags, const void *body, size_t len)
{
	memset(r, 0, sizeof(*r));
	r->header.nlmsg_type = (uint16_t)type;
	r->header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	r->header.nlmsg_len = NLMSG_LENGTH((uint32_t)len);
	memcpy(NLMSG_DATA(&r->header), body, len);
}

void netlink_add(struct netlink_request *r, int type, const void *data, size_t len)
{
	size_t at = NLMSG_ALIGN(r->header.nlmsg_len);
	struct rtattr *a = (struct rtattr *)(void *)(r->bytes + at);

	if (at + RTA_SPACE(len) > sizeof(r->bytes))
		abort();
	a->rta_type = (unsigned short)type;
	a->rta_len = (unsigned short)RTA_LENGTH(len);
	if (len > 0)
		memcpy(RTA_DATA(a), data, len);
	r->header.nlmsg_len = (uint32_t)(at + RTA_SPACE(len));
}

void netlink_add_u32(struct netlink_request *r, int type, uint32_t value)
{
	netlink_add(r, type, &value, sizeof(value));
}

struct rtattr *netlink_nest(struct netlink_request *r, int type)
{
	size_t at = NLMSG_ALIGN(r->header.nlmsg_len);

	netlink_add(r, type, NULL, 0);
	return (struct rtattr *)(void *)(r->bytes + at);
}

void netlink_nest_end(struct netlink_request *r, struct rtattr *nest)
{
	nest->rta_len = (unsigned short)(r->bytes + r->header.nlmsg_len - (char *)nest);
}

static int send_request(struct netlink *nl, struct netlink_request *r)
{
	ssize_t n;

	r->header.nlmsg_seq = ++nl->last;
	do {
		n = send(nl->fd, r->bytes, r->header.nlmsg_len, 0);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* One datagram of answers. -errno, or its length. */
static ssize_t receive(int fd, char *data)
{
	struct sockaddr_nl from = { 0 };
	ssize_t n;

	/* Others with CAP_NET_ADMIN can write to the socket, too: only the kernel is port 0. */
	do {
		socklen_t size = sizeof(from);

		n = recvfrom(fd, data, CHUNK, MSG_TRUNC, (struct sockaddr *)&from, &size);
	} while (n < 0 ? errno == EINTR : from.nl_pid != 0);
	if (n < 0)
		return -errno;
	return n > CHUNK ? -EMSGSIZE : n;
}

static int error_of(const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = NLMSG_DATA(h);

	return h->nlmsg_len < NLMSG_LENGTH(sizeof(*e)) ? -EPROTO : e->error;
}

/* That of a dump has an error number, too. */
static int end_of(const struct nlmsghdr *h)
{
	int code = 0;

	if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(code)))
		memcpy(&code, NLMSG_DATA(h), sizeof(code));
	return code < 0 ? code : 0;
}

int netlink_do(struct netlink *nl, struct netlink_request *r)
{
	auto_free char *data = xmalloc(CHUNK);
	int status;

	r->header.nlmsg_flags |= NLM_F_ACK;
	status = send_request(nl, r);
	while (status == 0) {
		ssize_t n = receive(nl->fd, data);
		const struct nlmsghdr *h = (const void *)data;

		if (n < 0)
			return (int)n;
		for (; NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n))
			if (h->nlmsg_seq == r->header.nlmsg_seq && h->nlmsg_type == NLMSG_ERROR)
				return error_of(h);
	}
	return status;
}

/* Add what a datagram of the dump holds. 1: there is more to come; 0: done; -errno. */
static int collect(const struct nlmsghdr *h, size_t len, uint32_t seq, struct buf *out)
{
	for (; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_seq != seq)
			continue;
		if (h->nlmsg_flags & NLM_F_DUMP_INTR)
			return -EINTR;
		if (h->nlmsg_type == NLMSG_DONE)
			return end_of(h);
		if (h->nlmsg_type == NLMSG_ERROR)
			return error_of(h);
		if (out->len + h->nlmsg_len > MAX_DUMP)
			return -EFBIG;
		buf_add(out, h, NLMSG_ALIGN(h->nlmsg_len));
	}
	return 1;
}

static int dump_once(struct netlink *nl, int type, struct buf *out)
{
	static const size_t sizes[] = {
		[RTM_GETLINK] = sizeof(struct ifinfomsg),
		[RTM_GETADDR] = sizeof(struct ifaddrmsg),
		[RTM_GETROUTE] = sizeof(struct rtmsg),
		[RTM_GETNEIGH] = sizeof(struct ndmsg),
	};
	static const char zeros[sizeof(struct ifinfomsg)];
	auto_free char *data = xmalloc(CHUNK);
	struct netlink_request r;
	int status;

	netlink_begin(&r, type, NLM_F_DUMP, zeros, sizes[type]);
	status = send_request(nl, &r);
	if (status < 0)
		return status;
	do {
		ssize_t n = receive(nl->fd, data);

		status = n < 0 ? (int)n
		               : collect((const void *)data, (size_t)n, r.header.nlmsg_seq, out);
	} while (status > 0);
	return status;
}

int netlink_dump(struct netlink *nl, int type, struct buf *out, struct error *err)
{
	int status, tries = 0;

	/* What is left of an interrupted dump has another number, and is passed over. */
	do {
		out->len = 0;
		status = dump_once(nl, type, out);
	} while (status == -EINTR && ++tries < MAX_TRIES);
	if (status < 0)
		return error_set(err, -status, "ask the kernel for the network: %s",
		                 strerror(-status));
	return 0;
}

void netlink_parse(const struct rtattr *first, size_t len, const struct rtattr **table, size_t n)
{
	memset(table, 0, n * sizeof(*table));
	for (; RTA_OK(first, len); first = RTA_NEXT(first, len)) {
		size_t type = first->rta_type & NLA_TYPE_MASK;

		if (type < n)
			table[type] = first;
	}
}

uint32_t netlink_u32(const struct rtattr *a, uint32_t dflt)
{
	uint32_t value;

	if (!a || RTA_PAYLOAD(a) < sizeof(value))
		return dflt;
	memcpy(&value, RTA_DATA(a), sizeof(value));
	return value;
}
