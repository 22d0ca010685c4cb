/* linux.namespaces of config.json (config-linux.md, "Namespaces"). All namespaces of the container
 * are the guest's; its stand-in has those of the host. An entry without a path is a new one in both
 * places; without an entry the container shares the VM's with the agent. A path may name
 *  - the caller's own namespace: to inherit it, which is what the absence of an entry means, too;
 *  - a namespace of a container's stand-in: that container's VM is joined, and its namespace there;
 *  - one that is nobody's but has a file of its own (what CNI, Podman and CRI-O prepare): it is
 *    given to the sandbox, and has a counterpart in the guest.
 * One of a process that is no stand-in is another runtime's, and out of reach (pod.c).
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct error;
struct json;
struct oci_namespace;
struct oci_spec;
struct shim_namespaces;

/* 0, or what is wrong with a path whosever namespace it is; the document is valid and passes
 * oci_spec_check_vm(). */
int namespaces_check(const struct oci_spec *spec, struct error *err);
/* It has a path, and not to the caller's own. */
bool namespace_is_joined(const struct oci_namespace *n);
/* Its path is a file of its own, not one of a process in /proc. */
bool namespace_is_pinned(const struct oci_namespace *n);
/* The error that it is nobody's whom a container of ours could join. */
int namespace_refuse(const struct oci_namespace *n, struct error *err);
/* The file of a process's namespace. Owned by the caller. */
char *namespace_path(pid_t pid, int flag);
/* Take out what the guest must not see: paths, which are the host's. */
void namespaces_localise(struct oci_spec *guest);
/* What the stand-in is born in. Descriptors in ns->join are the caller's, also after a failure. */
int namespaces_of_shim(const struct oci_spec *spec, struct shim_namespaces *ns, struct error *err);
/* What the stand-in has by a namespace of the document, new or joined: an array for the monitor,
 * owned by the caller, of ns_id_to_json() with "joined", and the names of a UTS namespace that was
 * given. */
struct json *namespaces_describe(const struct oci_spec *spec, pid_t shim, struct error *err);
