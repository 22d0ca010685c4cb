#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "netns/netns.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "test/box.h"
#include "test/frames.h"
#include "test/scratch.h"

/* A guest with a stack of its own: a namespace with a tap, whose frames a process carries to the
 * endpoint's tap and back, as a VMM does. */

#define SIZE (16u << 20) /* bytes that are sent */
#define CHUNK 65536
#define WAIT_S 50

static int guest, guest_tap;
static size_t *largest; /* bytes of a frame that was carried; shared with the process */

static void open_guest_tap(void *arg)
{
	struct ifreq req = { .ifr_name = "eth0", .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };

	(void)arg;
	guest_tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	ck_assert_int_ge(guest_tap, 0);
	ck_assert_int_eq(ioctl(guest_tap, TUNSETIFF, &req), 0);
}

static void setup(void)
{
	box_setup_with_peer();
	guest = box_new();
	box_inside(guest, open_guest_tap, NULL);
	box_run(guest, "ip link set eth0 address " FRAMES_GUEST_MAC " up\n"
	               "ip addr add " FRAMES_GUEST_IP "/24 dev eth0\n"
	               "ip addr add fd00::2/64 dev eth0 nodad");
	box_run(box_outside, "ip addr add fd00::1/64 dev p0 nodad");
	largest = mmap(NULL, sizeof(*largest), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
	               -1, 0);
	ck_assert_ptr_ne(largest, MAP_FAILED);
}

static void teardown(void)
{
	munmap(largest, sizeof(*largest));
	close(guest_tap);
	close(guest);
	box_teardown_with_peer();
}

static void carry(int from, int to)
{
	static char frame[CHUNK + 4096];
	ssize_t n;

	while ((n = read(from, frame, sizeof(frame))) > 0) {
		if ((size_t)n > *largest)
			*largest = (size_t)n;
		if (write(to, frame, (size_t)n) < 0 && errno != EAGAIN)
			return; /* down, or not of its MTU: lost, as on a wire */
	}
}

/* The process, which ends by itself after WAIT_S. */
static pid_t carry_frames(int tap)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		return pid;
	alarm(WAIT_S);
	for (;;) {
		struct pollfd p[] = { { .fd = tap, .events = POLLIN },
			              { .fd = guest_tap, .events = POLLIN } };

		if (poll(p, 2, -1) < 0)
			_exit(1);
		carry(tap, guest_tap);
		carry(guest_tap, tap);
	}
}

static void make_socket(void *arg)
{
	struct timeval limit = { .tv_sec = WAIT_S };
	int *fd = arg;

	*fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(*fd, 0);
	setsockopt(*fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

/* Bytes of the stream at that place. */
static void fill(uint32_t *words, size_t at)
{
	for (size_t i = 0; i < CHUNK / sizeof(*words); i++)
		words[i] = (uint32_t)(at + i * sizeof(*words)) * 2654435761u;
}

static pid_t send_all(int fd)
{
	static uint32_t words[CHUNK / sizeof(uint32_t)];
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		return pid;
	alarm(WAIT_S);
	for (size_t at = 0; at < SIZE; at += CHUNK) {
		fill(words, at);
		if (fs_write_all(fd, words, sizeof(words)) < 0)
			_exit(1);
	}
	_exit(0);
}

static void receive_all(int fd)
{
	static uint32_t words[CHUNK / sizeof(uint32_t)];
	static char data[CHUNK];

	for (size_t at = 0; at < SIZE; at += CHUNK) {
		fill(words, at);
		ck_assert_int_eq(recv(fd, data, sizeof(data), MSG_WAITALL), CHUNK);
		ck_assert_mem_eq(data, words, sizeof(data));
	}
}

/* TCP from one to the other, which has that address. */
static void transfer(int from, int to, const char *address)
{
	struct sockaddr_in6 sin = { .sin6_family = AF_INET6, .sin6_port = htons(5001) };
	auto_close int server = -1, client = -1, conn = -1;
	int on = 1, status;
	pid_t sender;

	box_inside(to, make_socket, &server);
	box_inside(from, make_socket, &client);
	ck_assert_int_eq(inet_pton(AF_INET6, address, &sin.sin6_addr), 1);
	setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	ck_assert_int_eq(bind(server, (struct sockaddr *)&sin, sizeof(sin)), 0);
	ck_assert_int_eq(listen(server, 1), 0);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&sin, sizeof(sin)), 0);
	conn = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(conn, 0);
	sender = send_all(client);
	receive_all(conn);
	ck_assert_int_eq(waitpid(sender, &status, 0), sender);
	ck_assert_int_eq(status, 0);
}

static void transfer_both_ways(enum net_model model, unsigned offload, unsigned mtu)
{
	struct endpoint *ep;
	pid_t carrier;

	box_run(box, "ip link set eth0 mtu %u", mtu);
	box_run(box_outside, "ip link set p0 mtu %u", mtu);
	box_run(guest, "ip link set eth0 mtu %u", mtu);
	ep = box_attach("eth0", model, 1);
	ck_assert_int_eq(ioctl(ep->fds[0], TUNSETOFFLOAD, offload), 0);
	ck_assert_int_eq(ioctl(guest_tap, TUNSETOFFLOAD, offload), 0);
	*largest = 0;
	carrier = carry_frames(ep->fds[0]);
	transfer(guest, box_outside, "::ffff:" FRAMES_PEER_IP);
	transfer(box_outside, guest, "::ffff:" FRAMES_GUEST_IP);
	transfer(guest, box_outside, "fd00::1");
	transfer(box_outside, guest, "fd00::2");
	kill(carrier, SIGKILL);
	waitpid(carrier, NULL, 0);
	box_detach(ep);
}

START_TEST(large_transfers_are_intact_and_frames_are_larger_than_the_mtu_with_offloads)
{
	for (enum net_model m = NET_TCFILTER; m <= NET_BRIDGE; m++) {
		transfer_both_ways(m, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6, 1500);
		ck_assert_msg(*largest > 20000, "%s: %zu", net_model_name(m), *largest);
	}
}
END_TEST

START_TEST(large_transfers_are_intact_without_offloads)
{
	transfer_both_ways(NET_TCFILTER, 0, 1400);
	ck_assert_uint_le(*largest, 1400 + 14 + 12);
	transfer_both_ways(NET_TCFILTER, 0, 9000);
	ck_assert_uint_gt(*largest, 8000);
	ck_assert_uint_le(*largest, 9000 + 14 + 12);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("transfer");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, WAIT_S);
	tcase_add_test(tc,
	               large_transfers_are_intact_and_frames_are_larger_than_the_mtu_with_offloads);
	tcase_add_test(tc, large_transfers_are_intact_without_offloads);
	return scratch_run(tc);
}
