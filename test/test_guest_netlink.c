#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/guest/netlink.h"
#include "lib/base/error.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static struct netlink nl;

static void setup(void)
{
	auto_error struct error err = { 0 };

	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	nl = (struct netlink){ .fd = netlink_open(0, &err) };
	ck_assert_msg(nl.fd >= 0, "%s", err.msg);
}

static void teardown(void)
{
	close_fd(&nl.fd);
}

/* As if it were the kernel's answer to the next request: "refused", which somebody else says. */
static void forge_answer(int type)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr body;
	} forged = { .header = { .nlmsg_len = sizeof(forged),
		                 .nlmsg_type = (uint16_t)type,
		                 .nlmsg_seq = nl.last + 1 },
		     .body = { .error = -EPERM } };
	struct sockaddr_nl to = { 0 };
	socklen_t len = sizeof(to);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(getsockname(nl.fd, (struct sockaddr *)&to, &len), 0);
	ck_assert_int_eq(sendto(fd, &forged, sizeof(forged), 0, (struct sockaddr *)&to, len),
	                 sizeof(forged));
	close(fd);
}

START_TEST(only_the_kernel_ends_a_dump)
{
	static const int types[] = { NLMSG_DONE, NLMSG_ERROR };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		auto_error struct error err = { 0 };
		auto_buf struct buf links = { 0 };

		forge_answer(types[i]);
		ck_assert_msg(netlink_dump(&nl, RTM_GETLINK, &links, &err) == 0, "%s", err.msg);
		ck_assert_uint_gt(links.len, 0); /* the loopback */
	}
}
END_TEST

START_TEST(only_the_kernel_answers_a_request)
{
	struct ifinfomsg lo = { .ifi_index = 1, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	struct netlink_request r;

	netlink_begin(&r, RTM_NEWLINK, 0, &lo, sizeof(lo));
	forge_answer(NLMSG_ERROR);
	ck_assert_int_eq(netlink_do(&nl, &r), 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("netlink");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, only_the_kernel_ends_a_dump);
	tcase_add_test(tc, only_the_kernel_answers_a_request);
	return scratch_run(tc);
}
