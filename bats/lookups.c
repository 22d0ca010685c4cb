/* Questions to the name server at 127.0.0.11, from as many sockets at the same time:
 * lookups udp|tcp COUNT NAME SIZE
 * SIZE: how much is taken by UDP, which the name server is told. Prints what came, in one line. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX 128
#define LIMIT_MS 60000
#define TRUNCATED 0x02 /* in the third byte */

static uint8_t buf[65536 + 2];

static void put16(uint8_t **p, unsigned v)
{
	*(*p)++ = (uint8_t)(v >> 8);
	*(*p)++ = (uint8_t)v;
}

/* An A question with an EDNS record; its length. */
static size_t make_query(uint8_t *out, unsigned id, const char *name, unsigned size)
{
	static const uint8_t rest[] = { 0, 0, 0, 0, 0, 0 };
	uint8_t *p = out;

	put16(&p, id);
	put16(&p, 0x0100);
	put16(&p, 1);
	put16(&p, 0);
	put16(&p, 0);
	put16(&p, 1);
	while (*name) {
		size_t len = strcspn(name, ".");

		*p++ = (uint8_t)len;
		memcpy(p, name, len);
		p += len;
		name += len + (name[len] == '.');
	}
	*p++ = 0;
	put16(&p, 1);
	put16(&p, 1);
	*p++ = 0;
	put16(&p, 41);
	put16(&p, size);
	memcpy(p, rest, sizeof(rest));
	return (size_t)(p + sizeof(rest) - out);
}

static int ask(int type, unsigned id, const char *name, unsigned size)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(53) };
	int fd = socket(AF_INET, type, 0), room = 1 << 20;
	uint8_t query[512], *p = query;
	size_t len = make_query(query + 2, id, name, size);

	inet_pton(AF_INET, "127.0.0.11", &to.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	put16(&p, (unsigned)len);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    (type == SOCK_STREAM ? send(fd, query, len + 2, 0) : send(fd, query + 2, len, 0)) < 0) {
		printf("%s\n", strerror(errno));
		exit(1);
	}
	return fd;
}

/* How long it is; it is in buf + 2. */
static size_t take(int fd, int type)
{
	size_t have = 0, want = 2;
	ssize_t n;

	if (type == SOCK_DGRAM) {
		n = recv(fd, buf + 2, sizeof(buf) - 2, 0);
		if (n < 0)
			printf("%s\n", strerror(errno));
		if (n < 0)
			exit(1);
		return (size_t)n;
	}
	while (have < want) {
		n = recv(fd, buf + have, want - have, 0);
		if (n <= 0) {
			printf("closed\n");
			exit(1);
		}
		have += (size_t)n;
		if (have == 2)
			want = 2u + (size_t)(buf[0] << 8 | buf[1]);
	}
	return have - 2;
}

int main(int argc, char **argv)
{
	int type, count;
	struct pollfd fds[MAX];
	size_t len = 0;

	if (argc != 5 || (count = atoi(argv[2])) < 1 || count > MAX)
		return 2;
	type = strcmp(argv[1], "tcp") == 0 ? SOCK_STREAM : SOCK_DGRAM;
	for (int i = 0; i < count; i++)
		fds[i] = (struct pollfd){ ask(type, (unsigned)i, argv[3], (unsigned)atoi(argv[4])),
			                  POLLIN, 0 };
	for (int left = count; left > 0;) {
		if (poll(fds, (nfds_t)count, LIMIT_MS) <= 0) {
			printf("%d of %d have no answer\n", left, count);
			return 1;
		}
		for (int i = 0; i < count; i++) {
			if (fds[i].fd < 0 || !fds[i].revents)
				continue;
			len = take(fds[i].fd, type);
			if (len < 12 || (buf[2] << 8 | buf[3]) != i) {
				printf("the answer to another question\n");
				return 1;
			}
			close(fds[i].fd);
			fds[i].fd = -1;
			left--;
		}
	}
	printf("%d answers of %zu bytes%s\n", count, len, buf[4] & TRUNCATED ? ", cut off" : "");
	return 0;
}
