#include "agent/guest/engine-internal.h"
#include "test/scratch.h"

START_TEST(sysctl_names_become_paths_and_never_lead_out)
{
	auto_free char *dots = sysctl_path("net.ipv4.conf.eth0/1.forwarding");
	auto_free char *slashes = sysctl_path("net/ipv4/conf/eth0.1/forwarding");

	ck_assert_str_eq(dots, "/proc/sys/net/ipv4/conf/eth0.1/forwarding");
	ck_assert_str_eq(slashes, "/proc/sys/net/ipv4/conf/eth0.1/forwarding");
	ck_assert_ptr_null(sysctl_path("net/../../self/mem"));
	ck_assert_ptr_null(sysctl_path("net..ipv4"));
	ck_assert_ptr_null(sysctl_path(""));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("sysctl");

	tcase_add_test(tc, sysctl_names_become_paths_and_never_lead_out);
	return scratch_run(tc);
}
