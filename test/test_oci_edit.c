#include <stdlib.h>

#include "oci/oci.h"
#include "test/scratch.h"
#include "test/test_oci_data.h"

static struct oci_spec *spec;

static void setup(void)
{
	spec = xzalloc(sizeof(*spec));
}

static void teardown(void)
{
	oci_spec_freep(&spec);
}

static void check_written(const char *text)
{
	auto_json struct json *j = oci_spec_to_json(spec);
	auto_free char *written = json_print(j, false);

	ck_assert_str_eq(written, text);
}

START_TEST(adds_and_removes_mounts)
{
	for (int i = 0; i < 4; i++) {
		struct oci_mount *m = oci_spec_add_mount(spec);

		m->destination = str_fmt("/%d", i);
		strv_push(&m->options, "ro");
	}
	ck_assert_ptr_eq(oci_spec_find_mount(spec, "/2"), &spec->mounts[2]);
	ck_assert_ptr_null(oci_spec_find_mount(spec, "/4"));
	oci_spec_del_mount(spec, 3);
	oci_spec_del_mount(spec, 1);
	check_written("{\"mounts\":[{\"destination\":\"/0\",\"options\":[\"ro\"]},"
	              "{\"destination\":\"/2\",\"options\":[\"ro\"]}]}");
	oci_spec_del_mount(spec, 0);
	oci_spec_del_mount(spec, 0);
	check_written("{\"mounts\":[]}");
}
END_TEST

START_TEST(adds_finds_and_removes_namespaces)
{
	ck_assert_ptr_null(oci_namespace_find(spec, "pid"));
	oci_spec_add_namespace(spec, "pid", NULL);
	oci_spec_add_namespace(spec, "network", "/run/netns/x");
	ck_assert_str_eq(oci_namespace_find(spec, "network")->path, "/run/netns/x");
	ck_assert_ptr_null(oci_namespace_find(spec, "user"));
	oci_spec_del_namespace(spec, 0);
	check_written("{\"linux\":{\"namespaces\":[{\"type\":\"network\","
	              "\"path\":\"/run/netns/x\"}]}}");
}
END_TEST

START_TEST(adds_and_removes_devices)
{
	struct oci_device *d = oci_spec_add_device(spec);

	d->path = str_dup("/dev/x");
	d->type = str_dup("c");
	d->has_major = true;
	oci_spec_add_device(spec)->path = str_dup("/dev/y");
	oci_spec_del_device(spec, 1);
	check_written("{\"linux\":{\"devices\":[{\"path\":\"/dev/x\",\"type\":\"c\","
	              "\"major\":0}]}}");
}
END_TEST

START_TEST(sets_and_deletes_annotations)
{
	ck_assert_ptr_null(oci_annotation_get(spec, "a"));
	oci_annotation_set(spec, "a", "1");
	oci_annotation_set(spec, "b", "2");
	oci_annotation_set(spec, "a", oci_annotation_get(spec, "a"));
	oci_annotation_set(spec, "b", "3");
	ck_assert_str_eq(oci_annotation_get(spec, "b"), "3");
	check_written("{\"annotations\":{\"a\":\"1\",\"b\":\"3\"}}");
	oci_annotation_del(spec, "a");
	oci_annotation_del(spec, "no such");
	check_written("{\"annotations\":{\"b\":\"3\"}}");
}
END_TEST

START_TEST(frees_the_parts_that_the_guest_must_not_see)
{
	static const char text[] = "{\"hooks\":{\"prestart\":[{\"path\":\"/a\",\"args\":[\"x\"]}]},"
				   "\"vm\":{\"kernel\":{\"path\":\"/k\"}},\"hostname\":\"h\"}";
	auto_error struct error err = { 0 };

	oci_spec_freep(&spec);
	spec = oci_spec_parse(text, strlen(text), &err);
	oci_hooks_freep(&spec->hooks);
	oci_vm_freep(&spec->vm);
	oci_vm_freep(&spec->vm);
	check_written("{\"hostname\":\"h\"}");
}
END_TEST

START_TEST(copies_and_frees_nothing)
{
	ck_assert_ptr_null(oci_spec_copy(NULL));
	oci_spec_free(NULL);
	oci_process_free(NULL);
	oci_resources_free(NULL);
	oci_state_free(NULL);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("edit");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, adds_and_removes_mounts);
	tcase_add_test(tc, adds_finds_and_removes_namespaces);
	tcase_add_test(tc, adds_and_removes_devices);
	tcase_add_test(tc, sets_and_deletes_annotations);
	tcase_add_test(tc, frees_the_parts_that_the_guest_must_not_see);
	tcase_add_test(tc, copies_and_frees_nothing);
	return scratch_run(tc);
}
