/* Which virtual machine a container goes into (DESIGN section 4): that of its pod, or a new one. A
 * part of create. */
#pragma once

struct error;
struct launch;
struct oci_spec;

/* Join the sandbox that the document says the container belongs to, or launch one:
 *  - a CRI annotation makes it a container of a pod and names the pod's first one, which is looked
 *    for in the caller's own ROOT only: who may not write there cannot have its name believed;
 *  - a path in linux.namespaces is a namespace of a sandbox's container, or was given to it.
 * Both must not contradict each other. In spec the pod's network becomes that of a container of a
 * pod that asks for a new one. On failure the caller cleans up by the record. */
int pod_enter(struct launch *l, struct oci_spec *spec, struct error *err);
