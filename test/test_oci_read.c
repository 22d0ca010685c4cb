/* Malformed documents of every kind. */
#include <errno.h>
#include <stdlib.h>

#include "oci/oci.h"
#include "test/scratch.h"
#include "test/test_oci_data.h"

static const struct json *full; /* a config with every field of the specification */
static char *full_text;

static void setup(void)
{
	full_text = data_read("full/config.json");
	full = data_json(full_text);
}

static void teardown(void)
{
	json_free((struct json *)full);
	free(full_text);
}

static void check_message(const char *text, size_t len, const char *msg)
{
	auto_error struct error err = { 0 };
	auto_oci_spec struct oci_spec *spec = oci_spec_parse(text, len, &err);

	ck_assert_msg(spec == NULL, "accepted: %.*s", (int)len, text);
	ck_assert_msg(strstr(err.msg, msg) != NULL, "'%s' is not in '%s'", msg, err.msg);
}

/* The tree with target (compared by address) replaced. */
static struct json *replace(const struct json *j, const struct json *target, const struct json *by)
{
	struct json *copy;

	if (j == target)
		return json_copy(by);
	if (json_type(j) == JSON_ARRAY) {
		copy = json_new_array();
		for (size_t i = 0; i < json_len(j); i++)
			json_add(copy, replace(json_at(j, i), target, by));
		return copy;
	}
	if (json_type(j) != JSON_OBJECT)
		return json_copy(j);
	copy = json_new_object();
	for (size_t i = 0; i < json_len(j); i++)
		json_set(copy, json_key_at(j, i), replace(json_value_at(j, i), target, by));
	return copy;
}

typedef void check_node(const struct json *node, const char *path, bool in_object);

/* Paths as in messages: the keys of maps are in brackets. */
static void each_node(const struct json *j, const char *path, bool in_object, check_node *check)
{
	static const char *const maps[] = { "annotations",          "linux.sysctl",
		                            "linux.resources.rdma", "linux.resources.unified",
		                            "linux.netDevices",     NULL };
	bool is_map = strv_has((char *const *)maps, path);

	check(j, path, in_object);
	for (size_t i = 0; json_type(j) == JSON_ARRAY && i < json_len(j); i++) {
		auto_free char *below = str_fmt("%s[%zu]", path, i);

		each_node(json_at(j, i), below, false, check);
	}
	for (size_t i = 0; json_type(j) == JSON_OBJECT && i < json_len(j); i++) {
		const char *key = json_key_at(j, i);
		auto_free char *below = is_map ? str_fmt("%s[\"%s\"]", path, key)
		                               : str_fmt("%s%s%s", path, *path ? "." : "", key);

		each_node(json_value_at(j, i), below, !is_map, check);
	}
}

static void check_replacement(const struct json *node, const char *path, const char *by,
                              const char *msg)
{
	auto_error struct error err = { 0 };
	auto_json struct json *value = data_json(by);
	auto_json struct json *j = replace(full, node, value);
	auto_oci_spec struct oci_spec *spec = oci_spec_from_json(j, &err);
	auto_free char *expected = str_fmt("%s: %s", *path ? path : "the document", msg);

	ck_assert_msg(spec == NULL, "%s = %s is accepted", path, by);
	ck_assert_msg(str_starts(err.msg, expected), "'%s' instead of '%s'", err.msg, expected);
	ck_assert_int_eq(err.code, EINVAL);
}

/* null is "absent" where a field may be absent, which every member of an object may while it is
 * read; it is kept, so that the document is still written as it was. */
static void check_null(const struct json *node, const char *path)
{
	auto_error struct error err = { 0 };
	auto_json struct json *null = json_new_null();
	auto_json struct json *j = replace(full, node, null);
	auto_json struct json *written = NULL;
	auto_oci_spec struct oci_spec *spec = oci_spec_from_json(j, &err);

	ck_assert_msg(spec != NULL, "%s = null: %s", path, err.msg);
	written = oci_spec_to_json(spec);
	ck_assert_msg(json_equal(j, written), "%s = null is lost", path);
}

static void check_wrong_types(const struct json *node, const char *path, bool in_object)
{
	static const char *const values[] = {
		[JSON_NULL] = "null",       [JSON_BOOL] = "true", [JSON_NUMBER] = "7",
		[JSON_STRING] = "\"text\"", [JSON_ARRAY] = "[]",  [JSON_OBJECT] = "{}",
	};
	enum json_type type = json_type(node);

	for (enum json_type t = JSON_NULL; t <= JSON_OBJECT; t++) {
		auto_free char *msg =
			str_fmt("expected %s, not %s", json_type_name(type), json_type_name(t));

		if (t == JSON_NULL && in_object)
			check_null(node, path);
		else if (t != type)
			check_replacement(node, path, values[t], msg);
	}
}

START_TEST(names_the_path_of_every_wrong_type)
{
	each_node(full, "", false, check_wrong_types);
}
END_TEST

static void check_wrong_numbers(const struct json *node, const char *path, bool in_object)
{
	static const char *const fractions[] = { "1.5", "1e3", "-1.5e-3", "0.0", "1e999999" };
	static const char *const huge[] = {
		"18446744073709551616",
		"-9223372036854775809",
		"123456789012345678901234567890123456789012345678901234567890123456789012345678901",
	};

	(void)in_object;
	if (json_type(node) != JSON_NUMBER)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(fractions); i++)
		check_replacement(node, path, fractions[i], "expected an integer, not ");
	for (size_t i = 0; i < ARRAY_SIZE(huge); i++) {
		auto_free char *msg = str_fmt("%.40s is out of range (", huge[i]);

		check_replacement(node, path, huge[i], msg);
	}
}

START_TEST(names_the_path_of_every_wrong_number)
{
	each_node(full, "", false, check_wrong_numbers);
}
END_TEST

START_TEST(checks_the_range_of_each_kind_of_number)
{
	static const struct {
		const char *text, *msg;
	} rows[] = {
		{ "{\"process\":{\"user\":{\"uid\":-1}}}",
		  "process.user.uid: -1 is out of range (0 to 4294967295)" },
		{ "{\"process\":{\"user\":{\"additionalGids\":[0,4294967296]}}}",
		  "process.user.additionalGids[1]: 4294967296 is out of range (0 to 4294967295)" },
		{ "{\"process\":{\"oomScoreAdj\":2147483648}}",
		  "process.oomScoreAdj: 2147483648 is out of range (-2147483648 to 2147483647)" },
		{ "{\"process\":{\"oomScoreAdj\":-2147483649}}",
		  "process.oomScoreAdj: -2147483649 is out of range" },
		{ "{\"linux\":{\"resources\":{\"blockIO\":{\"weight\":65536}}}}",
		  "linux.resources.blockIO.weight: 65536 is out of range (0 to 65535)" },
		{ "{\"linux\":{\"resources\":{\"memory\":{\"limit\":9223372036854775808}}}}",
		  "linux.resources.memory.limit: 9223372036854775808 is out of range "
		  "(-9223372036854775808 to 9223372036854775807)" },
		{ "{\"linux\":{\"resources\":{\"cpu\":{\"shares\":-1}}}}",
		  "linux.resources.cpu.shares: -1 is out of range (0 to 18446744073709551615)" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_message(rows[i].text, strlen(rows[i].text), rows[i].msg);
}
END_TEST

START_TEST(refuses_a_document_that_ends_at_any_byte)
{
	size_t len = strlen(full_text);

	while (len > 0 && strchr(" \n}", full_text[len - 1]) && full_text[len - 1] != '}')
		len--;
	for (size_t n = 0; n < len; n++) {
		auto_error struct error err = { 0 };
		/* Of exactly that size, so that reading on is seen by ASan. */
		auto_free char *part = xmalloc(n + 1);

		part = xrealloc(part, n ? n : 1);
		memcpy(part, full_text, n);
		ck_assert_msg(oci_spec_parse(part, n, &err) == NULL, "%zu bytes are accepted", n);
		ck_assert(err.msg != NULL);
	}
}
END_TEST

START_TEST(refuses_what_no_reader_agrees_on)
{
	static const char nul[] = "{\"hostname\":\"a\0b\"}";
	static const char utf8[] = "{\"hostname\":\"a\xff\xfe\"}";

	check_message("{\"hostname\":\"a\",\"hostname\":\"b\"}", 31, "hostname");
	check_message("{\"annotations\":{\"a\":\"1\",\"a\":\"2\"}}", 33,
	              "annotations.a: duplicate");
	check_message(nul, sizeof(nul) - 1, "line 1");
	check_message("{\"hostname\":\"a\\u0000b\"}", 23, "hostname");
	check_message(utf8, sizeof(utf8) - 1, "line 1");
	check_message("{\"hostname\":\"\\ud800\"}", 21, "");
	check_message("{} {}", 5, "");
	check_message("", 0, "");
	check_message("// comment\n{}", 13, "");
	check_message("[]", 2, "the document: expected an object, not an array");
}
END_TEST

START_TEST(refuses_deep_nesting)
{
	auto_buf struct buf b = { 0 };

	buf_adds(&b, "{\"unknown\":");
	for (int i = 0; i < 100000; i++)
		buf_addc(&b, '[');
	check_message(b.data, b.len, "");
}
END_TEST

START_TEST(refuses_a_document_that_is_too_long)
{
	auto_error struct error err = { 0 };
	auto_free char *text = xmalloc(OCI_MAX_SIZE + 1);

	memset(text, ' ', OCI_MAX_SIZE + 1);
	ck_assert_ptr_null(oci_spec_parse(text, OCI_MAX_SIZE + 1, &err));
	ck_assert_int_eq(err.code, E2BIG);
}
END_TEST

START_TEST(refuses_an_object_with_too_many_keys)
{
	auto_buf struct buf b = { 0 };

	buf_adds(&b, "{\"annotations\":{\"k\":\"\"");
	for (int i = 0; i < 4096; i++)
		buf_addf(&b, ",\"k%d\":\"\"", i);
	buf_adds(&b, "}}");
	check_message(b.data, b.len, "annotations: more than 4096 keys");
	check_message(b.data + 15, b.len - 16, "the document: more than 4096 keys");
}
END_TEST

START_TEST(keeps_what_it_does_not_know)
{
	static const char text[] = "{\"x\":[1,2.5e9,null],\"process\":{\"user\":{\"y\":null},"
				   "\"rlimits\":[{\"z\":{}}]},\"linux\":{\"netDevices\":"
				   "{\"a\":{\"w\":true}}},\"mounts\":null,\"windows\":{}}";
	auto_error struct error err = { 0 };
	auto_json struct json *before = data_json(text);
	auto_oci_spec struct oci_spec *spec = oci_spec_from_json(before, &err);
	auto_json struct json *after = oci_spec_to_json(spec);
	auto_json struct json *changed = NULL;

	ck_assert(json_equal(before, after));
	ck_assert_ptr_nonnull(json_get(spec->linux_->net_devices[0].extra, "w"));
	ck_assert_ptr_null(spec->mounts);
	oci_spec_add_mount(spec)->destination = str_dup("/x");
	changed = oci_spec_to_json(spec);
	ck_assert_int_eq(json_type(json_get(changed, "mounts")), JSON_ARRAY);
}
END_TEST

START_TEST(escapes_and_shortens_foreign_strings_in_messages)
{
	check_message("{\"annotations\":{\"a\\n\\u001b[31m\\\"\":1}}", 37,
	              "annotations[\"a\\x0a\\x1b[31m\\\"\"]: expected a string, not a number");
}
END_TEST

START_TEST(names_the_parts_that_are_read_alone)
{
	auto_error struct error err = { 0 };

	ck_assert_ptr_null(oci_process_parse("{\"env\":[1]}", 11, &err));
	ck_assert_str_eq(err.msg, "process.env[0]: expected a string, not a number");
	ck_assert_ptr_null(oci_resources_parse("{\"pids\":{\"limit\":\"\"}}", 21, &err));
	ck_assert_str_eq(err.msg, "resources.pids.limit: expected a number, not a string");
	ck_assert_ptr_null(oci_state_parse("{\"pid\":\"1\"}", 11, &err));
	ck_assert_str_eq(err.msg, "pid: expected a number, not a string");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("read");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 50); /* thousands of documents, with a sanitizer */
	tcase_add_test(tc, names_the_path_of_every_wrong_type);
	tcase_add_test(tc, names_the_path_of_every_wrong_number);
	tcase_add_test(tc, checks_the_range_of_each_kind_of_number);
	tcase_add_test(tc, refuses_a_document_that_ends_at_any_byte);
	tcase_add_test(tc, refuses_what_no_reader_agrees_on);
	tcase_add_test(tc, refuses_deep_nesting);
	tcase_add_test(tc, refuses_a_document_that_is_too_long);
	tcase_add_test(tc, refuses_an_object_with_too_many_keys);
	tcase_add_test(tc, keeps_what_it_does_not_know);
	tcase_add_test(tc, escapes_and_shortens_foreign_strings_in_messages);
	tcase_add_test(tc, names_the_parts_that_are_read_alone);
	return scratch_run(tc);
}
