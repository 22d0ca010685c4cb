/* Namespaces that libnl is not loaded for. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#include "netns/netns.h"
#include "lib/base/error.h"
#include "lib/base/loop.h"
#include "test/box.h"
#include "test/scratch.h"

static bool is_empty(void)
{
	auto_error struct error err = { 0 };
	int r = netns_is_empty(net, &err);

	ck_assert_msg(r >= 0, "%s", err.msg);
	return r;
}

/* Empty but for what a command makes, and another one takes away. */
static void assert_counts(const char *make, const char *remove)
{
	ck_assert_msg(is_empty(), "before '%s'", make);
	box_run(box, "%s", make);
	ck_assert_msg(!is_empty(), "'%s' does not count", make);
	box_run(box, "%s", remove);
}

START_TEST(the_loopback_is_nothing_whether_it_is_up_or_down)
{
	ck_assert(is_empty());
	box_run(box, "ip link set lo down");
	ck_assert(is_empty());
	ck_assert(!box_has_libnl());
}
END_TEST

START_TEST(an_interface_counts_once_it_is_up_or_has_an_address)
{
	box_run(box, "ip link add eth0 type veth peer name p0");
	assert_counts("ip link set eth0 up", "ip link set eth0 down");
	assert_counts("ip addr add 10.0.0.2/24 dev eth0", "ip addr flush dev eth0");
	assert_counts("ip addr add fd01::2/64 dev eth0 nodad", "ip -6 addr flush dev eth0");
	ck_assert(is_empty());
	ck_assert(!box_has_libnl());
}
END_TEST

START_TEST(what_somebody_has_set_for_the_loopback_counts)
{
	assert_counts("ip addr add 10.0.0.2/32 dev lo", "ip addr del 10.0.0.2/32 dev lo");
	assert_counts("ip addr add 127.0.0.1/32 dev lo", "ip addr del 127.0.0.1/32 dev lo");
	assert_counts("ip addr add fd01::2/128 dev lo", "ip addr del fd01::2/128 dev lo");
	assert_counts("ip route add local 10.1.0.0/16 dev lo",
	              "ip route del local 10.1.0.0/16 dev lo");
	assert_counts("ip route add blackhole 10.1.0.0/16", "ip route del 10.1.0.0/16");
	assert_counts("ip route add unreachable 10.1.0.0/16 table 1000",
	              "ip route del 10.1.0.0/16 table 1000");
	assert_counts("ip -6 route add unreachable fd02::/64", "ip -6 route del fd02::/64");
	assert_counts("ip neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 nud permanent dev lo",
	              "ip neigh flush dev lo nud permanent");
	ck_assert(is_empty());
	ck_assert(!box_has_libnl());
}
END_TEST

/* Longer than one answer of the kernel. */
START_TEST(a_route_behind_many_of_the_kernel_counts)
{
	box_run(box, "i=0; while [ $i -lt 250 ]; do i=$((i + 1)); "
	             "echo route add local 127.1.$i.0/24 dev lo table local proto kernel; "
	             "done | ip -batch -");
	assert_counts("ip -6 route add unreachable fd02::/64", "ip -6 route del fd02::/64");
	ck_assert(is_empty());
}
END_TEST

static int bound = -1;

static void bind_inside(void *arg)
{
	const struct sockaddr_in addr = { .sin_family = AF_INET,
		                          .sin_addr.s_addr = htonl(*(uint32_t *)arg) };

	bound = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(bound, (const struct sockaddr *)&addr, sizeof(addr)), 0);
}

START_TEST(a_socket_at_an_address_is_found_without_libnl)
{
	auto_error struct error err = { 0 };
	uint32_t address = 0x7f00000b;

	ck_assert_int_eq(netns_has_udp(net, address, &err), 0);
	box_inside(box, bind_inside, &address);
	ck_assert_int_eq(netns_has_udp(net, address, &err), 1);
	ck_assert_int_eq(netns_has_udp(net, address + 1, &err), 0);
	close(bound);
	ck_assert_int_eq(netns_has_udp(net, address, &err), 0);
	ck_assert(!box_has_libnl());
}
END_TEST

static void on_change(void *arg)
{
	(*(int *)arg)++;
}

START_TEST(a_watch_tells_of_an_interface_without_libnl_and_a_scan_loads_it)
{
	auto_error struct error err = { 0 };
	struct loop *loop = loop_new();
	int changes = 0;

	ck_assert_int_eq(netns_watch(net, loop, on_change, &changes, &err), 0);
	box_run(box, "ip link add eth0 up type veth peer name p0");
	for (int i = 0; i < 1000 && !changes; i++)
		ck_assert_int_eq(loop_step(loop, 20), 0);
	ck_assert_int_gt(changes, 0);
	ck_assert(!is_empty());
	ck_assert(!box_has_libnl());
	ck_assert_str_eq(box_link("eth0").kind, "veth");
	ck_assert(box_has_libnl());
	netns_unwatch(net);
	loop_free(loop);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("empty");

	tcase_add_checked_fixture(tc, box_setup, box_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_loopback_is_nothing_whether_it_is_up_or_down);
	tcase_add_test(tc, an_interface_counts_once_it_is_up_or_has_an_address);
	tcase_add_test(tc, what_somebody_has_set_for_the_loopback_counts);
	tcase_add_test(tc, a_route_behind_many_of_the_kernel_counts);
	tcase_add_test(tc, a_socket_at_an_address_is_found_without_libnl);
	tcase_add_test(tc, a_watch_tells_of_an_interface_without_libnl_and_a_scan_loads_it);
	return scratch_run(tc);
}
