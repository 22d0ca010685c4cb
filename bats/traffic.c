/* Traffic between a container and the other end of its network, for network.bats and
 * test/bench.
 *
 *   traffic echo PORT                    TCP and UDP, IPv4 and IPv6: what comes goes back
 *   traffic tcp ADDRESS PORT BYTES       send so many; all of them must come back as they are
 *   traffic udp ADDRESS PORT BYTES       one datagram of that size, until it comes back
 *   traffic sink PORT                    TCP: take what comes, and say so at its end
 *   traffic send ADDRESS PORT BYTES      to a sink; prints the bytes per microsecond
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 65536
#define LIMIT_S 80

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static int listen_on(int type, uint16_t port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = socket(AF_INET6, type, 0), on = 1, off = 0;

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0)
		die("bind");
	if (type == SOCK_STREAM && listen(fd, 64) < 0)
		die("listen");
	return fd;
}

static void write_all(int fd, const char *data, ssize_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, (size_t)len);

		if (n < 0)
			die("write");
		data += n;
		len -= n;
	}
}

static void echo_stream(int fd)
{
	static char data[CHUNK];
	ssize_t n;

	while ((n = read(fd, data, sizeof(data))) > 0)
		write_all(fd, data, n);
	exit(0);
}

static void echo_datagram(int fd)
{
	static char data[CHUNK];
	struct sockaddr_in6 from;
	socklen_t len = sizeof(from);
	ssize_t n = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &len);

	if (n > 0)
		sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, len);
}

static void take_stream(int fd)
{
	static char data[CHUNK];

	while (read(fd, data, sizeof(data)) > 0)
		;
	write_all(fd, "x", 1);
	exit(0);
}

static void serve(uint16_t port, void (*stream)(int fd))
{
	struct pollfd p[] = { { .fd = listen_on(SOCK_STREAM, port), .events = POLLIN },
		              { .fd = listen_on(SOCK_DGRAM, port), .events = POLLIN } };

	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int fd;

		if (poll(p, 2, -1) < 0)
			die("poll");
		if (p[1].revents)
			echo_datagram(p[1].fd);
		if (!p[0].revents || (fd = accept(p[0].fd, NULL, NULL)) < 0)
			continue;
		if (fork() == 0)
			stream(fd);
		close(fd);
	}
}

static int connect_to(const char *address, const char *port, int type)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6,
		                   .sin6_port = htons((uint16_t)atoi(port)) };
	char mapped[64];
	int fd = socket(AF_INET6, type, 0);

	snprintf(mapped, sizeof(mapped), "%s%s", strchr(address, ':') ? "" : "::ffff:", address);
	if (inet_pton(AF_INET6, mapped, &to.sin6_addr) != 1)
		die(address);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("connect");
	return fd;
}

/* The bytes of a stream at that place, a multiple of 4. */
static void fill(uint32_t *words, size_t at, size_t len)
{
	for (size_t i = 0; i < (len + 3) / 4; i++)
		words[i] = (uint32_t)(at / 4 + i) * 2654435761u;
}

static void check(const char *got, const uint32_t *wanted, size_t len)
{
	if (memcmp(got, wanted, len) == 0)
		return;
	fprintf(stderr, "other bytes have come back\n");
	exit(1);
}

/* One process sends, another one receives. */
static void tcp(int fd, size_t total)
{
	static uint32_t words[CHUNK / 4];
	static char data[CHUNK];

	if (fork() == 0) {
		for (size_t at = 0; at < total; at += CHUNK) {
			size_t len = total - at < CHUNK ? total - at : CHUNK;

			fill(words, at, len);
			write_all(fd, (char *)words, (ssize_t)len);
		}
		shutdown(fd, SHUT_WR);
		exit(0);
	}
	for (size_t at = 0; at < total; at += CHUNK) {
		size_t len = total - at < CHUNK ? total - at : CHUNK;

		fill(words, at, len);
		if (recv(fd, data, len, MSG_WAITALL) != (ssize_t)len)
			die("receive");
		check(data, words, len);
	}
}

/* Datagrams may be lost. */
static void udp(int fd, size_t len)
{
	static uint32_t words[CHUNK / 4];
	static char data[CHUNK];
	struct pollfd p = { .fd = fd, .events = POLLIN };

	fill(words, 0, len);
	for (;;) {
		if (send(fd, words, len, 0) < 0 && errno != ECONNREFUSED)
			die("send");
		if (poll(&p, 1, 500) > 0 && recv(fd, data, sizeof(data), 0) == (ssize_t)len)
			break;
	}
	check(data, words, len);
}

static void send_timed(const char *address, const char *port, size_t total)
{
	static char data[CHUNK];
	struct timespec begin, end;
	double us;
	int fd;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	fd = connect_to(address, port, SOCK_STREAM);
	for (size_t at = 0; at < total; at += CHUNK)
		write_all(fd, data, (ssize_t)(total - at < CHUNK ? total - at : CHUNK));
	shutdown(fd, SHUT_WR);
	if (read(fd, data, 1) != 1)
		die("wait for the sink");
	clock_gettime(CLOCK_MONOTONIC, &end);
	us = (double)(end.tv_sec - begin.tv_sec) * 1e6 +
	     (double)(end.tv_nsec - begin.tv_nsec) / 1e3;
	printf("%.2f\n", (double)total / us);
	exit(0);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "echo") == 0)
		serve((uint16_t)atoi(argv[2]), echo_stream);
	if (argc == 3 && strcmp(argv[1], "sink") == 0)
		serve((uint16_t)atoi(argv[2]), take_stream);
	alarm(LIMIT_S);
	if (argc == 5 && strcmp(argv[1], "send") == 0)
		send_timed(argv[2], argv[3], strtoul(argv[4], NULL, 10));
	if (argc == 5 && strcmp(argv[1], "tcp") == 0)
		tcp(connect_to(argv[2], argv[3], SOCK_STREAM), strtoul(argv[4], NULL, 10));
	else if (argc == 5 && strcmp(argv[1], "udp") == 0 && strtoul(argv[4], NULL, 10) <= CHUNK)
		udp(connect_to(argv[2], argv[3], SOCK_DGRAM), strtoul(argv[4], NULL, 10));
	else
		return 2;
	puts("intact");
	return 0;
}
