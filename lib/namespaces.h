/* linux.namespaces of config.json (config-linux.md, "Namespaces"). All namespaces of the container
 * are the guest's. An entry without a path is a new one there; without an entry the container
 * shares the VM's with the agent. Of paths there are two kinds that make sense:
 *  - a network namespace of the host other than the host's own: the stand-in joins it;
 *  - the caller's own namespace: to inherit it, which is what the absence of an entry means, too.
 */
#pragma once

struct error;
struct oci_spec;
struct shim_namespaces;

/* 0, or what is wrong with a path; the document is valid and passes oci_spec_check_vm(). */
int namespaces_check(const struct oci_spec *spec, struct error *err);
/* Take out what the guest must not see: its only network namespace is the sandbox's, and paths are
 * the host's. */
void namespaces_localise(struct oci_spec *guest);
/* What the stand-in is born in. Descriptors in ns->join are the caller's, also after a failure. */
int namespaces_of_shim(const struct oci_spec *spec, struct shim_namespaces *ns, struct error *err);
