/* What a container uses, as runc's "events --stats" shows it. */
#pragma once

struct json;

/* Turn the guest's answer to "stats" (agent/protocol.h) into the "data" of such an event. The guest
 * is hostile: of what it says only unsigned numbers under known names come through, everything else
 * counts as absent. Names of memory.stat differ from kernel to kernel: any that looks like one is
 * taken. Owned by the caller. */
struct json *stats_of_guest(const struct json *guest);
