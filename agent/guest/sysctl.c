/* linux.sysctl. */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "oci/oci.h"

/* "net.ipv4.ip_forward" and "net/ipv4/ip_forward" are the same; the first separator decides, so
 * that "net/ipv4/conf/eth0.1/..." and "net.ipv4.conf.eth0/1..." can both be said. NULL: not a name
 * below /proc/sys. */
char *sysctl_path(const char *key)
{
	auto_free char *name = str_dup(key);
	bool dots = name[strcspn(name, "./")] == '.';
	auto_strv char **parts = NULL;

	for (char *c = name; dots && *c; c++)
		*c = *c == '.' ? '/' : *c == '/' ? '.' : *c;
	parts = str_split(name, '/');
	for (size_t i = 0; parts[i]; i++)
		if (!parts[i][0] || str_eq(parts[i], ".") || str_eq(parts[i], ".."))
			return NULL;
	return str_fmt("/proc/sys/%s", name);
}

/* Of a namespace that a container has for its own: ipc_namespaces(7), uts_namespaces(7). Most have
 * the VM's network. */
static bool is_namespaced(const char *path, const struct ns_plan *ns)
{
	static const char *const prefixes[] = {
		"/proc/sys/kernel/msg", "/proc/sys/kernel/sem",
		"/proc/sys/kernel/shm", "/proc/sys/kernel/auto_msgmni",
		"/proc/sys/fs/mqueue/", "/proc/sys/kernel/domainname",
	};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (str_starts(path, prefixes[i]))
			return true;
	return ((ns->create | ns->join) & CLONE_NEWNET) && str_starts(path, "/proc/sys/net/");
}

int sysctl_apply(const struct container *ct, bool namespaced, struct error *err)
{
	const struct oci_pair *sysctl = ct->spec->linux_->sysctl;

	for (size_t i = 0; i < ct->spec->linux_->n_sysctl; i++) {
		auto_free char *path = sysctl_path(sysctl[i].key);

		if (!path)
			return error_set(err, EINVAL, "linux.sysctl: bad name '%s'", sysctl[i].key);
		if (is_namespaced(path, &ct->ns) != namespaced)
			continue;
		if (!fs_exists(path))
			return error_set(err, ENOTSUP, "linux.sysctl: the guest kernel has no '%s'",
			                 sysctl[i].key);
		if (fs_write_value(path, sysctl[i].value, err) < 0)
			return error_wrap(err, "linux.sysctl");
	}
	return 0;
}
