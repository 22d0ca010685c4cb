/* Network namespaces for tests. The test runs in one that nobody else has (check forks for each
 * test, so nothing is left), and code under test gets the box, another one. */
#pragma once

#include <stdbool.h>

#include "netns/netns.h"

/* A new network namespace with the loopback up: a descriptor. */
int box_new(void);
/* A shell command (as of printf) in the namespace, which must succeed; its output, owned by the
 * caller. */
char *box_output(int ns, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void box_run(int ns, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Call fn in the namespace, and come back. */
void box_inside(int ns, void (*fn)(void *arg), void *arg);

/* Fixture: box is a new namespace, net a handle on it. */
extern int box;
extern struct netns *net;
void box_setup(void);
void box_teardown(void); /* no descriptor must have been left */

bool box_has_libnl(void); /* it, too */

struct net_state *box_scan(void);
/* The link of that name in the box as a scan tells it. */
struct net_link box_link(const char *name);
bool box_has(int ns, const char *name);

/* eth0 of the box as FRAMES_GUEST_IP with a default route, and the namespace where its other end
 * is, p0 with FRAMES_PEER_IP: a descriptor. */
int box_new_peer(void);
/* Fixture: the box with such a peer, whose namespace is box_outside. */
extern int box_outside;
void box_setup_with_peer(void);
void box_teardown_with_peer(void);
/* These must succeed. */
struct endpoint *box_attach(const char *name, enum net_model model, unsigned queues);
void box_detach(struct endpoint *ep);
/* All that a user sees of the box, and of filters at eth0; owned by the caller. Counters and states
 * that change by themselves are left out. */
char *box_look(void);
