/* The forwarder of a name server, both ends of it: the test's own network namespace is the VM's,
 * the box is the container's on the host. The name server answers what it is asked, but for the
 * first byte. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/guest/server.h"
#include "agent/protocol.h"
#include "lib/dns.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "netns/netns.h"
#include "test/box.h"
#include "test/scratch.h"

#define WAIT_MS 20000
#define SOCKETS "/proc/thread-self/net/udp"
#define MANY 100
#define PORT PROTOCOL_RESOLVER_PORT
#define SERVER "127.0.0.11"
#define MAX_ANSWER 65507

static struct loop *loop;
static struct server *guest;
static struct agent *agent;
static struct dns *dns;
static char *agent_error;

/* ---- the name server ---- */

struct name_server {
	int udp, tcp;
	struct loop_source *udp_source, *tcp_source;
	struct peer {
		int fd;
		struct loop_source *source;
	} peers[MANY];
	size_t n_peers;
};
static struct name_server ns;

static struct sockaddr_in address(const char *ip, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	ck_assert_int_eq(inet_pton(AF_INET, ip, &a.sin_addr), 1);
	return a;
}

static int bound(int type, const char *ip, uint16_t port)
{
	struct sockaddr_in a = address(ip, port);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, size = 1 << 20;

	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)), 0);
	ck_assert_msg(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0, "%s", strerror(errno));
	if (type == SOCK_STREAM)
		ck_assert_int_eq(listen(fd, MANY), 0);
	return fd;
}

static void on_question(int fd, uint32_t events, void *arg)
{
	static char data[MAX_ANSWER];
	struct sockaddr_in from;
	socklen_t size = sizeof(from);
	ssize_t n = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &size);

	(void)events;
	(void)arg;
	if (n <= 0)
		return;
	data[0] = 'A';
	ck_assert_int_eq(sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, size), n);
}

static void end_peer(struct peer *p)
{
	loop_remove(&p->source);
	close_fd(&p->fd);
}

static void on_bytes(int fd, uint32_t events, void *arg)
{
	char data[4096];
	ssize_t n = recv(fd, data, sizeof(data), 0);

	(void)events;
	if (n > 0) {
		data[0] = 'A';
		ck_assert_int_eq(send(fd, data, (size_t)n, MSG_NOSIGNAL), n);
		return;
	}
	end_peer(arg);
}

static void on_peer(int fd, uint32_t events, void *arg)
{
	struct peer *p = &ns.peers[ns.n_peers++];

	(void)events;
	(void)arg;
	ck_assert_uint_le(ns.n_peers, MANY);
	p->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	ck_assert_int_ge(p->fd, 0);
	p->source = loop_add_fd(loop, p->fd, EPOLLIN, on_bytes, p);
}

static void open_server(void *arg)
{
	const uint16_t *port = arg;

	ns.udp = bound(SOCK_DGRAM, SERVER, *port);
	ns.tcp = bound(SOCK_STREAM, SERVER, *port);
}

static void start_server(void)
{
	uint16_t port = PORT;

	box_inside(box, open_server, &port);
	ns.udp_source = loop_add_fd(loop, ns.udp, EPOLLIN, on_question, NULL);
	ns.tcp_source = loop_add_fd(loop, ns.tcp, EPOLLIN, on_peer, NULL);
}

static void stop_server(void)
{
	loop_remove(&ns.udp_source);
	loop_remove(&ns.tcp_source);
	close_fd(&ns.udp);
	close_fd(&ns.tcp);
}

/* ---- programs in the VM ---- */

static int new_client(int type, const char *ip)
{
	struct sockaddr_in a = address(ip, PORT);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), r;

	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	r = connect(fd, (struct sockaddr *)&a, sizeof(a));
	ck_assert_msg(r == 0 || errno == EINPROGRESS, "%s", strerror(errno));
	return fd;
}

static void ask(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* What recv() says when it has something to say; -errno. */
static ssize_t receive(int fd, char *data, size_t size)
{
	uint64_t end = loop_now_ms() + WAIT_MS;
	ssize_t n;

	while ((n = recv(fd, data, size, MSG_DONTWAIT)) < 0 && errno == EAGAIN) {
		ck_assert_uint_lt(loop_now_ms(), end);
		ck_assert_int_eq(loop_step(loop, 10), 0);
	}
	return n < 0 ? -errno : n;
}

static void expect(int fd, const char *text)
{
	char got[64] = "";
	ssize_t n = receive(fd, got, sizeof(got) - 1);

	ck_assert_msg(n >= 0, "%s", strerror((int)-n));
	ck_assert_str_eq(got, text);
}

static void expect_error(int fd, int code)
{
	char got[64];

	ck_assert_int_eq(receive(fd, got, sizeof(got)), -code);
}

/* The guest has a socket at the address. */
static bool is_served(void)
{
	auto_error struct error err = { 0 };
	auto_free char *sockets = NULL;

	ck_assert_int_eq(fs_read(SOCKETS, 1 << 20, &sockets, NULL, &err), 0);
	return strstr(sockets, ": 0B00007F:");
}

static void run_until_served(void)
{
	uint64_t end = loop_now_ms() + WAIT_MS;

	while (!is_served()) {
		ck_assert_uint_lt(loop_now_ms(), end);
		ck_assert_int_eq(loop_step(loop, 10), 0);
	}
}

/* ---- fixtures ---- */

static void on_lost(void *arg, const struct error *err)
{
	(void)arg;
	agent_error = str_dup(err->msg);
}

static const struct agent_events agent_events = { .lost = on_lost };

static void setup(void)
{
	auto_error struct error err = { 0 };
	auto_close int own = -1;
	int ends[2];

	box_setup();
	own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	box_run(own, "ip link set lo up");
	loop = loop_new();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	guest = server_new(loop, ends[0]);
	ck_assert_msg(server_start(guest, &err) == 0, "%s", err.msg);
	ns = (struct name_server){ .udp = -1, .tcp = -1 };
	agent_error = NULL;
	agent = agent_open(&agent_vcrt_ops, loop, ends[1], &agent_events, NULL);
	dns = dns_new(loop, agent, net);
}

static void teardown(void)
{
	ck_assert_msg(!agent_error, "%s", agent_error);
	dns_free(dns);
	agent_close(agent);
	server_free(guest);
	stop_server();
	for (size_t i = 0; i < ns.n_peers; i++)
		end_peer(&ns.peers[i]);
	loop_free(loop);
	box_teardown();
}

/* ---- tests ---- */

START_TEST(nothing_is_served_without_a_name_server)
{
	dns_look(dns);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(loop_step(loop, 10), 0);
	ck_assert(!is_served());
}
END_TEST

START_TEST(one_that_comes_later_is_found)
{
	auto_close int fd = new_client(SOCK_DGRAM, SERVER);

	dns_look(dns);
	start_server();
	dns_look(dns);
	run_until_served();
	ask(fd, "later");
	expect(fd, "Aater");
	ck_assert_int_eq(send(fd, "", 0, 0), 0); /* no question, and no trouble */
	ask(fd, "again");
	expect(fd, "Again");
}
END_TEST

START_TEST(many_ask_at_the_same_time_and_each_has_its_answer)
{
	int fds[MANY];
	char text[32];

	start_server();
	dns_look(dns);
	run_until_served();
	for (int i = 0; i < MANY; i++) {
		fds[i] = new_client(SOCK_DGRAM, SERVER);
		snprintf(text, sizeof(text), "?%d", i);
		ask(fds[i], text);
	}
	for (int i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "A%d", i);
		expect(fds[i], text);
		close(fds[i]);
	}
}
END_TEST

START_TEST(a_program_that_is_not_connected_sees_whom_it_has_asked)
{
	auto_close int fd = bound(SOCK_DGRAM, "0.0.0.0", 0);
	struct sockaddr_in to = address(SERVER, PORT), from;
	socklen_t size = sizeof(from);
	char got[8];

	start_server();
	dns_look(dns);
	run_until_served();
	ck_assert_int_eq(sendto(fd, "who", 3, 0, (struct sockaddr *)&to, sizeof(to)), 3);
	for (int i = 0; recv(fd, got, sizeof(got), MSG_PEEK) < 0; i++) {
		ck_assert_int_lt(i, WAIT_MS / 10);
		ck_assert_int_eq(loop_step(loop, 10), 0);
	}
	ck_assert_int_eq(recvfrom(fd, got, sizeof(got), 0, (struct sockaddr *)&from, &size), 3);
	ck_assert_int_eq(from.sin_addr.s_addr, to.sin_addr.s_addr);
	ck_assert_int_eq(from.sin_port, to.sin_port);
}
END_TEST

START_TEST(questions_and_answers_may_be_as_large_as_datagrams_are)
{
	auto_close int fd = new_client(SOCK_DGRAM, SERVER);
	auto_free char *data = xzalloc(MAX_ANSWER), *got = xzalloc(MAX_ANSWER);
	int size = 1 << 20;

	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)), 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)), 0);
	start_server();
	dns_look(dns);
	run_until_served();
	for (int i = 0; i < MAX_ANSWER; i++)
		data[i] = (char)(i * 7);
	/* More than a stream's window in all. */
	for (int round = 0; round < 20; round++) {
		ck_assert_int_eq(send(fd, data, MAX_ANSWER, 0), MAX_ANSWER);
		ck_assert_int_eq(receive(fd, got, MAX_ANSWER), MAX_ANSWER);
		ck_assert_int_eq(got[0], 'A');
		ck_assert_mem_eq(got + 1, data + 1, MAX_ANSWER - 1);
	}
}
END_TEST

START_TEST(a_name_server_that_is_gone_refuses_and_one_that_is_back_answers)
{
	auto_close int fd = new_client(SOCK_DGRAM, SERVER), tcp = -1;

	start_server();
	dns_look(dns);
	run_until_served();
	ask(fd, "1st");
	expect(fd, "Ast");
	stop_server();
	ask(fd, "2nd");
	expect_error(fd, ECONNREFUSED);
	tcp = new_client(SOCK_STREAM, SERVER);
	ck_assert_int_le(receive(tcp, (char[8]){ 0 }, 8), 0);
	start_server();
	ask(fd, "3rd");
	expect(fd, "Ard");
}
END_TEST

START_TEST(a_name_server_that_is_slow_holds_up_nobody_else)
{
	int fds[MANY];
	auto_close int tcp = -1;

	start_server();
	dns_look(dns);
	run_until_served();
	loop_set_events(ns.udp_source, 0);
	for (int i = 0; i < MANY; i++) {
		fds[i] = new_client(SOCK_DGRAM, SERVER);
		ask(fds[i], "slow");
	}
	tcp = new_client(SOCK_STREAM, SERVER);
	ask(tcp, "tcp");
	expect(tcp, "Acp");
	loop_set_events(ns.udp_source, EPOLLIN);
	for (int i = 0; i < MANY; i++) {
		expect(fds[i], "Alow");
		close(fds[i]);
	}
}
END_TEST

START_TEST(programs_connect_more_of_them_than_may_be_connected_at_a_time)
{
	int fds[MANY];

	start_server();
	dns_look(dns);
	run_until_served();
	for (int i = 0; i < MANY; i++) {
		fds[i] = new_client(SOCK_STREAM, SERVER);
		ask(fds[i], "tcp");
	}
	for (int i = 0; i < MANY; i++) {
		expect(fds[i], "Acp");
		ask(fds[i], "more");
		expect(fds[i], "Aore");
		/* The other direction ends as well, as the name server closes. */
		ck_assert_int_eq(shutdown(fds[i], SHUT_WR), 0);
		expect(fds[i], "");
		close(fds[i]);
	}
}
END_TEST

START_TEST(a_server_of_a_container_at_the_same_port_is_left_alone)
{
	auto_close int all = -1, same = -1, stream = -1, fd = -1, own = -1;
	char got[8] = "";

	start_server();
	dns_look(dns);
	run_until_served();
	all = bound(SOCK_DGRAM, "0.0.0.0", PORT);
	same = bound(SOCK_DGRAM, SERVER, PORT);
	stream = bound(SOCK_STREAM, "0.0.0.0", PORT);
	fd = new_client(SOCK_DGRAM, SERVER);
	ask(fd, "host");
	expect(fd, "Aost");
	own = new_client(SOCK_DGRAM, "127.0.0.1");
	ask(own, "own");
	ck_assert_int_eq(recv(all, got, sizeof(got), 0), 3);
	ck_assert_str_eq(got, "own");
	close(own);
	own = new_client(SOCK_STREAM, "127.0.0.1");
	close_fd(&fd);
	fd = accept(stream, NULL, NULL);
	ck_assert_int_ge(fd, 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("dns");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, nothing_is_served_without_a_name_server);
	tcase_add_test(tc, one_that_comes_later_is_found);
	tcase_add_test(tc, many_ask_at_the_same_time_and_each_has_its_answer);
	tcase_add_test(tc, a_program_that_is_not_connected_sees_whom_it_has_asked);
	tcase_add_test(tc, questions_and_answers_may_be_as_large_as_datagrams_are);
	tcase_add_test(tc, a_name_server_that_is_gone_refuses_and_one_that_is_back_answers);
	tcase_add_test(tc, a_name_server_that_is_slow_holds_up_nobody_else);
	tcase_add_test(tc, programs_connect_more_of_them_than_may_be_connected_at_a_time);
	tcase_add_test(tc, a_server_of_a_container_at_the_same_port_is_left_alone);
	return scratch_run(tc);
}
