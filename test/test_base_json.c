#include <errno.h>
#include <math.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static struct json *parse(const char *text)
{
	auto_error struct error err = { 0 };
	struct json *j = json_parse(text, strlen(text), false, &err);

	ck_assert_msg(j, "%s", err.msg);
	return j;
}

static void prints(const struct json *j, const char *compact)
{
	auto_free char *text = json_print(j, false);

	ck_assert_str_eq(text, compact);
}

START_TEST(types_have_names_for_messages)
{
	ck_assert_str_eq(json_type_name(JSON_NULL), "null");
	ck_assert_str_eq(json_type_name(JSON_BOOL), "a boolean");
	ck_assert_str_eq(json_type_name(JSON_NUMBER), "a number");
	ck_assert_str_eq(json_type_name(JSON_STRING), "a string");
	ck_assert_str_eq(json_type_name(JSON_ARRAY), "an array");
	ck_assert_str_eq(json_type_name(JSON_OBJECT), "an object");
}
END_TEST

START_TEST(integers_reach_both_ends_exactly)
{
	auto_json struct json *j =
		parse("[-9223372036854775808, 9223372036854775807, 18446744073709551615, -0]");
	int64_t i;
	uint64_t u;

	ck_assert_int_eq(json_to_i64(json_at(j, 0), &i), 0);
	ck_assert(i == INT64_MIN);
	ck_assert_int_eq(json_to_i64(json_at(j, 1), &i), 0);
	ck_assert(i == INT64_MAX);
	ck_assert_int_eq(json_to_u64(json_at(j, 2), &u), 0);
	ck_assert(u == UINT64_MAX);
	ck_assert_int_eq(json_to_u64(json_at(j, 3), &u), 0);
	ck_assert_uint_eq(u, 0);
}
END_TEST

START_TEST(integers_out_of_range_and_fractions_are_told_apart)
{
	auto_json struct json *j =
		parse("[9223372036854775808, 18446744073709551616, -1, 1.0, 1e3]");
	int64_t i = 5;
	uint64_t u = 5;

	ck_assert_int_eq(json_to_i64(json_at(j, 0), &i), -ERANGE);
	ck_assert_int_eq(json_to_u64(json_at(j, 1), &u), -ERANGE);
	ck_assert_int_eq(json_to_u64(json_at(j, 2), &u), -ERANGE);
	for (size_t k = 3; k < 5; k++) {
		ck_assert_int_eq(json_to_i64(json_at(j, k), &i), -EINVAL);
		ck_assert_int_eq(json_to_u64(json_at(j, k), &u), -EINVAL);
	}
	ck_assert(i == 5 && u == 5);
}
END_TEST

START_TEST(doubles_are_finite_or_refused)
{
	auto_json struct json *j = parse("[1.5, -2e-3, 1e999, 1e-999]");
	double d = 5;

	ck_assert_int_eq(json_to_double(json_at(j, 2), &d), -ERANGE);
	ck_assert_double_eq(d, 5);
	ck_assert_int_eq(json_to_double(json_at(j, 0), &d), 0);
	ck_assert_double_eq(d, 1.5);
	ck_assert_int_eq(json_to_double(json_at(j, 1), &d), 0);
	ck_assert_double_eq(d, -2e-3);
	ck_assert_int_eq(json_to_double(json_at(j, 3), &d), 0);
}
END_TEST

START_TEST(numbers_keep_their_text)
{
	static const char text[] = "[1.10,1E+2,123456789012345678901234567890,-0,0."
				   "1000000000000000055511151231257827]";
	auto_json struct json *j = parse(text);

	prints(j, text);
}
END_TEST

START_TEST(objects_keep_their_order)
{
	auto_json struct json *j = parse("{\"z\":1,\"a\":[true,false,null],\"m\":{}}");

	ck_assert_uint_eq(json_len(j), 3);
	ck_assert_str_eq(json_key_at(j, 0), "z");
	ck_assert_str_eq(json_key_at(j, 2), "m");
	ck_assert(json_value_at(j, 1) == json_get(j, "a"));
	ck_assert(json_bool(json_at(json_get(j, "a"), 0)));
	ck_assert_ptr_null(json_get(j, "none"));
	prints(j, "{\"z\":1,\"a\":[true,false,null],\"m\":{}}");
}
END_TEST

START_TEST(set_adds_replaces_and_skips_null)
{
	auto_json struct json *j = json_new_object();

	json_set(j, "a", json_new_i64(-1));
	json_set(j, "b", json_new_u64(UINT64_MAX));
	json_set(j, "a", json_new_string("x"));
	json_set(j, "c", json_new_string(NULL));
	json_set(j, "d", json_new_null());
	prints(j, "{\"a\":\"x\",\"b\":18446744073709551615,\"d\":null}");
}
END_TEST

START_TEST(del_removes_one_key_and_minds_no_absent_one)
{
	auto_json struct json *j = parse("{\"a\":1,\"b\":[2],\"c\":3}");

	json_del(j, "b");
	json_del(j, "b");
	prints(j, "{\"a\":1,\"c\":3}");
	json_del(j, "c");
	json_del(j, "a");
	prints(j, "{}");
	json_set(j, "n", json_new_bool(true));
	prints(j, "{\"n\":true}");
}
END_TEST

START_TEST(arrays_are_built_and_skip_null)
{
	char *v[] = { (char[]){ "a" }, (char[]){ "" }, NULL };
	auto_json struct json *j = json_new_array();

	json_add(j, json_new_strv(v));
	json_add(j, NULL);
	json_add(j, json_new_strv(NULL));
	json_add(j, json_new_number("1.50"));
	prints(j, "[[\"a\",\"\"],[],1.50]");
}
END_TEST

START_TEST(pretty_print_indents_by_two_and_keeps_empty_ones_short)
{
	auto_json struct json *j = parse("{\"a\":[1,{}],\"b\":[],\"c\":{\"d\":\"e\"}}");
	auto_free char *text = json_print(j, true);

	ck_assert_str_eq(text, "{\n"
	                       "  \"a\": [\n"
	                       "    1,\n"
	                       "    {}\n"
	                       "  ],\n"
	                       "  \"b\": [],\n"
	                       "  \"c\": {\n"
	                       "    \"d\": \"e\"\n"
	                       "  }\n"
	                       "}");
}
END_TEST

START_TEST(strings_are_escaped_and_come_back)
{
	static const char text[] = "\"\\/\b\f\n\r\t\x01\x1f\x7f\xc3\xa9\xf0\x9f\x98\x80<&>";
	auto_json struct json *j = json_new_string(text);
	auto_free char *printed = json_print(j, false);
	auto_json struct json *back = parse(printed);

	ck_assert_str_eq(json_string(back), text);
	ck_assert_ptr_null(strpbrk(printed, "\n\b\f\r\t\x01\x1f"));
}
END_TEST

START_TEST(bytes_that_are_not_utf8_are_replaced)
{
	auto_json struct json *j = json_new_object();

	json_set(j, "k\xff", json_new_string("a\x80\xed\xa0\x80z"));
	prints(j, "{\"k\xef\xbf\xbd\":\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"}");
}
END_TEST

START_TEST(a_copy_is_equal_and_independent)
{
	auto_json struct json *j = parse("{\"a\":[1,\"s\",null,true,{\"x\":2.0}]}");
	auto_json struct json *copy = json_copy(j);

	ck_assert(json_equal(j, copy));
	ck_assert_uint_eq(json_line(copy), 1);
	json_set(copy, "b", json_new_null());
	ck_assert(!json_equal(j, copy));
	ck_assert_uint_eq(json_len(j), 1);
}
END_TEST

START_TEST(equality_minds_everything_but_the_order_of_keys)
{
	static const struct {
		const char *a, *b;
		bool equal;
	} cases[] = {
		{ "{\"a\":1,\"b\":[2]}", "{\"b\":[2],\"a\":1}", true },
		{ "{\"a\":1}", "{\"a\":1,\"b\":1}", false },
		{ "{\"a\":1}", "{\"b\":1}", false },
		{ "{\"a\":1}", "{\"a\":2}", false },
		{ "[1,2]", "[2,1]", false },
		{ "[1]", "[1,2]", false },
		{ "[]", "{}", false },
		{ "1", "\"1\"", false },
		{ "true", "false", false },
		{ "null", "null", true },
		{ "{}", "{}", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_json struct json *a = parse(cases[i].a);
		auto_json struct json *b = parse(cases[i].b);

		ck_assert_msg(json_equal(a, b) == cases[i].equal, "case %zu", i);
		ck_assert_msg(json_equal(b, a) == cases[i].equal, "case %zu reversed", i);
	}
}
END_TEST

START_TEST(message_readers_give_the_value_or_the_default)
{
	auto_json struct json *j =
		parse("{\"s\":\"x\",\"n\":-3,\"f\":1.5,\"b\":true,\"o\":{},\"a\":[\"p\",\"q\"]}");
	auto_strv char **v = json_get_strv(j, "a");

	ck_assert_str_eq(json_get_string(j, "s"), "x");
	ck_assert_int_eq(json_get_i64(j, "n", 9), -3);
	ck_assert(json_get_bool(j, "b", false));
	ck_assert_ptr_nonnull(json_get_object(j, "o"));
	ck_assert_ptr_nonnull(json_get_array(j, "a"));
	ck_assert_uint_eq(strv_len(v), 2);
	ck_assert_str_eq(v[1], "q");

	ck_assert_ptr_null(json_get_string(j, "n"));
	ck_assert_ptr_null(json_get_string(j, "none"));
	ck_assert_int_eq(json_get_i64(j, "s", 9), 9);
	ck_assert_int_eq(json_get_i64(j, "f", 9), 9);
	ck_assert(json_get_bool(j, "s", true));
	ck_assert_ptr_null(json_get_object(j, "a"));
	ck_assert_ptr_null(json_get_array(j, "o"));
}
END_TEST

START_TEST(message_readers_take_anything_for_an_object)
{
	auto_json struct json *array = json_new_array();
	auto_json struct json *mixed = parse("{\"a\":[\"p\",1]}");

	ck_assert_ptr_null(json_get_string(NULL, "a"));
	ck_assert_ptr_null(json_get_string(array, "a"));
	ck_assert_int_eq(json_get_i64(NULL, "a", 4), 4);
	ck_assert_ptr_null(json_get_strv(array, "a"));
	ck_assert_ptr_null(json_get_strv(mixed, "a"));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("json");

	tcase_add_test(tc, types_have_names_for_messages);
	tcase_add_test(tc, integers_reach_both_ends_exactly);
	tcase_add_test(tc, integers_out_of_range_and_fractions_are_told_apart);
	tcase_add_test(tc, doubles_are_finite_or_refused);
	tcase_add_test(tc, numbers_keep_their_text);
	tcase_add_test(tc, objects_keep_their_order);
	tcase_add_test(tc, set_adds_replaces_and_skips_null);
	tcase_add_test(tc, del_removes_one_key_and_minds_no_absent_one);
	tcase_add_test(tc, arrays_are_built_and_skip_null);
	tcase_add_test(tc, pretty_print_indents_by_two_and_keeps_empty_ones_short);
	tcase_add_test(tc, strings_are_escaped_and_come_back);
	tcase_add_test(tc, bytes_that_are_not_utf8_are_replaced);
	tcase_add_test(tc, a_copy_is_equal_and_independent);
	tcase_add_test(tc, equality_minds_everything_but_the_order_of_keys);
	tcase_add_test(tc, message_readers_give_the_value_or_the_default);
	tcase_add_test(tc, message_readers_take_anything_for_an_object);
	return scratch_run(tc);
}
