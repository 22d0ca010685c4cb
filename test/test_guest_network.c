/* Interfaces of the guest: how devices become them, and which requests are refused. */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/test_guest_network.h"

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
	tcase_add_test(tc, a_device_that_comes_later_is_waited_for);
	tcase_add_test(tc, a_device_that_never_comes_is_an_error);
	tcase_add_test(tc, what_the_kernel_refuses_is_named);
	tcase_add_test(tc, odd_requests_are_refused);
	tcase_add_test(tc, there_is_an_end_to_what_is_read);
	return scratch_run(tc);
}
