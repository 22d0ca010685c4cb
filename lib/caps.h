/* Capabilities of this process (capabilities(7)), as bits. */
#pragma once

#include <linux/capability.h>

struct error;

#define CAP_BIT(cap) (1ull << (cap))

/* What it and those that it starts can still get by execve(2): the bounding set, and no new
 * privileges. Needs CAP_SETPCAP if something is to be dropped. */
int caps_bound(unsigned long long kept, struct error *err);
/* What it has: exactly these, permitted and effective, none inheritable. */
int caps_limit(unsigned long long kept, struct error *err);
