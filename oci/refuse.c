#include <errno.h>

#include "lib/base/error.h"
#include "lib/base/str.h"
#include "oci/oci.h"

static int refuse(struct error *err, const char *field, const char *why)
{
	return error_set(err, ENOTSUP, "%s: %s", field, why);
}

static bool is_set(const char *s)
{
	return s && *s;
}

int oci_spec_check_vm(const struct oci_spec *spec, struct error *err)
{
	const struct oci_namespace *mount = oci_namespace_find(spec, "mount");
	const struct oci_linux *x = spec->linux_;
	bool has_uts = oci_namespace_find(spec, "uts");

	if (!mount || is_set(mount->path))
		return refuse(err, "linux.namespaces",
		              "a container without a mount namespace of its own is not supported "
		              "in a VM");
	if (is_set(spec->hostname) && !has_uts)
		return refuse(err, "hostname",
		              "unable to set hostname without a private UTS namespace");
	if (is_set(spec->domainname) && !has_uts)
		return refuse(err, "domainname",
		              "unable to set domainname without a private UTS namespace");
	if (x->intel_rdt)
		return refuse(err, "linux.intelRdt",
		              "a VM cannot share out the caches and the memory bandwidth of the "
		              "host's processors");
	return 0;
}
