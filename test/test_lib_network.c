/* A sandbox's network without a VM: the mock hypervisor, an agent that answers when it is told to,
 * and the box as the containers' namespace. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/mock.h"
#include "lib/config.h"
#include "lib/monitor-internal.h"
#include "lib/network.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "test/box.h"
#include "test/scratch.h"

#define WAIT_MS 20000
#define QUIET_MS 300 /* nothing comes after that */

/* ---- the agent: keeps the last request ---- */

static struct json *request;
static agent_reply_fn reply;
static void *reply_arg;
static int requests;

static void take_call(struct agent *a, struct json *j, agent_reply_fn fn, void *arg)
{
	(void)a;
	if (!str_eq(json_get_string(j, "op"), "network")) { /* of the name server */
		json_free(j);
		return;
	}
	ck_assert_ptr_null(reply); /* one at a time */
	json_free(request);
	request = j;
	reply = fn;
	reply_arg = arg;
	requests++;
}

static const struct agent_ops silent_ops = { .name = "silent", .call = take_call };
static struct agent silent = { .ops = &silent_ops, .ready = true };

static void answer(int code)
{
	auto_json struct json *ok = json_new_object();
	auto_error struct error err = { 0 };
	agent_reply_fn fn = reply;

	ck_assert_ptr_nonnull(fn);
	reply = NULL;
	if (code)
		error_set(&err, code, "network: the guest says no");
	fn(reply_arg, code ? NULL : ok, &err);
}

/* ---- the monitor ---- */

static int told;
static char *problem;

static struct monitor m;
static int outside; /* the namespace of the other ends */

static void setup(void)
{
	auto_error struct error err = { 0 };
	struct hv_config cfg = { .channel_fd = -1, .share_fd = -1, .memory_mib = 1, .cpus = 1 };

	box_setup();
	outside = box_new();
	/* What comes by itself, and takes its time. */
	box_run(box, "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
	m = (struct monitor){ .loop = loop_new(), .agent = &silent, .is_ready = true };
	m.config = config_parse("{}", "test", &err);
	ck_assert_msg(m.config != NULL, "%s", err.msg);
	m.hv = hv_new(&hv_mock_ops);
	ck_assert_int_eq(hv_start(m.hv, &cfg, &err), 0);
	requests = 0;
}

static void teardown(void)
{
	network_stop(m.network);
	hv_free(m.hv);
	m.hv = NULL;
	network_free(m.network);
	m.network = NULL;
	loop_free(m.loop);
	config_free(m.config);
	json_free(request);
	request = NULL;
	auto_freep(&problem);
	close(outside);
	box_teardown();
}

static void make_link(const char *name, const char *mac)
{
	box_run(box,
	        "ip link add %s address %s type veth peer name p-%s netns /proc/%d/fd/%d; "
	        "ip link set %s up",
	        name, mac, name, (int)getpid(), outside, name);
	box_run(outside, "ip link set p-%s up", name);
}

static void join(void)
{
	auto_error struct error err = { 0 };

	m.network = network_new(&m, box, NULL, &err);
	ck_assert_msg(m.network != NULL, "%s", err.msg);
}

static void on_synced(void *arg, const struct error *err)
{
	ck_assert_ptr_eq(arg, &m);
	free(problem);
	problem = err ? str_dup(err->msg) : NULL;
	told++;
}

/* How many have been told so far. */
static int ask(void)
{
	told = 0;
	network_sync(m.network, on_synced, &m);
	return told;
}

static void wait_for_request(int number)
{
	uint64_t end = loop_now_ms() + WAIT_MS;

	while (requests < number && loop_now_ms() < end)
		ck_assert_int_eq(loop_step(m.loop, 20), 0);
	ck_assert_int_eq(requests, number);
}

static void assert_quiet(void)
{
	uint64_t end = loop_now_ms() + QUIET_MS;
	int before = requests;

	while (loop_now_ms() < end)
		ck_assert_int_eq(loop_step(m.loop, 20), 0);
	ck_assert_int_eq(requests, before);
}

static void assert_calls(const char *wanted)
{
	auto_free char *calls = strv_join(hv_mock_calls(m.hv), ",");

	ck_assert_str_eq(calls, wanted);
}

static size_t count(const char *key)
{
	return json_len(json_get_array(request, key));
}

START_TEST(a_namespace_with_a_loopback_only_asks_the_guest_for_nothing)
{
	join();
	ck_assert_int_eq(ask(), 1);
	ck_assert_ptr_null(problem);
	assert_quiet();
	ck_assert_int_eq(requests, 0);
	assert_calls("start");
	ck_assert(!box_has_libnl());
}
END_TEST

START_TEST(without_a_namespace_there_is_nothing_to_wait_for)
{
	ck_assert_int_eq(ask(), 1);
	ck_assert_ptr_null(problem);
	ck_assert_ptr_null(network_namespace(m.network));
}
END_TEST

#define MAC "02:00:00:00:00:01"
#define MAC2 "02:00:00:00:00:02"

static bool has_taps(void)
{
	auto_free char *out = box_output(box, "ip -br link show | grep -c ^vct || true");

	return atoi(out) > 0;
}

START_TEST(an_interface_becomes_a_nic_of_which_the_guest_is_told)
{
	auto_json struct json *wanted = NULL;
	auto_error struct error err = { 0 };
	static const char text[] =
		"{\"op\":\"network\",\"interfaces\":[{\"name\":\"eth0\",\"mtu\":1500,\"flags\":"
		"4099,"
		"\"addresses\":[{\"address\":\"10.1.0.2/24\",\"broadcast\":\"10.1.0.255/32\","
		"\"scope\":0,\"flags\":128,\"valid\":4294967295,\"preferred\":4294967295}],"
		"\"mac\":\"" MAC "\",\"nic\":\"" MAC "\",\"pci\":\"01.0/00.0\"}],"
		"\"routes\":[{\"dst\":\"0.0.0.0/"
		"0\",\"scope\":0,\"metric\":5,\"table\":254,\"type\":1,"
		"\"protocol\":3,\"mtu\":1400,\"device\":\"eth0\",\"gateway\":\"10.1.0.1/32\","
		"\"onlink\":false},{\"dst\":\"10.1.0.0/24\",\"source\":\"10.1.0.2/"
		"32\",\"scope\":253,"
		"\"metric\":0,\"table\":254,\"type\":1,\"protocol\":2,\"mtu\":0,\"device\":"
		"\"eth0\","
		"\"onlink\":false},{\"dst\":\"10.6.0.0/16\",\"scope\":0,\"metric\":0,\"table\":254,"
		"\"type\":6,\"protocol\":3,\"mtu\":0}],\"neighbours\":["
		"{\"address\":\"10.1.0.9/32\",\"mac\":\"" MAC2
		"\",\"device\":\"eth0\",\"flags\":0}]}";

	make_link("eth0", MAC);
	box_run(box, "ip addr add 10.1.0.2/24 broadcast + dev eth0; "
	             "ip route add default via 10.1.0.1 metric 5 mtu 1400; "
	             "ip route add blackhole 10.6.0.0/16; "
	             "ip neigh add 10.1.0.9 lladdr " MAC2 " dev eth0 nud permanent");
	join();
	ck_assert(has_taps());
	assert_calls("start");
	ck_assert_int_eq(ask(), 0);
	assert_calls("start,add_device net0");
	wanted = json_parse(text, strlen(text), false, &err);
	ck_assert_msg(wanted != NULL, "%s", err.msg);
	ck_assert_msg(json_equal(request, wanted), "%s", json_print(request, false));
	answer(0);
	ck_assert_int_eq(told, 1);
	ck_assert_ptr_null(problem);
	/* Nothing has changed. */
	ck_assert_int_eq(ask(), 1);
	assert_quiet();
	ck_assert_int_eq(requests, 1);
}
END_TEST

START_TEST(changes_are_followed_and_a_nic_goes_after_the_guest_was_told)
{
	make_link("eth0", MAC);
	make_link("eth1", MAC2);
	join();
	ask();
	answer(0);
	box_run(box, "ip addr add 10.1.0.2/24 dev eth0");
	wait_for_request(2);
	answer(0);
	box_run(box, "ip link del eth1");
	wait_for_request(3);
	ck_assert_uint_eq(count("interfaces"), 1);
	assert_calls("start,add_device net1,add_device net0");
	answer(0);
	assert_calls("start,add_device net1,add_device net0,drop_device net1");
	make_link("eth1", MAC2);
	wait_for_request(4);
	assert_calls("start,add_device net1,add_device net0,drop_device net1,add_device net2");
	answer(0);
	assert_quiet();
}
END_TEST

START_TEST(who_asks_during_a_request_waits_for_the_next_one)
{
	make_link("eth0", MAC);
	join();
	ck_assert_int_eq(ask(), 0);
	box_run(box, "ip addr add 10.1.0.2/24 dev eth0");
	network_sync(m.network, on_synced, &m);
	network_sync(m.network, on_synced, &m);
	answer(0);
	ck_assert_int_eq(told, 1);
	ck_assert_int_eq(requests, 2);
	answer(0);
	ck_assert_int_eq(told, 3);
	assert_quiet();
}
END_TEST

START_TEST(what_the_guest_has_refused_is_asked_for_again)
{
	make_link("eth0", MAC);
	join();
	ask();
	answer(EIO);
	ck_assert_int_eq(told, 1);
	ck_assert_str_eq(problem, "network: the guest says no");
	assert_quiet(); /* but not by itself */
	ck_assert_int_eq(ask(), 0);
	answer(0);
	ck_assert_int_eq(told, 1);
	ck_assert_ptr_null(problem);
	assert_calls("start,add_device net0");
}
END_TEST

START_TEST(a_nic_that_cannot_be_plugged_is_told_and_tried_again_when_somebody_asks)
{
	make_link("eth0", MAC);
	join();
	hv_mock_fail(m.hv, "add_device", EIO);
	ask();
	ck_assert_uint_eq(count("interfaces"), 0);
	answer(0);
	ck_assert_str_eq(problem, "interface 'eth0': mock 'add_device': Input/output error");
	assert_quiet();
	hv_mock_fail(m.hv, "add_device", 0);
	ask();
	ck_assert_uint_eq(count("interfaces"), 1);
	answer(0);
	ck_assert_ptr_null(problem);
}
END_TEST

START_TEST(a_later_interface_that_no_vm_can_have_is_left_out)
{
	make_link("eth0", MAC);
	join();
	ask();
	answer(0);
	box_run(box, "ip link add br9 type bridge; ip link set br9 up");
	wait_for_request(2);
	ck_assert_uint_eq(count("interfaces"), 1);
	answer(0);
	assert_quiet(); /* the attempts do not lead to each other */
	told = 0;
	network_sync(m.network, on_synced, &m);
	if (reply)
		answer(0);
	ck_assert_int_eq(told, 1);
	ck_assert_str_eq(problem, "interface 'br9' is of kind 'bridge', which is not supported");
}
END_TEST

START_TEST(one_that_no_vm_can_have_is_refused_at_the_beginning)
{
	auto_error struct error err = { 0 };

	make_link("eth0", MAC);
	box_run(box, "ip link add br9 type bridge; ip link set br9 up");
	m.network = network_new(&m, box, NULL, &err);
	ck_assert_int_eq(err.code, EOPNOTSUPP);
	ck_assert_str_eq(err.msg, "network: interface 'br9' is of kind 'bridge', which is not "
	                          "supported");
	ck_assert_ptr_null(m.network);
	ck_assert(!has_taps());
}
END_TEST

START_TEST(that_of_a_container_is_asked_for_in_its_name)
{
	auto_error struct error err = { 0 };

	make_link("eth0", MAC);
	m.network = network_new(&m, box, "one", &err);
	ck_assert_msg(m.network != NULL, "%s", err.msg);
	ck_assert(netns_is(network_namespace(m.network), box));
	ck_assert_int_eq(ask(), 0);
	ck_assert_str_eq(json_get_string(request, "container"), "one");
	answer(0);
	network_pass(m.network, "two");
	box_run(box, "ip addr add 10.1.0.2/24 dev eth0");
	ck_assert_int_eq(ask(), 0);
	ck_assert_str_eq(json_get_string(request, "container"), "two");
	answer(0);
}
END_TEST

START_TEST(one_that_ends_during_a_request_is_forgotten_with_the_answer)
{
	make_link("eth0", MAC);
	join();
	ck_assert_int_eq(ask(), 0);
	network_stop(m.network);
	network_free(m.network);
	m.network = NULL;
	ck_assert(!has_taps());
	answer(0);
	ck_assert_int_eq(told, 0);
}
END_TEST

static void on_refused(void *arg, const struct error *err)
{
	ck_assert_ptr_eq(arg, &m);
	ck_assert_int_eq(err->code, EIO);
	told++;
	network_sync(m.network, on_synced, &m);
	ck_assert_int_eq(requests, 1);
	m.is_ending = told > 1;
	network_free(m.network);
	m.network = NULL;
}

/* As a container does whose interface the guest refuses. */
START_TEST(one_that_ends_while_its_failure_is_told_is_forgotten_after_that)
{
	for (int i = 0; i < 2; i++) {
		make_link("eth0", MAC);
		join();
		network_stop(m.network);
		told = i;
		requests = 0;
		network_sync(m.network, on_refused, &m);
		answer(EIO);
		ck_assert_int_eq(told, i + 1);
		ck_assert_int_eq(requests, 1);
		ck_assert(!has_taps());
		box_run(box, "ip link del eth0");
	}
}
END_TEST

START_TEST(the_end_leaves_the_interfaces_as_they_were)
{
	make_link("eth0", MAC);
	join();
	ck_assert(has_taps());
	network_stop(m.network);
	network_free(m.network);
	m.network = NULL;
	ck_assert(!has_taps());
}
END_TEST

START_TEST(routes_that_no_guest_can_have_are_left_out)
{
	make_link("eth0", MAC);
	box_run(box, "ip addr add 10.1.0.2/24 dev eth0; "
	             "ip route add 10.8.0.0/16 nexthop via 10.1.0.3 nexthop via 10.1.0.4; "
	             "ip route add 10.9.0.0/16 dev eth0 tos 0x10; "
	             "ip addr add 10.9.9.9/32 dev lo");
	join();
	ask();
	ck_assert_uint_eq(count("routes"), 1);     /* that of the address */
	ck_assert_uint_eq(count("interfaces"), 2); /* the loopback has an address, too */
	answer(0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("network");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_namespace_with_a_loopback_only_asks_the_guest_for_nothing);
	tcase_add_test(tc, without_a_namespace_there_is_nothing_to_wait_for);
	tcase_add_test(tc, an_interface_becomes_a_nic_of_which_the_guest_is_told);
	tcase_add_test(tc, changes_are_followed_and_a_nic_goes_after_the_guest_was_told);
	tcase_add_test(tc, who_asks_during_a_request_waits_for_the_next_one);
	tcase_add_test(tc, what_the_guest_has_refused_is_asked_for_again);
	tcase_add_test(tc, a_nic_that_cannot_be_plugged_is_told_and_tried_again_when_somebody_asks);
	tcase_add_test(tc, a_later_interface_that_no_vm_can_have_is_left_out);
	tcase_add_test(tc, one_that_no_vm_can_have_is_refused_at_the_beginning);
	tcase_add_test(tc, that_of_a_container_is_asked_for_in_its_name);
	tcase_add_test(tc, one_that_ends_during_a_request_is_forgotten_with_the_answer);
	tcase_add_test(tc, one_that_ends_while_its_failure_is_told_is_forgotten_after_that);
	tcase_add_test(tc, the_end_leaves_the_interfaces_as_they_were);
	tcase_add_test(tc, routes_that_no_guest_can_have_are_left_out);
	return scratch_run(tc);
}
