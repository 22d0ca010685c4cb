/* What the parts of "linux" ask of each other, and of the rest of the document. */
#include <inttypes.h>
#include <sched.h>
#include <string.h>

#include "lib/base/str.h"
#include "oci/table-internal.h"

#define MAX_MAPPINGS 340 /* of a user namespace, user_namespaces(7) */
#define NAME_MAX_LEN 64  /* of a host or domain name: __NEW_UTS_LEN */

static int find_namespaces(const struct oci_linux *l, const struct oci_at *at, int *found,
                           struct error *err)
{
	const struct oci_at list = { .up = at, .name = "namespaces" };

	*found = 0;
	for (size_t i = 0; i < l->n_namespaces; i++) {
		const struct oci_at here = { .up = &list, .index = i };
		const char *type = l->namespaces[i].type;
		int flag = oci_namespace_flag(type);

		if (*found & flag)
			return oci_fail(&here, "type", err, "duplicate namespace \"%s\"", type);
		*found |= flag;
	}
	return 0;
}

static bool overlap(uint32_t a, uint32_t b, uint32_t size_a, uint32_t size_b)
{
	return a < b ? b - a < size_a : a - b < size_b;
}

/* user_namespaces(7): ranges are not empty, do not wrap, do not overlap; and root is one of the
 * container's users, so that what is made for it can belong to it. */
static int check_mappings(const struct oci_id_mapping *maps, size_t n, const char *name,
                          const struct oci_at *at, struct error *err)
{
	const struct oci_at list = { .up = at, .name = name };
	bool has_root = false;

	if (n > MAX_MAPPINGS)
		return oci_fail(at, name, err, "more than %d mappings", MAX_MAPPINGS);
	for (size_t i = 0; i < n; i++) {
		const struct oci_id_mapping *m = &maps[i];
		const struct oci_at here = { .up = &list, .index = i };

		if (m->size == 0)
			return oci_fail(&here, "size", err, "must not be 0");
		if (UINT32_MAX - m->container_id < m->size || UINT32_MAX - m->host_id < m->size)
			return oci_fail(&here, "size", err, "%" PRIu32 " leads beyond the last ID",
			                m->size);
		for (size_t j = 0; j < i; j++)
			if (overlap(m->container_id, maps[j].container_id, m->size, maps[j].size) ||
			    overlap(m->host_id, maps[j].host_id, m->size, maps[j].size))
				return oci_fail(&here, NULL, err, "overlaps with [%zu]", j);
		has_root |= m->container_id == 0;
	}
	return has_root ? 0 : oci_fail(at, name, err, "ID 0 of the container is not mapped");
}

static bool is_joined(const struct oci_linux *l, const char *type)
{
	for (size_t i = 0; i < l->n_namespaces; i++)
		if (str_eq(l->namespaces[i].type, type))
			return l->namespaces[i].path && *l->namespaces[i].path;
	return false;
}

static int check_user_namespace(const struct oci_linux *l, bool has_namespace,
                                const struct oci_at *at, struct error *err)
{
	const char *given = l->n_uid_mappings   ? "uidMappings"
	                    : l->n_gid_mappings ? "gidMappings"
	                                        : NULL;

	if (!has_namespace || is_joined(l, "user"))
		return given ? oci_fail(at, given, err, "needs a new user namespace in namespaces")
		             : 0;
	if (check_mappings(l->uid_mappings, l->n_uid_mappings, "uidMappings", at, err) < 0)
		return -err->code;
	return check_mappings(l->gid_mappings, l->n_gid_mappings, "gidMappings", at, err);
}

int oci_check_linux(const void *obj, const struct oci_at *at, struct error *err)
{
	const struct oci_linux *l = obj;
	int found;

	if (find_namespaces(l, at, &found, err) < 0 ||
	    check_user_namespace(l, found & CLONE_NEWUSER, at, err) < 0)
		return -err->code;
	if (l->time_offsets && (!(found & CLONE_NEWTIME) || is_joined(l, "time")))
		return oci_fail(at, "timeOffsets", err, "needs a new time namespace in namespaces");
	return 0;
}

static int check_name(const char *value, const char *name, const struct oci_at *at,
                      struct error *err)
{
	if (!value || !*value)
		return 0;
	return strlen(value) <= NAME_MAX_LEN
	               ? 0
	               : oci_fail(at, name, err, "longer than %d bytes", NAME_MAX_LEN);
}

/* Both separators are the same here; see rule_sysctl. */
static bool is_sysctl_of(const char *key, const char *name)
{
	while (*key && (*key == *name || (*key == '/' && *name == '.'))) {
		key++;
		name++;
	}
	return *key == *name;
}

/* As runc: who sets the same thing in two ways has not said what is meant. */
static int check_sysctl(const struct oci_spec *spec, const struct oci_at *at, struct error *err)
{
	const struct oci_at up = { .up = at, .name = "linux" };
	const struct oci_at map = { .up = &up, .name = "sysctl" };
	bool has_domain = spec->domainname && *spec->domainname;

	for (size_t i = 0; spec->linux_ && i < spec->linux_->n_sysctl; i++) {
		const char *key = spec->linux_->sysctl[i].key;
		const struct oci_at here = { .up = &map, .name = key, .is_key = true };

		if (is_sysctl_of(key, "kernel.hostname"))
			return oci_fail(&here, NULL, err,
			                "not allowed as it conflicts with \"hostname\"");
		if (has_domain && is_sysctl_of(key, "kernel.domainname"))
			return oci_fail(&here, NULL, err,
			                "not allowed as it conflicts with \"domainname\"");
	}
	return 0;
}

int oci_check_names(const struct oci_spec *spec, const struct oci_at *at, struct error *err)
{
	if (check_name(spec->hostname, "hostname", at, err) < 0 ||
	    check_name(spec->domainname, "domainname", at, err) < 0)
		return -err->code;
	return check_sysctl(spec, at, err);
}
