/* The request "sandbox": what the VM learns from its host before the first container. */
#pragma once

#include <stdbool.h>

struct error;
struct json;

int sandbox_setup(const struct json *request, struct error *err);
/* Set the clock to the request's "time", if it has one. */
int sandbox_set_time(const struct json *request, struct error *err);
/* Before that, in a VM that will be saved: load what containers may need. */
int sandbox_warm(struct error *err);
/* Write back what containers have changed in the share, so that the host has it. *share: -1, or
 * what an earlier call has left there. */
void sandbox_sync(int *share, bool has_several);
/* Whether the share is of several file systems. */
bool sandbox_has_submounts(void);
