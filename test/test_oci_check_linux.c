/* What the specification demands of the values below "linux". */
#include "test/test_oci_check.h"

START_TEST(checks_linux)
{
	static const struct row rows[] = {
		{ "\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"uts\"},{\"type\":\"foo\"}]",
		  "linux.namespaces[2].type: unknown namespace type \"foo\"" },
		{ "\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"pid\",\"path\":\"/x\"}]",
		  "linux.namespaces[1].type: duplicate namespace \"pid\"" },
		{ "\"namespaces\":[{\"path\":\"/x\"}]",
		  "linux.namespaces[0].type: required, but missing" },
		{ "\"namespaces\":[{\"type\":\"pid\",\"path\":\"x\"}]",
		  "linux.namespaces[0].path: must be an absolute path, not \"x\"" },
		{ "\"uidMappings\":[{\"containerID\":0,\"hostID\":0}]",
		  "linux.uidMappings[0].size: required, but missing" },
		{ "\"devices\":[{\"path\":\"/x\",\"type\":\"a\"}]",
		  "linux.devices[0].type: unknown device type \"a\"" },
		{ "\"devices\":[{\"path\":\"x\",\"type\":\"c\"}]",
		  "linux.devices[0].path: must be an absolute path, not \"x\"" },
		{ "\"devices\":[{\"path\":\"/x\",\"type\":\"c\",\"minor\":1}]",
		  "linux.devices[0].major: required, but missing" },
		{ "\"devices\":[{\"path\":\"/x\",\"type\":\"b\",\"major\":1,\"minor\":1048576}]",
		  "linux.devices[0].minor: 1048576 is out of range (0 to 1048575)" },
		{ "\"netDevices\":{\"a/b\":{}}",
		  "linux.netDevices[\"a/b\"]: must be a name of a network interface, not \"a/b\"" },
		{ "\"netDevices\":{\"a\":{\"name\":\"a name\"}}",
		  "linux.netDevices[\"a\"].name: must be a name of a network interface, not "
		  "\"a name\"" },
		{ "\"sysctl\":{\"net..x\":\"\"}",
		  "linux.sysctl[\"net..x\"]: must be a name such as "
		  "net.ipv4.ip_forward, not \"net..x\"" },
		{ "\"sysctl\":{\"/etc\":\"\"}", "linux.sysctl[\"/etc\"]: must be a name such as "
		                                "net.ipv4.ip_forward, not \"/etc\"" },
		{ "\"sysctl\":{\"a/\":\"\"}", "linux.sysctl[\"a/\"]: must be a name such as "
		                              "net.ipv4.ip_forward, not \"a/\"" },
		{ "\"sysctl\":{\"\":\"\"}", "linux.sysctl[\"\"]: must not be empty" },
		{ "\"rootfsPropagation\":\"x\"",
		  "linux.rootfsPropagation: unknown propagation \"x\"" },
		{ "\"rootfsPropagation\":\"\"", NULL },
		{ "\"maskedPaths\":[\"/a\",\"b\"]",
		  "linux.maskedPaths[1]: must be an absolute path, not \"b\"" },
		{ "\"readonlyPaths\":[\"\"]", "linux.readonlyPaths[0]: must not be empty" },
		{ "\"intelRdt\":{\"closID\":\"..\"}",
		  "linux.intelRdt.closID: must be a file name, not \"..\"" },
		{ "\"intelRdt\":{\"memBwSchema\":\"L3:\"}",
		  "linux.intelRdt.memBwSchema: must be one line that starts with MB:, not "
		  "\"L3:\"" },
		{ "\"memoryPolicy\":{}", "linux.memoryPolicy.mode: required, but missing" },
		{ "\"memoryPolicy\":{\"mode\":\"MPOL_BIND\"}",
		  "linux.memoryPolicy.nodes: required with MPOL_BIND" },
		{ "\"memoryPolicy\":{\"mode\":\"MPOL_DEFAULT\",\"nodes\":\"0\"}",
		  "linux.memoryPolicy.nodes: must be empty with MPOL_DEFAULT" },
		{ "\"memoryPolicy\":{\"mode\":\"MPOL_BIND\",\"nodes\":\"3-1\"}",
		  "linux.memoryPolicy.nodes: must be a list of memory nodes such as 0-3,7, not "
		  "\"3-1\"" },
		{ "\"memoryPolicy\":{\"mode\":\"MPOL_BIND\",\"nodes\":\"1024\"}",
		  "linux.memoryPolicy.nodes: must be a list of memory nodes such as 0-3,7, not "
		  "\"1024\"" },
		{ "\"memoryPolicy\":{\"mode\":\"MPOL_LOCAL\",\"flags\":[\"MPOL_F_STATIC_NODES\"]}",
		  "linux.memoryPolicy.flags: MPOL_F_STATIC_NODES needs nodes" },
		{ "\"memoryPolicy\":{\"mode\":\"MPOL_BIND\",\"nodes\":\"0\",\"flags\":"
		  "[\"MPOL_F_STATIC_NODES\",\"MPOL_F_RELATIVE_NODES\"]}",
		  "linux.memoryPolicy.flags: MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude "
		  "each other" },
		{ "\"memoryPolicy\":{\"mode\":\"MPOL_PREFERRED\"}", NULL },
		{ "\"memoryPolicy\":{\"mode\":\"MPOL_INTERLEAVE\",\"nodes\":\"0-1,1023\"}", NULL },
		{ "\"memoryPolicy\":{\"mode\":\"MPOL_LOCAL\",\"flags\":[\"x\"]}",
		  "linux.memoryPolicy.flags[0]: unknown memory policy flag \"x\"" },
		{ "\"personality\":{\"domain\":\"BSD\"}",
		  "linux.personality.domain: unknown execution domain \"BSD\"" },
		{ "\"personality\":{\"domain\":\"LINUX\",\"flags\":[\"x\"]}",
		  "linux.personality.flags[0]: unknown personality flag \"x\"" },
		{ "\"timeOffsets\":{\"boottime\":{\"nanosecs\":1000000000}}",
		  "linux.timeOffsets.boottime.nanosecs: 1000000000 is out of range "
		  "(0 to 999999999)" },
	};

	check_rows("\"linux\":{", rows, ARRAY_SIZE(rows), "}");
}
END_TEST

START_TEST(checks_namespaces_against_what_needs_them)
{
#define USER "\"namespaces\":[{\"type\":\"user\"}],"
#define MAPS(name, list) "\"" name "\":[" list "]"
#define ONE(inside, outside, size)                                                                 \
	"{\"containerID\":" inside ",\"hostID\":" outside ",\"size\":" size "}"
#define GIDS "," MAPS("gidMappings", ONE("0", "0", "1"))
	static const struct row rows[] = {
		{ MAPS("uidMappings", ONE("0", "0", "1")),
		  "linux.uidMappings: needs a new user namespace in namespaces" },
		{ MAPS("gidMappings", ONE("0", "0", "1")),
		  "linux.gidMappings: needs a new user namespace in namespaces" },
		{ USER MAPS("gidMappings", ONE("0", "0", "1")),
		  "linux.uidMappings: ID 0 of the container is not mapped" },
		{ USER MAPS("uidMappings", ONE("0", "0", "1")),
		  "linux.gidMappings: ID 0 of the container is not mapped" },
		{ USER MAPS("uidMappings", ONE("0", "0", "0")) GIDS,
		  "linux.uidMappings[0].size: must not be 0" },
		{ USER MAPS("uidMappings", ONE("0", "4294967290", "10")) GIDS,
		  "linux.uidMappings[0].size: 10 leads beyond the last ID" },
		{ USER MAPS("uidMappings", ONE("0", "100", "10") "," ONE("9", "200", "1")) GIDS,
		  "linux.uidMappings[1]: overlaps with [0]" },
		{ USER MAPS("uidMappings", ONE("0", "100", "10") "," ONE("50", "91", "10")) GIDS,
		  "linux.uidMappings[1]: overlaps with [0]" },
		{ USER MAPS("uidMappings", ONE("10", "0", "10") "," ONE("0", "4294967285", "10"))
		          GIDS,
		  NULL },
		{ "\"namespaces\":[{\"type\":\"user\",\"path\":\"/x\"}]", NULL },
		{ "\"timeOffsets\":{}",
		  "linux.timeOffsets: needs a new time namespace in namespaces" },
		{ "\"timeOffsets\":{},\"namespaces\":[{\"type\":\"time\",\"path\":\"/x\"}]",
		  "linux.timeOffsets: needs a new time namespace in namespaces" },
		{ "\"timeOffsets\":{},\"namespaces\":[{\"type\":\"time\"}]", NULL },
		{ "\"sysctl\":{\"a\":\"b\",\"kernel/hostname\":\"x\"}",
		  "linux.sysctl[\"kernel/hostname\"]: not allowed as it conflicts with "
		  "\"hostname\"" },
		{ "\"sysctl\":{\"kernel.domainname\":\"x\",\"kernel.hostname2\":\"y\"}", NULL },
	};

	check_rows("\"linux\":{", rows, ARRAY_SIZE(rows), "}");
}
END_TEST

START_TEST(a_user_namespace_has_up_to_340_mappings)
{
	auto_buf struct buf text = { 0 };
	struct row row = { .msg = "linux.uidMappings: more than 340 mappings" };

	buf_adds(&text, "\"namespaces\":[{\"type\":\"user\"}],\"uidMappings\":[");
	for (int i = 0; i < 341; i++)
		buf_addf(&text, "%s{\"containerID\":%d,\"hostID\":%d,\"size\":1}", i ? "," : "",
		         2 * i, 2 * i);
	buf_addc(&text, ']');
	row.text = text.data;
	check_rows("\"linux\":{", &row, 1, "}");
}
END_TEST

START_TEST(checks_seccomp)
{
	static const struct row rows[] = {
		{ "{}", "linux.seccomp.defaultAction: required, but missing" },
		{ "{\"defaultAction\":\"SCMP_ACT_FOO\"}",
		  "linux.seccomp.defaultAction: unknown seccomp action \"SCMP_ACT_FOO\"" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultErrnoRet\":1}",
		  "linux.seccomp.defaultErrnoRet: not possible with action SCMP_ACT_ALLOW" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerMetadata\":\"x\"}",
		  "linux.seccomp.listenerMetadata: needs listenerPath" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"x\"]}",
		  "linux.seccomp.flags[0]: unknown seccomp flag \"x\"" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"x\"]}",
		  "linux.seccomp.architectures[0]: unknown seccomp architecture \"x\"" },
	};
	static const struct row syscalls[] = {
		{ "{\"names\":[],\"action\":\"SCMP_ACT_KILL\"}",
		  "linux.seccomp.syscalls[0].names: must not be empty" },
		{ "{\"names\":[\"\"],\"action\":\"SCMP_ACT_KILL\"}",
		  "linux.seccomp.syscalls[0].names[0]: must not be empty" },
		{ "{\"names\":[\"a\"]}",
		  "linux.seccomp.syscalls[0].action: required, but missing" },
		{ "{\"names\":[\"a\"],\"action\":\"SCMP_ACT_KILL\",\"errnoRet\":1}",
		  "linux.seccomp.syscalls[0].errnoRet: not possible with action SCMP_ACT_KILL" },
		{ "{\"names\":[\"a\"],\"action\":\"SCMP_ACT_KILL\",\"args\":[{\"index\":6,"
		  "\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]}",
		  "linux.seccomp.syscalls[0].args[0].index: 6 is out of range (0 to 5)" },
		{ "{\"names\":[\"a\"],\"action\":\"SCMP_ACT_KILL\",\"args\":[{\"index\":1,"
		  "\"value\":1,\"op\":\"EQ\"}]}",
		  "linux.seccomp.syscalls[0].args[0].op: unknown seccomp operator \"EQ\"" },
	};

	check_rows("\"linux\":{\"seccomp\":", rows, ARRAY_SIZE(rows), "}");
	check_rows("\"linux\":{\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[",
	           syscalls, ARRAY_SIZE(syscalls), "]}}");
}
END_TEST

START_TEST(checks_resources)
{
	static const struct row rows[] = {
		{ "\"devices\":[{}]", "resources.devices[0].allow: required, but missing" },
		{ "\"devices\":[{\"allow\":true,\"type\":\"u\"}]",
		  "resources.devices[0].type: unknown device type \"u\"" },
		{ "\"devices\":[{\"allow\":true,\"access\":\"rx\"}]",
		  "resources.devices[0].access: must consist of r, w and m, not \"rx\"" },
		{ "\"devices\":[{\"allow\":true,\"minor\":-2}]",
		  "resources.devices[0].minor: -2 is less than -1" },
		{ "\"memory\":{\"swap\":-2}", "resources.memory.swap: -2 is less than -1" },
		{ "\"memory\":{\"swappiness\":101}",
		  "resources.memory.swappiness: 101 is out of range (0 to 100)" },
		{ "\"cpu\":{\"idle\":2}", "resources.cpu.idle: 2 is neither 0 nor 1" },
		{ "\"pids\":{}", "resources.pids.limit: required, but missing" },
		{ "\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":0}]}",
		  "resources.blockIO.weightDevice[0]: needs weight or leafWeight" },
		{ "\"blockIO\":{\"throttleReadIOPSDevice\":[{\"major\":8,\"minor\":0}]}",
		  "resources.blockIO.throttleReadIOPSDevice[0].rate: required, but missing" },
		{ "\"hugepageLimits\":[{\"pageSize\":\"02MB\",\"limit\":1}]",
		  "resources.hugepageLimits[0].pageSize: must be a size such as 2MB, not "
		  "\"02MB\"" },
		{ "\"hugepageLimits\":[{\"pageSize\":\"2M\",\"limit\":1}]",
		  "resources.hugepageLimits[0].pageSize: must be a size such as 2MB, not \"2M\"" },
		{ "\"network\":{\"priorities\":[{\"name\":\"a\"}]}",
		  "resources.network.priorities[0].priority: required, but missing" },
		{ "\"rdma\":{\"a\":{}}", "resources.rdma[\"a\"]: needs hcaHandles or hcaObjects" },
		{ "\"unified\":{\"../x\":\"\"}",
		  "resources.unified[\"../x\"]: must be the name of a cgroup file, not \"../x\"" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_error struct error err = { 0 };
		auto_free char *text = str_fmt("{%s}", rows[i].text);
		auto_oci_resources struct oci_resources *r =
			oci_resources_parse(text, strlen(text), &err);

		ck_assert_msg(r != NULL, "%s: %s", text, err.msg);
		ck_assert_int_eq(oci_resources_validate(r, &err), -EINVAL);
		ck_assert_str_eq(err.msg, rows[i].msg);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("check-linux");

	tcase_add_test(tc, checks_linux);
	tcase_add_test(tc, checks_namespaces_against_what_needs_them);
	tcase_add_test(tc, a_user_namespace_has_up_to_340_mappings);
	tcase_add_test(tc, checks_seccomp);
	tcase_add_test(tc, checks_resources);
	return scratch_run(tc);
}
