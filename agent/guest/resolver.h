/* The resolver of the network namespace on the host, for the processes of the VM: what they send to
 * its address goes to the host, as protocol.h says. */
#pragma once

#include <stdint.h>

struct error;
struct loop;
struct mux;
struct resolver;

/* Begin. The streams are in use afterwards, when this was no failure: to goes to the programs, from
 * comes from them. -EPROTO in err->code: one of them was not free, and the connection ends. */
struct resolver *resolver_new(struct loop *loop, struct mux *m, uint32_t to, uint32_t from,
                              struct error *err);
/* done() is called once a program has connected, perhaps before this returns; the streams are in
 * use then, when it was no failure. -EBUSY: as many wait already as can be. */
typedef void (*resolver_done_fn)(void *arg, const struct error *err);
int resolver_accept(struct resolver *r, uint32_t to, uint32_t from, resolver_done_fn done,
                    void *arg, struct error *err);
/* Connections end; done() is not called any more. NULL is fine. */
void resolver_free(struct resolver *r);
