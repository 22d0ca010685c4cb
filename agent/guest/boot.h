/* Bringing the VM up: what an init does before there is anything to serve. */
#pragma once

#include <stdbool.h>

struct error;

/* Mount /dev, /proc, /sys and so on and make the root one that containers can pivot away from. */
int boot_mounts(struct error *err);

/* Load the modules of one list of the initramfs: "order" (before the channel can be opened),
 * "early" (before the share can be mounted) or "late" (what nobody waits for). A list that does not
 * exist means that the kernel has all of it built in. */
int boot_modules(const char *list, struct error *err);

/* Load one module of the list "lazy" and what it depends on; 0 also when it is loaded already or is
 * not in the list (built in, or the use of it will tell). */
int boot_load_module(const char *name, struct error *err);

/* The rest: loopback interface up, cgroup2 hierarchy with its controllers. */
int boot_finish(struct error *err);

bool boot_is_debug(void); /* "vcrt.debug" on the kernel command line */

/* Flush and power the VM off. Does not return. */
void boot_power_off(void) __attribute__((noreturn));
