/* Sockets of the guest's resolver for tests that must change nothing in the network: some ports of
 * the loopback, to which nothing is steered. */
#include <sys/socket.h>

#include "agent/guest/resolver-internal.h"
#include "lib/base/error.h"

static int open_socket(int type)
{
	auto_close int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_in own = { .sin_family = AF_INET,
		                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 1) < 0))
		return -1;
	return steal_fd(&fd);
}

int resolver_sockets_open(struct resolver_sockets *s, struct error *err)
{
	*s = (struct resolver_sockets){ -1, -1, -1, -1 };
	s->tcp = open_socket(SOCK_STREAM);
	s->udp = open_socket(SOCK_DGRAM);
	if (s->tcp >= 0 && s->udp >= 0)
		return 0;
	error_sys(err, "make the resolver's sockets");
	resolver_sockets_close(s);
	return -err->code;
}

void resolver_sockets_close(struct resolver_sockets *s)
{
	close_fd(&s->udp);
	close_fd(&s->tcp);
}

void resolver_answer(const struct resolver_sockets *s, const struct sockaddr_in *to,
                     const void *data, size_t len)
{
	(void)sendto(s->udp, data, len, MSG_DONTWAIT, (const struct sockaddr *)to, sizeof(*to));
}

void resolver_refuse(const struct resolver_sockets *s, const struct sockaddr_in *to)
{
	resolver_answer(s, to, "refused", 7);
}
