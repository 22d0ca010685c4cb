#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "netns/netns.h"
#include "lib/base/error.h"
#include "lib/base/str.h"
#include "test/box.h"
#include "test/scratch.h"

/* "10.0.0.2/24", "" for none; owned by the caller. */
static char *text(const struct net_ip *ip)
{
	char buf[INET6_ADDRSTRLEN] = "";

	if (ip->family == 0)
		return str_dup("");
	ck_assert_ptr_nonnull(inet_ntop(ip->family, ip->bytes, buf, sizeof(buf)));
	return str_fmt("%s/%d", buf, ip->prefix);
}

static void assert_ip(const struct net_ip *ip, const char *expected)
{
	auto_free char *s = text(ip);

	ck_assert_str_eq(s, expected);
}

static const struct net_addr *find_addr(const struct net_state *s, const char *local)
{
	for (size_t i = 0; i < s->n_addrs; i++) {
		auto_free char *ip = text(&s->addrs[i].local);

		if (str_eq(ip, local))
			return &s->addrs[i];
	}
	return NULL;
}

static const struct net_route *find_route(const struct net_state *s, const char *dst)
{
	for (size_t i = 0; i < s->n_routes; i++) {
		auto_free char *ip = text(&s->routes[i].dst);

		if (str_eq(ip, dst))
			return &s->routes[i];
	}
	return NULL;
}

static const struct net_route *need_route(const struct net_state *s, const char *dst)
{
	const struct net_route *route = find_route(s, dst);

	ck_assert_msg(route != NULL, "no route '%s'", dst);
	return route;
}

static void make_eth0(void)
{
	box_run(box, "ip link add eth0 address 02:42:ac:11:00:02 type veth peer name p0\n"
	             "ip link set p0 up\n"
	             "ip link set eth0 up");
}

START_TEST(a_new_namespace_has_the_loopback_and_nothing_that_the_kernel_makes_itself)
{
	auto_net_state struct net_state *s = box_scan();
	const struct net_link *lo = net_state_link(s, 1);

	ck_assert_ptr_nonnull(lo);
	ck_assert_str_eq(lo->name, "lo");
	ck_assert_uint_eq(lo->flags, IFF_UP | IFF_LOOPBACK);
	ck_assert(!lo->has_mac);
	ck_assert(!net_state_wants_endpoint(s, lo));
	ck_assert_uint_eq(s->n_addrs, 0);
	ck_assert_uint_eq(s->n_routes, 0);
	ck_assert_uint_eq(s->n_neighs, 0);
	ck_assert_ptr_null(net_state_link(s, 4711));
}
END_TEST

START_TEST(links_have_name_kind_mac_mtu_and_flags)
{
	static const uint8_t mac[] = { 0x02, 0x42, 0xac, 0x11, 0x00, 0x02 };
	struct net_link link;

	make_eth0();
	box_run(box, "ip link set eth0 mtu 9000 arp off\n"
	             "ip tuntap add name tun9 mode tun\n"
	             "ip tuntap add name tap9 mode tap\n"
	             "ip link add br9 type bridge\n"
	             "ip link set p0 master br9\n"
	             "ip link add link eth0 name mv9 type macvlan mode bridge");
	link = box_link("eth0");
	ck_assert_str_eq(link.kind, "veth");
	ck_assert_mem_eq(link.mac, mac, sizeof(mac));
	ck_assert(link.has_mac);
	ck_assert_uint_eq(link.mtu, 9000);
	ck_assert_uint_eq(link.flags, IFF_UP | IFF_BROADCAST | IFF_MULTICAST | IFF_NOARP);
	link = box_link("mv9");
	ck_assert_str_eq(link.kind, "macvlan");
	ck_assert_uint_eq(link.flags & IFF_UP, 0);
	ck_assert_str_eq(box_link("tap9").kind, "tun");
	ck_assert(box_link("tap9").has_mac);
	ck_assert(!box_link("tun9").has_mac);
	ck_assert_uint_eq(box_link("p0").master, box_link("br9").index);
}
END_TEST

START_TEST(addresses_have_scope_flags_peer_broadcast_and_lifetime)
{
	auto_net_state struct net_state *s = NULL;
	const struct net_addr *a;

	make_eth0();
	box_run(box, "ip addr add 10.1.0.2/24 brd 10.1.0.255 dev eth0\n"
	             "ip addr add 10.6.0.3/24 scope link dev eth0\n"
	             "ip addr add 10.9.0.1 peer 10.9.0.2/32 dev eth0\n"
	             "ip addr add 10.7.0.1/24 dev eth0 valid_lft 500 preferred_lft 400\n"
	             "ip -6 addr add fd00::2/64 dev eth0 nodad\n"
	             "ip -6 addr add fd00::3/64 dev eth0 noprefixroute\n"
	             "ip addr add 10.200.0.1/32 dev lo");
	s = box_scan();
	a = find_addr(s, "10.1.0.2/24");
	ck_assert_ptr_nonnull(a);
	ck_assert_uint_eq(a->link, box_link("eth0").index);
	assert_ip(&a->broadcast, "10.1.0.255/32");
	assert_ip(&a->peer, "");
	ck_assert_uint_eq(a->scope, RT_SCOPE_UNIVERSE);
	ck_assert_uint_eq(a->flags, IFA_F_PERMANENT);
	ck_assert_uint_eq(a->valid, UINT32_MAX);
	a = find_addr(s, "10.6.0.3/24");
	ck_assert_uint_eq(a->scope, RT_SCOPE_LINK);
	a = find_addr(s, "10.9.0.1/32");
	ck_assert_ptr_nonnull(a);
	assert_ip(&a->peer, "10.9.0.2/32");
	a = find_addr(s, "10.7.0.1/24");
	ck_assert_uint_le(a->valid, 500);
	ck_assert_uint_ge(a->valid, 400);
	ck_assert_uint_le(a->preferred, 400);
	ck_assert_uint_ge(a->preferred, 300);
	a = find_addr(s, "fd00::2/64");
	ck_assert_uint_eq(a->flags, IFA_F_PERMANENT | IFA_F_NODAD);
	a = find_addr(s, "fd00::3/64"); /* tentative, which is not told */
	ck_assert_uint_eq(a->flags, IFA_F_PERMANENT | IFA_F_NOPREFIXROUTE);
	a = find_addr(s, "10.200.0.1/32");
	ck_assert_uint_eq(a->link, 1);
	ck_assert_ptr_null(find_addr(s, "127.0.0.1/8"));
	ck_assert_ptr_null(find_addr(s, "::1/128"));
	ck_assert_ptr_nonnull(find_addr(s, "fe80::42:acff:fe11:2/64"));
}
END_TEST

START_TEST(routes_have_gateway_source_scope_metric_table_onlink_type_and_mtu)
{
	auto_net_state struct net_state *s = NULL;
	const struct net_route *r;
	unsigned eth0;

	make_eth0();
	box_run(box, "ip addr add 10.1.0.2/24 dev eth0\n"
	             "ip route add default via 10.1.0.1 metric 7\n"
	             "ip route add 10.2.0.0/16 via 10.1.0.9 src 10.1.0.2 proto static mtu 1300\n"
	             "ip route add 10.3.0.0/16 dev eth0 scope link table 4000\n"
	             "ip route add 10.4.0.0/16 via 192.0.2.1 dev eth0 onlink\n"
	             "ip route add blackhole 10.5.0.0/16\n"
	             "ip route add 10.6.0.0/16 dev eth0 tos 0x10");
	s = box_scan();
	eth0 = box_link("eth0").index;
	r = need_route(s, "0.0.0.0/0");
	ck_assert_uint_eq(r->n_hops, 1);
	assert_ip(&r->hops[0].gateway, "10.1.0.1/32");
	ck_assert_uint_eq(r->hops[0].link, eth0);
	ck_assert_uint_eq(r->metric, 7);
	ck_assert_uint_eq(r->table, RT_TABLE_MAIN);
	ck_assert_uint_eq(r->type, RTN_UNICAST);
	r = need_route(s, "10.2.0.0/16");
	assert_ip(&r->source, "10.1.0.2/32");
	ck_assert_uint_eq(r->mtu, 1300);
	ck_assert_uint_eq(r->protocol, RTPROT_STATIC);
	r = need_route(s, "10.3.0.0/16");
	ck_assert_uint_eq(r->scope, RT_SCOPE_LINK);
	ck_assert_uint_eq(r->table, 4000);
	assert_ip(&r->hops[0].gateway, "");
	r = need_route(s, "10.4.0.0/16");
	ck_assert_uint_eq(r->hops[0].flags, RTNH_F_ONLINK);
	r = need_route(s, "10.5.0.0/16");
	ck_assert_uint_eq(r->type, RTN_BLACKHOLE);
	ck_assert(r->n_hops == 0 || r->hops[0].link == 0);
	ck_assert_uint_eq(need_route(s, "10.6.0.0/16")->tos, 0x10);
	r = need_route(s, "10.1.0.0/24"); /* it came with the address */
	ck_assert_uint_eq(r->protocol, RTPROT_KERNEL);
	ck_assert_ptr_null(find_route(s, "10.1.0.2/32")); /* of the table "local" */
}
END_TEST

START_TEST(routes_of_ipv6_and_multipath_routes_are_complete)
{
	auto_net_state struct net_state *s = NULL;
	const struct net_route *r;

	make_eth0();
	box_run(box, "ip addr add 10.1.0.2/24 dev eth0\n"
	             "ip -6 addr add fd00::2/64 dev eth0 nodad\n"
	             "ip -6 route add default via fd00::1 metric 9\n"
	             "ip -6 route add fd05::/32 via fe80::1 dev eth0 mtu 1400\n"
	             "ip route add 10.8.0.0/16 nexthop via 10.1.0.3 weight 3 nexthop via 10.1.0.4\n"
	             "ip -6 route add fd08::/32 nexthop via fd00::3 nexthop via fd00::4\n"
	             "ip route add 10.9.0.0/16 via inet6 fe80::9 dev eth0");
	s = box_scan();
	r = need_route(s, "::/0");
	assert_ip(&r->hops[0].gateway, "fd00::1/128");
	ck_assert_uint_eq(r->metric, 9);
	r = need_route(s, "fd05::/32");
	assert_ip(&r->hops[0].gateway, "fe80::1/128");
	ck_assert_uint_eq(r->hops[0].link, box_link("eth0").index);
	ck_assert_uint_eq(r->mtu, 1400);
	r = need_route(s, "10.8.0.0/16");
	ck_assert_uint_eq(r->n_hops, 2);
	assert_ip(&r->hops[0].gateway, "10.1.0.3/32");
	ck_assert_uint_eq(r->hops[0].weight, 3);
	assert_ip(&r->hops[1].gateway, "10.1.0.4/32");
	ck_assert_uint_eq(r->hops[1].weight, 1);
	r = need_route(s, "fd08::/32");
	ck_assert_uint_eq(r->n_hops, 2);
	r = need_route(s, "10.9.0.0/16");
	assert_ip(&r->hops[0].gateway, "fe80::9/128");
	ck_assert_uint_eq(need_route(s, "fd00::/64")->protocol, RTPROT_KERNEL);
	ck_assert_uint_eq(need_route(s, "fe80::/64")->protocol, RTPROT_KERNEL);
	ck_assert_ptr_null(find_route(s, "ff00::/8"));
	ck_assert_ptr_null(find_route(s, "::1/128"));
}
END_TEST

START_TEST(only_permanent_neighbours_are_told)
{
	static const uint8_t mac[] = { 2, 0, 0, 0, 0, 9 };
	auto_net_state struct net_state *s = NULL;

	make_eth0();
	box_run(box, "ip neigh add 10.1.0.9 lladdr 02:00:00:00:00:09 dev eth0 nud permanent\n"
	             "ip neigh add 10.1.0.8 lladdr 02:00:00:00:00:08 dev eth0 nud reachable\n"
	             "ip neigh add fd00::9 lladdr 02:00:00:00:00:09 dev eth0 nud permanent router");
	s = box_scan();
	ck_assert_uint_eq(s->n_neighs, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct net_neigh *n = &s->neighs[i];

		ck_assert_uint_eq(n->link, box_link("eth0").index);
		ck_assert_mem_eq(n->mac, mac, sizeof(mac));
		assert_ip(&n->address,
		          n->address.family == AF_INET ? "10.1.0.9/32" : "fd00::9/128");
		ck_assert_uint_eq(n->flags, n->address.family == AF_INET ? 0 : NTF_ROUTER);
	}
}
END_TEST

START_TEST(what_is_up_or_has_addresses_wants_an_endpoint)
{
	static const struct {
		const char *name;
		bool wanted;
	} cases[] = { { "eth0", true }, { "p0", true },    { "idle", false }, { "quiet", true },
		      { "br9", true },  { "port", false }, { "tap9", true } };
	auto_net_state struct net_state *s = NULL;

	make_eth0();
	box_run(box, "ip link add idle type veth peer name quiet\n"
	             "ip addr add 10.1.0.2/24 dev quiet\n"
	             "ip link add br9 type bridge\n"
	             "ip link set br9 up\n"
	             "ip link add port type veth peer name port2\n"
	             "ip link set port up master br9\n"
	             "ip tuntap add name tap9 mode tap\n"
	             "ip link set tap9 up master br9");
	s = box_scan();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct net_link link = box_link(cases[i].name);

		ck_assert_msg(net_state_wants_endpoint(s, &link) == cases[i].wanted, "%s",
		              cases[i].name);
	}
}
END_TEST

START_TEST(states_are_equal_until_something_is_changed)
{
	static const char *const changes[] = {
		"ip link set eth0 mtu 1400",
		"ip link set eth0 address 02:00:00:00:00:77",
		"ip link set eth0 arp off",
		"ip addr add 10.1.0.3/24 dev eth0",
		"ip addr del 10.1.0.2/24 dev eth0",
		"ip addr change 10.7.0.1/24 dev eth0 valid_lft 900 preferred_lft 800",
		"ip route add 10.2.0.0/16 dev eth0 table 77",
		"ip route del 10.7.0.0/24 dev eth0",
		"ip route add 10.8.0.0/16 nexthop via 10.1.0.9 nexthop via 10.1.0.8",
		"ip route change 10.8.0.0/16 nexthop via 10.1.0.9 nexthop via 10.1.0.7",
		"ip neigh add 10.1.0.9 lladdr 02:00:00:00:00:09 dev eth0 nud permanent",
		"ip link add more type veth peer name more2",
		"ip link set more name other",
	};

	make_eth0();
	box_run(box, "ip addr add 10.1.0.1/24 dev eth0\n"
	             "ip addr add 10.1.0.2/24 dev eth0\n"
	             "ip addr add 10.7.0.1/24 dev eth0 valid_lft 500 preferred_lft 400");
	sleep(1); /* so that an address has less time left */
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		auto_net_state struct net_state *before = box_scan(), *same = box_scan(), *s;

		ck_assert_msg(net_state_equal(before, same), "before: %s", changes[i]);
		box_run(box, "%s", changes[i]);
		s = box_scan();
		ck_assert_msg(!net_state_equal(before, s), "%s", changes[i]);
	}
}
END_TEST

START_TEST(time_that_goes_by_is_no_change)
{
	auto_net_state struct net_state *before = NULL, *after = NULL;

	make_eth0();
	box_run(box, "ip addr add 10.7.0.1/24 dev eth0 valid_lft 500 preferred_lft 400");
	before = box_scan();
	sleep(3);
	after = box_scan();
	ck_assert_uint_lt(find_addr(after, "10.7.0.1/24")->valid,
	                  find_addr(before, "10.7.0.1/24")->valid);
	ck_assert(net_state_equal(before, after));
}
END_TEST

START_TEST(a_hundred_interfaces_are_scanned_in_order)
{
	auto_net_state struct net_state *s = NULL;

	box_run(box, "for i in $(seq 50); do\n"
	             "	echo link add a$i type veth peer name b$i\n"
	             "	echo addr add 10.0.$i.1/24 dev a$i\n"
	             "done | ip -batch -");
	s = box_scan();
	ck_assert_uint_ge(s->n_links, 101);
	ck_assert_uint_eq(s->n_addrs, 50);
	for (size_t i = 1; i < s->n_links; i++) {
		ck_assert_uint_lt(s->links[i - 1].index, s->links[i].index);
		ck_assert_ptr_eq(net_state_link(s, s->links[i].index), &s->links[i]);
	}
}
END_TEST

START_TEST(more_than_can_be_meant_is_refused)
{
	auto_error struct error err = { 0 };
	struct net_state *s = NULL;

	make_eth0();
	/* No routes that come with addresses. */
	box_run(box, "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6");
	box_run(box,
	        "seq 0 %d | awk '{ printf \"route add 10.%%d.%%d.%%d dev eth0\\n\", $1 / 65536, "
	        "$1 / 256 %% 256, $1 %% 256 }' | ip -batch -",
	        NET_MAX_OBJECTS);
	ck_assert_int_eq(netns_scan(net, &s, &err), -E2BIG);
	ck_assert_str_eq(
		err.msg,
		"read the network namespace: more than 16384 routes in a network namespace");
	ck_assert_ptr_null(s);
	error_clear(&err);
	/* The socket is still good. */
	box_run(box, "ip route del 10.0.0.1");
	ck_assert_msg(netns_scan(net, &s, &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(s->n_routes, NET_MAX_OBJECTS);
	net_state_free(s);
}
END_TEST

START_TEST(only_a_network_namespace_is_opened_and_it_is_known_again)
{
	static const char *const others[] = { "/proc/self/ns/uts", "/dev/null", "/" };
	auto_close int again = -1;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		auto_error struct error err = { 0 };
		auto_close int fd = open(others[i], O_RDONLY | O_CLOEXEC);
		struct netns *ns = NULL;

		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(netns_open(fd, -1, &ns, &err), -EINVAL);
		ck_assert_str_eq(err.msg, "the descriptor is no network namespace");
		ck_assert_ptr_null(ns);
		ck_assert(!netns_is(net, fd));
	}
	again = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	ck_assert(netns_is(net, box));
	ck_assert(!netns_is(net, again));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("scan");

	tcase_add_checked_fixture(tc, box_setup, box_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc,
	               a_new_namespace_has_the_loopback_and_nothing_that_the_kernel_makes_itself);
	tcase_add_test(tc, links_have_name_kind_mac_mtu_and_flags);
	tcase_add_test(tc, addresses_have_scope_flags_peer_broadcast_and_lifetime);
	tcase_add_test(tc, routes_have_gateway_source_scope_metric_table_onlink_type_and_mtu);
	tcase_add_test(tc, routes_of_ipv6_and_multipath_routes_are_complete);
	tcase_add_test(tc, only_permanent_neighbours_are_told);
	tcase_add_test(tc, what_is_up_or_has_addresses_wants_an_endpoint);
	tcase_add_test(tc, states_are_equal_until_something_is_changed);
	tcase_add_test(tc, time_that_goes_by_is_no_change);
	tcase_add_test(tc, a_hundred_interfaces_are_scanned_in_order);
	tcase_add_test(tc, more_than_can_be_meant_is_refused);
	tcase_add_test(tc, only_a_network_namespace_is_opened_and_it_is_known_again);
	return scratch_run(tc);
}
