/* Both directions of a socket, each on a stream of its own. What one end shuts down, the other end
 * finds shut down; what is closed in whole is closed in whole. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/mux.h"

struct duplex;

enum {
	DUPLEX_RECORDS = 1, /* the socket keeps the boundaries of messages */
	/* Nobody else holds the socket, so that all of it may be shut down. One that the caller has
	 * too is only shut down where the other end says so. */
	DUPLEX_PRIVATE = 2,
};

/* fd is taken, also on failure: NULL when a stream is refused. to: the stream that goes to the
 * socket, from: the one that comes from it. done() is called once, when both directions have ended;
 * the duplex must not be freed in it. */
struct duplex *duplex_new(struct loop *loop, struct mux *m, uint32_t to, uint32_t from, int fd,
                          unsigned flags, pump_done_fn done, void *arg);
bool duplex_is_done(const struct duplex *d);
/* The direction towards the socket, NULL when it was given up. */
const struct pump *duplex_to(const struct duplex *d);
/* Whoever had the other end of the socket is gone: send on what has arrived, then the end. */
void duplex_finish(struct duplex *d);
void duplex_free(struct duplex *d); /* NULL is fine; done() is not called */

/* Connections, each with a duplex of its own that nobody else keeps. {0} is an empty list. */
struct duplex_list {
	struct duplex *first;
};
void duplex_list_add(struct duplex_list *l, struct duplex *d); /* d is taken */
/* Free those that are done; returns how many are left. */
size_t duplex_list_sweep(struct duplex_list *l);
void duplex_list_finish(struct duplex_list *l);
void duplex_list_free(struct duplex_list *l);
