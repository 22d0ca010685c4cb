/* From the configuration to what a hypervisor backend wants. */
#pragma once

struct config;
struct error;
struct hv_config;
struct hv_ops;

/* The VM that c describes; strings stay c's. Descriptors, share and prepare are left empty. accel
 * stays as the configuration has it (AUTO: to be resolved). Returns the backend, NULL on error. */
const struct hv_ops *vm_config(const struct config *c, struct hv_config *cfg, struct error *err);
