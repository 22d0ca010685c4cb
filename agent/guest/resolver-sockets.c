#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/icmp.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "agent/guest/resolver-internal.h"
#include "lib/base/bpf.h"
#include "lib/base/error.h"

#define BACKLOG 256
#define BUFFER (1 << 20) /* bytes, of what waits in a socket */
#define TTL 64

enum { KEY_TCP, KEY_UDP, N_KEYS };

/* ---- sockets, and how the kernel finds them ---- */

static struct sockaddr_in address(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
		                     .sin_port = htons(port),
		                     .sin_addr.s_addr = htonl(PROTOCOL_RESOLVER_ADDRESS) };
}

static int open_socket(int type)
{
	auto_close int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_in own = address(0);
	int size = BUFFER;

	if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0 ||
	    (type == SOCK_STREAM && listen(fd, BACKLOG) < 0) ||
	    (type == SOCK_DGRAM &&
	     setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0))
		return -1;
	return steal_fd(&fd);
}

/* It makes its own IP headers, and so receives nothing. */
static int open_raw(void)
{
	auto_close int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
	int size = BUFFER;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		return -1;
	return steal_fd(&fd);
}

static int put_socket(int map, uint32_t key, int fd)
{
	union bpf_attr attr;
	uint64_t value = (uint64_t)fd;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map;
	attr.key = (uint64_t)(uintptr_t)&key;
	attr.value = (uint64_t)(uintptr_t)&value;
	return bpf_call(BPF_MAP_UPDATE_ELEM, &attr);
}

static int make_map(const struct resolver_sockets *s)
{
	auto_close int map = -1;
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_SOCKMAP;
	attr.key_size = sizeof(uint32_t);
	attr.value_size = sizeof(uint64_t);
	attr.max_entries = N_KEYS;
	map = bpf_call(BPF_MAP_CREATE, &attr);
	if (map < 0 || put_socket(map, KEY_TCP, s->tcp) < 0 || put_socket(map, KEY_UDP, s->udp) < 0)
		return -1;
	return steal_fd(&map);
}

/* Called when a packet looks for a socket that is not connected: if it is for the resolver, it is
 * ours, whatever listens there. */
static int load_program(int map)
{
	const struct bpf_insn insns[] = {
		BPF_COPY(BPF_REG_6, BPF_REG_1),
		BPF_FIELD(BPF_REG_2, BPF_REG_6, struct bpf_sk_lookup, local_port),
		BPF_UNLESS(BPF_REG_2, PROTOCOL_RESOLVER_PORT, 20),
		BPF_FIELD(BPF_REG_2, BPF_REG_6, struct bpf_sk_lookup, local_ip4), /* 0 with IPv6 */
		BPF_UNLESS(BPF_REG_2, (int32_t)htonl(PROTOCOL_RESOLVER_ADDRESS), 18),
		BPF_FIELD(BPF_REG_2, BPF_REG_6, struct bpf_sk_lookup, protocol),
		BPF_SET(BPF_REG_3, KEY_TCP),
		BPF_INSN(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_2, 0, 1, IPPROTO_TCP),
		BPF_SET(BPF_REG_3, KEY_UDP),
		BPF_INSN(BPF_STX | BPF_W | BPF_MEM, BPF_REG_10, BPF_REG_3, -4, 0),
		BPF_INSN(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map),
		BPF_INSN(0, 0, 0, 0, 0),
		BPF_COPY(BPF_REG_2, BPF_REG_10),
		BPF_PLUS(BPF_REG_2, -4),
		BPF_CALLS(BPF_FUNC_map_lookup_elem),
		BPF_INSN(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 7, 0),
		BPF_COPY(BPF_REG_7, BPF_REG_0),
		BPF_COPY(BPF_REG_1, BPF_REG_6),
		BPF_COPY(BPF_REG_2, BPF_REG_7),
		BPF_SET(BPF_REG_3, 0),
		BPF_CALLS(BPF_FUNC_sk_assign),
		BPF_COPY(BPF_REG_1, BPF_REG_7),
		BPF_CALLS(BPF_FUNC_sk_release),
		BPF_SET(BPF_REG_0, SK_PASS), /* where the jumps lead */
		BPF_INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	return bpf_load(BPF_PROG_TYPE_SK_LOOKUP, BPF_SK_LOOKUP, insns, ARRAY_SIZE(insns));
}

static int steer(const struct resolver_sockets *s, struct error *err)
{
	auto_close int map = make_map(s), program = -1, ns = -1, link = -1;
	union bpf_attr attr;

	if (map < 0)
		return error_sys(err, "make the map of the resolver's sockets");
	program = load_program(map);
	if (program < 0)
		return error_sys(err, "load the resolver's BPF program");
	ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (ns < 0)
		return error_sys(err, "open '/proc/self/ns/net'");
	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (uint32_t)program;
	attr.link_create.target_fd = (uint32_t)ns;
	attr.link_create.attach_type = BPF_SK_LOOKUP;
	link = bpf_call(BPF_LINK_CREATE, &attr);
	if (link < 0)
		return error_sys(err, "attach the resolver's BPF program");
	return steal_fd(&link);
}

int resolver_sockets_open(struct resolver_sockets *s, struct error *err)
{
	*s = (struct resolver_sockets){ -1, -1, -1, -1 };
	s->tcp = open_socket(SOCK_STREAM);
	s->udp = s->tcp < 0 ? -1 : open_socket(SOCK_DGRAM);
	s->raw = s->udp < 0 ? -1 : open_raw();
	if (s->raw < 0)
		error_sys(err, "make the resolver's sockets");
	else
		s->steer = steer(s, err);
	if (s->steer >= 0)
		return 0;
	resolver_sockets_close(s);
	return -err->code;
}

void resolver_sockets_close(struct resolver_sockets *s)
{
	close_fd(&s->steer);
	close_fd(&s->raw);
	close_fd(&s->udp);
	close_fd(&s->tcp);
}

/* ---- answers ---- */

/* The kernel fills in length, identification and checksum. */
static struct iphdr ip_header(uint8_t protocol, uint32_t from, uint32_t to)
{
	return (struct iphdr){ .version = 4,
		               .ihl = sizeof(struct iphdr) / 4,
		               .ttl = TTL,
		               .protocol = protocol,
		               .saddr = from,
		               .daddr = to };
}

static void send_packet(const struct resolver_sockets *s, const struct sockaddr_in *to,
                        struct iovec *parts, size_t n)
{
	struct sockaddr_in target = { .sin_family = AF_INET, .sin_addr = to->sin_addr };
	struct msghdr msg = { .msg_name = &target,
		              .msg_namelen = sizeof(target),
		              .msg_iov = parts,
		              .msg_iovlen = n };

	(void)sendmsg(s->raw, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Without a checksum, which IPv4 allows: it goes from memory to memory. */
void resolver_answer(const struct resolver_sockets *s, const struct sockaddr_in *to,
                     const void *data, size_t len)
{
	const struct sockaddr_in from = address(PROTOCOL_RESOLVER_PORT);
	struct iphdr ip = ip_header(IPPROTO_UDP, from.sin_addr.s_addr, to->sin_addr.s_addr);
	struct udphdr udp = { .source = from.sin_port,
		              .dest = to->sin_port,
		              .len = htons((uint16_t)(sizeof(udp) + len)) };
	struct iovec parts[] = { { &ip, sizeof(ip) },
		                 { &udp, sizeof(udp) },
		                 { (void *)data, len } };

	send_packet(s, to, parts, ARRAY_SIZE(parts));
}

static uint16_t checksum(const void *data, size_t len) /* an even number */
{
	const uint8_t *p = data;
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

void resolver_refuse(const struct resolver_sockets *s, const struct sockaddr_in *to)
{
	const struct sockaddr_in from = address(PROTOCOL_RESOLVER_PORT);
	struct iphdr ip = ip_header(IPPROTO_ICMP, from.sin_addr.s_addr, to->sin_addr.s_addr);
	struct {
		struct icmphdr icmp;
		struct iphdr ip; /* what the message is about */
		struct udphdr udp;
	} what = {
		.icmp = { .type = ICMP_DEST_UNREACH, .code = ICMP_PORT_UNREACH },
		.ip = ip_header(IPPROTO_UDP, to->sin_addr.s_addr, from.sin_addr.s_addr),
		.udp = { .source = to->sin_port,
		         .dest = from.sin_port,
		         .len = htons(sizeof(what.udp)) },
	};
	struct iovec parts[] = { { &ip, sizeof(ip) }, { &what, sizeof(what) } };

	what.icmp.checksum = checksum(&what, sizeof(what));
	send_packet(s, to, parts, ARRAY_SIZE(parts));
}
