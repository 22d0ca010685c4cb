/* Bringing the VM up: what an init does before there is anything to serve. */
#pragma once

#include <stdbool.h>

struct error;

/* Mount /dev, /proc, /sys and so on and make the root one that containers can pivot away from. */
int boot_mounts(struct error *err);

/* The rest: loopback interface up, cgroup2 hierarchy with its controllers. */
int boot_finish(struct error *err);

bool boot_is_debug(void); /* "vcrt.debug" on the kernel command line */

/* Flush and power the VM off. Does not return. */
void boot_power_off(void) __attribute__((noreturn));
