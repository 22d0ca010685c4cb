/* Docker's embedded name server, which listens on the loopback of the container's network namespace
 * on the host: a forwarder for the VM, which has a loopback of its own. The guest reaches that one
 * address and port, by UDP and TCP, and nothing else. */
#pragma once

#include <stdbool.h>

struct agent;
struct dns;
struct loop;
struct netns;

/* Costs nothing before a name server is found. ns stays the caller's. */
struct dns *dns_new(struct loop *loop, struct agent *agent, struct netns *ns);
/* Look whether the namespace has a name server; if so, or if the kernel does not tell, the guest is
 * told, before it gets any later request. Once it has had one the forwarder stays. */
void dns_look(struct dns *d);
/* There is one, or has been. NULL is fine, here and below. */
bool dns_is_on(const struct dns *d);
/* Before the agent is closed, and so that none of its answers comes in between. */
void dns_free(struct dns *d);
