#include <arpa/inet.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "test/frames.h"
#include "test/scratch.h"

#define WAIT_MS 10000
#define HEADER sizeof(struct virtio_net_hdr) /* before each frame */

static const uint8_t guest_mac[6] = { 0x02, 0x42, 0x0a, 0x01, 0, 2 };
static const uint8_t peer_mac[6] = { 0x02, 0x42, 0x0a, 0x01, 0, 1 };
static const uint8_t everybody[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

struct frame {
	struct virtio_net_hdr virtio;
	struct ether_header ether;
	uint8_t data[65536];
} __attribute__((packed));

struct ping {
	struct iphdr ip;
	struct icmphdr icmp;
} __attribute__((packed));

static void send_frame(int tap, struct frame *f, const uint8_t *to, uint16_t type, size_t len)
{
	size_t size = HEADER + sizeof(f->ether) + len;

	memcpy(f->ether.ether_dhost, to, 6);
	memcpy(f->ether.ether_shost, guest_mac, 6);
	f->ether.ether_type = htons(type);
	ck_assert_int_eq(write(tap, f, size), (ssize_t)size);
}

/* The next frame: bytes after the Ethernet header, -1 when none comes in time. */
static ssize_t receive_frame(int tap, struct frame *f, uint64_t end)
{
	for (uint64_t now = loop_now_ms(); now < end; now = loop_now_ms()) {
		struct pollfd p = { .fd = tap, .events = POLLIN };
		ssize_t n;

		ck_assert_int_ge(poll(&p, 1, (int)(end - now)), 0);
		n = read(tap, f, sizeof(*f));
		if (n >= (ssize_t)(HEADER + sizeof(f->ether)))
			return n - (ssize_t)(HEADER + sizeof(f->ether));
		ck_assert(n < 0 && (errno == EAGAIN || errno == EINTR));
	}
	return -1;
}

static void fill_arp(struct ether_arp *arp, uint16_t op)
{
	memset(arp, 0, sizeof(*arp));
	arp->arp_hrd = htons(ARPHRD_ETHER);
	arp->arp_pro = htons(ETHERTYPE_IP);
	arp->arp_hln = 6;
	arp->arp_pln = 4;
	arp->arp_op = htons(op);
	memcpy(arp->arp_sha, guest_mac, 6);
	inet_pton(AF_INET, FRAMES_GUEST_IP, arp->arp_spa);
	inet_pton(AF_INET, FRAMES_PEER_IP, arp->arp_tpa);
}

/* An ARP packet of the peer with that operation. */
static bool is_arp(const struct frame *f, ssize_t len, uint16_t op)
{
	struct ether_arp arp;

	if (len < (ssize_t)sizeof(arp) || f->ether.ether_type != htons(ETHERTYPE_ARP))
		return false;
	memcpy(&arp, f->data, sizeof(arp));
	return arp.arp_op == htons(op) && memcmp(arp.arp_sha, peer_mac, 6) == 0;
}

static void expect_arp(int tap, uint16_t op)
{
	uint64_t end = loop_now_ms() + WAIT_MS;
	struct frame *f = xzalloc(sizeof(*f));
	ssize_t len;

	do {
		len = receive_frame(tap, f, end);
		ck_assert_msg(len >= 0, "no ARP packet came");
	} while (!is_arp(f, len, op));
	auto_freep(&f);
}

void frames_assert_arp_answered(int tap)
{
	struct frame *f = xzalloc(sizeof(*f));

	fill_arp((struct ether_arp *)f->data, ARPOP_REQUEST);
	send_frame(tap, f, everybody, ETHERTYPE_ARP, sizeof(struct ether_arp));
	auto_freep(&f);
	expect_arp(tap, ARPOP_REPLY);
}

void frames_assert_asked_for_guest(int tap)
{
	expect_arp(tap, ARPOP_REQUEST);
}

static uint16_t checksum(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void fill_ping(struct frame *f, unsigned size)
{
	struct ping p = { .ip = { .ihl = 5,
		                  .version = 4,
		                  .tot_len = htons((uint16_t)size),
		                  .ttl = 64,
		                  .protocol = IPPROTO_ICMP },
		          .icmp = { .type = ICMP_ECHO, .un.echo.sequence = htons(1) } };

	inet_pton(AF_INET, FRAMES_GUEST_IP, &p.ip.saddr);
	inet_pton(AF_INET, FRAMES_PEER_IP, &p.ip.daddr);
	p.ip.check = checksum(&p.ip, sizeof(p.ip));
	memset(f->data, 0x5a, size);
	memcpy(f->data, &p, sizeof(p));
	p.icmp.checksum = checksum(f->data + sizeof(p.ip), size - sizeof(p.ip));
	memcpy(f->data, &p, sizeof(p));
}

static bool is_pong(const struct frame *f, ssize_t len, unsigned size)
{
	struct ping p;

	if (len != (ssize_t)size || f->ether.ether_type != htons(ETHERTYPE_IP))
		return false;
	memcpy(&p, f->data, sizeof(p));
	return p.ip.protocol == IPPROTO_ICMP && p.icmp.type == ICMP_ECHOREPLY &&
	       f->data[size - 1] == 0x5a;
}

void frames_assert_ping_answered(int tap, unsigned size)
{
	uint64_t end = loop_now_ms() + WAIT_MS;
	struct frame *f = xzalloc(sizeof(*f));
	ssize_t len;

	fill_ping(f, size);
	send_frame(tap, f, peer_mac, ETHERTYPE_IP, size);
	do {
		len = receive_frame(tap, f, end);
		ck_assert_msg(len >= 0, "no answer of %u bytes came", size);
		if (is_arp(f, len, ARPOP_REQUEST)) {
			fill_arp((struct ether_arp *)f->data, ARPOP_REPLY);
			send_frame(tap, f, peer_mac, ETHERTYPE_ARP, sizeof(struct ether_arp));
		}
	} while (!is_pong(f, len, size));
	auto_freep(&f);
}

static void expect_frame(int tap, bool (*is)(const struct frame *f, ssize_t len, unsigned what),
                         unsigned what)
{
	uint64_t end = loop_now_ms() + WAIT_MS;
	struct frame *f = xzalloc(sizeof(*f));
	ssize_t len;

	do {
		len = receive_frame(tap, f, end);
		ck_assert_msg(len >= 0, "no packet came for %u", what);
	} while (!is(f, len, what));
	auto_freep(&f);
}

static bool is_datagram(const struct frame *f, ssize_t len, unsigned port)
{
	struct {
		struct iphdr ip;
		struct udphdr udp;
	} p;

	if (len < (ssize_t)sizeof(p) || f->ether.ether_type != htons(ETHERTYPE_IP))
		return false;
	memcpy(&p, f->data, sizeof(p));
	return p.ip.protocol == IPPROTO_UDP && ntohs(p.udp.dest) == port;
}

void frames_assert_datagram(int tap, unsigned port)
{
	expect_frame(tap, is_datagram, port);
}

static bool is_fragment(const struct frame *f, ssize_t len, unsigned size)
{
	struct iphdr ip;

	if (len < (ssize_t)sizeof(ip) || f->ether.ether_type != htons(ETHERTYPE_IP))
		return false;
	memcpy(&ip, f->data, sizeof(ip));
	return 8u * (ntohs(ip.frag_off) & IP_OFFMASK) + ntohs(ip.tot_len) ==
	       sizeof(ip) + sizeof(struct udphdr) + size;
}

void frames_assert_fragment(int tap, unsigned size)
{
	expect_frame(tap, is_fragment, size);
}
