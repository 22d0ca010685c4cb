#include <inttypes.h>
#include <string.h>

#include "lib/base/str.h"
#include "oci/table-internal.h"

static const char *const device_types[] = { "a", "b", "c", NULL };

/* "a" is an access in some callers' rules, though no word of the specification: it adds none. */
static bool is_access(const char *s)
{
	return s[strspn(s, "rwma")] == '\0';
}

/* As in the schema: ^[1-9][0-9]*[KMG]B$ */
static bool is_page_size(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n > 0 && *s != '0' && s[n] && strchr("KMG", s[n]) && str_eq(s + n + 1, "B");
}

/* The keys of unified become paths below the cgroup's directory. */
static bool is_cgroup_file(const char *s)
{
	return *s && *s != '.' && !strchr(s, '/');
}

static const struct oci_rule rule_type = { .what = "device type", .names = device_types };
static const struct oci_rule rule_access = { .what = "must consist of r, w and m",
	                                     .is_ok = is_access };
static const struct oci_rule rule_page_size = { .what = "must be a size such as 2MB",
	                                        .is_ok = is_page_size };
static const struct oci_rule rule_cgroup_file = { .what = "must be the name of a cgroup file",
	                                          .is_ok = is_cgroup_file };

/* Where 0 and up are values and -1 says "no limit" or "all". */
static int check_from_minus_one(int64_t n, const char *name, const struct oci_at *at,
                                struct error *err)
{
	return n < -1 ? oci_fail(at, name, err, "%" PRId64 " is less than -1", n) : 0;
}

static int check_device(const void *obj, const struct oci_at *at, struct error *err)
{
	const struct oci_device_cgroup *d = obj;
	int r = check_from_minus_one(d->major, "major", at, err);

	return r ? r : check_from_minus_one(d->minor, "minor", at, err);
}

static const struct oci_field oci_device_cgroup_fields[] = {
	F_BOOL(oci_device_cgroup, allow, "allow", .required = true),
	F_STR(oci_device_cgroup, type, "type", .rule = &rule_type),
	F_I64(oci_device_cgroup, major, "major"),
	F_I64(oci_device_cgroup, minor, "minor"),
	F_STR(oci_device_cgroup, access, "access", .rule = &rule_access),
};
static OCI_TYPE(oci_device_cgroup, .check = check_device);

static int check_memory(const void *obj, const struct oci_at *at, struct error *err)
{
	const struct oci_memory *m = obj;
	const struct {
		const char *name;
		int64_t bytes;
	} limits[] = {
		{ "limit", m->limit },   { "reservation", m->reservation }, { "swap", m->swap },
		{ "kernel", m->kernel }, { "kernelTCP", m->kernel_tcp },
	};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		if (check_from_minus_one(limits[i].bytes, limits[i].name, at, err) < 0)
			return -err->code;
	if (m->swappiness > 100)
		return oci_fail(at, "swappiness", err, "%" PRIu64 " is out of range (0 to 100)",
		                m->swappiness);
	return 0;
}

static const struct oci_field oci_memory_fields[] = {
	F_I64(oci_memory, limit, "limit"),
	F_I64(oci_memory, reservation, "reservation"),
	F_I64(oci_memory, swap, "swap"),
	F_I64(oci_memory, kernel, "kernel"),
	F_I64(oci_memory, kernel_tcp, "kernelTCP"),
	F_U64(oci_memory, swappiness, "swappiness"),
	F_BOOL(oci_memory, disable_oom_killer, "disableOOMKiller"),
	F_BOOL(oci_memory, use_hierarchy, "useHierarchy"),
	F_BOOL(oci_memory, check_before_update, "checkBeforeUpdate"),
};
static OCI_TYPE(oci_memory, .check = check_memory);

static int check_cpu(const void *obj, const struct oci_at *at, struct error *err)
{
	const struct oci_cpu *c = obj;

	if (c->idle != 0 && c->idle != 1)
		return oci_fail(at, "idle", err, "%" PRId64 " is neither 0 nor 1", c->idle);
	return 0;
}

static const struct oci_field oci_cpu_fields[] = {
	F_U64(oci_cpu, shares, "shares"),
	F_I64(oci_cpu, quota, "quota"),
	F_U64(oci_cpu, burst, "burst"),
	F_U64(oci_cpu, period, "period"),
	F_I64(oci_cpu, realtime_runtime, "realtimeRuntime"),
	F_U64(oci_cpu, realtime_period, "realtimePeriod"),
	F_STR(oci_cpu, cpus, "cpus"),
	F_STR(oci_cpu, mems, "mems"),
	F_I64(oci_cpu, idle, "idle"),
};
static OCI_TYPE(oci_cpu, .check = check_cpu);

static const struct oci_field oci_pids_fields[] = {
	F_I64(oci_pids, limit, "limit", .required = true),
};
static OCI_TYPE(oci_pids);

static int check_weight_device(const void *obj, const struct oci_at *at, struct error *err)
{
	const struct oci_weight_device *d = obj;

	if (!d->has_weight && !d->has_leaf_weight)
		return oci_fail(at, NULL, err, "needs weight or leafWeight");
	return 0;
}

static const struct oci_field oci_weight_device_fields[] = {
	F_I64(oci_weight_device, major, "major", .required = true),
	F_I64(oci_weight_device, minor, "minor", .required = true),
	F_U16(oci_weight_device, weight, "weight"),
	F_U16(oci_weight_device, leaf_weight, "leafWeight"),
};
static OCI_TYPE(oci_weight_device, .check = check_weight_device);

static const struct oci_field oci_throttle_device_fields[] = {
	F_I64(oci_throttle_device, major, "major", .required = true),
	F_I64(oci_throttle_device, minor, "minor", .required = true),
	F_U64(oci_throttle_device, rate, "rate", .required = true),
};
static OCI_TYPE(oci_throttle_device);

#define F_THROTTLE(m, key) F_ARRAY(oci_block_io, m, key, oci_throttle_device)
static const struct oci_field oci_block_io_fields[] = {
	F_U16(oci_block_io, weight, "weight"),
	F_U16(oci_block_io, leaf_weight, "leafWeight"),
	F_ARRAY(oci_block_io, weight_device, "weightDevice", oci_weight_device),
	F_THROTTLE(throttle_read_bps_device, "throttleReadBpsDevice"),
	F_THROTTLE(throttle_write_bps_device, "throttleWriteBpsDevice"),
	F_THROTTLE(throttle_read_iops_device, "throttleReadIOPSDevice"),
	F_THROTTLE(throttle_write_iops_device, "throttleWriteIOPSDevice"),
};
OCI_TYPE(oci_block_io);

static const struct oci_field oci_hugepage_limit_fields[] = {
	F_STR(oci_hugepage_limit, page_size, "pageSize", .required = true, .rule = &rule_page_size),
	F_U64(oci_hugepage_limit, limit, "limit", .required = true),
};
static OCI_TYPE(oci_hugepage_limit);

static const struct oci_field oci_network_priority_fields[] = {
	F_STR(oci_network_priority, name, "name", .required = true, .rule = &oci_rule_not_empty),
	F_U32(oci_network_priority, priority, "priority", .required = true),
};
static OCI_TYPE(oci_network_priority);

static const struct oci_field oci_network_fields[] = {
	F_U32(oci_network, class_id, "classID"),
	F_ARRAY(oci_network, priorities, "priorities", oci_network_priority),
};
static OCI_TYPE(oci_network);

static int check_rdma(const void *obj, const struct oci_at *at, struct error *err)
{
	const struct oci_rdma *r = obj;

	if (!r->has_hca_handles && !r->has_hca_objects)
		return oci_fail(at, NULL, err, "needs hcaHandles or hcaObjects");
	return 0;
}

static const struct oci_field oci_rdma_fields[] = {
	F_U32(oci_rdma, hca_handles, "hcaHandles"),
	F_U32(oci_rdma, hca_objects, "hcaObjects"),
};
static OCI_TYPE(oci_rdma, .check = check_rdma);

static const struct oci_field oci_resources_fields[] = {
	F_ARRAY(oci_resources, devices, "devices", oci_device_cgroup),
	F_OBJ(oci_resources, memory, "memory", oci_memory),
	F_OBJ(oci_resources, cpu, "cpu", oci_cpu),
	F_OBJ(oci_resources, pids, "pids", oci_pids),
	F_OBJ(oci_resources, block_io, "blockIO", oci_block_io),
	F_ARRAY(oci_resources, hugepage_limits, "hugepageLimits", oci_hugepage_limit),
	F_OBJ(oci_resources, network, "network", oci_network),
	F_KEYED(oci_resources, rdma, "rdma", oci_rdma, .rule = &oci_rule_not_empty),
	F_MAP(oci_resources, unified, "unified", .rule = &rule_cgroup_file),
};
OCI_TYPE(oci_resources);
