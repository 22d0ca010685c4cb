/* resolver.c (who asks what) and resolver-sockets.c (what the kernel is told). */
#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/protocol.h"

struct error;

/* Containers may have a server of their own at the port of the resolver, as Docker lets them. So
 * nothing is bound there: the kernel hands what is sent to the resolver to sockets at other ports,
 * and answers are sent with the address that the program has asked. */
struct resolver_sockets {
	int tcp, udp; /* what comes arrives here: a listening socket, and one that is not connected
	               */
	int raw;      /* for answers */
	int steer;    /* while this is open, the kernel does so */
};

/* In the network namespace of the caller. Non-blocking. */
int resolver_sockets_open(struct resolver_sockets *s, struct error *err);
void resolver_sockets_close(struct resolver_sockets *s);
/* A datagram from the resolver. One that cannot be sent now is lost. */
void resolver_answer(const struct resolver_sockets *s, const struct sockaddr_in *to,
                     const void *data, size_t len);
/* What somebody has sent to the resolver has come to a port where nobody listens. */
void resolver_refuse(const struct resolver_sockets *s, const struct sockaddr_in *to);
