#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/config.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static struct config *parse(const char *text)
{
	auto_error struct error err = { 0 };
	struct config *c = config_parse(text, "f", &err);

	ck_assert_msg(c != NULL, "%s: %s", text, err.msg);
	return c;
}

static void assert_refused(const char *text, const char *msg)
{
	auto_error struct error err = { 0 };
	auto_config struct config *c = config_parse(text, "f", &err);

	ck_assert_msg(!c, "taken: %s", text);
	ck_assert_str_eq(err.msg, msg);
	ck_assert_int_eq(err.code, EINVAL);
}

static char *text_of(const struct config *c)
{
	auto_json struct json *j = config_to_json(c);

	return json_print(j, false);
}

/* A value for each key that is not its default, as JSON. */
static const struct {
	const char *key, *value;
} others[] = {
	{ "hypervisor", "\"mock\"" },
	{ "agent", "\"noop\"" },
	{ "vmm_path", "\"/opt/vmm\"" },
	{ "machine", "\"microvm\"" },
	{ "cpu_model", "\"max\"" },
	{ "accel", "\"tcg\"" },
	{ "kernel", "\"/k\"" },
	{ "initrd", "\"/i\"" },
	{ "kernel_params", "\"quiet\"" },
	{ "memory", "300" },
	{ "memory_max", "400" },
	{ "memory_overhead", "70" },
	{ "cpus", "3" },
	{ "cpus_max", "7" },
	{ "shared_fs", "\"virtiofs\"" },
	{ "virtiofsd_path", "\"/v\"" },
	{ "network_model", "\"bridge\"" },
	{ "runtime_dir", "\"/run/other\"" },
	{ "template", "\"manual\"" },
	{ "template_dir", "\"/run/t\"" },
	{ "template_max", "77" },
	{ "vmm_preload", "\"/p.so\"" },
	{ "boot_timeout", "7" },
	{ "request_timeout", "8" },
	{ "debug", "true" },
	{ "enable_annotations", "[\"memory\",\"cpus\"]" },
	{ "allowed_paths", "[\"/a/*\"]" },
};

START_TEST(an_empty_object_gives_the_defaults)
{
	auto_config struct config *c = parse("{}");

	ck_assert_str_eq(c->file, "f");
	ck_assert_str_eq(c->hypervisor, "qemu");
	ck_assert_str_eq(c->agent, "vcrt");
	ck_assert_str_eq(c->accel, "auto");
	ck_assert_str_eq(c->shared_fs, "9p");
	ck_assert_str_eq(c->network_model, "tcfilter");
	ck_assert_str_eq(c->runtime_dir, "/run/vcrt/sandboxes");
	ck_assert_str_eq(c->template, "auto");
	ck_assert_uint_eq(c->memory_mib, 512);
	ck_assert_uint_eq(c->cpus, 1);
	ck_assert(!c->debug);
	ck_assert_uint_eq(strv_len(c->enable_annotations), 0);
}
END_TEST

START_TEST(templates_lie_in_memory_and_take_a_part_of_it_only)
{
	auto_config struct config *c = parse("{\"template_dir\":\"\",\"template_max\":0}");
	auto_free char *as_it_is = NULL;
	auto_config struct config *same = NULL;
	long pages = sysconf(_SC_PHYS_PAGES), mib = pages / 256;

	ck_assert(str_eq(c->template_dir, "/run/vcrt/templates") ||
	          str_eq(c->template_dir, "/dev/shm/vcrt-templates"));
	ck_assert(fs_is_in_memory(c->template_dir) ||
	          (!fs_is_in_memory("/run") && !fs_is_in_memory("/dev/shm")));
	ck_assert_uint_gt(c->template_max_mib, 0);
	ck_assert_uint_le(c->template_max_mib, 1024);
	ck_assert_int_le((long)c->template_max_mib, mib / 8);
	/* What others are told is what was chosen. */
	as_it_is = text_of(c);
	same = parse(as_it_is);
	ck_assert_str_eq(same->template_dir, c->template_dir);
	ck_assert_uint_eq(same->template_max_mib, c->template_max_mib);
}
END_TEST

START_TEST(every_key_can_be_set_and_is_printed_as_it_was_set)
{
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		auto_free char *text = str_fmt("{\"%s\":%s}", others[i].key, others[i].value);
		auto_config struct config *c = parse(text), *defaults = parse("{}");
		auto_json struct json *j = config_to_json(c), *d = config_to_json(defaults);
		auto_free char *value = json_print(json_get(j, others[i].key), false);

		ck_assert_str_eq(value, others[i].value);
		/* And nothing else has changed. */
		json_set(d, others[i].key, json_copy(json_get(j, others[i].key)));
		ck_assert(json_equal(j, d));
	}
}
END_TEST

START_TEST(the_keys_above_are_all_keys)
{
	auto_config struct config *c = parse("{}");
	auto_json struct json *j = config_to_json(c);

	ck_assert_uint_eq(json_len(j), ARRAY_SIZE(others));
}
END_TEST

START_TEST(what_is_printed_is_read_back_the_same)
{
	auto_buf struct buf b = { 0 };
	auto_config struct config *c = NULL, *again = NULL;
	auto_free char *first = NULL, *second = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		buf_addf(&b, "%c\"%s\":%s", i ? ',' : '{', others[i].key, others[i].value);
	buf_adds(&b, "}");
	c = parse(b.data);
	first = text_of(c);
	ck_assert_str_eq(first, b.data);
	again = parse(first);
	second = text_of(again);
	ck_assert_str_eq(first, second);
}
END_TEST

START_TEST(a_wrong_type_names_key_and_line)
{
	assert_refused(
		"{\n\"memory\": \"512\"}",
		"configuration 'f', line 2, \"memory\": expected a number from 1 to 4194304");
	assert_refused("{\"debug\": 1}",
	               "configuration 'f', line 1, \"debug\": expected true or false");
	assert_refused("{\"debug\": null}",
	               "configuration 'f', line 1, \"debug\": expected true or false");
	assert_refused("{\"machine\": 1}",
	               "configuration 'f', line 1, \"machine\": expected a string");
	assert_refused("{\"kernel\": {}}",
	               "configuration 'f', line 1, \"kernel\": expected a string");
	assert_refused(
		"{\"enable_annotations\": \"memory\"}",
		"configuration 'f', line 1, \"enable_annotations\": expected an array of strings");
	assert_refused(
		"{\"allowed_paths\": [\"/a\", 1]}",
		"configuration 'f', line 1, \"allowed_paths\": expected an array of strings");
}
END_TEST

START_TEST(paths_are_absolute)
{
	assert_refused("{\"kernel\": \"vmlinux\"}",
	               "configuration 'f', line 1, \"kernel\": expected an absolute path");
	assert_refused("{\"initrd\": \"\"}",
	               "configuration 'f', line 1, \"initrd\": expected an absolute path");
	assert_refused("{\"vmm_path\": \"qemu\"}",
	               "configuration 'f', line 1, \"vmm_path\": expected an absolute path");
	assert_refused("{\"kernel\": \"\"}",
	               "configuration 'f', line 1, \"kernel\": expected an absolute path");
	assert_refused("{\"runtime_dir\": \"run\"}",
	               "configuration 'f', line 1, \"runtime_dir\": expected an absolute path");
}
END_TEST

START_TEST(numbers_have_bounds)
{
	static const struct {
		const char *key;
		unsigned min, max;
	} keys[] = { { "memory", 1, 4u << 20 },
		     { "cpus", 1, 255 },
		     { "boot_timeout", 1, 3600 },
		     { "request_timeout", 1, 3600 } };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		auto_free char *low = str_fmt("{\"%s\":%u}", keys[i].key, keys[i].min);
		auto_free char *high = str_fmt("{\"%s\":%u}", keys[i].key, keys[i].max);
		auto_free char *below = str_fmt("{\"%s\":%u}", keys[i].key, keys[i].min - 1);
		auto_free char *above = str_fmt("{\"%s\":%u}", keys[i].key, keys[i].max + 1);
		auto_free char *msg = str_fmt(
			"configuration 'f', line 1, \"%s\": expected a number from %u to %u",
			keys[i].key, keys[i].min, keys[i].max);
		auto_config struct config *a = parse(low), *b = parse(high);

		ck_assert_str_eq(a->kernel, b->kernel);
		assert_refused(below, msg);
		assert_refused(above, msg);
	}
	assert_refused("{\"cpus\": -1}",
	               "configuration 'f', line 1, \"cpus\": expected a number from 1 to 255");
	assert_refused("{\"cpus\": 1.5}",
	               "configuration 'f', line 1, \"cpus\": expected a number from 1 to 255");
	assert_refused("{\"cpus\": 18446744073709551617}",
	               "configuration 'f', line 1, \"cpus\": expected a number from 1 to 255");
}
END_TEST

START_TEST(an_unknown_key_is_named_with_its_line)
{
	assert_refused("{\n\t\"cpus\": 2,\n\n\t\"memroy\": 512\n}",
	               "configuration 'f', line 4, \"memroy\": unknown key");
	assert_refused("{\"\": 1}", "configuration 'f', line 1, \"\": unknown key");
}
END_TEST

START_TEST(comments_of_both_kinds_are_fine)
{
	auto_config struct config *c =
		parse("// first\n{ /* two\nlines */ \"cpus\": 4 // last\n}\n// end\n");

	ck_assert_uint_eq(c->cpus, 4);
	/* They count as lines. */
	assert_refused("// one\n/* two\nthree */ {\n\"x\": 1}",
	               "configuration 'f', line 4, \"x\": unknown key");
}
END_TEST

START_TEST(what_is_no_object_is_refused)
{
	auto_error struct error err = { 0 };

	assert_refused("[]", "configuration 'f': expected an object");
	assert_refused("1", "configuration 'f': expected an object");
	ck_assert_ptr_null(config_parse("", "f", &err));
	ck_assert_msg(str_starts(err.msg, "configuration 'f': "), "%s", err.msg);
	error_clear(&err);
	ck_assert_ptr_null(config_parse("{\"cpus\":1,\"cpus\":2}", "f", &err));
	ck_assert_msg(str_starts(err.msg, "configuration 'f': "), "%s", err.msg);
	ck_assert_ptr_nonnull(strstr(err.msg, "cpus"));
}
END_TEST

START_TEST(a_named_file_is_read_and_must_exist)
{
	auto_error struct error err = { 0 };
	auto_free char *path = scratch_path("c.json"), *missing = scratch_path("no.json");
	auto_config struct config *c = NULL;
	auto_free char *msg = NULL;

	scratch_file("c.json", "{\"cpus\": 2}");
	c = config_load(path, &err);
	ck_assert_msg(c != NULL, "%s", err.msg);
	ck_assert_uint_eq(c->cpus, 2);
	ck_assert_str_eq(c->file, path);
	ck_assert_ptr_null(config_load(missing, &err));
	ck_assert_int_eq(err.code, ENOENT);
	msg = str_fmt("configuration: open '%s': No such file or directory", missing);
	ck_assert_str_eq(err.msg, msg);
}
END_TEST

START_TEST(a_file_with_a_nul_byte_is_refused)
{
	auto_error struct error err = { 0 };
	auto_free char *path = scratch_path("c.json");
	FILE *f;

	scratch_file("c.json", "");
	f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	fwrite("{}\0garbage", 1, 10, f);
	fclose(f);
	ck_assert_ptr_null(config_load(path, &err));
	ck_assert_int_eq(err.code, EINVAL);
}
END_TEST

START_TEST(a_file_of_megabytes_is_refused)
{
	auto_error struct error err = { 0 };
	auto_free char *path = scratch_path("c.json"), *big = xmalloc((2u << 20) + 1);

	memset(big, ' ', 2u << 20);
	big[2u << 20] = '\0';
	scratch_file("c.json", big);
	ck_assert_ptr_null(config_load(path, &err));
	ck_assert_int_eq(err.code, EFBIG);
}
END_TEST

START_TEST(a_copy_is_the_same_and_apart)
{
	auto_config struct config *c = parse("{\"machine\":\"a\",\"enable_annotations\":[\"x\"]}");
	auto_config struct config *copy = config_copy(c), *third = config_copy(copy);
	auto_free char *first = text_of(c), *second = text_of(copy);

	ck_assert_str_eq(first, second);
	ck_assert_str_eq(third->file, "f");
	ck_assert_ptr_ne(c->machine, copy->machine);
	ck_assert_ptr_ne(c->enable_annotations, copy->enable_annotations);
	config_free(NULL);
}
END_TEST

/* Its only part that is not as installed is where the image is. */
START_TEST(the_shipped_file_documents_every_key_at_its_default)
{
	auto_error struct error err = { 0 };
	auto_config struct config *shipped = config_load(VCRT_SHIPPED_CONFIG, &err);
	auto_config struct config *defaults = parse("{}");
	auto_json struct json *a = NULL, *b = NULL;
	auto_free char *text = NULL, *is = NULL, *should = NULL;

	ck_assert_msg(shipped != NULL, "%s", err.msg);
	a = config_to_json(shipped);
	b = config_to_json(defaults);
	is = json_print(a, true);
	should = json_print(b, true);
	ck_assert_str_eq(is, should);
	ck_assert_int_eq(fs_read(VCRT_SHIPPED_CONFIG, 1 << 20, &text, NULL, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		auto_free char *key = str_fmt("\n\t\"%s\": ", others[i].key);

		ck_assert_msg(strstr(text, key) != NULL, "%s is missing", others[i].key);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("config");

	tcase_add_checked_fixture(tc, scratch_setup, scratch_remove);
	tcase_add_test(tc, an_empty_object_gives_the_defaults);
	tcase_add_test(tc, templates_lie_in_memory_and_take_a_part_of_it_only);
	tcase_add_test(tc, every_key_can_be_set_and_is_printed_as_it_was_set);
	tcase_add_test(tc, the_keys_above_are_all_keys);
	tcase_add_test(tc, what_is_printed_is_read_back_the_same);
	tcase_add_test(tc, a_wrong_type_names_key_and_line);
	tcase_add_test(tc, paths_are_absolute);
	tcase_add_test(tc, numbers_have_bounds);
	tcase_add_test(tc, an_unknown_key_is_named_with_its_line);
	tcase_add_test(tc, comments_of_both_kinds_are_fine);
	tcase_add_test(tc, what_is_no_object_is_refused);
	tcase_add_test(tc, a_named_file_is_read_and_must_exist);
	tcase_add_test(tc, a_file_with_a_nul_byte_is_refused);
	tcase_add_test(tc, a_file_of_megabytes_is_refused);
	tcase_add_test(tc, a_copy_is_the_same_and_apart);
	tcase_add_test(tc, the_shipped_file_documents_every_key_at_its_default);
	return scratch_run(tc);
}
