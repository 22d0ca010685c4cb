/* A name server's answers to the namespace itself: eth0 is joined with a tap, and at port 53 of the
 * peer there is an echo. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "test/box.h"
#include "test/frames.h"
#include "test/scratch.h"

#define WAIT_MS 20000
#define QUIET_MS 500
#define LARGE 4000 /* bytes: in three fragments */

static int server, listener; /* of the peer */

static struct sockaddr_in address(const char *ip, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	ck_assert_int_eq(inet_pton(AF_INET, ip, &a.sin_addr), 1);
	return a;
}

static void open_server(void *arg)
{
	struct sockaddr_in a = address(FRAMES_PEER_IP, *(const uint16_t *)arg);

	server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(server, (struct sockaddr *)&a, sizeof(a)), 0);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(listener, 8), 0);
}

static void start_server(uint16_t port)
{
	box_inside(box_outside, open_server, &port);
}

static void stop_server(void)
{
	close_fd(&server);
	close_fd(&listener);
}

static void open_client(void *arg)
{
	int *type = arg;

	*type = socket(AF_INET, *type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static int new_client(int type, uint16_t port)
{
	struct sockaddr_in a = address(FRAMES_PEER_IP, port);
	int r;

	box_inside(box, open_client, &type);
	r = connect(type, (struct sockaddr *)&a, sizeof(a));
	ck_assert_msg(r == 0 || errno == EINPROGRESS, "%s", strerror(errno));
	return type;
}

static bool is_ready(int fd, short events, int msec)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, msec) > 0 && (p.revents & events);
}

/* A question of the namespace gets to the peer, and an answer of so many bytes back. */
static bool is_answered(uint16_t port, size_t len)
{
	auto_close int client = new_client(SOCK_DGRAM, port);
	struct sockaddr_in from;
	socklen_t size = sizeof(from);
	static char text[LARGE];

	ck_assert_int_eq(send(client, "who", 3, 0), 3);
	if (!is_ready(server, POLLIN, port == 53 ? WAIT_MS : QUIET_MS))
		return false;
	ck_assert_int_eq(recvfrom(server, text, 8, 0, (struct sockaddr *)&from, &size), 3);
	ck_assert_int_eq(sendto(server, text, len, 0, (struct sockaddr *)&from, size),
	                 (ssize_t)len);
	return is_ready(client, POLLIN, port == 53 ? WAIT_MS : QUIET_MS);
}

static struct endpoint *attach(void)
{
	auto_error struct error err = { 0 };
	struct endpoint *ep = box_attach("eth0", NET_TCFILTER, 1);

	ck_assert_msg(endpoint_let_in_answers(net, ep, &err) == 0, "%s", err.msg);
	return ep;
}

START_TEST(the_namespace_asks_name_servers_and_nobody_else)
{
	struct endpoint *ep = attach();
	auto_close int client = -1;

	start_server(53);
	ck_assert(is_answered(53, 3));
	ck_assert(is_answered(53, LARGE));
	client = new_client(SOCK_STREAM, 53);
	ck_assert(is_ready(client, POLLOUT, WAIT_MS));
	ck_assert(is_ready(listener, POLLIN, WAIT_MS));
	stop_server();
	start_server(54);
	ck_assert(!is_answered(54, 3));
	stop_server();
	box_detach(ep);
}
END_TEST

START_TEST(the_vm_has_its_answers_as_before_and_those_of_arp_too)
{
	struct endpoint *ep = attach();
	struct sockaddr_in guest = address(FRAMES_GUEST_IP, 9999);
	static const char large[LARGE];

	frames_assert_arp_answered(ep->fds[0]);
	frames_assert_ping_answered(ep->fds[0], 100);
	/* From port 53, but to a port that nobody has in the namespace. */
	start_server(53);
	ck_assert_int_eq(sendto(server, "it", 2, 0, (struct sockaddr *)&guest, sizeof(guest)), 2);
	frames_assert_datagram(ep->fds[0], 9999);
	ck_assert_int_eq(sendto(server, large, LARGE, 0, (struct sockaddr *)&guest, sizeof(guest)),
	                 LARGE);
	frames_assert_datagram(ep->fds[0], 9999);
	frames_assert_fragment(ep->fds[0], LARGE);
	stop_server();
	box_detach(ep);
}
END_TEST

START_TEST(detaching_leaves_no_trace)
{
	auto_free char *before = NULL, *after = NULL;

	sleep(2); /* duplicate address detection */
	/* Somebody else's queueing discipline stays, without the filter. */
	if (_i == 1)
		box_run(box, "tc qdisc add dev eth0 clsact");
	before = box_look();
	box_detach(attach());
	after = box_look();
	ck_assert_str_eq(after, before);
}
END_TEST

START_TEST(other_models_do_not_let_a_choice)
{
	auto_error struct error err = { 0 };
	struct endpoint *ep = box_attach("eth0", NET_BRIDGE, 1);

	ck_assert_int_eq(endpoint_let_in_answers(net, ep, &err), -EOPNOTSUPP);
	ck_assert_str_eq(err.msg, "interface 'eth0': answers of name servers reach only the VM "
	                          "with the network model 'bridge'");
	box_detach(ep);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("answers");

	tcase_add_checked_fixture(tc, box_setup_with_peer, box_teardown_with_peer);
	tcase_add_test(tc, the_namespace_asks_name_servers_and_nobody_else);
	tcase_add_test(tc, the_vm_has_its_answers_as_before_and_those_of_arp_too);
	tcase_add_loop_test(tc, detaching_leaves_no_trace, 0, 2);
	tcase_add_test(tc, other_models_do_not_let_a_choice);
	return scratch_run(tc);
}
