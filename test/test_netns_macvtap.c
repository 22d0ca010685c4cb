#include <errno.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "netns/netns.h"
#include "lib/base/error.h"
#include "lib/base/str.h"
#include "test/box.h"
#include "test/frames.h"
#include "test/scratch.h"

START_TEST(packets_go_through_a_macvtap_and_detaching_leaves_no_trace)
{
	auto_net_state struct net_state *before = box_scan();

	for (unsigned wanted = 1; wanted <= 2; wanted++) {
		auto_net_state struct net_state *during = NULL, *after = NULL;
		struct endpoint *ep = box_attach("eth0", NET_MACVTAP, wanted);
		struct ifreq req = { 0 };

		ck_assert_int_eq(ep->model, NET_MACVTAP);
		ck_assert_uint_eq(ep->n_queues, wanted);
		ck_assert_int_eq(ioctl(ep->fds[wanted - 1], TUNGETIFF, &req), 0);
		ck_assert_str_eq(req.ifr_name, ep->tap);
		ck_assert(req.ifr_flags & IFF_VNET_HDR);
		ck_assert_int_eq(!!(req.ifr_flags & IFF_MULTI_QUEUE), wanted > 1);
		if (wanted == 1) { /* any queue gets the answer otherwise */
			frames_assert_arp_answered(ep->fds[0]);
			frames_assert_ping_answered(ep->fds[0], 1500);
		}
		during = box_scan();
		ck_assert(net_state_equal(before, during));
		box_detach(ep);
		after = box_scan();
		ck_assert(net_state_equal(before, after));
		box_run(box, "[ $(ip -br link | grep -c vc) = 0 ]");
	}
}
END_TEST

START_TEST(the_peer_sees_one_mac_for_the_guests_address)
{
	struct endpoint *ep = box_attach("eth0", NET_MACVTAP, 1);
	auto_free char *out = NULL;

	/* The namespace may answer as well: with the same one. */
	out = box_output(box_outside, "bash -c 'echo >/dev/udp/" FRAMES_GUEST_IP "/9'; sleep 1; "
	                              "ip neigh show dev p0");
	ck_assert_msg(strstr(out, FRAMES_GUEST_MAC) || !strstr(out, "lladdr"), "%s", out);
	frames_assert_asked_for_guest(ep->fds[0]);
	box_detach(ep);
}
END_TEST

START_TEST(a_macvtap_has_the_mtu_and_follows_it)
{
	auto_error struct error err = { 0 };
	struct endpoint *ep;

	box_run(box, "ip link set eth0 mtu 9000");
	box_run(box_outside, "ip link set p0 mtu 9000");
	ep = box_attach("eth0", NET_MACVTAP, 1);
	frames_assert_ping_answered(ep->fds[0], 9000);
	ck_assert_int_eq(endpoint_set_mtu(net, ep, 1400, &err), 0);
	box_run(box, "ip link show dev %s | grep -q 'mtu 1400 '", ep->tap);
	ck_assert_int_lt(endpoint_set_mtu(net, ep, 9001, &err), 0);
	ck_assert(str_starts(err.msg, "interface 'eth0': set an MTU of 9001: "));
	ck_assert_uint_eq(ep->mtu, 1400);
	box_detach(ep);
}
END_TEST

START_TEST(a_macvtap_that_is_there_is_opened)
{
	struct endpoint *ep;
	struct net_link link;

	box_run(box, "ip addr flush dev eth0\n"
	             "ip link set eth0 address 02:00:00:00:00:99\n"
	             "ip link add link eth0 name own0 type macvtap mode bridge\n"
	             "ip link set own0 address " FRAMES_GUEST_MAC " up");
	link = box_link("own0");
	ep = box_attach("own0", NET_TCFILTER, 1);
	ck_assert_int_eq(ep->model, NET_NONE);
	ck_assert(!ep->is_ours);
	ck_assert_mem_eq(ep->mac, link.mac, 6);
	frames_assert_arp_answered(ep->fds[0]);
	box_detach(ep);
	ck_assert(box_has(box, "own0"));
}
END_TEST

START_TEST(what_a_crashed_monitor_left_is_replaced_and_cleaned)
{
	auto_net_state struct net_state *before = box_scan(), *after = NULL;
	auto_error struct error err = { 0 };
	struct endpoint *ep;

	endpoint_free(box_attach("eth0", NET_MACVTAP, 1));
	after = box_scan();
	ck_assert(net_state_equal(before, after));
	ep = box_attach("eth0", NET_MACVTAP, 1);
	frames_assert_arp_answered(ep->fds[0]);
	endpoint_free(ep);
	ep = box_attach("eth0", NET_TCFILTER, 1);
	frames_assert_arp_answered(ep->fds[0]);
	box_detach(ep);
	endpoint_free(box_attach("eth0", NET_MACVTAP, 1));
	ck_assert_msg(netns_clean(net, &err) == 0, "%s", err.msg);
	box_run(box, "[ $(ip -br link | grep -c vc) = 0 ]");
}
END_TEST

START_TEST(an_interface_that_cannot_carry_a_macvtap_is_an_error_that_leaves_it)
{
	auto_error struct error err = { 0 };
	struct endpoint_opts opts = { .model = NET_MACVTAP };
	struct net_link link = box_link("eth0");
	struct endpoint *ep = NULL;

	/* The passthru mode wants to be alone. */
	box_run(box, "ip link add link eth0 name mv0 type macvlan mode bridge");
	ck_assert_int_lt(endpoint_attach(net, &link, &opts, &ep, &err), 0);
	ck_assert_msg(str_starts(err.msg, "attach interface 'eth0': make macvtap 'vcm"), "%s",
	              err.msg);
	ck_assert_ptr_null(ep);
	box_run(box, "ip link del mv0; [ $(ip -br link | grep -c vc) = 0 ]");
	error_clear(&err);
	/* And it can be used at once when the cause is gone. */
	ck_assert_msg(endpoint_attach(net, &link, &opts, &ep, &err) == 0, "%s", err.msg);
	box_run(box, "ip link del eth0");
	box_detach(ep);
	ck_assert_int_eq(endpoint_attach(net, &link, &opts, &ep, &err), -ENODEV);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("macvtap");

	tcase_add_checked_fixture(tc, box_setup_with_peer, box_teardown_with_peer);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, packets_go_through_a_macvtap_and_detaching_leaves_no_trace);
	tcase_add_test(tc, the_peer_sees_one_mac_for_the_guests_address);
	tcase_add_test(tc, a_macvtap_has_the_mtu_and_follows_it);
	tcase_add_test(tc, a_macvtap_that_is_there_is_opened);
	tcase_add_test(tc, what_a_crashed_monitor_left_is_replaced_and_cleaned);
	tcase_add_test(tc, an_interface_that_cannot_carry_a_macvtap_is_an_error_that_leaves_it);
	return scratch_run(tc);
}
