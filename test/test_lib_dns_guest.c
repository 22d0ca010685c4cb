/* The forwarder of a name server against a guest that is played frame by frame, and takes what it
 * can get. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/protocol.h"
#include "lib/dns.h"
#include "lib/base/error.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "test/box.h"
#include "test/peer.h"
#include "test/scratch.h"

#define WAIT_MS 20000
#define ACCEPTS 4      /* requests at a time */
#define CONNECTIONS 32 /* at a time */
#define TO 1u          /* streams of datagrams */
#define FROM 2u

static struct loop *loop;
static struct agent *agent;
static struct dns *dns;
static struct peer peer;
static int udp, tcp; /* of the name server */
static char *agent_error;

static void on_lost(void *arg, const struct error *err)
{
	(void)arg;
	agent_error = str_dup(err->msg);
}

static const struct agent_events agent_events = { .lost = on_lost };

/* It answers nothing. */
static void open_server(void *arg)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		                 .sin_port = htons(PROTOCOL_RESOLVER_PORT),
		                 .sin_addr.s_addr = htonl(PROTOCOL_RESOLVER_ADDRESS) };

	(void)arg;
	udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(udp, (struct sockaddr *)&a, sizeof(a)), 0);
	tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(tcp, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(tcp, 2 * CONNECTIONS), 0);
}

static void expect_accept(void)
{
	peer_expect(&peer, FRAME_CONTROL, 0);
	ck_assert_ptr_nonnull(strstr(peer.payload, "\"op\":\"accept\""));
}

static void setup(void)
{
	box_setup();
	box_inside(box, open_server, NULL);
	loop = loop_new();
	agent_error = NULL;
	agent = agent_open(&agent_vcrt_ops, loop, peer_init(&peer, loop), &agent_events, NULL);
	dns = dns_new(loop, agent, net);
	peer_expect(&peer, FRAME_HELLO, 0);
	peer_hello(&peer);
	dns_look(dns);
	dns_look(dns);
	peer_expect(&peer, FRAME_CONTROL, 0);
	ck_assert_str_eq(peer.payload, "{\"to\":1,\"from\":2,\"op\":\"resolver\",\"id\":1}");
	peer_control(&peer, "{\"id\":1,\"ok\":{}}");
	for (int i = 0; i < ACCEPTS; i++)
		expect_accept();
}

static void teardown(void)
{
	dns_free(dns);
	agent_close(agent);
	peer_done(&peer);
	close_fd(&udp);
	close_fd(&tcp);
	loop_free(loop);
	free(agent_error);
	box_teardown();
}

static void send_question(uint32_t length, uint32_t conversation, const char *text)
{
	uint8_t record[64];

	protocol_put32(record, length);
	protocol_put32(record + 4, conversation);
	memcpy(record + 8, text, strlen(text));
	peer_send(&peer, FRAME_DATA, FROM, 0, record, 8 + strlen(text));
}

/* What the name server gets, until it is that. */
static void expect_question(const char *text)
{
	uint64_t end = loop_now_ms() + WAIT_MS;
	char got[64] = "";

	while (strcmp(got, text) != 0) {
		ssize_t n = recv(udp, got, sizeof(got) - 1, MSG_DONTWAIT);

		ck_assert_uint_lt(loop_now_ms(), end);
		got[n > 0 ? n : 0] = '\0';
		if (n < 0)
			ck_assert_int_eq(loop_step(loop, 10), 0);
	}
}

START_TEST(a_guest_has_only_so_many_sockets)
{
	int before = scratch_count_fds();

	for (uint32_t i = 0; i < 2000; i++) {
		send_question(5, i, "?");
		expect_question("?");
	}
	ck_assert_int_eq(scratch_count_fds(), before + PROTOCOL_RESOLVER_ASKERS);
	/* One that is refused has none any more. */
	close_fd(&udp);
	send_question(5, 7, "?");
	peer_expect(&peer, FRAME_DATA, TO);
	ck_assert_uint_eq(peer.frame.length, 8); /* no bytes */
	ck_assert_uint_eq(protocol_get32((uint8_t *)peer.payload), 4);
	ck_assert_uint_eq(protocol_get32((uint8_t *)peer.payload + 4), 7);
	/* Nor has the name server. */
	ck_assert_int_eq(scratch_count_fds(), before + PROTOCOL_RESOLVER_ASKERS - 2);
}
END_TEST

START_TEST(a_guest_has_only_so_many_connections)
{
	char text[64];

	/* It says that somebody has connected, whenever it is asked. */
	for (uint32_t i = 0; i < CONNECTIONS; i++) {
		snprintf(text, sizeof(text), "{\"id\":%u,\"ok\":{}}", 2 + i);
		peer_control(&peer, text);
		if (i + ACCEPTS < CONNECTIONS)
			expect_accept();
	}
	peer_expect_silence(&peer);
	/* One ends, and there may be another one. */
	peer_send(&peer, FRAME_EOF, FROM + 2, 0, NULL, 0);
	peer_expect(&peer, FRAME_CLOSE, FROM + 2);
	peer_expect_silence(&peer);
	peer_send(&peer, FRAME_CLOSE, TO + 2, 0, NULL, 0);
	peer_expect(&peer, FRAME_EOF, TO + 2);
	expect_accept();
}
END_TEST

START_TEST(a_datagram_of_a_wrong_length_ends_the_connection)
{
	static const uint32_t lengths[] = { 0, 3, 4 + 65508, UINT32_MAX };

	send_question(lengths[_i], 1, "?");
	peer_expect_end(&peer);
	ck_assert_ptr_nonnull(agent_error);
	ck_assert_ptr_nonnull(strstr(agent_error, "a datagram of a wrong length"));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("dns_guest");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_guest_has_only_so_many_sockets);
	tcase_add_test(tc, a_guest_has_only_so_many_connections);
	tcase_add_loop_test(tc, a_datagram_of_a_wrong_length_ends_the_connection, 0, 4);
	return scratch_run(tc);
}
