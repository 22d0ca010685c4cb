#include <errno.h>
#include <string.h>

#include "netns/netns-internal.h"
#include "lib/base/error.h"
#include "lib/base/str.h"

void netns_link_request(struct netlink_request *r, int type, int flags, unsigned index)
{
	struct ifinfomsg link = { .ifi_index = (int)index };

	netlink_begin(r, type, flags, &link, sizeof(link));
}

int netns_request(struct netns *ns, struct netlink_request *r, struct error *err)
{
	const char *reason = ns->rtnl.reason;
	int code = -netlink_do(&ns->rtnl, r);

	if (code == 0)
		return 0;
	return error_set(err, code, "%s%s%s", strerror(code), *reason ? ": " : "", reason);
}

static size_t size_of_body(int type)
{
	switch (type) {
	case RTM_NEWLINK:
		return sizeof(struct ifinfomsg);
	case RTM_NEWADDR:
		return sizeof(struct ifaddrmsg);
	case RTM_NEWROUTE:
		return sizeof(struct rtmsg);
	default:
		return sizeof(struct ndmsg);
	}
}

int netns_dump(struct netns *ns, int type, netns_object_fn fn, void *arg, struct error *err)
{
	/* RTM_NEW* and RTM_GET* come in fours (rtnetlink(7)). */
	int answer = type - (RTM_GETLINK - RTM_NEWLINK);
	size_t body = size_of_body(answer), len;
	auto_buf struct buf dump = { 0 };
	const struct nlmsghdr *h;

	if (netlink_dump(&ns->rtnl, type, &dump, err) < 0)
		return -err->code;
	len = dump.len;
	for (h = (const void *)dump.data; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		const struct rtattr *a[NETNS_MAX_ATTR + 1];

		if (h->nlmsg_type != answer || h->nlmsg_len < NLMSG_LENGTH(body))
			continue;
		netlink_parse((const void *)((const char *)NLMSG_DATA(h) + NLMSG_ALIGN(body)),
		              h->nlmsg_len - NLMSG_LENGTH(NLMSG_ALIGN(body)), a, ARRAY_SIZE(a));
		if (fn(NLMSG_DATA(h), a, arg, err) < 0)
			return -err->code;
	}
	return 0;
}

struct net_ip netns_ip(const struct rtattr *a, int family)
{
	struct net_ip ip = { 0 };
	size_t len = family == AF_INET ? 4 : sizeof(ip.bytes);

	if (!a || (family != AF_INET && family != AF_INET6) || RTA_PAYLOAD(a) != len)
		return ip;
	ip.family = (uint8_t)family;
	ip.prefix = (uint8_t)(len * 8);
	memcpy(ip.bytes, RTA_DATA(a), len);
	return ip;
}
