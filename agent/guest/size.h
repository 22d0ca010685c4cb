/* What the VM has been given while it ran (protocol.h, "size"). */
#pragma once

#include "agent/guest/guest.h"

struct error;
struct json;
struct loop;

/* Remember how much memory there is: once, when the guest comes up. */
void size_note(void);
/* Wait until the memory and the CPUs of the request can be used, and let the kernel use them; a
 * child waits, done comes later. On failure it does not. */
int size_take(struct loop *loop, const struct json *request, guest_done_fn done, void *arg,
              struct error *err);
