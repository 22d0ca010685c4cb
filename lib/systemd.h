/* Scopes of the host's systemd, for --systemd-cgroup. It is spoken to over the system bus, or where
 * there is no bus over its own socket for root. libsystemd is loaded when the first connection is
 * made: no other verb pays for it, and a host without systemd does not need it. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "lib/unit-properties.h"
#include "lib/base/mem.h"

struct error;

#define SYSTEMD_TIMEOUT 30000 /* ms, as runc waits */

/* Whether systemd is this host's service manager (sd_booted(3)). */
bool systemd_is_running(void);

struct systemd; /* a connection */
#define auto_systemd auto_(systemd_freep)
/* All that is done with the connection may take timeout_ms together. NULL and err when there is no
 * systemd to talk to; only root may (EPERM). */
struct systemd *systemd_connect(unsigned timeout_ms, struct error *err);
void systemd_free(struct systemd *s);
void systemd_freep(struct systemd **s);

/* All of the following: 0 or -errno, ETIMEDOUT when it takes too long. */

/* Make the scope, with one process in it and more properties, and wait until it is there. EEXIST:
 * it is there already; what a failed one of that name has left is swept away. On failure there is
 * no new unit. */
int systemd_start_scope(struct systemd *s, const char *unit, const char *slice,
                        const char *description, pid_t pid, const struct unit_properties *more,
                        struct error *err);
/* Until the unit ends, as limits are. Nothing is sent when there are none. */
int systemd_set_properties(struct systemd *s, const char *unit, const struct unit_properties *p,
                           struct error *err);
/* End the unit, and with it its processes; wait for it. One that is not there is success. */
int systemd_stop_unit(struct systemd *s, const char *unit, struct error *err);
