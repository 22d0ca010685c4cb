#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "netns/netns.h"
#include "lib/base/error.h"
#include "lib/base/str.h"
#include "test/box.h"
#include "test/frames.h"
#include "test/scratch.h"

static void attach_and_crash(enum net_model model)
{
	struct endpoint *ep = box_attach("eth0", model, 1);

	endpoint_free(ep);
	netns_freep(&net);
}

static void reopen(void)
{
	auto_error struct error err = { 0 };

	ck_assert_msg(netns_open(box, -1, &net, &err) == 0, "%s", err.msg);
}

START_TEST(what_a_crashed_monitor_left_is_replaced_and_cleaned)
{
	auto_free char *before = NULL;

	sleep(2); /* duplicate address detection */
	before = box_look();
	for (enum net_model left = NET_TCFILTER; left <= NET_NONE; left++) {
		auto_error struct error err = { 0 };
		auto_free char *cleaned = NULL, *detached = NULL;
		struct endpoint *ep;

		if (left == NET_MACVTAP)
			continue; /* test_netns_macvtap.c */
		attach_and_crash(left);
		reopen();
		ep = box_attach("eth0", NET_TCFILTER, 1);
		frames_assert_arp_answered(ep->fds[0]);
		box_detach(ep);
		detached = box_look();
		ck_assert_str_eq(detached, before);

		attach_and_crash(left);
		reopen();
		ck_assert_msg(netns_clean(net, &err) == 0, "%s", err.msg);
		cleaned = box_look();
		ck_assert_str_eq(cleaned, before);
	}
}
END_TEST

START_TEST(a_bridge_is_cleaned_also_when_its_interface_is_gone)
{
	auto_error struct error err = { 0 };
	auto_free char *links = NULL;

	attach_and_crash(NET_BRIDGE);
	box_run(box, "ip link del eth0");
	reopen();
	ck_assert_msg(netns_clean(net, &err) == 0, "%s", err.msg);
	links = box_output(box, "ip -br link | grep -c vc || true");
	ck_assert_str_eq(links, "0\n");
}
END_TEST

START_TEST(what_another_monitor_uses_is_left_alone)
{
	auto_error struct error err = { 0 };
	struct endpoint_opts opts = { .model = NET_TCFILTER };
	struct net_link link = box_link("eth0");
	struct endpoint *ep = box_attach("eth0", NET_TCFILTER, 1), *second = NULL;

	ck_assert_int_eq(endpoint_attach(net, &link, &opts, &second, &err), -EBUSY);
	ck_assert_str_eq(err.msg, "attach interface 'eth0': another VM uses it");
	ck_assert_ptr_null(second);
	error_clear(&err);
	ck_assert_int_eq(netns_clean(net, &err), 0);
	frames_assert_arp_answered(ep->fds[0]);
	box_detach(ep);
}
END_TEST

START_TEST(queues_and_filters_of_others_stay)
{
	static const char *const kinds[] = { "ingress", "clsact" };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		auto_free char *before = NULL, *after = NULL;
		struct endpoint *ep;

		box_run(box,
		        "tc qdisc add dev eth0 %s; tc filter add dev eth0 ingress prio 7 "
		        "protocol ip u32 match u32 0 0 flowid :1",
		        kinds[i]);
		before = box_output(box, "tc qdisc show dev eth0; tc filter show dev eth0 ingress "
		                         "| grep pref");
		ep = box_attach("eth0", NET_TCFILTER, 1);
		frames_assert_arp_answered(ep->fds[0]);
		box_detach(ep);
		after = box_output(box, "tc qdisc show dev eth0; tc filter show dev eth0 ingress "
		                        "| grep pref");
		ck_assert_str_eq(after, before);
		/* The same when a monitor has crashed. */
		attach_and_crash(NET_TCFILTER);
		reopen();
		ep = box_attach("eth0", NET_TCFILTER, 1);
		box_detach(ep);
		auto_freep(&after);
		after = box_output(box, "tc qdisc show dev eth0; tc filter show dev eth0 ingress "
		                        "| grep pref");
		ck_assert_str_eq(after, before);
		box_run(box, "tc qdisc del dev eth0 %s", kinds[i]);
	}
}
END_TEST

START_TEST(names_in_the_way_are_an_error_that_leaves_things_as_they_were)
{
	static const struct {
		enum net_model model;
		char what;
		const char *msg;
	} cases[] = {
		{ NET_TCFILTER, 't',
		  "attach interface 'eth0': open tap 'vct%u': Device or resource busy" },
		{ NET_BRIDGE, 'b', "attach interface 'eth0': make bridge 'vcb%u': File exists" },
	};

	sleep(2); /* duplicate address detection */
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct endpoint_opts opts = { .model = cases[i].model };
		auto_error struct error err = { 0 };
		struct net_link link = box_link("eth0");
		auto_free char *msg = NULL, *before = NULL, *after = NULL, *number = NULL;
		struct endpoint *ep = NULL;

		box_run(box, "ip link add vc%c%u type bridge", cases[i].what, link.index);
		before = box_look();
		ck_assert_int_lt(endpoint_attach(net, &link, &opts, &ep, &err), 0);
		number = str_fmt("%u", link.index);
		msg = str_ndup(cases[i].msg, (size_t)(strstr(cases[i].msg, "%u") - cases[i].msg));
		ck_assert_msg(str_starts(err.msg, msg), "%s", err.msg);
		ck_assert_msg(str_ends(err.msg, strstr(cases[i].msg, "%u") + 2), "%s", err.msg);
		ck_assert_ptr_null(ep);
		after = box_look();
		ck_assert_str_eq(after, before);
		box_run(box, "ip link del vc%c%u", cases[i].what, link.index);
	}
}
END_TEST

START_TEST(an_interface_moves_with_what_is_set_for_it)
{
	auto_error struct error err = { 0 };
	auto_netns struct netns *to = NULL;
	auto_free char *out = NULL;

	box_run(box, "ip link set eth0 mtu 1400; ip addr add fd01::5/64 dev eth0 nodad; "
	             "ip addr add 10.9.0.1/24 dev eth0 valid_lft 900 preferred_lft 900");
	ck_assert_msg(netns_open(box_outside, -1, &to, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(netns_move(net, "nosuch", to, "lan0", &err), -ENODEV);
	ck_assert_str_eq(err.msg, "no interface 'nosuch'");
	ck_assert_int_eq(netns_move(net, "lo", to, "lan0", &err), -EOPNOTSUPP);
	ck_assert_int_eq(netns_move(net, "eth0", to, "p0", &err), -EEXIST);
	error_clear(&err);
	ck_assert(box_has(box, "eth0"));
	ck_assert_msg(netns_move(net, "eth0", to, "lan0", &err) == 0, "%s", err.msg);
	ck_assert(!box_has(box, "eth0"));
	out = box_output(box_outside,
	                 "ip -o addr show dev lan0 | grep global | sort | "
	                 "sed 's/.*inet6* //; s/ .*//'; "
	                 "ip -o link show dev lan0 | grep -o 'UP,LOWER_UP.*mtu 1400' | "
	                 "cut -c 1-2");
	ck_assert_str_eq(out, FRAMES_GUEST_IP "/24\nfd01::5/64\nUP\n");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("others");

	tcase_add_checked_fixture(tc, box_setup_with_peer, box_teardown_with_peer);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, what_a_crashed_monitor_left_is_replaced_and_cleaned);
	tcase_add_test(tc, a_bridge_is_cleaned_also_when_its_interface_is_gone);
	tcase_add_test(tc, what_another_monitor_uses_is_left_alone);
	tcase_add_test(tc, queues_and_filters_of_others_stay);
	tcase_add_test(tc, names_in_the_way_are_an_error_that_leaves_things_as_they_were);
	tcase_add_test(tc, an_interface_moves_with_what_is_set_for_it);
	return scratch_run(tc);
}
