/* The network of a sandbox (DESIGN section 8): what the network namespace of its containers has is
 * the network of its VM. For each interface that is meant for them a NIC is plugged, and the agent
 * is told names, addresses, routes and neighbours; what changes later follows. */
#pragma once

#include <stddef.h>

struct error;
struct json;
struct monitor;
struct net_state;
struct netns;
struct network;

/* The network of the namespace behind fd, which stays the caller's. container: whose namespace of
 * the guest it is for; NULL: the VM's. What cannot become a NIC is refused here already. Owned by
 * the caller; NULL with err. */
struct network *network_new(struct monitor *m, int fd, const char *container, struct error *err);
/* Another container of the same namespace outlives that one. */
void network_pass(struct network *n, const char *container);
/* The namespace; NULL: no container has brought one yet. */
struct netns *network_namespace(const struct network *n);

/* Make the guest's network what the namespace has now, and call fn (perhaps at once) when it is, or
 * with an error. The agent must be there. Afterwards changes are followed. n NULL: there is nothing
 * to do. */
typedef void (*network_fn)(void *arg, const struct error *err);
void network_sync(struct network *n, network_fn fn, void *arg);

/* The agent is about to be closed. NULL is fine, here and below. */
void network_stop(struct network *n);
/* The VM, or the container, is gone: take away what was made in the namespace. */
void network_free(struct network *n);

/* ---- network-request.c ---- */

/* An interface of the namespace, and the NIC that stands for it in the guest. */
struct network_nic {
	unsigned link; /* index */
	const char *pci;
	const unsigned char *mac; /* that it was plugged with */
};
/* The arguments of the agent's request "network" (agent/protocol.h): the interfaces that have a
 * NIC, and what belongs to them or to none. What the guest cannot have is left out with a warning.
 */
struct json *network_request(const struct net_state *s, const struct network_nic *nics, size_t n);
