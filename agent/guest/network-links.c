/* Interfaces: finding the guest's, names, MAC, MTU, flags. */
#include <errno.h>
#include <linux/if_link.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/guest/modules.h"
#include "agent/guest/network-internal.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"

#define WISHED_FLAGS (IFF_UP | IFF_NOARP | IFF_PROMISC | IFF_ALLMULTI | IFF_MULTICAST)
#define IPV6_CONF "/proc/sys/net/ipv6/conf"
#define CARRIER_MS 200
#define LOOK_MS 10           /* between looks at another namespace, of which nobody tells */
#define HAS_CARRIER 0x10000u /* IFF_LOWER_UP of <linux/if.h>, which <net/if.h> rules out */

/* An interface as it is. */
struct present {
	int index;
	unsigned flags;
	uint32_t mtu;
	char name[IFNAMSIZ];
	struct net_mac mac, permanent;
	bool is_adopted; /* its IPv6 addresses are made by nobody but us */
};

struct presents {
	struct present *list;
	size_t n;
};

static void presents_done(struct presents *p)
{
	free(p->list);
}

static struct net_mac read_mac(const struct rtattr *a)
{
	struct net_mac mac = { .is_set = a && RTA_PAYLOAD(a) == ETH_ALEN };

	if (mac.is_set)
		memcpy(mac.bytes, RTA_DATA(a), ETH_ALEN);
	return mac;
}

static bool has_no_own_addresses(const struct rtattr *families)
{
	const struct rtattr *family[AF_INET6 + 1], *inet6[IFLA_INET6_ADDR_GEN_MODE + 1];
	const struct rtattr *mode;

	if (!families)
		return false;
	netlink_parse(RTA_DATA(families), RTA_PAYLOAD(families), family, ARRAY_SIZE(family));
	if (!family[AF_INET6])
		return false;
	netlink_parse(RTA_DATA(family[AF_INET6]), RTA_PAYLOAD(family[AF_INET6]), inet6,
	              ARRAY_SIZE(inet6));
	mode = inet6[IFLA_INET6_ADDR_GEN_MODE];
	return mode && RTA_PAYLOAD(mode) >= 1 &&
	       *(uint8_t *)RTA_DATA(mode) == IN6_ADDR_GEN_MODE_NONE;
}

static void read_present(const struct nlmsghdr *h, struct present *p)
{
	const struct ifinfomsg *body = NLMSG_DATA(h);
	const struct rtattr *a[IFLA_PERM_ADDRESS + 1];
	const struct rtattr *name;

	netlink_parse(IFLA_RTA(body), IFLA_PAYLOAD(h), a, ARRAY_SIZE(a));
	name = a[IFLA_IFNAME];
	*p = (struct present){
		.index = body->ifi_index,
		.flags = body->ifi_flags,
		.mtu = netlink_u32(a[IFLA_MTU], 0),
		.mac = read_mac(a[IFLA_ADDRESS]),
		.permanent = read_mac(a[IFLA_PERM_ADDRESS]),
		.is_adopted = has_no_own_addresses(a[IFLA_AF_SPEC]),
	};
	if (name && RTA_PAYLOAD(name) > 0 && RTA_PAYLOAD(name) <= IFNAMSIZ)
		memcpy(p->name, RTA_DATA(name), RTA_PAYLOAD(name) - 1);
}

static int list_presents(struct netlink *nl, struct presents *p, struct error *err)
{
	auto_buf struct buf dump = { 0 };
	const struct nlmsghdr *h;
	size_t len;

	if (netlink_dump(nl, RTM_GETLINK, &dump, err) < 0)
		return -err->code;
	presents_done(p);
	*p = (struct presents){ 0 };
	len = dump.len;
	for (h = (const void *)dump.data; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_type != RTM_NEWLINK ||
		    h->nlmsg_len < NLMSG_LENGTH(sizeof(struct ifinfomsg)))
			continue;
		p->list = xreallocarray(p->list, p->n + 1, sizeof(*p->list));
		read_present(h, &p->list[p->n++]);
	}
	return 0;
}

static struct present *present_named(const struct presents *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (str_eq(p->list[i].name, name))
			return &p->list[i];
	return NULL;
}

static struct present *present_at(const struct presents *p, int index)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->list[i].index == index)
			return &p->list[i];
	return NULL;
}

/* The slots on the way to a device in sysfs: ".../pci0000:00/0000:00:02.0/0000:01:00.0/virtio3/..."
 * gives "02.0/00.0". Bus numbers, which the guest gives, are left out. */
static char *slots_of(const char *path)
{
	auto_strv char **parts = str_split(path, '/');
	struct buf out = { 0 };

	for (size_t i = 0; parts[i]; i++)
		if (strlen(parts[i]) == 12 && parts[i][4] == ':' && parts[i][7] == ':')
			buf_addf(&out, "%s%s", out.len > 0 ? "/" : "", parts[i] + 8);
	return buf_steal(&out);
}

static bool is_in_slot(const struct present *p, const char *pci)
{
	auto_free char *link = str_fmt("/sys/class/net/%s/device", p->name);
	auto_free char *path = realpath(link, NULL);
	auto_free char *slots = path ? slots_of(path) : NULL;

	return str_eq(slots, pci);
}

/* A bridge or a VLAN on top of an interface has the MAC address of that one, but no permanent one,
 * and a higher number. */
static const struct present *find(const struct presents *p, const struct net_link *l)
{
	if (str_eq(l->name, "lo"))
		return present_named(p, "lo");
	for (size_t i = 0; i < p->n; i++)
		if (l->pci ? is_in_slot(&p->list[i], l->pci)
		           : net_mac_equal(&p->list[i].permanent, &l->nic))
			return &p->list[i];
	for (size_t i = 0; i < p->n && !l->pci; i++)
		if (net_mac_equal(&p->list[i].mac, &l->nic))
			return &p->list[i];
	for (size_t i = 0; i < p->n && !l->pci; i++)
		if (net_mac_equal(&p->list[i].mac, &l->mac))
			return &p->list[i];
	return NULL;
}

/* The first one that is not there, or NULL. */
static const struct net_link *find_all(const struct presents *p, struct network *n)
{
	const struct net_link *missing = NULL;

	for (size_t i = 0; i < n->n_links; i++) {
		const struct present *found = find(p, &n->links[i]);

		n->links[i].index = found ? found->index : 0;
		if (!found && !missing)
			missing = &n->links[i];
	}
	return missing;
}

static int refuse_missing(const struct net_link *l, unsigned wait_ms, struct error *err)
{
	char mac[NET_MAC_TEXT];

	return error_set(err, ETIMEDOUT,
	                 "network: the device of interface '%s' (%s%s) did not appear within %u ms",
	                 l->name, l->pci ? "in slot " : "with the MAC address ",
	                 l->pci ? l->pci : net_mac_text(&l->nic, mac), wait_ms);
}

/* Devices come into the agent's network namespace first. Under the name there that of another one
 * may be taken here: it gets one that nobody has. */
static int bring(struct net_run *run, const struct net_link *l, struct error *err)
{
	auto_(presents_done) struct presents p = { 0 };
	struct netlink_request r;
	char name[IFNAMSIZ];

	if (list_presents(&run->outside, &p, err) < 0)
		return -err->code;
	for (size_t i = 0; l->outside && i < p.n; i++) {
		struct ifinfomsg body = { .ifi_index = p.list[i].index };
		int ret;

		if (!is_in_slot(&p.list[i], l->outside))
			continue;
		snprintf(name, sizeof(name), "vcrt%d", p.list[i].index);
		netlink_begin(&r, RTM_NEWLINK, 0, &body, sizeof(body));
		netlink_add_u32(&r, IFLA_NET_NS_FD, (uint32_t)run->netns);
		netlink_add(&r, IFLA_IFNAME, name, strlen(name) + 1);
		ret = netlink_do(&run->outside, &r);
		if (ret < 0)
			return error_set(err, -ret, "network: move the device of '%s': %s", l->name,
			                 strerror(-ret));
	}
	return 0;
}

/* Tells of new interfaces, so that nothing that comes after the first look is missed. */
static int wait_for(struct net_run *run, struct presents *p, unsigned wait_ms, struct error *err)
{
	auto_close int news = netlink_open(RTMGRP_LINK, err);
	uint64_t deadline = loop_now_ms() + wait_ms;
	const struct net_link *missing;
	char sink[4096];

	if (news < 0 || modules_load("virtio_net", err) < 0)
		return -err->code;
	for (;;) {
		struct pollfd ready = { .fd = news, .events = POLLIN };
		uint64_t now = loop_now_ms();

		if (list_presents(&run->netlink, p, err) < 0)
			return -err->code;
		missing = find_all(p, run->wish);
		if (!missing)
			return 0;
		if (now >= deadline)
			return refuse_missing(missing, wait_ms, err);
		if (run->outside.fd >= 0 && bring(run, missing, err) < 0)
			return -err->code;
		if (poll(&ready, 1, run->outside.fd >= 0 ? LOOK_MS : (int)(deadline - now)) > 0)
			(void)read(news, sink, sizeof(sink)); /* only that something came counts */
	}
}

static void begin_set(struct netlink_request *r, const struct present *p, unsigned flags,
                      unsigned mask)
{
	struct ifinfomsg body = {
		.ifi_index = p->index,
		.ifi_flags = flags,
		.ifi_change = mask,
	};

	netlink_begin(r, RTM_NEWLINK, 0, &body, sizeof(body));
}

static int do_set(struct net_run *run, struct netlink_request *r, const struct present *p,
                  const char *what, struct error *err)
{
	int status = netlink_do(&run->netlink, r);

	run->changes++;
	if (status < 0)
		return error_set(err, -status, "network: %s of interface '%s': %s", what, p->name,
		                 strerror(-status));
	return 0;
}

static int set_flags(struct net_run *run, struct present *p, unsigned flags, unsigned mask,
                     struct error *err)
{
	struct netlink_request r;

	if ((p->flags & mask) == (flags & mask))
		return 0;
	begin_set(&r, p, flags, mask);
	p->flags = (p->flags & ~mask) | (flags & mask);
	return do_set(run, &r, p, "set the flags", err);
}

/* Before Linux 6.2 only an interface that is down can be renamed. */
static int rename_present(struct net_run *run, struct present *p, const char *name,
                          struct error *err)
{
	struct netlink_request r;

	if (set_flags(run, p, 0, IFF_UP, err) < 0)
		return -err->code;
	begin_set(&r, p, 0, 0);
	netlink_add(&r, IFLA_IFNAME, name, strlen(name) + 1);
	if (do_set(run, &r, p, "change the name", err) < 0)
		return error_wrap(err, "'%s'", name);
	memcpy(p->name, name, strlen(name) + 1);
	return 0;
}

static bool is_ours(const struct net_run *run, int index)
{
	for (const struct network *n = run->former; n; n = n->next)
		if (network_link(n, index))
			return true;
	return network_link(run->wish, index) != NULL;
}

/* A name that somebody else has: our own interfaces, and those that nobody has taken into use (a
 * device that was plugged a moment ago is "eth0" first), step aside. */
static int clear_name(struct net_run *run, const struct presents *p, const struct net_link *l,
                      struct error *err)
{
	struct present *holder = present_named(p, l->name);
	auto_free char *aside = NULL;

	if (!holder || holder->index == l->index)
		return 0;
	if (!is_ours(run, holder->index) && (holder->flags & IFF_UP))
		return error_set(err, EEXIST,
		                 "network: the guest has another interface '%s' already", l->name);
	aside = str_fmt("vcrt%d", holder->index);
	return rename_present(run, holder, aside, err);
}

static int apply_names(struct net_run *run, const struct presents *p, struct error *err)
{
	const struct network *wish = run->wish;

	for (size_t i = 0; i < wish->n_links; i++)
		if (clear_name(run, p, &wish->links[i], err) < 0)
			return -err->code;
	for (size_t i = 0; i < wish->n_links; i++) {
		struct present *own = present_at(p, wish->links[i].index);

		if (!str_eq(own->name, wish->links[i].name) &&
		    rename_present(run, own, wish->links[i].name, err) < 0)
			return -err->code;
	}
	return 0;
}

/* All addresses come from the host, link-local ones, too, and those of router advertisements. */
static int adopt(struct net_run *run, const struct present *p, struct error *err)
{
	auto_free char *path = str_fmt(IPV6_CONF "/%s/accept_ra", p->name);
	const uint8_t mode = IN6_ADDR_GEN_MODE_NONE;
	struct netlink_request r;
	struct rtattr *families, *family;

	if (!fs_exists(path))
		return 0;
	begin_set(&r, p, 0, 0);
	families = netlink_nest(&r, IFLA_AF_SPEC);
	family = netlink_nest(&r, AF_INET6);
	netlink_add(&r, IFLA_INET6_ADDR_GEN_MODE, &mode, sizeof(mode));
	netlink_nest_end(&r, family);
	netlink_nest_end(&r, families);
	if (do_set(run, &r, p, "end the IPv6 autoconfiguration", err) < 0)
		return -err->code;
	return fs_write_value(path, "0", err);
}

static bool ipv6_works(const char *name)
{
	auto_error struct error err = { 0 };
	auto_free char *path = str_fmt(IPV6_CONF "/%s/disable_ipv6", name);
	auto_free char *text = NULL;

	return fs_exists(path) && fs_read(path, 16, &text, NULL, &err) == 0 && text[0] == '0';
}

static int apply_link(struct net_run *run, struct present *p, struct net_link *l, struct error *err)
{
	struct netlink_request r;

	if (l->mac.is_set && !net_mac_equal(&p->mac, &l->mac)) {
		begin_set(&r, p, 0, 0);
		netlink_add(&r, IFLA_ADDRESS, l->mac.bytes, ETH_ALEN);
		if (do_set(run, &r, p, "change the MAC address", err) < 0)
			return -err->code;
	}
	if (l->mtu && p->mtu != l->mtu) {
		begin_set(&r, p, 0, 0);
		netlink_add_u32(&r, IFLA_MTU, l->mtu);
		if (do_set(run, &r, p, "change the MTU", err) < 0)
			return -err->code;
	}
	if (str_eq(l->name, "lo")) /* its other flags are none of ours */
		return set_flags(run, p, IFF_UP, IFF_UP, err);
	if (!p->is_adopted && adopt(run, p, err) < 0)
		return -err->code;
	return set_flags(run, p, l->flags, WISHED_FLAGS, err);
}

/* What is sent over an interface without a carrier is lost, and a new one has it a moment later.
 * Not for good: the host's may have none either. */
static int wait_for_carrier(struct net_run *run, struct presents *p, struct error *err)
{
	uint64_t deadline = loop_now_ms() + CARRIER_MS;
	bool is_ready;

	do {
		is_ready = true;
		if (list_presents(&run->netlink, p, err) < 0)
			return -err->code;
		for (size_t i = 0; i < p->n; i++)
			if (network_link(run->wish, p->list[i].index) &&
			    (p->list[i].flags & (IFF_UP | HAS_CARRIER)) == IFF_UP)
				is_ready = false;
	} while (!is_ready && loop_now_ms() < deadline && usleep(2000) == 0);
	return 0;
}

/* Interfaces that only former had are left down; the host takes their devices away. */
static int forget_links(struct net_run *run, const struct presents *p, struct error *err)
{
	for (struct network *n = run->former; n; n = n->next) {
		(void)find_all(p, n);
		for (size_t i = 0; i < n->n_links; i++) {
			struct present *own = present_at(p, n->links[i].index);

			if (own && !network_link(run->wish, own->index) &&
			    !(own->flags & IFF_LOOPBACK) && set_flags(run, own, 0, IFF_UP, err) < 0)
				return -err->code;
		}
	}
	return 0;
}

int network_apply_links(struct net_run *run, unsigned wait_ms, struct error *err)
{
	auto_(presents_done) struct presents p = { 0 };
	struct present *lo;
	bool came_up = false;

	if (list_presents(&run->netlink, &p, err) < 0)
		return -err->code;
	if (find_all(&p, run->wish) && wait_for(run, &p, wait_ms, err) < 0)
		return -err->code;
	if (forget_links(run, &p, err) < 0 || apply_names(run, &p, err) < 0)
		return -err->code;
	for (size_t i = 0; i < run->wish->n_links; i++) {
		struct net_link *l = &run->wish->links[i];
		struct present *own = present_at(&p, l->index);
		bool was_up = own->flags & IFF_UP;

		if (apply_link(run, own, l, err) < 0)
			return -err->code;
		came_up |= !was_up && (own->flags & IFF_UP);
		l->has_ipv6 = ipv6_works(l->name);
	}
	lo = present_named(&p, "lo");
	if (lo && set_flags(run, lo, IFF_UP, IFF_UP, err) < 0)
		return -err->code;
	return came_up ? wait_for_carrier(run, &p, err) : 0;
}
