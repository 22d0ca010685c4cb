/* The network of the guest: what a "network" request of agent/protocol.h asks for, and making the
 * network namespace of the calling process look like that. Blocking; the agent has a child do it.
 */
#pragma once

struct error;
struct json;
struct network;

/* Owned by the caller, or NULL with err. */
struct network *network_read(const struct json *request, struct error *err);
void network_free(struct network *n); /* NULL is fine; all that it is linked with */

/* Make the namespace look like wish; what only former (NULL: none) had is taken away, and what
 * neither has is somebody else's and stays. Interfaces are waited for up to wait_ms. Returns how
 * many changes were made, or -errno: then something of either may be there. */
int network_apply(struct network *wish, struct network *former, unsigned wait_ms,
                  struct error *err);
/* The same for the network namespace netns, which becomes that of the calling process: devices that
 * are still in the one before are moved there. */
int network_apply_in(int netns, struct network *wish, struct network *former, unsigned wait_ms,
                     struct error *err);

/* Bring up the loopback interface of the calling process. */
int network_loopback_up(struct error *err);
