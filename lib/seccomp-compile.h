/* linux.seccomp, compiled by libseccomp on the host: in the guest it would cost a tenth of a second
 * of each start where there is no KVM. */
#pragma once

struct error;
struct oci_seccomp;
struct seccomp_filter;

/* sc NULL: no filter. What is no action, operator, architecture or flag is an error (EINVAL), and
 * so is what needs an agent on the host that watches the container's processes (ENOTSUP); system
 * calls without a name here are skipped. As with runc, on the architectures that are listed,
 * calls that are newer than any that is named get ENOSYS in place of a default action that denies,
 * so that programs try an older one. */
int seccomp_compile(const struct oci_seccomp *sc, struct seccomp_filter *out, struct error *err);
