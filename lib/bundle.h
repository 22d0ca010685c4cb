/* What the caller of create brings: the bundle with its config.json and root file system. */
#pragma once

struct error;
struct oci_spec;

/* Read the bundle's configuration and refuse what no container of ours can be. dir: NULL or "" for
 * the current directory. *bundle (its real path) and *spec are the caller's, also after a failure;
 * both are NULL before. 0 or -errno with runc's texts. */
int bundle_read(const char *dir, char **bundle, struct oci_spec **spec, struct error *err);
/* *rootfs: the real path of root.path, a directory; the caller's. */
int bundle_find_rootfs(const char *bundle, const struct oci_spec *spec, char **rootfs,
                       struct error *err);
