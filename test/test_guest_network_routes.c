/* Routes of the guest, and what changes from one wish for its network to the next. */
#include "test/test_guest_network.h"

START_TEST(routes_come_with_all_that_they_have)
{
	settle("{\"interfaces\":[" DUAL "],\"routes\":["
	       "{\"dst\":\"0.0.0.0/0\",\"gateway\":\"10.1.1.1\",\"device\":\"eth0\"},"
	       "{\"dst\":\"10.1.1.1\",\"device\":\"eth0\",\"scope\":253},"
	       "{\"dst\":\"10.5.0.0/16\",\"gateway\":\"10.0.0.9\",\"device\":\"eth0\",\"metric\":7,"
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
#define BOTH ETH0(IPV4) "," ETH1("{\"address\":\"10.3.0.2/24\"}")
#define BARE ETH0(IPV4) "," ETH1("")
	settle("{\"interfaces\":[" BOTH "],\"routes\":[" IPV4_NET ","
	       "{\"dst\":\"0.0.0.0/0\",\"gateway\":\"10.0.0.1\",\"device\":\"eth0\"},"
	       "{\"dst\":\"10.3.0.0/24\",\"device\":\"eth1\"},"
	       "{\"dst\":\"10.4.0.0/24\",\"device\":\"eth1\"}]}");
	settle("{\"interfaces\":[" BOTH "],\"routes\":[" IPV4_NET ","
	       "{\"dst\":\"0.0.0.0/0\",\"gateway\":\"10.3.0.1\",\"device\":\"eth1\"},"
	       "{\"dst\":\"10.3.0.0/24\",\"device\":\"eth1\",\"metric\":5}]}");
	expect("ip route | sed 's/ *$//' | sort",
	       "10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.2\n"
	       "10.3.0.0/24 dev eth1 scope link metric 5\n"
	       "default via 10.3.0.1 dev eth1\n");
	/* The route that came with the address, too. */
	settle("{\"interfaces\":[" BARE "],\"routes\":["
	       "{\"dst\":\"10.0.0.0/24\",\"device\":\"eth0\",\"gateway\":\"10.0.0.1\"},"
	       "{\"dst\":\"10.0.0.1/32\",\"device\":\"eth0\"}]}");
	expect("ip route | sed 's/ *$//' | sort", "10.0.0.0/24 via 10.0.0.1 dev eth0\n"
	                                          "10.0.0.1 dev eth0 scope link\n");
}
END_TEST

START_TEST(two_interfaces_may_be_in_the_same_networks)
{
#define FIRST ETH0("{\"address\":\"fe80::1/64\",\"scope\":253}," IPV4)
#define SECOND ETH1("{\"address\":\"fe80::2/64\",\"scope\":253},{\"address\":\"10.0.0.3/24\"}")
	settle("{\"interfaces\":[" FIRST "," SECOND "],\"routes\":["
	       "{\"dst\":\"fe80::/64\",\"device\":\"eth0\",\"metric\":256,\"protocol\":2},"
	       "{\"dst\":\"fe80::/64\",\"device\":\"eth1\",\"metric\":256,\"protocol\":2}," IPV4_NET
	       ",{\"dst\":\"10.0.0.0/24\",\"device\":\"eth1\",\"source\":\"10.0.0.3\","
	       "\"scope\":253,\"protocol\":2},"
	       "{\"dst\":\"::/0\",\"gateway\":\"fe80::9\",\"device\":\"eth0\"},"
	       "{\"dst\":\"::/0\",\"gateway\":\"fe80::9\",\"device\":\"eth1\"}]}");
	expect("ip -6 route show fe80::/64 | grep -c eth; ip route show 10.0.0.0/24 | wc -l;"
	       " ip -6 route show default | grep -c fe80::9",
	       "2\n2\n2\n");
}
END_TEST

START_TEST(what_is_gone_from_the_wish_is_removed_and_nothing_else)
{
#define ALL DUAL "," ETH1("{\"address\":\"10.3.0.2/24\"}")
	settle("{\"interfaces\":[" ALL ","
	       "{\"name\":\"lo\",\"addresses\":[{\"address\":\"10.2.2.2/32\"}]}],"
	       "\"routes\":[" IPV4_NET "],"
	       "\"neighbours\":[{\"address\":\"10.0.0.5\",\"mac\":\"02:00:00:00:00:55\","
	       "\"device\":\"eth0\"}]}");
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
#define BEFORE ETH0(IPV4 ",{\"address\":\"10.0.0.3/24\"}," IPV6)
#define AFTER                                                                                      \
	ETH0("{\"address\":\"10.0.0.2/24\",\"scope\":253},"                                        \
	     "{\"address\":\"10.0.0.3/24\",\"scope\":253},"                                        \
	     "{\"address\":\"fd00::2/64\",\"valid\":500}")
	settle("{\"interfaces\":[" BEFORE "],\"neighbours\":[{\"address\":\"fd00::5\","
	       "\"mac\":\"02:00:00:00:00:55\",\"device\":\"eth0\"}]}");
	settle("{\"interfaces\":[" AFTER "],\"neighbours\":[{\"address\":\"fd00::5\","
	       "\"mac\":\"02:00:00:00:00:56\",\"device\":\"eth0\",\"flags\":128}]}");
	expect("ip -o -4 addr show eth0 | sed 's/  */ /g; s/\\\\.*//; s/^[0-9]*: //' | sort",
	       "eth0 inet 10.0.0.2/24 scope link noprefixroute eth0\n"
	       "eth0 inet 10.0.0.3/24 scope link secondary noprefixroute eth0\n");
	expect("ip -6 addr show eth0 | grep -c 'valid_lft [45]..sec'", "1\n");
	expect_has("ip neigh show dev eth0", "fd00::5 lladdr 02:00:00:00:00:56 router PERMANENT");
}
END_TEST

START_TEST(without_ipv6_the_rest_is_applied)
{
#define ANOTHER ETH0("{\"address\":\"10.0.0.3/24\"}," IPV6)
	settle("{\"interfaces\":[" ETH0(IPV4) "]}");
	sh("echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6");
	settle("{\"interfaces\":[" ANOTHER "],\"routes\":[" IPV6_NET "],"
	       "\"neighbours\":[{\"address\":\"fd00::5\",\"mac\":\"02:00:00:00:00:55\","
	       "\"device\":\"eth0\"}]}");
	expect_has("ip addr show eth0", "10.0.0.3/24");
	expect("ip -6 addr show eth0", "");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("network-routes");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, routes_come_with_all_that_they_have);
	tcase_add_test(tc, routes_are_replaced_and_removed);
	tcase_add_test(tc, two_interfaces_may_be_in_the_same_networks);
	tcase_add_test(tc, what_is_gone_from_the_wish_is_removed_and_nothing_else);
	tcase_add_test(tc, attributes_of_addresses_and_neighbours_change);
	tcase_add_test(tc, without_ipv6_the_rest_is_applied);
	return scratch_run(tc);
}
