/* What a container may change of the configuration. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/config.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "oci/oci.h"
#include "test/scratch.h"

#define OPEN                                                                                       \
	"{\"enable_annotations\":[\"memory\",\"cpus\",\"kernel\",\"initrd\",\"kernel_params\","    \
	"\"vmm_path\",\"debug\",\"machine\"],\"allowed_paths\":[\"/ok/*\",\"/one/file\"]}"

static struct config *config;

static void setup(void)
{
	config = NULL;
}

static void teardown(void)
{
	config_free(config);
}

/* Apply a specification with these members to that configuration. */
static int apply(const char *configuration, const char *members, struct error *err)
{
	auto_oci_spec struct oci_spec *spec = NULL;
	auto_free char *text =
		str_fmt("{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"},%s}", members);

	config_free(config);
	config = config_parse(configuration, "f", err);
	ck_assert_msg(config != NULL, "%s", err->msg);
	spec = oci_spec_parse(text, strlen(text), err);
	ck_assert_msg(spec != NULL, "%s", err->msg);
	return config_apply_spec(config, spec, err);
}

static void assert_applied(const char *members)
{
	auto_error struct error err = { 0 };

	ck_assert_msg(apply(OPEN, members, &err) == 0, "%s", err.msg);
}

static void assert_refused(const char *configuration, const char *members, int code,
                           const char *msg)
{
	auto_error struct error err = { 0 };

	ck_assert_msg(apply(configuration, members, &err) < 0, "taken: %s", members);
	ck_assert_str_eq(err.msg, msg);
	ck_assert_int_eq(err.code, code);
}

START_TEST(annotations_of_others_are_none_of_our_business)
{
	assert_applied("\"annotations\":{\"io.other.memory\":\"x\",\"io.vcrtx\":\"1\",\"\":\"\"}");
	ck_assert_uint_eq(config->memory_mib, 512);
}
END_TEST

START_TEST(enabled_annotations_set_their_key)
{
	assert_applied("\"annotations\":{\"io.vcrt.memory\":\"1024\",\"io.vcrt.cpus\":\"2\","
	               "\"io.vcrt.debug\":\"true\",\"io.vcrt.kernel_params\":\"quiet splash\","
	               "\"io.vcrt.kernel\":\"/ok/vmlinux\",\"io.vcrt.initrd\":\"/one/file\"}");
	ck_assert_uint_eq(config->memory_mib, 1024);
	ck_assert_uint_eq(config->cpus, 2);
	ck_assert(config->debug);
	ck_assert_str_eq(config->kernel_params, "quiet splash");
	ck_assert_str_eq(config->kernel, "/ok/vmlinux");
	ck_assert_str_eq(config->initrd, "/one/file");
}
END_TEST

START_TEST(nothing_is_enabled_by_default)
{
	assert_refused("{}", "\"annotations\":{\"io.vcrt.memory\":\"1024\"}", EPERM,
	               "annotation 'io.vcrt.memory': not named in enable_annotations");
	ck_assert_uint_eq(config->memory_mib, 512);
}
END_TEST

START_TEST(unknown_keys_are_refused)
{
	assert_refused(OPEN, "\"annotations\":{\"io.vcrt.colour\":\"red\"}", EINVAL,
	               "annotation 'io.vcrt.colour': no such setting of a container");
	assert_refused(OPEN, "\"annotations\":{\"io.vcrt.\":\"\"}", EINVAL,
	               "annotation 'io.vcrt.': no such setting of a container");
}
END_TEST

START_TEST(what_protects_the_host_cannot_be_enabled)
{
	static const char *const keys[] = { "hypervisor", "agent", "runtime_dir",
		                            "enable_annotations", "allowed_paths" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		auto_free char *configuration =
			str_fmt("{\"enable_annotations\":[\"%s\"]}", keys[i]);
		auto_free char *members =
			str_fmt("\"annotations\":{\"io.vcrt.%s\":\"/x\"}", keys[i]);
		auto_free char *msg =
			str_fmt("annotation 'io.vcrt.%s': no such setting of a container", keys[i]);

		assert_refused(configuration, members, EINVAL, msg);
	}
}
END_TEST

START_TEST(values_are_checked_like_those_of_the_file)
{
	static const char *const bad[] = {
		"0", "-1", "x", "1.5", "4194305", "\\\"512\\\"", "null"
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		auto_free char *members =
			str_fmt("\"annotations\":{\"io.vcrt.memory\":\"%s\"}", bad[i]);
		auto_error struct error err = { 0 };

		ck_assert_msg(apply(OPEN, members, &err) == -EINVAL, "%s", bad[i]);
		ck_assert_msg(str_starts(err.msg, "annotation 'io.vcrt.memory': "), "%s", err.msg);
		ck_assert_uint_eq(config->memory_mib, 512);
	}
	assert_refused(OPEN, "\"annotations\":{\"io.vcrt.debug\":\"1\"}", EINVAL,
	               "annotation 'io.vcrt.debug': expected true or false");
}
END_TEST

START_TEST(an_empty_value_is_refused_where_a_number_is_wanted)
{
	auto_error struct error err = { 0 };

	ck_assert_int_eq(apply(OPEN, "\"annotations\":{\"io.vcrt.memory\":\"\"}", &err), -EINVAL);
}
END_TEST

START_TEST(paths_must_match_a_pattern)
{
	static const char *const bad[] = { "/other/vmlinux", "/ok/../etc/vmlinux",
		                           "/ok/a/vmlinux",  "/ok",
		                           "ok/vmlinux",     "/one/file2",
		                           "/ok/..",         "" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		auto_free char *members =
			str_fmt("\"annotations\":{\"io.vcrt.kernel\":\"%s\"}", bad[i]);
		auto_free char *msg = str_fmt(
			"annotation 'io.vcrt.kernel': '%s' matches none of allowed_paths", bad[i]);

		assert_refused(OPEN, members, EPERM, msg);
	}
	assert_refused("{\"enable_annotations\":[\"vmm_path\"]}",
	               "\"annotations\":{\"io.vcrt.vmm_path\":\"/bin/sh\"}", EPERM,
	               "annotation 'io.vcrt.vmm_path': '/bin/sh' matches none of allowed_paths");
}
END_TEST

START_TEST(a_pattern_does_not_make_a_relative_path_good)
{
	assert_refused("{\"enable_annotations\":[\"kernel\"],\"allowed_paths\":[\"*\"]}",
	               "\"annotations\":{\"io.vcrt.kernel\":\"vmlinux\"}", EINVAL,
	               "annotation 'io.vcrt.kernel': expected an absolute path");
}
END_TEST

START_TEST(the_vm_object_sets_the_same_keys)
{
	assert_applied("\"vm\":{\"hypervisor\":{\"path\":\"/ok/vmm\"},"
	               "\"kernel\":{\"path\":\"/ok/k\",\"initrd\":\"/ok/i\","
	               "\"parameters\":[\"a\",\"b=c\"]},"
	               "\"hwConfig\":{\"vcpus\":3,\"memory\":268435456}}");
	ck_assert_str_eq(config->vmm_path, "/ok/vmm");
	ck_assert_str_eq(config->kernel, "/ok/k");
	ck_assert_str_eq(config->initrd, "/ok/i");
	ck_assert_str_eq(config->kernel_params, "a b=c");
	ck_assert_uint_eq(config->cpus, 3);
	ck_assert_uint_eq(config->memory_mib, 256);
}
END_TEST

START_TEST(an_empty_vm_object_changes_nothing)
{
	auto_config struct config *defaults = NULL;
	auto_json struct json *a = NULL, *b = NULL;
	auto_error struct error err = { 0 };

	assert_applied("\"vm\":{\"kernel\":{\"path\":\"\"},\"hwConfig\":{}}");
	defaults = config_parse(OPEN, "f", &err);
	a = config_to_json(config);
	b = config_to_json(defaults);
	ck_assert(json_equal(a, b));
}
END_TEST

START_TEST(the_vm_object_needs_the_same_permission)
{
	assert_refused("{}", "\"vm\":{\"kernel\":{\"path\":\"/k\"}}", EPERM,
	               "vm.kernel.path: not named in enable_annotations");
	assert_refused(OPEN, "\"vm\":{\"kernel\":{\"path\":\"/k\"}}", EPERM,
	               "vm.kernel.path: '/k' matches none of allowed_paths");
	assert_refused(OPEN, "\"vm\":{\"kernel\":{\"path\":\"/ok/k\",\"initrd\":\"/i\"}}", EPERM,
	               "vm.kernel.initrd: '/i' matches none of allowed_paths");
	assert_refused(OPEN, "\"vm\":{\"hypervisor\":{\"path\":\"/h\"}}", EPERM,
	               "vm.hypervisor.path: '/h' matches none of allowed_paths");
	assert_refused("{}", "\"vm\":{\"kernel\":{\"parameters\":[\"x\"]}}", EPERM,
	               "vm.kernel.parameters: not named in enable_annotations");
	assert_refused("{}", "\"vm\":{\"hwConfig\":{\"vcpus\":2}}", EPERM,
	               "vm.hwConfig.vcpus: not named in enable_annotations");
	assert_refused("{}", "\"vm\":{\"hwConfig\":{\"memory\":268435456}}", EPERM,
	               "vm.hwConfig.memory: not named in enable_annotations");
}
END_TEST

START_TEST(parts_of_the_vm_object_that_we_lack_are_refused)
{
	assert_refused(OPEN, "\"vm\":{\"image\":{\"path\":\"/ok/i\",\"format\":\"raw\"}}", ENOTSUP,
	               "vm.image: root images are not supported");
	assert_refused(OPEN, "\"vm\":{\"hypervisor\":{\"path\":\"/ok/v\",\"parameters\":[\"-x\"]}}",
	               ENOTSUP, "vm.hypervisor.parameters: not supported");
	assert_refused(OPEN, "\"vm\":{\"hwConfig\":{\"deviceTree\":\"/dt\"}}", ENOTSUP,
	               "vm.hwConfig: only vcpus and memory are supported");
	assert_refused(OPEN, "\"vm\":{\"hwConfig\":{\"irqs\":[1]}}", ENOTSUP,
	               "vm.hwConfig: only vcpus and memory are supported");
}
END_TEST

START_TEST(the_sizes_of_the_vm_object_have_the_same_bounds)
{
	assert_refused(OPEN, "\"vm\":{\"hwConfig\":{\"vcpus\":0}}", EINVAL,
	               "vm.hwConfig.vcpus: expected a number from 1 to 255");
	assert_refused(OPEN, "\"vm\":{\"hwConfig\":{\"memory\":1048575}}", EINVAL,
	               "vm.hwConfig.memory: expected a number from 1 to 4194304");
	assert_refused(OPEN, "\"vm\":{\"hwConfig\":{\"memory\":18446744073709551615}}", EINVAL,
	               "vm.hwConfig.memory: expected a number from 1 to 4194304");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("config_spec");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, annotations_of_others_are_none_of_our_business);
	tcase_add_test(tc, enabled_annotations_set_their_key);
	tcase_add_test(tc, nothing_is_enabled_by_default);
	tcase_add_test(tc, unknown_keys_are_refused);
	tcase_add_test(tc, what_protects_the_host_cannot_be_enabled);
	tcase_add_test(tc, values_are_checked_like_those_of_the_file);
	tcase_add_test(tc, an_empty_value_is_refused_where_a_number_is_wanted);
	tcase_add_test(tc, paths_must_match_a_pattern);
	tcase_add_test(tc, a_pattern_does_not_make_a_relative_path_good);
	tcase_add_test(tc, the_vm_object_sets_the_same_keys);
	tcase_add_test(tc, an_empty_vm_object_changes_nothing);
	tcase_add_test(tc, the_vm_object_needs_the_same_permission);
	tcase_add_test(tc, parts_of_the_vm_object_that_we_lack_are_refused);
	tcase_add_test(tc, the_sizes_of_the_vm_object_have_the_same_bounds);
	return scratch_run(tc);
}
