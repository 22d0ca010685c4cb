#include <inttypes.h>
#include <string.h>

#include "lib/base/str.h"
#include "oci/table-internal.h"

/* What device numbers are made of in the kernel: 12 and 20 bits; makedev() would drop the rest. */
#define MAJOR_MAX 0xfff
#define MINOR_MAX 0xfffff

const char *const oci_namespace_types[] = { "mount", "pid",    "network", "uts", "ipc",
	                                    "user",  "cgroup", "time",    NULL };

/* Those with "r" are not in the specification, but every other runtime takes them. */
static const char *const propagations[] = { "private",    "rprivate",    "shared",
	                                    "rshared",    "slave",       "rslave",
	                                    "unbindable", "runbindable", NULL };
static const char *const device_types[] = { "b", "c", "u", "p", NULL };
static const char *const domains[] = { "LINUX", "LINUX32", NULL };
const char *const oci_policy_modes[] = { "MPOL_DEFAULT",    "MPOL_BIND",
	                                 "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE",
	                                 "MPOL_PREFERRED",  "MPOL_PREFERRED_MANY",
	                                 "MPOL_LOCAL",      NULL };
const char *const oci_policy_flags[] = { "MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES",
	                                 "MPOL_F_STATIC_NODES", NULL };
static const char *const no_flags[] = { NULL }; /* the specification knows none yet */

static bool is_schema_mb(const char *s)
{
	return str_starts(s, "MB:") && !strchr(s, '\n');
}

static bool is_file_name(const char *s)
{
	return *s && !strchr(s, '/') && !str_eq(s, ".") && !str_eq(s, "..");
}

/* The rule of the kernel (dev_valid_name), so that a bad name is reported here by its path. */
static bool is_interface(const char *s)
{
	return is_file_name(s) && strlen(s) < 16 && !strpbrk(s, ": \t\n\v\f\r");
}

/* "net.ipv4.ip_forward", or with slashes in place of the dots. No step may be empty, which rules
 * out ".." and absolute paths. */
static bool is_sysctl(const char *s)
{
	char before = '.';

	for (; *s; before = *s++) {
		bool is_separator = *s == '.' || *s == '/';

		if ((unsigned char)*s <= ' ' || *s == 0x7f)
			return false;
		if (is_separator && (before == '.' || before == '/'))
			return false;
	}
	return before != '.' && before != '/';
}

static const struct oci_rule rule_namespace = { .what = "namespace type",
	                                        .names = oci_namespace_types };
static const struct oci_rule rule_propagation = { .what = "propagation", .names = propagations };
static const struct oci_rule rule_device = { .what = "device type", .names = device_types };
static const struct oci_rule rule_domain = { .what = "execution domain", .names = domains };
static const struct oci_rule rule_no_flags = { .what = "personality flag", .names = no_flags };
static const struct oci_rule rule_mode = { .what = "memory policy", .names = oci_policy_modes };
static const struct oci_rule rule_flag = { .what = "memory policy flag",
	                                   .names = oci_policy_flags };
static const struct oci_rule rule_nodes = { .what = "must be a list of memory nodes such as 0-3,7",
	                                    .is_ok = oci_is_list };
static const struct oci_rule rule_mb = { .what = "must be one line that starts with MB:",
	                                 .is_ok = is_schema_mb };
static const struct oci_rule rule_clos = { .what = "must be a file name", .is_ok = is_file_name };
static const struct oci_rule rule_interface = { .what = "must be a name of a network interface",
	                                        .is_ok = is_interface };
static const struct oci_rule rule_sysctl = { .what = "must be a name such as net.ipv4.ip_forward",
	                                     .is_ok = is_sysctl };

static const struct oci_field oci_namespace_fields[] = {
	F_STR(oci_namespace, type, "type", .required = true, .rule = &rule_namespace),
	F_STR(oci_namespace, path, "path", .rule = &oci_rule_absolute),
};
OCI_TYPE(oci_namespace);

static const struct oci_field oci_id_mapping_fields[] = {
	F_U32(oci_id_mapping, container_id, "containerID", .required = true),
	F_U32(oci_id_mapping, host_id, "hostID", .required = true),
	F_U32(oci_id_mapping, size, "size", .required = true),
};
OCI_TYPE(oci_id_mapping);

static int check_number(bool present, int64_t n, int64_t max, const char *name,
                        const struct oci_at *at, struct error *err)
{
	if (!present)
		return oci_fail(at, name, err, "required, but missing");
	if (n < 0 || n > max)
		return oci_fail(at, name, err, "%" PRId64 " is out of range (0 to %" PRId64 ")", n,
		                max);
	return 0;
}

static int check_device(const void *obj, const struct oci_at *at, struct error *err)
{
	const struct oci_device *d = obj;
	int r;

	if (str_eq(d->type, "p")) /* a FIFO has no numbers */
		return 0;
	r = check_number(d->has_major, d->major, MAJOR_MAX, "major", at, err);
	return r ? r : check_number(d->has_minor, d->minor, MINOR_MAX, "minor", at, err);
}

static const struct oci_field oci_device_fields[] = {
	F_STR(oci_device, path, "path", .required = true, .rule = &oci_rule_absolute),
	F_STR(oci_device, type, "type", .required = true, .rule = &rule_device),
	F_I64(oci_device, major, "major"),
	F_I64(oci_device, minor, "minor"),
	F_U32(oci_device, file_mode, "fileMode"),
	F_U32(oci_device, uid, "uid"),
	F_U32(oci_device, gid, "gid"),
};
OCI_TYPE(oci_device, .check = check_device);

static const struct oci_field oci_net_device_fields[] = {
	F_STR(oci_net_device, name, "name", .rule = &rule_interface),
};
OCI_TYPE(oci_net_device);

static const struct oci_field oci_intel_rdt_fields[] = {
	F_STR(oci_intel_rdt, clos_id, "closID", .rule = &rule_clos),
	F_STRV(oci_intel_rdt, schemata, "schemata"),
	F_STR(oci_intel_rdt, l3_cache_schema, "l3CacheSchema"),
	F_STR(oci_intel_rdt, mem_bw_schema, "memBwSchema", .rule = &rule_mb),
	F_BOOL(oci_intel_rdt, enable_monitoring, "enableMonitoring"),
};
static OCI_TYPE(oci_intel_rdt);

/* set_mempolicy(2) */
static int check_memory_policy(const void *obj, const struct oci_at *at, struct error *err)
{
	const struct oci_memory_policy *p = obj;
	bool takes_none = str_eq(p->mode, "MPOL_DEFAULT") || str_eq(p->mode, "MPOL_LOCAL");
	bool has_nodes = p->nodes && *p->nodes;

	if (takes_none && has_nodes)
		return oci_fail(at, "nodes", err, "must be empty with %s", p->mode);
	if (!takes_none && !has_nodes && !str_eq(p->mode, "MPOL_PREFERRED"))
		return oci_fail(at, "nodes", err, "required with %s", p->mode);
	if (!has_nodes && p->flags && *p->flags)
		return oci_fail(at, "flags", err, "%s needs nodes", *p->flags);
	if (strv_has(p->flags, "MPOL_F_STATIC_NODES") &&
	    strv_has(p->flags, "MPOL_F_RELATIVE_NODES"))
		return oci_fail(at, "flags", err,
		                "MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other");
	return 0;
}

static const struct oci_field oci_memory_policy_fields[] = {
	F_STR(oci_memory_policy, mode, "mode", .required = true, .rule = &rule_mode),
	F_STR(oci_memory_policy, nodes, "nodes", .rule = &rule_nodes),
	F_STRV(oci_memory_policy, flags, "flags", .rule = &rule_flag),
};
static OCI_TYPE(oci_memory_policy, .check = check_memory_policy);

static const struct oci_field oci_personality_fields[] = {
	F_STR(oci_personality, domain, "domain", .required = true, .rule = &rule_domain),
	F_STRV(oci_personality, flags, "flags", .rule = &rule_no_flags),
};
static OCI_TYPE(oci_personality);

static int check_time_offset(const void *obj, const struct oci_at *at, struct error *err)
{
	const struct oci_time_offset *t = obj;

	return check_number(true, t->nanosecs, 999999999, "nanosecs", at, err);
}

static const struct oci_field oci_time_offset_fields[] = {
	F_I64(oci_time_offset, secs, "secs"),
	F_U32(oci_time_offset, nanosecs, "nanosecs"),
};
static OCI_TYPE(oci_time_offset, .check = check_time_offset);

static const struct oci_field oci_time_offsets_fields[] = {
	F_OBJ(oci_time_offsets, boottime, "boottime", oci_time_offset),
	F_OBJ(oci_time_offsets, monotonic, "monotonic", oci_time_offset),
};
static OCI_TYPE(oci_time_offsets);

static const struct oci_field oci_linux_fields[] = {
	F_ARRAY(oci_linux, uid_mappings, "uidMappings", oci_id_mapping),
	F_ARRAY(oci_linux, gid_mappings, "gidMappings", oci_id_mapping),
	F_MAP(oci_linux, sysctl, "sysctl", .rule = &rule_sysctl),
	F_OBJ(oci_linux, resources, "resources", oci_resources),
	F_STR(oci_linux, cgroups_path, "cgroupsPath"),
	F_ARRAY(oci_linux, namespaces, "namespaces", oci_namespace),
	F_ARRAY(oci_linux, devices, "devices", oci_device),
	F_KEYED(oci_linux, net_devices, "netDevices", oci_net_device, .rule = &rule_interface),
	F_OBJ(oci_linux, seccomp, "seccomp", oci_seccomp),
	F_STR(oci_linux, rootfs_propagation, "rootfsPropagation", .rule = &rule_propagation),
	F_STRV(oci_linux, masked_paths, "maskedPaths", .rule = &oci_rule_absolute),
	F_STRV(oci_linux, readonly_paths, "readonlyPaths", .rule = &oci_rule_absolute),
	F_STR(oci_linux, mount_label, "mountLabel"),
	F_OBJ(oci_linux, intel_rdt, "intelRdt", oci_intel_rdt),
	F_OBJ(oci_linux, memory_policy, "memoryPolicy", oci_memory_policy),
	F_OBJ(oci_linux, personality, "personality", oci_personality),
	F_OBJ(oci_linux, time_offsets, "timeOffsets", oci_time_offsets),
};
OCI_TYPE(oci_linux, .check = oci_check_linux);
