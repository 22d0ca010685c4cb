/* Datagrams of many conversations over one pair of streams, for the forwarder of the resolver: a
 * record (records.h) is the number of a conversation, as four bytes, little endian, and a datagram.
 * Like UDP it may lose some, where nobody makes room for them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct datagrams;
struct mux;

#define DATAGRAM_MAX 65507 /* bytes: UDP over IPv4 has no more */

struct datagrams_events {
	void (*received)(void *arg, uint32_t conversation, const uint8_t *data, size_t len);
	void (*writable)(void *arg); /* there is room again, after there was none */
};

/* in: the stream that this side reads, out: the one that it writes. NULL: a number is refused. */
struct datagrams *datagrams_new(struct mux *m, uint32_t in, uint32_t out,
                                const struct datagrams_events *e, void *arg);
/* Without room nothing should be sent: what is, is kept all the same. */
bool datagrams_have_room(const struct datagrams *d);
void datagrams_send(struct datagrams *d, uint32_t conversation, const void *data, size_t len);
void datagrams_free(struct datagrams *d); /* not in received(); NULL is fine */
