/* The guest's network in a network namespace that a test has for itself, where ends of veth pairs
 * stand for devices. What ip(8) shows is compared. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/guest/network-internal.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "test/scratch.h"
#include "test/shell.h"

#define WAIT_MS 300
#define MAC_A "02:00:00:00:00:0a"
#define MAC_B "02:00:00:00:00:0b"
#define NIC_A "\"mac\":\"" MAC_A "\""
#define NIC_B "\"mac\":\"" MAC_B "\""
#define ETH0(addresses) "{\"name\":\"eth0\"," NIC_A ",\"flags\":4097,\"addresses\":[" addresses "]}"
#define ETH1(addresses) "{\"name\":\"eth1\"," NIC_B ",\"flags\":4097,\"addresses\":[" addresses "]}"
#define IPV4 "{\"address\":\"10.0.0.2/24\",\"broadcast\":\"10.0.0.255\"}"
#define IPV6 "{\"address\":\"fd00::2/64\"}"
/* As the kernel makes them with the addresses. */
#define IPV4_NET                                                                                   \
	"{\"dst\":\"10.0.0.0/24\",\"device\":\"eth0\",\"source\":\"10.0.0.2\",\"scope\":253,"      \
	"\"protocol\":2}"
#define IPV6_NET "{\"dst\":\"fd00::/64\",\"device\":\"eth0\",\"metric\":256,\"protocol\":2}"

static struct network *former;

static char *output(const char *script)
{
	char *argv[4];
	struct child_opts opts = shell_opts(argv, script);

	return shell_output(&opts, NULL);
}

static void sh(const char *script)
{
	free(output(script));
}

static void expect(const char *script, const char *text)
{
	auto_free char *out = output(script);

	ck_assert_str_eq(out, text);
}

static void expect_has(const char *script, const char *text)
{
	auto_free char *out = output(script);

	ck_assert_msg(strstr(out, text), "'%s' is not in:\n%s", text, out);
}

static void setup(void)
{
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	former = NULL;
	sh("for i in a b; do"
	   " ip link add nic$i address 02:00:00:00:00:0$i type veth peer name far$i &&"
	   " ip link set far$i up || exit; done");
}

static void teardown(void)
{
	network_free(former);
}

static struct network *read_wish(const char *text, struct error *err)
{
	auto_json struct json *request = json_parse(text, strlen(text), false, err);

	ck_assert_msg(request, "%s", err->msg);
	return network_read(request, err);
}

/* As the engine does it; the number of changes, or -errno. */
static int try_apply(const char *text, struct error *err)
{
	struct network *wish = read_wish(text, err);
	int changes;

	ck_assert_msg(wish, "%s", err->msg);
	changes = network_apply(wish, former, WAIT_MS, err);
	if (changes >= 0)
		network_free(former);
	else
		wish->next = former;
	former = wish;
	return changes;
}

static int apply(const char *text)
{
	auto_error struct error err = { 0 };
	int changes = try_apply(text, &err);

	ck_assert_msg(changes >= 0, "%s", err.msg);
	return changes;
}

/* And a second time there is nothing left to do. */
static void settle(const char *text)
{
	ck_assert_int_gt(apply(text), 0);
	ck_assert_int_eq(apply(text), 0);
}

START_TEST(an_interface_gets_its_name_mtu_flags_and_addresses)
{
	settle("{\"interfaces\":[{\"name\":\"eth0\"," NIC_A ",\"mtu\":1400,\"flags\":4353,"
	       "\"addresses\":[" IPV4 "," IPV6 ","
	       "{\"address\":\"10.9.0.1/32\",\"peer\":\"10.9.0.2/32\",\"scope\":253},"
	       "{\"address\":\"fe80::5/64\",\"scope\":253},"
	       "{\"address\":\"fd00::3/128\",\"valid\":1000,\"preferred\":0}]}],"
	       "\"routes\":[" IPV4_NET "," IPV6_NET "]}");
	expect_has("ip link show eth0", "mtu 1400");
	expect_has("ip link show eth0", "PROMISC,UP,LOWER_UP");
	expect("ip -br link show eth0 | tr -s ' ' | cut -d' ' -f 2,3", "UP " MAC_A "\n");
	expect("ip -o -4 addr show eth0 | sed 's/  */ /g; s/\\\\.*//; s/^[0-9]*: //' | sort",
	       "eth0 inet 10.0.0.2/24 brd 10.0.0.255 scope global eth0\n"
	       "eth0 inet 10.9.0.1 peer 10.9.0.2/32 scope link noprefixroute eth0\n");
	expect("ip -o -6 addr show eth0 | sed 's/  */ /g; s/\\\\.*//; s/^[0-9]*: //' | sort",
	       "eth0 inet6 fd00::2/64 scope global nodad \n"
	       "eth0 inet6 fd00::3/128 scope global nodad deprecated dynamic noprefixroute \n"
	       "eth0 inet6 fe80::5/64 scope link nodad noprefixroute \n");
	expect_has("ip -6 addr show eth0", "preferred_lft 0sec");
	expect("cat /proc/sys/net/ipv6/conf/eth0/accept_ra", "0\n");
	expect("ip -br link show lo | tr -s ' ' | cut -d' ' -f 2", "UNKNOWN\n"); /* up */
	expect_has("ip addr show lo", "127.0.0.1/8");
}
END_TEST

START_TEST(the_first_connection_of_ipv6_works_at_once)
{
	apply("{\"interfaces\":[" ETH0(IPV6) "],\"routes\":[" IPV6_NET "]}");
	expect("ip -6 addr show eth0 tentative", "");
	expect("python3 -c 'import socket; s=socket.socket(socket.AF_INET6, socket.SOCK_DGRAM);"
	       " s.bind((\"fd00::2\", 5)); print(\"bound\")'",
	       "bound\n");
}
END_TEST

START_TEST(names_are_swapped)
{
	settle("{\"interfaces\":[" ETH0(IPV4) "," ETH1("") "]}");
	settle("{\"interfaces\":[{\"name\":\"eth1\"," NIC_A ",\"addresses\":[" IPV4 "]},"
	       "{\"name\":\"eth0\"," NIC_B "}]}");
	expect("ip -br link show eth1 | tr -s ' ' | cut -d' ' -f 2,3", "UP " MAC_A "\n");
	expect("ip -br link show eth0 | tr -s ' ' | cut -d' ' -f 2,3", "UP " MAC_B "\n");
	expect_has("ip addr show eth1", "10.0.0.2/24");
	expect("ip -4 addr show eth0", "");
}
END_TEST

START_TEST(a_device_that_nobody_uses_yet_gives_its_name_away)
{
	sh("ip link set nicb name eth0");
	settle("{\"interfaces\":[" ETH0("") "]}");
	expect_has("ip link show eth0", MAC_A);
	settle("{\"interfaces\":[" ETH0("") "," ETH1("") "]}");
	expect_has("ip link show eth1", MAC_B);
}
END_TEST

START_TEST(an_interface_of_a_container_keeps_its_name)
{
	auto_error struct error err = { 0 };

	sh("ip link add eth0 type veth peer name x && ip link set eth0 up");
	ck_assert_int_eq(try_apply("{\"interfaces\":[" ETH0("") "]}", &err), -EEXIST);
	ck_assert_str_eq(err.msg, "network: the guest has another interface 'eth0' already");
}
END_TEST

START_TEST(the_mac_address_changes_and_the_device_is_still_found)
{
	settle("{\"interfaces\":[" ETH0(IPV4) "]}");
	settle("{\"interfaces\":[{\"name\":\"eth0\",\"mac\":\"02:00:00:00:00:77\",\"nic\":\"" MAC_A
	       "\",\"flags\":4097,\"addresses\":[" IPV4 "]}]}");
	expect_has("ip link show eth0", "02:00:00:00:00:77");
	expect_has("ip addr show eth0", "10.0.0.2/24");
}
END_TEST

START_TEST(routes_come_with_all_that_they_have)
{
	settle("{\"interfaces\":[" ETH0(
		IPV4
		"," IPV6) "],\"routes\":["
	                  "{\"dst\":\"0.0.0.0/0\",\"gateway\":\"10.1.1.1\",\"device\":\"eth0\"},"
	                  "{\"dst\":\"10.1.1.1\",\"device\":\"eth0\",\"scope\":253},"
	                  "{\"dst\":\"10.5.0.0/"
	                  "16\",\"gateway\":\"10.0.0.9\",\"device\":\"eth0\",\"metric\":7,"
	                  "\"source\":\"10.0.0.2\",\"mtu\":1300,\"protocol\":4},"
	                  "{\"dst\":\"10.6.0.0/16\",\"gateway\":\"192.0.2.1\",\"device\":\"eth0\","
	                  "\"onlink\":true,\"table\":1000},"
	                  "{\"dst\":\"10.7.0.0/16\",\"type\":7},"
	                  "{\"dst\":\"10.8.0.0/16\",\"gateway\":\"fd00::9\",\"device\":\"eth0\"},"
	                  "{\"dst\":\"::/0\",\"gateway\":\"fd00::1\",\"device\":\"eth0\"},"
	                  "{\"dst\":\"fd07::/64\",\"type\":6}," IPV4_NET "," IPV6_NET "]}");
	expect("ip route | sed 's/ *$//' | sort",
	       "10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.2\n"
	       "10.1.1.1 dev eth0 scope link\n"
	       "10.5.0.0/16 via 10.0.0.9 dev eth0 proto static src 10.0.0.2 metric 7 mtu 1300\n"
	       "10.8.0.0/16 via inet6 fd00::9 dev eth0\n"
	       "default via 10.1.1.1 dev eth0\n"
	       "unreachable 10.7.0.0/16\n");
	expect("ip route show table 1000 | sed 's/ *$//'",
	       "10.6.0.0/16 via 192.0.2.1 dev eth0 onlink\n");
	expect("ip -6 route | grep -v fara | sed 's/ *$//' | sort",
	       "blackhole fd07::/64 dev lo metric 1024 pref medium\n"
	       "default via fd00::1 dev eth0 metric 1024 pref medium\n"
	       "fd00::/64 dev eth0 proto kernel metric 256 pref medium\n");
}
END_TEST

START_TEST(routes_are_replaced_and_removed)
{
	settle("{\"interfaces\":[" ETH0(IPV4) "," ETH1(
		"{\"address\":\"10.3.0.2/24\"}") "],"
	                                         "\"routes\":[" IPV4_NET
	                                         ",{\"dst\":\"0.0.0.0/0\",\"gateway\":\"10.0.0.1\","
	                                         "\"device\":\"eth0\"},{\"dst\":\"10.3.0.0/"
	                                         "24\",\"device\":\"eth1\"},"
	                                         "{\"dst\":\"10.4.0.0/24\",\"device\":\"eth1\"}]}");
	settle("{\"interfaces\":[" ETH0(IPV4) "," ETH1(
		"{\"address\":\"10.3.0.2/24\"}") "],"
	                                         "\"routes\":[" IPV4_NET
	                                         ",{\"dst\":\"0.0.0.0/0\",\"gateway\":\"10.3.0.1\","
	                                         "\"device\":\"eth1\"},{\"dst\":\"10.3.0.0/"
	                                         "24\",\"device\":\"eth1\",\"metric\":5}]}");
	expect("ip route | sed 's/ *$//' | sort",
	       "10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.2\n"
	       "10.3.0.0/24 dev eth1 scope link metric 5\n"
	       "default via 10.3.0.1 dev eth1\n");
	/* The route that came with the address, too. */
	settle("{\"interfaces\":[" ETH0(IPV4) "," ETH1(
		"") "],\"routes\":["
	            "{\"dst\":\"10.0.0.0/24\",\"device\":\"eth0\",\"gateway\":\"10.0.0.1\"},"
	            "{\"dst\":\"10.0.0.1/32\",\"device\":\"eth0\"}]}");
	expect("ip route | sed 's/ *$//' | sort", "10.0.0.0/24 via 10.0.0.1 dev eth0\n"
	                                          "10.0.0.1 dev eth0 scope link\n");
}
END_TEST

START_TEST(two_interfaces_may_be_in_the_same_networks)
{
	settle("{\"interfaces\":[" ETH0(
		"{\"address\":\"fe80::1/64\",\"scope\":253}," IPV4) "," ETH1("{\"address\":\"fe80::"
	                                                                     "2/"
	                                                                     "64\",\"scope\":253},{"
	                                                                     "\"address\":\"10.0.0."
	                                                                     "3/24\"}") "],"
	                                                                                "\"routes\""
	                                                                                ":["
	                                                                                "{\"dst\":"
	                                                                                "\"fe80::/"
	                                                                                "64\","
	                                                                                "\"device\""
	                                                                                ":\"eth0\","
	                                                                                "\"metric\""
	                                                                                ":256,"
	                                                                                "\"protocol"
	                                                                                "\":2},"
	                                                                                "{\"dst\":"
	                                                                                "\"fe80::/"
	                                                                                "64\","
	                                                                                "\"device\""
	                                                                                ":\"eth1\","
	                                                                                "\"metric\""
	                                                                                ":256,"
	                                                                                "\"protocol"
	                                                                                "\":2}"
	                                                                                "," IPV4_NET
	                                                                                ",{\"dst\":"
	                                                                                "\"10.0.0."
	                                                                                "0/"
	                                                                                "24\","
	                                                                                "\"device\""
	                                                                                ":\"eth1\","
	                                                                                "\"source\""
	                                                                                ":\"10.0.0."
	                                                                                "3\","
	                                                                                "\"scope\":"
	                                                                                "253,"
	                                                                                "\"protocol"
	                                                                                "\":2},"
	                                                                                "{\"dst\":"
	                                                                                "\"::/"
	                                                                                "0\","
	                                                                                "\"gateway"
	                                                                                "\":\"fe80:"
	                                                                                ":9\","
	                                                                                "\"device\""
	                                                                                ":\"eth0\"}"
	                                                                                ","
	                                                                                "{\"dst\":"
	                                                                                "\"::/"
	                                                                                "0\","
	                                                                                "\"gateway"
	                                                                                "\":\"fe80:"
	                                                                                ":9\","
	                                                                                "\"device\""
	                                                                                ":\"eth1\"}"
	                                                                                "]}");
	expect("ip -6 route show fe80::/64 | grep -c eth; ip route show 10.0.0.0/24 | wc -l;"
	       " ip -6 route show default | grep -c fe80::9",
	       "2\n2\n2\n");
}
END_TEST

START_TEST(what_is_gone_from_the_wish_is_removed_and_nothing_else)
{
	settle("{\"interfaces\":[" ETH0(IPV4 "," IPV6) "," ETH1(
		"{\"address\":\"10.3.0.2/24\"}") ",{\"name\":\"lo\",\"addresses\":[{\"address\":"
	                                         "\"10.2.2.2/32\"}]}],"
	                                         "\"routes\":[" IPV4_NET
	                                         "],\"neighbours\":[{\"address\":\"10.0.0.5\","
	                                         "\"mac\":\"02:00:00:00:00:55\",\"device\":"
	                                         "\"eth0\"}]}");
	expect_has("ip addr show lo", "10.2.2.2/32");
	expect_has("ip neigh show dev eth0", "10.0.0.5 lladdr 02:00:00:00:00:55 PERMANENT");
	/* What a container did by itself. */
	sh("ip addr add 10.77.0.1/24 dev eth0 && ip link add br0 type veth peer name p && "
	   "ip link set br0 up && ip addr add 10.78.0.1/24 dev br0 && "
	   "ip route add 10.79.0.0/24 dev br0 && "
	   "ip neigh add 10.0.0.6 lladdr 02:00:00:00:00:66 dev eth0");
	settle("{\"interfaces\":[" ETH0(IPV4) ",{\"name\":\"lo\"}],\"routes\":[" IPV4_NET "]}");
	expect("ip -br addr show eth1 | tr -s ' '", "eth1@farb DOWN \n");
	expect("ip -o -4 addr | awk '{print $2, $4}' | sort",
	       "br0 10.78.0.1/24\neth0 10.0.0.2/24\neth0 10.77.0.1/24\nlo 127.0.0.1/8\n");
	expect("ip -6 addr show eth0 | grep -c fd00 || true", "0\n");
	expect_has("ip route show 10.79.0.0/24", "dev br0");
	expect("ip neigh show nud permanent | cut -d' ' -f 1", "10.0.0.6\n");
	settle("{}");
	expect_has("ip addr show lo", "127.0.0.1/8");
	expect_has("ip link show lo", "UP");
}
END_TEST

START_TEST(attributes_of_addresses_and_neighbours_change)
{
	settle("{\"interfaces\":[" ETH0(
		IPV4 ",{\"address\":\"10.0.0.3/24\"}," IPV6) "],"
	                                                     "\"neighbours\":[{\"address\":\"fd00::"
	                                                     "5\",\"mac\":\"02:00:00:00:00:55\","
	                                                     "\"device\":\"eth0\"}]}");
	settle("{\"interfaces\":[" ETH0(
		"{\"address\":\"10.0.0.2/24\",\"scope\":253},"
		"{\"address\":\"10.0.0.3/24\",\"scope\":253},"
		"{\"address\":\"fd00::2/64\",\"valid\":500}") "],"
	                                                      "\"neighbours\":[{\"address\":\"fd00:"
	                                                      ":5\",\"mac\":\"02:00:00:00:00:56\","
	                                                      "\"device\":\"eth0\",\"flags\":128}]"
	                                                      "}");
	expect("ip -o -4 addr show eth0 | sed 's/  */ /g; s/\\\\.*//; s/^[0-9]*: //' | sort",
	       "eth0 inet 10.0.0.2/24 scope link noprefixroute eth0\n"
	       "eth0 inet 10.0.0.3/24 scope link secondary noprefixroute eth0\n");
	expect("ip -6 addr show eth0 | grep -c 'valid_lft [45]..sec'", "1\n");
	expect_has("ip neigh show dev eth0", "fd00::5 lladdr 02:00:00:00:00:56 router PERMANENT");
}
END_TEST

START_TEST(a_device_that_comes_later_is_waited_for)
{
	pid_t pid;
	int status;

	sh("ip link del nicb");
	pid = fork();
	if (pid == 0) {
		usleep(50000);
		execlp("ip", "ip", "link", "add", "z", "address", MAC_B, "type", "veth", "peer",
		       "name", "farb", (char *)NULL);
		_exit(127);
	}
	settle("{\"interfaces\":[" ETH1("") "]}");
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	expect_has("ip link show eth1", MAC_B);
}
END_TEST

START_TEST(a_device_that_never_comes_is_an_error)
{
	auto_error struct error err = { 0 };

	ck_assert_int_eq(try_apply("{\"interfaces\":[{\"name\":\"eth5\","
	                           "\"mac\":\"02:00:00:00:00:99\"}]}",
	                           &err),
	                 -ETIMEDOUT);
	ck_assert_str_eq(err.msg, "network: the device of interface 'eth5' (with the MAC address "
	                          "02:00:00:00:00:99) did not appear within 300 ms");
	error_clear(&err);
	ck_assert_int_eq(
		try_apply("{\"interfaces\":[{\"name\":\"eth5\",\"pci\":\"1f.0/00.0\"}]}", &err),
		-ETIMEDOUT);
	ck_assert_ptr_nonnull(strstr(err.msg, "(in slot 1f.0/00.0)"));
}
END_TEST

START_TEST(what_the_kernel_refuses_is_named)
{
	static const struct {
		const char *wish, *msg;
	} cases[] = {
		{ "{\"routes\":[{\"dst\":\"10.1.0.0/16\",\"gateway\":\"10.0.0.1\"}]}",
		  "network: set route '10.1.0.0/16': Network is unreachable" },
		{ "{\"routes\":[{\"dst\":\"10.1.0.0/16\",\"device\":\"no\"}]}",
		  "network: set route '10.1.0.0/16' over no: No such device" },
		{ "{\"interfaces\":[{\"name\":\"eth0\"," NIC_A ",\"mtu\":10000000}]}",
		  "network: change the MTU of interface 'eth0': Invalid argument" },
		{ "{\"neighbours\":[{\"address\":\"10.0.0.1\",\"mac\":\"" MAC_A
		  "\",\"device\":\"no\"}]}",
		  "network: no interface 'no' for a neighbour" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_error struct error err = { 0 };

		ck_assert_int_lt(try_apply(cases[i].wish, &err), 0);
		ck_assert_str_eq(err.msg, cases[i].msg);
	}
}
END_TEST

START_TEST(without_ipv6_the_rest_is_applied)
{
	settle("{\"interfaces\":[" ETH0(IPV4) "]}");
	sh("echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6");
	settle("{\"interfaces\":[" ETH0(
		"{\"address\":\"10.0.0.3/24\"}," IPV6) "],"
	                                               "\"routes\":[" IPV6_NET
	                                               "],\"neighbours\":[{\"address\":\"fd00::5\","
	                                               "\"mac\":\"02:00:00:00:00:55\",\"device\":"
	                                               "\"eth0\"}]}");
	expect_has("ip addr show eth0", "10.0.0.3/24");
	expect("ip -6 addr show eth0", "");
}
END_TEST

START_TEST(odd_requests_are_refused)
{
	static const char *const cases[][2] = {
		{ "{\"interfaces\":1}", "interfaces" },
		{ "{\"interfaces\":[1]}", "interfaces" },
		{ "{\"interfaces\":[{" NIC_A "}]}", "name" },
		{ "{\"interfaces\":[{\"name\":\"../x\"," NIC_A "}]}", "name" },
		{ "{\"interfaces\":[{\"name\":\"a-very-long-name\"," NIC_A "}]}", "name" },
		{ "{\"interfaces\":[{\"name\":\"e\"}]}", "mac" },
		{ "{\"interfaces\":[{\"name\":\"e\",\"mac\":\"02:00:00:00:00\"}]}", "mac" },
		{ "{\"interfaces\":[{\"name\":\"e\",\"mac\":\"02-00-00-00-00-01\"}]}", "mac" },
		{ "{\"interfaces\":[{\"name\":\"e\",\"mac\":\"02:00:00:00:00:xx\"}]}", "mac" },
		{ "{\"interfaces\":[{\"name\":\"e\"," NIC_A ",\"mtu\":-1}]}", "mtu" },
		{ "{\"interfaces\":[{\"name\":\"e\"," NIC_A ",\"addresses\":[{}]}]}", "address" },
		{ "{\"interfaces\":[" ETH0("{\"address\":\"10.0.0.1/33\"}") "]}", "address" },
		{ "{\"interfaces\":[" ETH0("{\"address\":\"10.0.0/8\"}") "]}", "address" },
		{ "{\"interfaces\":[" ETH0("{\"address\":\"::1\",\"peer\":\"10.0.0.1\"}") "]}",
		  "peer" },
		{ "{\"interfaces\":[" ETH0("{\"address\":\"::1\",\"broadcast\":\"::2\"}") "]}",
		  "broadcast" },
		{ "{\"interfaces\":[" ETH0(
			  "{\"address\":\"::1\",\"valid\":1,\"preferred\":2}") "]}",
		  "valid" },
		{ "{\"routes\":[{}]}", "dst" },
		{ "{\"routes\":[{\"dst\":\"default\"}]}", "dst" },
		{ "{\"routes\":[{\"dst\":\"::/0\",\"gateway\":\"10.0.0.1\"}]}", "gateway" },
		{ "{\"routes\":[{\"dst\":\"::/0\",\"source\":\"10.0.0.1\"}]}", "source" },
		{ "{\"routes\":[{\"dst\":\"::/0\",\"scope\":256}]}", "scope" },
		{ "{\"routes\":[{\"dst\":\"::/0\",\"onlink\":1}]}", "onlink" },
		{ "{\"neighbours\":[{\"address\":\"::1\",\"device\":\"e\"}]}", "mac" },
		{ "{\"neighbours\":[{\"address\":\"::1\"," NIC_A "}]}", "device" },
		{ "{\"neighbours\":[{\"address\":\"::1\"," NIC_A ",\"device\":\"e\",\"flags\":8}]}",
		  "flags" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_error struct error err = { 0 };
		auto_free char *msg = str_fmt("network: odd \"%s\"", cases[i][1]);

		ck_assert_ptr_null(read_wish(cases[i][0], &err));
		ck_assert_int_eq(err.code, EINVAL);
		ck_assert_msg(str_eq(err.msg, msg), "%s: %s", cases[i][0], err.msg);
	}
}
END_TEST

START_TEST(there_is_an_end_to_what_is_read)
{
	auto_error struct error err = { 0 };
	auto_buf struct buf text = { 0 };

	buf_adds(&text, "{\"interfaces\":[" ETH0(""));
	for (int i = 0; i < 64; i++)
		buf_adds(&text, "," ETH0(""));
	buf_adds(&text, "]}");
	ck_assert_ptr_null(read_wish(text.data, &err));
	ck_assert_str_eq(err.msg, "network: odd \"interfaces\"");
	error_clear(&err);
	ck_assert_ptr_null(read_wish("{\"interfaces\":[" ETH0("") "," ETH0("") "]}", &err));
	ck_assert_str_eq(err.msg, "network: two interfaces 'eth0'");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("network");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, an_interface_gets_its_name_mtu_flags_and_addresses);
	tcase_add_test(tc, the_first_connection_of_ipv6_works_at_once);
	tcase_add_test(tc, names_are_swapped);
	tcase_add_test(tc, a_device_that_nobody_uses_yet_gives_its_name_away);
	tcase_add_test(tc, an_interface_of_a_container_keeps_its_name);
	tcase_add_test(tc, the_mac_address_changes_and_the_device_is_still_found);
	tcase_add_test(tc, routes_come_with_all_that_they_have);
	tcase_add_test(tc, routes_are_replaced_and_removed);
	tcase_add_test(tc, two_interfaces_may_be_in_the_same_networks);
	tcase_add_test(tc, what_is_gone_from_the_wish_is_removed_and_nothing_else);
	tcase_add_test(tc, attributes_of_addresses_and_neighbours_change);
	tcase_add_test(tc, a_device_that_comes_later_is_waited_for);
	tcase_add_test(tc, a_device_that_never_comes_is_an_error);
	tcase_add_test(tc, what_the_kernel_refuses_is_named);
	tcase_add_test(tc, without_ipv6_the_rest_is_applied);
	tcase_add_test(tc, odd_requests_are_refused);
	tcase_add_test(tc, there_is_an_end_to_what_is_read);
	return scratch_run(tc);
}
