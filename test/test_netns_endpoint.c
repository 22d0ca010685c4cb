#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "netns/netns.h"
#include "lib/base/error.h"
#include "lib/base/str.h"
#include "test/box.h"
#include "test/frames.h"
#include "test/scratch.h"

/* Have the peer ask who has the guest's address. */
#define KNOCK "bash -c 'echo >/dev/udp/" FRAMES_GUEST_IP "/9'"

START_TEST(packets_go_through_a_tap_both_ways_and_detaching_leaves_no_trace)
{
	const enum net_model models[] = { NET_TCFILTER, NET_BRIDGE };
	auto_free char *before = NULL;
	auto_net_state struct net_state *state = NULL;

	sleep(2); /* duplicate address detection */
	before = box_look();
	state = box_scan();
	for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
		struct endpoint *ep = box_attach("eth0", models[i], 1);
		auto_net_state struct net_state *during = box_scan();
		auto_free char *after = NULL;

		ck_assert_int_eq(ep->model, models[i]);
		ck_assert_uint_eq(ep->n_queues, 1);
		ck_assert_mem_eq(ep->mac, state->links[state->n_links - 1].mac, 6);
		ck_assert_int_eq(ep->vhost_fds[0], -1);
		ck_assert(box_has(box, ep->tap));
		frames_assert_arp_answered(ep->fds[0]);
		/* Also what the other end begins. */
		box_run(box_outside, "ip neigh flush dev p0\n" KNOCK);
		frames_assert_asked_for_guest(ep->fds[0]);
		ck_assert_msg(net_state_equal(state, during), "model %s",
		              net_model_name(models[i]));
		box_detach(ep);
		after = box_look();
		ck_assert_str_eq(after, before);
	}
}
END_TEST

START_TEST(the_namespace_itself_does_not_answer_for_the_guest)
{
	const enum net_model models[] = { NET_TCFILTER, NET_BRIDGE };

	for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
		struct endpoint *ep = box_attach("eth0", models[i], 1);
		auto_free char *out = NULL;

		box_run(box_outside, "ip neigh flush dev p0");
		out = box_output(box_outside, KNOCK "; sleep 1; ip neigh show dev p0");
		ck_assert_msg(strstr(out, FRAMES_GUEST_IP) && !strstr(out, "lladdr"), "%s", out);
		box_detach(ep);
	}
}
END_TEST

START_TEST(a_tap_has_the_mtu_and_follows_it)
{
	const enum net_model models[] = { NET_TCFILTER, NET_BRIDGE, NET_NONE };

	for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
		auto_error struct error err = { 0 };
		struct endpoint *ep;

		box_run(box, "ip link set eth0 mtu 9000");
		ep = box_attach("eth0", models[i], 1);
		ck_assert_uint_eq(ep->mtu, 9000);
		box_run(box,
		        "[ $(cat /proc/sys/net/ipv4/conf/%s/arp_ignore) = 0 ]; "
		        "ip link show dev %s | grep -q 'mtu 9000 '",
		        ep->tap, ep->tap);
		ck_assert_int_eq(endpoint_set_mtu(net, ep, 1400, &err), 0);
		ck_assert_uint_eq(ep->mtu, 1400);
		box_run(box, "ip link show dev %s | grep -q 'mtu 1400 '", ep->tap);
		box_detach(ep);
	}
}
END_TEST

START_TEST(frames_of_the_largest_mtu_pass)
{
	static const unsigned mtus[] = { 1400, 1500, 9000 };

	for (size_t i = 0; i < ARRAY_SIZE(mtus); i++) {
		struct endpoint *ep;

		box_run(box, "ip link set eth0 mtu %u", mtus[i]);
		box_run(box_outside, "ip link set p0 mtu %u", mtus[i]);
		ep = box_attach("eth0", NET_TCFILTER, 1);
		frames_assert_ping_answered(ep->fds[0], mtus[i]);
		box_detach(ep);
	}
}
END_TEST

START_TEST(a_tap_has_as_many_queues_as_wanted)
{
	static const unsigned wanted[] = { 0, 1, 2, 4, 8, 99 };

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		struct endpoint *ep = box_attach("eth0", NET_TCFILTER, wanted[i]);
		unsigned n = wanted[i] == 0 ? 1 : wanted[i] > 8 ? 8 : wanted[i];

		ck_assert_uint_eq(ep->n_queues, n);
		for (unsigned q = 0; q < n; q++) {
			struct ifreq req = { 0 };

			ck_assert_int_eq(ioctl(ep->fds[q], TUNGETIFF, &req), 0);
			ck_assert_str_eq(req.ifr_name, ep->tap);
			ck_assert(req.ifr_flags & IFF_VNET_HDR);
			ck_assert_int_eq(!!(req.ifr_flags & IFF_MULTI_QUEUE), n > 1);
			ck_assert_int_ne(fcntl(ep->fds[q], F_GETFD) & FD_CLOEXEC, 0);
			ck_assert_int_ne(fcntl(ep->fds[q], F_GETFL) & O_NONBLOCK, 0);
		}
		box_detach(ep);
	}
}
END_TEST

START_TEST(the_tap_lives_as_long_as_the_vmm_has_it)
{
	struct endpoint *ep = box_attach("eth0", NET_TCFILTER, 1);
	auto_close int vmm = fcntl(ep->fds[0], F_DUPFD_CLOEXEC, 3);
	auto_free char *tap = str_dup(ep->tap);

	endpoint_close_fds(ep);
	ck_assert_uint_eq(ep->n_queues, 0);
	frames_assert_arp_answered(vmm);
	box_detach(ep); /* although the VMM is still there */
	ck_assert(!box_has(box, tap));
}
END_TEST

START_TEST(names_of_taps_are_short_and_always_the_same)
{
	struct endpoint *ep = box_attach("eth0", NET_TCFILTER, 1);
	auto_free char *first = str_dup(ep->tap);
	auto_free char *expected = str_fmt("vct%u", ep->link);

	ck_assert_str_eq(first, expected);
	box_detach(ep);
	box_run(box, "ip link set eth0 down; ip link set eth0 name a-name-of-15-by up");
	ep = box_attach("a-name-of-15-by", NET_TCFILTER, 1);
	ck_assert_str_eq(ep->tap, first);
	box_detach(ep);
}
END_TEST

START_TEST(an_interface_that_is_gone_is_an_error_to_attach_and_none_to_detach)
{
	for (enum net_model m = NET_TCFILTER; m <= NET_NONE; m++) {
		auto_error struct error err = { 0 };
		auto_free char *left = NULL;
		struct endpoint_opts opts = { .model = m };
		struct endpoint *ep;
		struct net_link link;

		if (m == NET_MACVTAP)
			continue; /* test_netns_macvtap.c */
		box_run(box, "ip link add go type veth peer name went; ip link set go up");
		ep = box_attach("go", m, 2);
		link = box_link("go");
		box_run(box, "ip link del go");
		box_detach(ep);
		if (m != NET_NONE) { /* which does not touch it */
			ck_assert_int_eq(endpoint_attach(net, &link, &opts, &ep, &err), -ENODEV);
			ck_assert(str_starts(err.msg, "attach interface 'go': "));
		}
		left = box_output(box, "ip -br link | grep -c vc || true");
		ck_assert_str_eq(left, "0\n");
	}
}
END_TEST

START_TEST(kinds_that_cannot_be_attached_are_refused_by_name)
{
	static const struct {
		const char *kind, *msg;
		unsigned flags;
		bool has_mac;
	} cases[] = {
		{ "", "interface 'x0' is a device, which a VM gets by VFIO only: not supported", 0,
		  true },
		{ "", "interface 'x0' is the loopback", IFF_LOOPBACK, false },
		{ "wireguard", "interface 'x0' is of kind 'wireguard', which is not supported", 0,
		  false },
		{ "bridge", "interface 'x0' is of kind 'bridge', which is not supported", 0, true },
		{ "tun", "interface 'x0' has no Ethernet, which is not supported", 0, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_error struct error err = { 0 };
		struct net_link link = { .name = "x0",
			                 .index = 7,
			                 .flags = cases[i].flags,
			                 .has_mac = cases[i].has_mac };
		struct endpoint_opts opts = { .model = NET_TCFILTER };
		struct endpoint *ep = NULL;

		memcpy(link.kind, cases[i].kind, strlen(cases[i].kind) + 1);
		ck_assert_int_eq(endpoint_attach(net, &link, &opts, &ep, &err), -EOPNOTSUPP);
		ck_assert_str_eq(err.msg, cases[i].msg);
		ck_assert_ptr_null(ep);
	}
}
END_TEST

START_TEST(models_have_names_and_fit_kinds)
{
	static const struct {
		const char *kind;
		enum net_model wanted, actual;
	} cases[] = {
		{ "veth", NET_BRIDGE, NET_BRIDGE },      { "veth", NET_MACVTAP, NET_MACVTAP },
		{ "macvlan", NET_BRIDGE, NET_TCFILTER }, { "ipvlan", NET_MACVTAP, NET_TCFILTER },
		{ "macvlan", NET_NONE, NET_NONE },       { "macvtap", NET_TCFILTER, NET_NONE },
		{ "tun", NET_BRIDGE, NET_NONE },
	};
	enum net_model model;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_error struct error err = { 0 };
		struct net_link link = { .name = "x0", .has_mac = true };

		memcpy(link.kind, cases[i].kind, strlen(cases[i].kind) + 1);
		ck_assert_int_eq(endpoint_check(&link, cases[i].wanted, &model, &err), 0);
		ck_assert_int_eq(model, cases[i].actual);
	}
	for (enum net_model m = NET_TCFILTER; m <= NET_NONE; m++) {
		ck_assert_int_eq(net_model_parse(net_model_name(m), &model), 0);
		ck_assert_int_eq(model, m);
	}
	ck_assert_int_eq(net_model_parse("l3forwarding", &model), -EINVAL);
}
END_TEST

START_TEST(a_macvlan_is_attached_by_filters)
{
	struct endpoint *ep;

	box_run(box, "ip addr flush dev eth0\n"
	             "ip link add link eth0 name mv0 type macvlan mode bridge\n"
	             "ip link set eth0 address 02:00:00:00:00:99\n"
	             "ip link set mv0 address " FRAMES_GUEST_MAC " up");
	ep = box_attach("mv0", NET_BRIDGE, 1);
	ck_assert_int_eq(ep->model, NET_TCFILTER);
	frames_assert_arp_answered(ep->fds[0]);
	box_detach(ep);
}
END_TEST

START_TEST(a_tap_that_is_there_is_opened_with_the_queues_that_it_has)
{
	static const struct {
		const char *options;
		unsigned wanted, got;
	} cases[] = {
		{ "", 1, 1 }, { "", 4, 1 }, { "multi_queue", 3, 3 }, { "multi_queue", 1, 2 }
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct endpoint *ep;
		struct net_link link;

		box_run(box, "ip tuntap add name own0 mode tap %s\nip link set own0 up",
		        cases[i].options);
		link = box_link("own0");
		ep = box_attach("own0", NET_TCFILTER, cases[i].wanted);
		ck_assert_str_eq(ep->tap, "own0");
		ck_assert(!ep->is_ours);
		ck_assert_uint_eq(ep->n_queues, cases[i].got);
		ck_assert_mem_ne(ep->mac, link.mac, 6);
		ck_assert_int_eq(ep->mac[0] & 3, 2);
		box_detach(ep);
		ck_assert(box_has(box, "own0"));
		box_run(box, "ip link del own0");
	}
}
END_TEST

START_TEST(a_model_without_connection_makes_a_tap_for_others)
{
	auto_free char *tc = NULL;
	struct endpoint *ep = box_attach("eth0", NET_NONE, 1);

	tc = box_output(box, "tc qdisc show dev eth0 ingress; tc qdisc show dev %s ingress",
	                ep->tap);
	ck_assert_str_eq(tc, "");
	box_run(box, "ip link show dev %s up | grep -q UP", ep->tap);
	box_detach(ep);
}
END_TEST

START_TEST(devices_are_found_in_the_directory_that_is_given)
{
	auto_error struct error err = { 0 };
	struct endpoint_opts opts = { .model = NET_TCFILTER, .queues = 3, .vhost = true };
	struct net_link link = box_link("eth0");
	struct endpoint *ep = NULL;
	int dir;

	netns_freep(&net);
	scratch_new();
	dir = open(scratch_root(), O_PATH | O_DIRECTORY | O_CLOEXEC);
	ck_assert_msg(netns_open(box, dir, &net, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(endpoint_attach(net, &link, &opts, &ep, &err), -ENOENT);
	ck_assert_str_eq(err.msg, "attach interface 'eth0': open '/dev/net/tun': "
	                          "No such file or directory");
	scratch_link("/dev/net", "net");
	ck_assert_msg(endpoint_attach(net, &link, &opts, &ep, &err) == 0, "%s", err.msg);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(ep->vhost_fds[i], -1);
	box_detach(ep);
	scratch_file("vhost-net", "");
	error_clear(&err);
	ck_assert_msg(endpoint_attach(net, &link, &opts, &ep, &err) == 0, "%s", err.msg);
	for (unsigned i = 0; i < NET_MAX_QUEUES; i++)
		ck_assert_int_eq(ep->vhost_fds[i] >= 0, i < 3);
	box_detach(ep);
	close(dir);
	scratch_remove();
}
END_TEST

START_TEST(many_interfaces_are_attached_and_detached)
{
	enum { N = 100 };
	auto_net_state struct net_state *before = NULL, *after = NULL;
	struct endpoint *ep[N];

	box_run(box,
	        "for i in $(seq 0 %d); do echo link add a$i up type veth peer name b$i; done | "
	        "ip -batch -",
	        N - 1);
	before = box_scan();
	for (int i = 0; i < N; i++) {
		auto_free char *name = str_fmt("a%d", i);

		ep[i] = box_attach(name, NET_TCFILTER, 1);
	}
	after = box_scan();
	ck_assert(net_state_equal(before, after));
	for (int i = 0; i < N; i++)
		box_detach(ep[i]);
	box_run(box, "[ $(ip -br link | grep -c vct) = 0 ]; [ $(tc qdisc | grep -c ingress) = 0 ]");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("endpoint");

	tcase_add_checked_fixture(tc, box_setup_with_peer, box_teardown_with_peer);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, packets_go_through_a_tap_both_ways_and_detaching_leaves_no_trace);
	tcase_add_test(tc, the_namespace_itself_does_not_answer_for_the_guest);
	tcase_add_test(tc, a_tap_has_the_mtu_and_follows_it);
	tcase_add_test(tc, frames_of_the_largest_mtu_pass);
	tcase_add_test(tc, a_tap_has_as_many_queues_as_wanted);
	tcase_add_test(tc, the_tap_lives_as_long_as_the_vmm_has_it);
	tcase_add_test(tc, names_of_taps_are_short_and_always_the_same);
	tcase_add_test(tc, an_interface_that_is_gone_is_an_error_to_attach_and_none_to_detach);
	tcase_add_test(tc, kinds_that_cannot_be_attached_are_refused_by_name);
	tcase_add_test(tc, models_have_names_and_fit_kinds);
	tcase_add_test(tc, a_macvlan_is_attached_by_filters);
	tcase_add_test(tc, a_tap_that_is_there_is_opened_with_the_queues_that_it_has);
	tcase_add_test(tc, a_model_without_connection_makes_a_tap_for_others);
	tcase_add_test(tc, devices_are_found_in_the_directory_that_is_given);
	tcase_add_test(tc, many_interfaces_are_attached_and_detached);
	return scratch_run(tc);
}
