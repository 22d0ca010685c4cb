#include <string.h>

#include "cmd/spec.h"
#include "lib/base/error.h"
#include "oci/oci.h"
#include "test/scratch.h"

static struct oci_spec *document(const struct spec_owner *rootless)
{
	auto_error struct error err = { 0 };
	auto_free char *text = spec_document(rootless, &err);
	struct oci_spec *spec;

	ck_assert_msg(text != NULL, "%s", err.msg);
	spec = oci_spec_parse(text, strlen(text), &err);
	ck_assert_msg(spec != NULL, "%s", err.msg);
	ck_assert_msg(oci_spec_validate(spec, &err) == 0, "%s", err.msg);
	return spec;
}

START_TEST(the_document_is_a_valid_one_that_runs_a_shell)
{
	auto_oci_spec struct oci_spec *spec = document(NULL);

	ck_assert_str_eq(spec->oci_version, OCI_VERSION);
	ck_assert_str_eq(spec->process->args[0], "sh");
	ck_assert_str_eq(spec->root->path, "rootfs");
	ck_assert_ptr_nonnull(oci_namespace_find(spec, "network"));
	ck_assert_ptr_null(oci_namespace_find(spec, "user"));
	ck_assert_str_eq(oci_spec_find_mount(spec, "/sys")->type, "sysfs");
}
END_TEST

START_TEST(nothing_in_it_is_unknown_to_our_parser)
{
	auto_oci_spec struct oci_spec *spec = document(NULL);

	ck_assert_ptr_null(spec->extra);
	ck_assert_ptr_null(spec->process->extra);
	ck_assert_ptr_null(spec->process->capabilities->extra);
	ck_assert_ptr_null(spec->root->extra);
	ck_assert_ptr_null(spec->linux_->extra);
	ck_assert_ptr_null(spec->linux_->resources->extra);
}
END_TEST

START_TEST(rootless_maps_the_user_to_root)
{
	const struct spec_owner owner = { .uid = 4294967294u, .gid = 100 };
	auto_oci_spec struct oci_spec *spec = document(&owner);

	ck_assert_uint_eq(spec->linux_->n_uid_mappings, 1);
	ck_assert_uint_eq(spec->linux_->uid_mappings[0].container_id, 0);
	ck_assert_uint_eq(spec->linux_->uid_mappings[0].host_id, 4294967294u);
	ck_assert_uint_eq(spec->linux_->gid_mappings[0].host_id, 100);
	ck_assert_ptr_nonnull(oci_namespace_find(spec, "user"));
	ck_assert_ptr_null(oci_namespace_find(spec, "network"));
	ck_assert_ptr_null(spec->linux_->resources);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("spec");

	tcase_add_test(tc, the_document_is_a_valid_one_that_runs_a_shell);
	tcase_add_test(tc, nothing_in_it_is_unknown_to_our_parser);
	tcase_add_test(tc, rootless_maps_the_user_to_root);
	return scratch_run(tc);
}
