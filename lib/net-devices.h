/* linux.netDevices: interfaces of the host that go into the container's network namespace. At the
 * end of the namespace the kernel ends those that can have no other place; in a namespace that was
 * given they stay (config-linux.md, "Network Devices"). */
#pragma once

struct error;
struct oci_spec;

/* Move them from our network namespace into the one behind netns. After a failure all are back. */
int net_devices_take(const struct oci_spec *spec, int netns, struct error *err);
/* The creation has failed: back with them, as far as they are there. */
void net_devices_give_back(const struct oci_spec *spec, int netns);
