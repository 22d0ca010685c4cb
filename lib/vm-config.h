/* From the configuration to what a hypervisor backend wants. */
#pragma once

#include <stdbool.h>

struct config;
struct error;
struct hv_config;
struct hv_ops;
struct json;

/* The VM that c describes; strings stay c's. Descriptors, share and prepare are left empty. accel
 * stays as the configuration has it (AUTO: to be resolved). Returns the backend, NULL on error. */
const struct hv_ops *vm_config(const struct config *c, struct hv_config *cfg, struct error *err);
/* What tells whether a template is one for the VM that c describes (template.h); neither has a
 * console. Owned by the caller; NULL: it cannot be a clone, or (err) something is missing. */
char *vm_identity(const struct config *c, struct error *err);
/* The time of now, as its agent is told; owned by the caller. */
struct json *vm_time(void);
/* What the agent of a VM is asked first ("sandbox" of agent/protocol.h): fresh entropy, the time,
 * and which share there is. Owned by the caller. */
struct json *vm_first_request(const struct config *c);
