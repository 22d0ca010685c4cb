/* The samples of real clients and the vectors of the specification. */
#include <errno.h>
#include <stdlib.h>

#include "oci/oci.h"
#include "test/scratch.h"
#include "test/test_oci_data.h"

static void check_same(const char *path, const char *text, struct json *written)
{
	auto_json struct json *before = data_json(text);
	auto_json struct json *after = written;
	auto_free char *printed = json_print(after, true);
	auto_json struct json *again = data_json(printed);

	ck_assert_msg(json_equal(before, after), "%s is written as %s", path, printed);
	ck_assert_msg(json_equal(before, again), "%s is printed as %s", path, printed);
}

static void check_spec(const char *path, const char *text)
{
	auto_error struct error err = { 0 };
	auto_oci_spec struct oci_spec *spec = oci_spec_parse(text, strlen(text), &err);
	auto_oci_spec struct oci_spec *copy = NULL;

	ck_assert_msg(spec != NULL, "%s: %s", path, err.msg);
	check_same(path, text, oci_spec_to_json(spec));
	copy = oci_spec_copy(spec);
	if (!str_starts(spec->oci_version, "1.")) { /* some vectors are older than that */
		ck_assert_int_eq(oci_spec_validate(spec, &err), -EINVAL);
		ck_assert_str_eq(err.msg, "ociVersion: \"0.5.0-dev\" is not supported (1.x is)");
		free(spec->oci_version);
		spec->oci_version = str_dup("1.0.0");
	}
	ck_assert_msg(oci_spec_validate(spec, &err) == 0, "%s: %s", path, err.msg);
	oci_spec_freep(&spec);
	check_same(path, text, oci_spec_to_json(copy));
}

static void check_process(const char *path, const char *text)
{
	auto_error struct error err = { 0 };
	auto_oci_process struct oci_process *p = oci_process_parse(text, strlen(text), &err);
	auto_oci_process struct oci_process *copy = NULL;

	ck_assert_msg(p != NULL, "%s: %s", path, err.msg);
	check_same(path, text, oci_process_to_json(p));
	ck_assert_msg(oci_process_validate(p, &err) == 0, "%s: %s", path, err.msg);
	copy = oci_process_copy(p);
	check_same(path, text, oci_process_to_json(copy));
}

static void check_resources(const char *path, const char *text)
{
	auto_error struct error err = { 0 };
	auto_oci_resources struct oci_resources *r = oci_resources_parse(text, strlen(text), &err);
	auto_oci_resources struct oci_resources *copy = NULL;

	ck_assert_msg(r != NULL, "%s: %s", path, err.msg);
	check_same(path, text, oci_resources_to_json(r));
	ck_assert_msg(oci_resources_validate(r, &err) == 0, "%s: %s", path, err.msg);
	copy = oci_resources_copy(r);
	check_same(path, text, oci_resources_to_json(copy));
}

static void check_state(const char *path, const char *text)
{
	auto_error struct error err = { 0 };
	auto_oci_state struct oci_state *s = oci_state_parse(text, strlen(text), &err);
	auto_oci_state struct oci_state *copy = NULL;

	ck_assert_msg(s != NULL, "%s: %s", path, err.msg);
	check_same(path, text, oci_state_to_json(s));
	ck_assert_msg(oci_state_validate(s, &err) == 0, "%s: %s", path, err.msg);
	copy = oci_state_copy(s);
	check_same(path, text, oci_state_to_json(copy));
}

static void check_refused(const char *path, const char *text)
{
	static const struct {
		const char *path;
		const char *msg;
	} expected[] = {
		{ "bad/invalid-json.json", "line 1" },
		{ "bad/state-invalid-json.json", "line 1" },
		{ "bad/linux-hugepage.json", "linux.resources.hugepageLimits[0].pageSize: must be "
		                             "a size such as 2MB, not \"64kB\"" },
		{ "bad/linux-netdevice.json",
		  "linux.netDevices[\"eth0\"].name: expected a string, not a number" },
		{ "bad/linux-rdma.json",
		  "linux.resources.rdma[\"mlx5_1\"].hcaHandles: expected a number, not a string" },
	};
	auto_error struct error err = { 0 };
	auto_oci_spec struct oci_spec *spec = oci_spec_parse(text, strlen(text), &err);
	size_t i = 0;

	ck_assert_msg(!spec || oci_spec_validate(spec, &err) < 0, "%s is accepted", path);
	while (i < ARRAY_SIZE(expected) && !str_eq(expected[i].path, path))
		i++;
	ck_assert_msg(i < ARRAY_SIZE(expected), "%s is new: say what its error is", path);
	ck_assert_msg(strstr(err.msg, expected[i].msg) != NULL, "%s: %s", path, err.msg);
	ck_assert_int_eq(err.code, EINVAL);
}

START_TEST(accepts_and_keeps_the_good_vectors_of_the_specification)
{
	ck_assert_int_eq(data_each("good", check_spec), 9);
}
END_TEST

START_TEST(refuses_the_bad_vectors_of_the_specification)
{
	ck_assert_int_eq(data_each("bad", check_refused), 5);
}
END_TEST

/* Sections for other platforms are unknown properties, which must not be an error. */
START_TEST(ignores_but_keeps_what_is_bad_for_another_platform_only)
{
	ck_assert_int_eq(data_each("ignored", check_spec), 1);
}
END_TEST

START_TEST(accepts_and_keeps_every_config_of_real_clients)
{
	ck_assert_int_eq(data_each("config", check_spec), 17);
}
END_TEST

START_TEST(accepts_and_keeps_every_process_of_real_clients)
{
	ck_assert_int_eq(data_each("process", check_process), 3);
}
END_TEST

START_TEST(accepts_and_keeps_every_update_of_real_clients)
{
	ck_assert_int_eq(data_each("resources", check_resources), 2);
}
END_TEST

START_TEST(accepts_and_keeps_states)
{
	ck_assert_int_eq(data_each("state", check_state), 2);
}
END_TEST

START_TEST(accepts_and_keeps_a_config_with_every_field)
{
	ck_assert_int_eq(data_each("full", check_spec), 1);
}
END_TEST

START_TEST(prints_a_state_as_runc_does)
{
	struct oci_pair annotation = { .key = (char *)"a", .value = (char *)"b" };
	struct oci_state state = {
		.oci_version = (char *)"1.3.0",
		.id = (char *)"x",
		.status = (char *)"stopped",
		.bundle = (char *)"/b",
		.rootfs = (char *)"/b/r",
		.created = (char *)"2026-11-22T07:08:32.023181212Z",
		.annotations = &annotation,
		.n_annotations = 1,
		.owner = (char *)"",
	};
	auto_json struct json *j = oci_state_to_json(&state);
	auto_free char *text = json_print(j, true);
	auto_json struct json *without = NULL;

	ck_assert_str_eq(text, "{\n"
	                       "  \"ociVersion\": \"1.3.0\",\n"
	                       "  \"id\": \"x\",\n"
	                       "  \"pid\": 0,\n"
	                       "  \"status\": \"stopped\",\n"
	                       "  \"bundle\": \"/b\",\n"
	                       "  \"rootfs\": \"/b/r\",\n"
	                       "  \"created\": \"2026-11-22T07:08:32.023181212Z\",\n"
	                       "  \"annotations\": {\n"
	                       "    \"a\": \"b\"\n"
	                       "  },\n"
	                       "  \"owner\": \"\"\n"
	                       "}");
	state.n_annotations = 0;
	without = oci_state_to_json(&state);
	ck_assert_ptr_null(json_get(without, "annotations"));
}
END_TEST

START_TEST(reads_a_file_and_names_it_in_errors)
{
	auto_error struct error err = { 0 };
	auto_free char *path = scratch_path("config.json");
	auto_oci_spec struct oci_spec *spec = NULL;

	ck_assert_ptr_null(oci_spec_read(AT_FDCWD, path, &err));
	ck_assert_int_eq(err.code, ENOENT);
	ck_assert_ptr_nonnull(strstr(err.msg, path));

	scratch_file("config.json", "{\"process\":{\"user\":{\"uid\":\"root\"}}}");
	ck_assert_ptr_null(oci_spec_read(AT_FDCWD, path, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "config.json': process.user.uid: expected a number, "
	                                      "not a string"));

	scratch_file("config.json", "{\"ociVersion\":\"1.0.2-dev\"}");
	spec = oci_spec_read(AT_FDCWD, path, &err);
	ck_assert_str_eq(spec->oci_version, "1.0.2-dev");
}
END_TEST

START_TEST(fills_the_structs)
{
	auto_error struct error err = { 0 };
	auto_free char *text = data_read("full/config.json");
	auto_oci_spec struct oci_spec *spec = oci_spec_parse(text, strlen(text), &err);
	const struct oci_process *p = spec->process;

	ck_assert(p->has_user && p->user.has_gid && p->user.gid == INT32_MAX);
	ck_assert_uint_eq(p->user.n_additional_gids, 2);
	ck_assert_uint_eq(p->user.additional_gids[1], 6);
	ck_assert_str_eq(p->env[1], "EMPTY=");
	ck_assert(p->capabilities->inheritable && !p->capabilities->inheritable[0]);
	ck_assert(p->rlimits[0].hard == UINT64_MAX);
	ck_assert_int_eq(p->oom_score_adj, -1000);
	ck_assert_int_eq(spec->linux_->resources->memory->limit, INT64_MAX);
	ck_assert(!spec->linux_->devices[1].has_major);
	ck_assert_str_eq(spec->linux_->net_devices[1].key, "eth2");
	ck_assert_ptr_null(spec->linux_->net_devices[1].name);
	ck_assert_uint_eq(spec->vm->hw_config->irqs[1], 12);
	ck_assert_ptr_null(spec->extra);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("document");

	tcase_add_checked_fixture(tc, scratch_setup, scratch_remove);
	tcase_add_test(tc, accepts_and_keeps_the_good_vectors_of_the_specification);
	tcase_add_test(tc, refuses_the_bad_vectors_of_the_specification);
	tcase_add_test(tc, ignores_but_keeps_what_is_bad_for_another_platform_only);
	tcase_add_test(tc, accepts_and_keeps_every_config_of_real_clients);
	tcase_add_test(tc, accepts_and_keeps_every_process_of_real_clients);
	tcase_add_test(tc, accepts_and_keeps_every_update_of_real_clients);
	tcase_add_test(tc, accepts_and_keeps_states);
	tcase_add_test(tc, accepts_and_keeps_a_config_with_every_field);
	tcase_add_test(tc, prints_a_state_as_runc_does);
	tcase_add_test(tc, reads_a_file_and_names_it_in_errors);
	tcase_add_test(tc, fills_the_structs);
	return scratch_run(tc);
}
