/* What the specification demands of the values. */
#include <errno.h>
#include <stdlib.h>

#include "oci/oci.h"
#include "test/scratch.h"
#include "test/test_oci_data.h"

struct row {
	const char *text; /* put into a document with a good ociVersion and root */
	const char *msg;  /* NULL: valid */
};

static void check_text(const char *text, const char *msg)
{
	auto_error struct error err = { 0 };
	auto_oci_spec struct oci_spec *spec = oci_spec_parse(text, strlen(text), &err);
	int r;

	ck_assert_msg(spec != NULL, "%s: %s", text, err.msg);
	r = oci_spec_validate(spec, &err);
	ck_assert_int_eq(r, msg ? -EINVAL : 0);
	if (!str_eq(err.msg, msg))
		ck_abort_msg("%s\n gives: %s\n not:   %s", text, err.msg, msg);
}

static void check_rows(const char *before, const struct row *rows, size_t n, const char *after)
{
	for (size_t i = 0; i < n; i++) {
		auto_free char *text =
			str_fmt("{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"},"
		                "%s%s%s}",
		                before, rows[i].text, after);

		check_text(text, rows[i].msg);
	}
}

START_TEST(checks_the_version)
{
	static const char *const good[] = { "1.0.0",          "1.3.0",       "1.99.0",
		                            "1.0.2-dev",      "1.0.0-rc.1",  "1.0.0-0a.x-y",
		                            "1.0.0+build.01", "1.2.3-a+b.c", NULL };
	static const char *const bad[] = { "1",        "1.0",        "1.0.0.0",   "v1.0.0",
		                           "01.0.0",   "1.0.00",     "1.0.0-",    "1.0.0+",
		                           "1.0.0-01", "1.0.0-a..b", "1.0.0-a_b", "1.0.0 ",
		                           "1.-1.0",   NULL };
	static const char *const other[] = { "0.2.0", "2.0.0", "10.0.0", NULL };

	for (const char *const *v = good; *v; v++) {
		auto_free char *text =
			str_fmt("{\"ociVersion\":\"%s\",\"root\":{\"path\":\"r\"}}", *v);

		check_text(text, NULL);
	}
	for (const char *const *v = bad; *v; v++) {
		auto_free char *text = str_fmt("{\"ociVersion\":\"%s\"}", *v);
		auto_free char *msg =
			str_fmt("ociVersion: must be a version such as 1.3.0, not \"%s\"", *v);

		check_text(text, msg);
	}
	for (const char *const *v = other; *v; v++) {
		auto_free char *text =
			str_fmt("{\"ociVersion\":\"%s\",\"root\":{\"path\":\"r\"}}", *v);
		auto_free char *msg = str_fmt("ociVersion: \"%s\" is not supported (1.x is)", *v);

		check_text(text, msg);
	}
	check_text("{\"ociVersion\":\"\"}", "ociVersion: must not be empty");
}
END_TEST

START_TEST(demands_what_is_required)
{
	check_text("{}", "ociVersion: required, but missing");
	check_text("{\"ociVersion\":null}", "ociVersion: required, but missing");
	check_text("{\"ociVersion\":\"1.0.0\"}", "root: required, but missing");
	check_text("{\"ociVersion\":\"1.0.0\",\"root\":{}}", "root.path: required, but missing");
	check_text("{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"\"}}",
	           "root.path: must not be empty");
}
END_TEST

START_TEST(checks_process)
{
	static const struct row rows[] = {
		{ "", NULL },
		{ ",\"env\":[\"A=\",\"B= =\\n\",\"a b=c\"]", NULL },
		{ ",\"env\":[\"A=b\",\"none\"]",
		  "process.env[1]: invalid environment variable: \"none\"" },
		{ ",\"env\":[\"=x\"]",
		  "process.env[0]: environment variable name can't be empty: \"=x\"" },
		{ ",\"env\":[\"\"]", "process.env[0]: invalid environment variable: \"\"" },
		{ ",\"user\":{\"uid\":2147483647,\"gid\":2147483647}", NULL },
		{ ",\"user\":{\"uid\":4294967295,\"gid\":0}",
		  "process.user.uid: uids and gids must be in range 0-2147483647" },
		{ ",\"user\":{\"uid\":0,\"gid\":2147483648}",
		  "process.user.gid: uids and gids must be in range 0-2147483647" },
		{ ",\"user\":{\"uid\":0,\"gid\":0,\"additionalGids\":[1,4294967295]}",
		  "process.user.additionalGids[1]: uids and gids must be in range 0-2147483647" },
		{ ",\"capabilities\":{\"bounding\":[\"CAP_UNKNOWN\"]}", NULL },
		{ ",\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":1,\"hard\":1},"
		  "{\"type\":\"RLIMIT_CPU\",\"soft\":1,\"hard\":1}]",
		  "process.rlimits[1].type: duplicate RLIMIT_CPU" },
		{ ",\"rlimits\":[{\"type\":\"RLIMIT_FOO\",\"soft\":1,\"hard\":1}]",
		  "process.rlimits[0].type: must be a known resource limit, not \"RLIMIT_FOO\"" },
		{ ",\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":2,\"hard\":1}]",
		  "process.rlimits[0].soft: 2 is more than the hard limit 1" },
		{ ",\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":2}]",
		  "process.rlimits[0].hard: required, but missing" },
		{ ",\"consoleSize\":{\"width\":1}",
		  "process.consoleSize.height: required, but missing" },
		{ ",\"consoleSize\":{\"height\":65535,\"width\":0}", NULL },
		{ ",\"consoleSize\":{\"height\":1,\"width\":65536}",
		  "process.consoleSize.width: is out of range (0 to 65535)" },
		{ ",\"oomScoreAdj\":1001",
		  "process.oomScoreAdj: 1001 is out of range (-1000 to 1000)" },
		{ ",\"scheduler\":{}", "process.scheduler.policy: required, but missing" },
		{ ",\"scheduler\":{\"policy\":\"SCHED_FOO\"}",
		  "process.scheduler.policy: unknown scheduling policy \"SCHED_FOO\"" },
		{ ",\"scheduler\":{\"policy\":\"SCHED_RR\",\"flags\":[\"\"]}",
		  "process.scheduler.flags[0]: must not be empty" },
		{ ",\"scheduler\":{\"policy\":\"SCHED_RR\",\"nice\":20}",
		  "process.scheduler.nice: 20 is out of range (-20 to 19)" },
		{ ",\"scheduler\":{\"policy\":\"SCHED_RR\",\"priority\":100}",
		  "process.scheduler.priority: 100 is out of range (0 to 99)" },
		{ ",\"scheduler\":{\"policy\":\"SCHED_BATCH\",\"priority\":1}",
		  "process.scheduler.priority: can only be specified for SCHED_FIFO or SCHED_RR" },
		{ ",\"scheduler\":{\"policy\":\"SCHED_FIFO\",\"deadline\":1}",
		  "process.scheduler: runtime, deadline and period can only be specified for "
		  "SCHED_DEADLINE" },
		{ ",\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"runtime\":1,\"deadline\":2,"
		  "\"period\":3}",
		  NULL },
		{ ",\"execCPUAffinity\":{\"initial\":\"\",\"final\":\" 0 - 3\"}",
		  "process.execCPUAffinity.final: must be a list of CPUs such as 0-3,7, not "
		  "\" 0 - 3\"" },
		{ ",\"ioPriority\":{\"class\":\"IOPRIO_CLASS_X\"}",
		  "process.ioPriority.class: unknown I/O class \"IOPRIO_CLASS_X\"" },
		{ ",\"ioPriority\":{\"class\":\"IOPRIO_CLASS_RT\",\"priority\":8}",
		  "process.ioPriority.priority: 8 is out of range (0 to 7)" },
		{ ",\"execCPUAffinity\":{\"final\":\"a\"}",
		  "process.execCPUAffinity.final: must be a list of CPUs such as 0-3,7, not "
		  "\"a\"" },
	};

	check_rows("\"process\":{\"cwd\":\"/\",\"args\":[\"a\"]", rows, ARRAY_SIZE(rows), "}");
	check_rows("\"process\":",
	           (const struct row[]){
			   { "{\"cwd\":\"/\"}", "process.args: required, but missing" },
			   { "{\"cwd\":\"/\",\"args\":[]}", "process.args: must not be empty" },
			   { "{\"args\":[\"a\"]}", "process.cwd: required, but missing" },
			   { "{\"args\":[\"a\"],\"cwd\":\"\"}", "process.cwd: must not be empty" },
			   { "{\"args\":[\"a\"],\"cwd\":\"tmp\"}",
	                     "process.cwd: must be an absolute path, not \"tmp\"" },
		   },
	           5, "");
}
END_TEST

START_TEST(checks_mounts_hooks_and_annotations)
{
	static const struct row rows[] = {
		{ "\"mounts\":[{}]", "mounts[0].destination: required, but missing" },
		{ "\"mounts\":[{\"destination\":\"\"}]",
		  "mounts[0].destination: must not be empty" },
		{ "\"mounts\":[{\"destination\":\"relative/is/deprecated\"}]", NULL },
		{ "\"mounts\":[{\"destination\":\"/\",\"uidMappings\":[]}]", NULL },
		{ "\"mounts\":[{\"destination\":\"/\",\"uidMappings\":[{\"containerID\":0,"
		  "\"hostID\":0,\"size\":1}]}]",
		  "mounts[0].uidMappings: needs both uidMappings and gidMappings" },
		{ "\"hooks\":{\"prestart\":[{\"path\":\"a\"}]}",
		  "hooks.prestart[0].path: must be an absolute path, not \"a\"" },
		{ "\"hooks\":{\"poststop\":[{\"path\":\"/a\"},{}]}",
		  "hooks.poststop[1].path: required, but missing" },
		{ "\"hooks\":{\"createRuntime\":[{\"path\":\"/a\",\"timeout\":0}]}",
		  "hooks.createRuntime[0].timeout: 0 is not greater than 0" },
		{ "\"annotations\":{\"\":\"a\"}", "annotations[\"\"]: must not be empty" },
	};

	check_rows("", rows, ARRAY_SIZE(rows), "");
}
END_TEST

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

START_TEST(checks_names)
{
#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	static const struct row rows[] = {
		{ "\"hostname\":\"\",\"domainname\":\"\"", NULL },
		{ "\"hostname\":\"" A64 "\"", NULL },
		{ "\"hostname\":\"" A64 "b\"", "hostname: longer than 64 bytes" },
		{ "\"domainname\":\"" A64 "b\"", "domainname: longer than 64 bytes" },
		{ "\"domainname\":\"x\",\"linux\":{\"namespaces\":[{\"type\":\"uts\"}],"
		  "\"sysctl\":{\"kernel.domainname\":\"x\"}}",
		  "linux.sysctl[\"kernel.domainname\"]: not allowed as it conflicts with "
		  "\"domainname\"" },
	};

	check_rows("", rows, ARRAY_SIZE(rows), "");
}
END_TEST

START_TEST(checks_what_a_vm_cannot_have)
{
#define MOUNT "\"namespaces\":[{\"type\":\"mount\"}]"
	static const struct row rows[] = {
		{ "", "linux.namespaces: a container without a mount namespace of its own is not "
		      "supported in a VM" },
		{ ",\"linux\":{\"namespaces\":[{\"type\":\"mount\",\"path\":\"/x\"}]}",
		  "linux.namespaces: a container without a mount namespace of its own is not "
		  "supported in a VM" },
		{ ",\"linux\":{" MOUNT ",\"intelRdt\":{}}",
		  "linux.intelRdt: a VM cannot share out the caches and the memory bandwidth of "
		  "the host's processors" },
		{ ",\"linux\":{" MOUNT ",\"netDevices\":{\"eth0\":{}}}", NULL },
		{ ",\"linux\":{" MOUNT "},\"hostname\":\"x\"",
		  "hostname: unable to set hostname without a private UTS namespace" },
		{ ",\"linux\":{" MOUNT "},\"domainname\":\"x\"",
		  "domainname: unable to set domainname without a private UTS namespace" },
		{ ",\"linux\":{" MOUNT "},\"hostname\":\"\",\"domainname\":\"\"", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_error struct error err = { 0 };
		auto_free char *text = str_fmt(
			"{\"ociVersion\":\"1.3.0\",\"root\":{\"path\":\"r\"}%s}", rows[i].text);
		auto_oci_spec struct oci_spec *spec = oci_spec_parse(text, strlen(text), &err);

		ck_assert_msg(spec && oci_spec_validate(spec, &err) == 0, "%s", err.msg);
		oci_spec_check_vm(spec, &err);
		if (rows[i].msg)
			ck_assert_str_eq(err.msg, rows[i].msg);
		else
			ck_assert_msg(!err.code, "%s", err.msg);
	}
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

START_TEST(checks_vm)
{
	static const struct row rows[] = {
		{ "{}", "vm.kernel: required, but missing" },
		{ "{\"kernel\":{}}", "vm.kernel.path: required, but missing" },
		{ "{\"kernel\":{\"path\":\"a\"}}",
		  "vm.kernel.path: must be an absolute path, not \"a\"" },
		{ "{\"kernel\":{\"path\":\"/a\",\"initrd\":\"b\"}}",
		  "vm.kernel.initrd: must be an absolute path, not \"b\"" },
		{ "{\"kernel\":{\"path\":\"/a\"},\"hypervisor\":{}}",
		  "vm.hypervisor.path: required, but missing" },
		{ "{\"kernel\":{\"path\":\"/a\"},\"image\":{\"path\":\"/b\",\"format\":\"iso\"}}",
		  "vm.image.format: unknown image format \"iso\"" },
		{ "{\"kernel\":{\"path\":\"/a\"},\"hwConfig\":{\"iomems\":[{\"firstMFN\":1}]}}",
		  "vm.hwConfig.iomems[0].nrMFNs: required, but missing" },
		{ "{\"kernel\":{\"path\":\"/a\"}}", NULL },
	};

	check_rows("\"vm\":", rows, ARRAY_SIZE(rows), "");
}
END_TEST

START_TEST(checks_a_state_and_a_process_alone)
{
	auto_error struct error err = { 0 };
	auto_oci_state struct oci_state *state = NULL;
	auto_oci_process struct oci_process *process = NULL;
	static const char text[] = "{\"ociVersion\":\"0.2.0\",\"id\":\"x\",\"status\":\"dead\","
				   "\"bundle\":\"/\"}";

	state = oci_state_parse(text, strlen(text), &err);
	ck_assert_int_eq(oci_state_validate(state, &err), -EINVAL);
	ck_assert_str_eq(err.msg, "status: unknown status \"dead\"");
	process = oci_process_parse("{\"args\":[\"a\"],\"cwd\":\"x\"}", 24, &err);
	ck_assert_int_eq(oci_process_validate(process, &err), -EINVAL);
	ck_assert_str_eq(err.msg, "process.cwd: must be an absolute path, not \"x\"");
}
END_TEST

START_TEST(checks_a_struct_that_was_changed_by_hand)
{
	auto_free char *text = data_read("full/config.json");
	auto_error struct error err = { 0 };
	auto_oci_spec struct oci_spec *spec = oci_spec_parse(text, strlen(text), &err);

	ck_assert_int_eq(oci_spec_validate(spec, &err), 0);
	free(spec->linux_->seccomp->syscalls[0].args[0].op);
	spec->linux_->seccomp->syscalls[0].args[0].op = NULL;
	ck_assert_int_eq(oci_spec_validate(spec, &err), -EINVAL);
	ck_assert_str_eq(err.msg, "linux.seccomp.syscalls[0].args[0].op: required, but missing");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("check");

	tcase_add_test(tc, checks_the_version);
	tcase_add_test(tc, demands_what_is_required);
	tcase_add_test(tc, checks_process);
	tcase_add_test(tc, checks_mounts_hooks_and_annotations);
	tcase_add_test(tc, checks_linux);
	tcase_add_test(tc, checks_namespaces_against_what_needs_them);
	tcase_add_test(tc, a_user_namespace_has_up_to_340_mappings);
	tcase_add_test(tc, checks_names);
	tcase_add_test(tc, checks_what_a_vm_cannot_have);
	tcase_add_test(tc, checks_seccomp);
	tcase_add_test(tc, checks_resources);
	tcase_add_test(tc, checks_vm);
	tcase_add_test(tc, checks_a_state_and_a_process_alone);
	tcase_add_test(tc, checks_a_struct_that_was_changed_by_hand);
	return scratch_run(tc);
}
