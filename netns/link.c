#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netns/libnl-internal.h"
#include "netns/netns-internal.h"
#include "lib/base/error.h"
#include "lib/base/str.h"

void netns_name(char name[IFNAMSIZ], char what, unsigned link)
{
	snprintf(name, IFNAMSIZ, "vc%c%u", what, link);
}

int netns_mac_parse(const char *text, uint8_t mac[6])
{
	auto_buf struct buf hex = { 0 };

	if (strlen(text) != strlen("00:00:00:00:00:00"))
		return -EINVAL;
	for (size_t i = 0; text[i]; i++) {
		if (i % 3 != 2)
			buf_addc(&hex, text[i]);
		else if (text[i] != ':')
			return -EINVAL;
	}
	return str_unhex(hex.data, mac, 6);
}

/* ---- what is there ---- */

int netns_find(struct netns *ns, const char *name, struct netns_found *found, struct error *err)
{
	struct rtnl_link *link = NULL;
	const char *alias;
	int r;

	if (netns_ready(ns, err) < 0)
		return -err->code;
	r = libnl.rtnl_link_get_kernel(ns->rtnl, 0, name, &link);
	if (r == -NLE_NODEV || r == -NLE_OBJ_NOTFOUND)
		return error_set(err, ENODEV, "no interface '%s'", name);
	if (r < 0)
		return error_set(err, EIO, "find interface '%s': %s", name, libnl.nl_geterror(r));
	alias = libnl.rtnl_link_get_ifalias(link);
	found->index = (unsigned)libnl.rtnl_link_get_ifindex(link);
	snprintf(found->alias, sizeof(found->alias), "%s", alias ? alias : "");
	libnl.rtnl_link_put(link);
	return 0;
}

int netns_remove_ours(struct netns *ns, const char *name, struct error *err)
{
	auto_error struct error why = { 0 };
	struct netns_found found;
	int r = netns_find(ns, name, &found, &why);

	if (r == 0 && str_starts(found.alias, NETNS_ALIAS))
		r = netns_remove_link(ns, found.index, &why);
	if (r == 0 || r == -ENODEV)
		return 0;
	error_move(err, &why);
	return error_wrap(err, "remove interface '%s'", name);
}

/* ---- changes: one attribute, or some flags, in each request ---- */

static void put(struct nl_msg *msg, int type, const void *data, size_t len)
{
	if (libnl.nla_put(msg, type, (int)len, data) < 0)
		abort(); /* out of memory */
}

static struct nlattr *nest(struct nl_msg *msg, int type)
{
	struct nlattr *start = libnl.nla_nest_start(msg, type);

	if (!start)
		abort(); /* out of memory */
	return start;
}

static int set_attr(struct netns *ns, unsigned index, int type, const void *data, size_t len,
                    struct error *err)
{
	auto_msg struct nl_msg *msg = netns_link_msg(RTM_NEWLINK, 0, index);

	put(msg, type, data, len);
	return netns_request(ns, msg, err);
}

static int set_flags(struct netns *ns, unsigned index, unsigned flags, struct error *err)
{
	auto_msg struct nl_msg *msg = netns_link_msg(RTM_NEWLINK, 0, index);
	struct ifinfomsg *link = libnl.nlmsg_data(libnl.nlmsg_hdr(msg));

	link->ifi_flags = link->ifi_change = flags;
	return netns_request(ns, msg, err);
}

int netns_set_mtu(struct netns *ns, unsigned index, unsigned mtu, struct error *err)
{
	uint32_t value = mtu;

	if (set_attr(ns, index, IFLA_MTU, &value, sizeof(value), err) < 0)
		return error_wrap(err, "set an MTU of %u", mtu);
	return 0;
}

int netns_set_up(struct netns *ns, unsigned index, struct error *err)
{
	if (set_flags(ns, index, IFF_UP, err) < 0)
		return error_wrap(err, "set up the interface");
	return 0;
}

int netns_set_mac(struct netns *ns, unsigned index, const uint8_t mac[6], struct error *err)
{
	if (set_attr(ns, index, IFLA_ADDRESS, mac, 6, err) < 0)
		return error_wrap(err, "set the MAC address");
	return 0;
}

int netns_set_master(struct netns *ns, unsigned index, unsigned master, struct error *err)
{
	uint32_t value = master;

	if (set_attr(ns, index, IFLA_MASTER, &value, sizeof(value), err) < 0)
		return error_wrap(err, "join interface and bridge");
	return 0;
}

/* Otherwise the namespace would look for neighbours and routers through the tap, in the guest. */
static int set_no_ipv6(struct netns *ns, unsigned index, struct error *err)
{
	auto_error struct error why = { 0 };
	auto_msg struct nl_msg *msg = netns_link_msg(RTM_NEWLINK, 0, index);
	struct nlattr *spec = nest(msg, IFLA_AF_SPEC), *inet6 = nest(msg, AF_INET6);
	uint8_t mode = IN6_ADDR_GEN_MODE_NONE;
	int r;

	put(msg, IFLA_INET6_ADDR_GEN_MODE, &mode, sizeof(mode));
	libnl.nla_nest_end(msg, inet6);
	libnl.nla_nest_end(msg, spec);
	r = netns_request(ns, msg, &why);
	/* Kernels without IPv6, and interfaces that it is not on (an MTU below 1280). */
	if (r == -EAFNOSUPPORT || r == -EOPNOTSUPP || r == -EINVAL)
		return 0;
	return r < 0 ? error_move(err, &why) : 0;
}

int netns_adopt(struct netns *ns, unsigned index, const char *alias, unsigned mtu,
                struct error *err)
{
	if (set_attr(ns, index, IFLA_IFALIAS, alias, strlen(alias) + 1, err) < 0)
		return error_wrap(err, "set the alias");
	return netns_set_mtu(ns, index, mtu, err);
}

int netns_silence(struct netns *ns, unsigned index, struct error *err)
{
	if (set_no_ipv6(ns, index, err) < 0 || set_flags(ns, index, IFF_NOARP, err) < 0)
		return error_wrap(err, "turn off ARP and IPv6");
	return 0;
}

/* ---- make and remove ---- */

int netns_remove_link(struct netns *ns, unsigned index, struct error *err)
{
	auto_msg struct nl_msg *msg = netns_link_msg(RTM_DELLINK, 0, index);

	return netns_request(ns, msg, err);
}

int netns_make_bridge(struct netns *ns, const char *name, struct error *err)
{
	auto_msg struct nl_msg *msg = netns_link_msg(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);
	struct nlattr *info, *data;
	uint32_t delay = 0;   /* forward from the first packet on */
	uint8_t snooping = 0; /* two ports: whatever is for many is for both */

	put(msg, IFLA_IFNAME, name, strlen(name) + 1);
	info = nest(msg, IFLA_LINKINFO);
	put(msg, IFLA_INFO_KIND, "bridge", sizeof("bridge"));
	data = nest(msg, IFLA_INFO_DATA);
	put(msg, IFLA_BR_FORWARD_DELAY, &delay, sizeof(delay));
	put(msg, IFLA_BR_MCAST_SNOOPING, &snooping, sizeof(snooping));
	libnl.nla_nest_end(msg, data);
	libnl.nla_nest_end(msg, info);
	if (netns_request(ns, msg, err) < 0)
		return error_wrap(err, "make bridge '%s'", name);
	return 0;
}

int netns_make_macvtap(struct netns *ns, const char *name, unsigned link, struct error *err)
{
	auto_msg struct nl_msg *msg = netns_link_msg(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);
	uint32_t below = link, mode = MACVLAN_MODE_PASSTHRU;
	struct nlattr *info, *data;

	put(msg, IFLA_IFNAME, name, strlen(name) + 1);
	put(msg, IFLA_LINK, &below, sizeof(below));
	info = nest(msg, IFLA_LINKINFO);
	put(msg, IFLA_INFO_KIND, "macvtap", sizeof("macvtap"));
	data = nest(msg, IFLA_INFO_DATA);
	put(msg, IFLA_MACVLAN_MODE, &mode, sizeof(mode));
	libnl.nla_nest_end(msg, data);
	libnl.nla_nest_end(msg, info);
	if (netns_request(ns, msg, err) < 0)
		return error_wrap(err, "make macvtap '%s'", name);
	return 0;
}
