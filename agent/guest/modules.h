/* Kernel modules, which lie in the guest's initramfs in lists. All return 0 or -errno. */
#pragma once

struct error;
struct oci_spec;

/* Load the modules of one list: "order" (before the channel can be opened), "early" (before the
 * share can be mounted) or "late" (what nobody waits for). A list that does not exist means that
 * the kernel has all of it built in. */
int modules_load_list(const char *list, struct error *err);

/* Load one module of the list "lazy" and what it depends on; 0 also when it is loaded already or is
 * not in the list (built in, or the use of it will tell). */
int modules_load(const char *name, struct error *err);

/* What the file systems of "mounts", the device nodes that are bound, linux.devices and the rules
 * of linux.resources.devices need. */
int modules_for(const struct oci_spec *spec, struct error *err);
