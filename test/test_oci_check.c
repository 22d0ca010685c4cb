/* What the specification demands of the values, except of those below "linux". */
#include <stdlib.h>

#include "test/test_oci_check.h"

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
	tcase_add_test(tc, checks_names);
	tcase_add_test(tc, checks_what_a_vm_cannot_have);
	tcase_add_test(tc, checks_vm);
	tcase_add_test(tc, checks_a_state_and_a_process_alone);
	tcase_add_test(tc, checks_a_struct_that_was_changed_by_hand);
	return scratch_run(tc);
}
