#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netns/netns.h"
#include "lib/base/error.h"
#include "lib/base/loop.h"
#include "test/box.h"
#include "test/scratch.h"

#define WAIT_MS 10000 /* longer than any event takes */
#define QUIET_MS 300  /* no event comes after that */

static struct loop *loop;
static int calls;

static void on_change(void *arg)
{
	ck_assert_ptr_eq(arg, &calls);
	calls++;
}

static void start(void)
{
	auto_error struct error err = { 0 };

	ck_assert_msg(netns_watch(net, loop, on_change, &calls, &err) == 0, "%s", err.msg);
}

static void setup(void)
{
	box_setup();
	loop = loop_new();
	calls = 0;
	box_run(box, "ip link add eth0 type veth peer name p0\n"
	             "ip link set p0 up\n"
	             "ip link set eth0 up\n"
	             "ip addr add 10.1.0.2/24 dev eth0\n"
	             "ip neigh add 10.1.0.7 lladdr 02:00:00:00:00:07 dev eth0 nud permanent\n"
	             "ip route add 10.7.0.0/16 dev eth0\n"
	             "ip link set p0 down\n" /* no more duplicate address detection */
	             "ip addr flush dev p0");
	start();
}

static void teardown(void)
{
	netns_unwatch(net);
	loop_free(loop);
	box_teardown();
}

static bool told_within(unsigned msec)
{
	uint64_t now = loop_now_ms(), end = now + msec;

	for (calls = 0; calls == 0 && now < end; now = loop_now_ms())
		ck_assert_int_eq(loop_step(loop, (int)(end - now)), 0);
	return calls > 0;
}

static void settle(void)
{
	while (told_within(QUIET_MS))
		;
}

START_TEST(each_change_is_told)
{
	static const char *const changes[] = {
		"ip link add eth1 type veth peer name p1",
		"ip link set eth1 name eth2",
		"ip link set eth2 mtu 1400",
		"ip link set eth2 up",
		"ip link del eth2",
		"ip addr add 10.1.0.3/24 dev eth0",
		"ip addr del 10.1.0.3/24 dev eth0",
		"ip -6 addr add fd00::2/64 dev eth0 nodad",
		"ip -6 addr del fd00::2/64 dev eth0",
		"ip route add 10.2.0.0/16 dev eth0",
		"ip route del 10.2.0.0/16 dev eth0",
		"ip -6 route add fd05::/32 dev eth0",
		"ip -6 route del fd05::/32 dev eth0",
		"ip neigh add 10.1.0.9 lladdr 02:00:00:00:00:09 dev eth0 nud permanent",
		"ip neigh del 10.1.0.9 dev eth0",
	};

	settle();
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		box_run(box, "%s", changes[i]);
		ck_assert_msg(told_within(WAIT_MS), "not told: %s", changes[i]);
		settle();
	}
}
END_TEST

START_TEST(nothing_is_told_without_a_change_or_of_neighbours_that_come_with_traffic)
{
	settle();
	box_run(box, "ip neigh add 10.1.0.8 lladdr 02:00:00:00:00:08 dev eth0 nud reachable\n"
	             "ip neigh change 10.1.0.8 lladdr 02:00:00:00:00:18 dev eth0 nud stale");
	ck_assert(!told_within(QUIET_MS));
}
END_TEST

START_TEST(many_changes_are_told_together_but_not_too_late)
{
	settle();
	box_run(box, "for i in $(seq 100); do echo addr add 10.3.0.$i/16 dev eth0; done | "
	             "ip -batch -");
	ck_assert(told_within(WAIT_MS));
	settle();
	/* All of them came at once. */
	box_run(box, "ip addr flush dev eth0");
	ck_assert(told_within(WAIT_MS));
	ck_assert_int_eq(calls, 1);
}
END_TEST

static void open_socket(void *arg)
{
	int *fd = arg;

	*fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

START_TEST(changes_without_end_are_told_all_the_same)
{
	struct ifreq req = { .ifr_name = "eth0" };
	auto_close int fd = -1;
	uint64_t end;

	box_inside(box, open_socket, &fd);
	settle();
	/* Each within the quiet time of the one before, unless the machine is slow. */
	for (end = loop_now_ms() + WAIT_MS; calls == 0 && loop_now_ms() < end; usleep(1000)) {
		req.ifr_mtu = req.ifr_mtu == 1400 ? 1401 : 1400;
		ck_assert_int_eq(ioctl(fd, SIOCSIFMTU, &req), 0);
		ck_assert_int_eq(loop_step(loop, 0), 0);
	}
	ck_assert_int_gt(calls, 0);
}
END_TEST

START_TEST(more_events_than_the_kernel_keeps_lead_to_a_call)
{
	auto_net_state struct net_state *s = NULL;

	settle();
	/* About 100 bytes each in the socket, more in the kernel's accounts. */
	box_run(box, "seq 5000 | awk '{ printf \"route add 10.%%d.%%d.0/24 dev eth0\\n\", "
	             "100 + $1 / 256, $1 %% 256 }' | ip -batch -");
	ck_assert(told_within(WAIT_MS));
	s = box_scan();
	ck_assert_uint_ge(s->n_routes, 5000);
	settle();
	box_run(box, "ip addr add 10.1.0.9/24 dev eth0");
	ck_assert(told_within(WAIT_MS));
}
END_TEST

START_TEST(a_watch_ends_and_begins_again)
{
	auto_error struct error err = { 0 };

	ck_assert_int_eq(netns_watch(net, loop, on_change, &calls, &err), -EALREADY);
	ck_assert_str_eq(err.msg, "the network namespace is watched already");
	netns_unwatch(net);
	netns_unwatch(net);
	box_run(box, "ip addr add 10.1.0.9/24 dev eth0");
	ck_assert(!told_within(QUIET_MS));
	start();
	box_run(box, "ip addr del 10.1.0.9/24 dev eth0");
	ck_assert(told_within(WAIT_MS));
}
END_TEST

static void on_change_once(void *arg)
{
	on_change(arg);
	netns_unwatch(net);
}

START_TEST(a_call_may_end_the_watch)
{
	auto_error struct error err = { 0 };

	netns_unwatch(net);
	ck_assert_int_eq(netns_watch(net, loop, on_change_once, &calls, &err), 0);
	box_run(box, "ip addr add 10.1.0.9/24 dev eth0");
	ck_assert(told_within(WAIT_MS));
	box_run(box, "ip addr del 10.1.0.9/24 dev eth0");
	ck_assert(!told_within(QUIET_MS));
}
END_TEST

START_TEST(other_namespaces_are_not_watched)
{
	auto_close int other = box_new();

	settle();
	box_run(other, "ip link add eth9 type veth peer name p9");
	ck_assert(!told_within(QUIET_MS));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("watch");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, each_change_is_told);
	tcase_add_test(tc,
	               nothing_is_told_without_a_change_or_of_neighbours_that_come_with_traffic);
	tcase_add_test(tc, many_changes_are_told_together_but_not_too_late);
	tcase_add_test(tc, changes_without_end_are_told_all_the_same);
	tcase_add_test(tc, more_events_than_the_kernel_keeps_lead_to_a_call);
	tcase_add_test(tc, a_watch_ends_and_begins_again);
	tcase_add_test(tc, a_call_may_end_the_watch);
	tcase_add_test(tc, other_namespaces_are_not_watched);
	return scratch_run(tc);
}
