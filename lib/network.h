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

/* A container of the sandbox is in the network namespace behind fd, which stays the caller's. The
 * first one's is the sandbox's, the others must be in the same. What cannot become a NIC is refused
 * here already. 0, or -errno. */
int network_join(struct monitor *m, int fd, struct error *err);
/* A container that joins the VM has a network namespace of its own, in the guest, too: nothing can
 * be plugged there, so its interfaces are refused. */
int network_check_alone(int fd, struct error *err);
/* The namespace; NULL: no container has brought one yet. */
struct netns *network_namespace(const struct network *n);

/* Make the guest's network what the namespace has now, and call fn (perhaps at once) when it is, or
 * with an error. The agent must be there. Afterwards changes are followed. */
typedef void (*network_fn)(void *arg, const struct error *err);
void network_sync(struct monitor *m, network_fn fn, void *arg);

/* The agent is about to be closed. NULL is fine, here and below. */
void network_stop(struct network *n);
/* The VM is gone: take away what was made in the namespace. */
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
