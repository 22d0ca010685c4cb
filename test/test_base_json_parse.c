#include <errno.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static void accepts(const char *text, bool comments)
{
	auto_error struct error err = { 0 };
	auto_json struct json *j = json_parse(text, strlen(text), comments, &err);

	ck_assert_msg(j, "'%s': %s", text, err.msg);
}

static void refuses_bytes(const char *text, size_t len, bool comments, const char *msg)
{
	auto_error struct error err = { 0 };
	auto_json struct json *j = json_parse(text, len, comments, &err);

	ck_assert_msg(!j, "accepted '%s'", text);
	ck_assert_int_eq(err.code, EINVAL);
	if (msg)
		ck_assert_str_eq(err.msg, msg);
}

static void refuses(const char *text, const char *msg)
{
	refuses_bytes(text, strlen(text), false, msg);
}

START_TEST(every_kind_of_value_may_be_the_document)
{
	accepts("null", false);
	accepts(" true\n", false);
	accepts("12", false);
	accepts("-1.5e+3 ", false);
	accepts("\"\"", false);
	accepts("[]", false);
	accepts("{}", false);
}
END_TEST

START_TEST(every_prefix_of_a_document_is_refused)
{
	static const char text[] = "{\"a\": [1, true, null, \"\\u00e9\\n\", {\"b\": -1.5e3}]}";

	accepts(text, false);
	for (size_t n = 0; n < sizeof(text) - 1; n++)
		refuses_bytes(text, n, false, NULL);
	refuses_bytes(text, 9, false, "line 1, column 10: parse error: premature EOF");
}
END_TEST

START_TEST(what_is_not_json_is_refused)
{
	static const char *const bad[] = {
		"",
		" ",
		"{",
		"}",
		"]",
		"[1,]",
		"{\"a\":1,}",
		"{\"a\"}",
		"{a:1}",
		"{'a':1}",
		"{1:1}",
		"{null:1}",
		"[1 2]",
		"[,1]",
		"{,}",
		"nul",
		"True",
		"NaN",
		"Infinity",
		"-",
		"+1",
		"01",
		"1.",
		".5",
		"1e",
		"1e+",
		"0x10",
		"--1",
		"\"a",
		"\"\\x\"",
		"\"\\u12\"",
		"\"\\u12g4\"",
		"\"a\nb\"",
		"\"\t\"",
		"[\"a\" \"b\"]",
		"{\"a\":}",
		"{\"a\" 1}",
		"{\"a\":1 \"b\":2}",
		"\"\\",
		"\"\\\"",
		"\"\\u",
		"/",
		"/*",
		"//",
		"\xef\xbb\xbf{}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refuses(bad[i], NULL);
}
END_TEST

START_TEST(messages_say_line_and_column)
{
	refuses("{\n  \"a\": 1,\n  b\n}",
	        "line 3, column 3: lexical error: invalid char in json text.");
	refuses("[1,\n]",
	        "line 2, column 1: parse error: unallowed token at this point in JSON text");
	refuses("", "line 1, column 1: parse error: premature EOF");
}
END_TEST

START_TEST(nothing_may_follow_the_document)
{
	refuses("{} x", NULL);
	refuses("{}{}", "line 1, column 3: parse error: trailing garbage");
	refuses("1 2", NULL);
	refuses("[]]", NULL);
	refuses_bytes("{}\0", 3, false, NULL);
	accepts("{} \r\n\t ", false);
}
END_TEST

START_TEST(duplicate_keys_are_refused_by_their_path)
{
	refuses("{\"a\":1,\"b\":2,\"a\":3}", "a: duplicate key (line 1)");
	refuses("{\"process\":{\"user\":{\"uid\":0,\n\"uid\":1}}}",
	        "process.user.uid: duplicate key (line 2)");
	refuses("{\"mounts\":[{},{\"x\":[[],[{\"k\":1,\"k\":2}]]}]}",
	        "mounts[1].x[1][0].k: duplicate key (line 1)");
	refuses("{\"a\":1,\"\\u0061\":2}", "a: duplicate key (line 1)");
	refuses("{\"\":1,\"\":2}", "line 1: duplicate key");
	accepts("{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":1}}", false);
}
END_TEST

START_TEST(a_path_of_long_keys_is_shortened_between_characters)
{
	auto_buf struct buf text = { 0 };
	auto_buf struct buf msg = { 0 };

	buf_adds(&text, "{\"x");
	for (int i = 0; i < 1000; i++)
		buf_adds(&text, "\xe2\x82\xac");
	buf_adds(&text, "\":{\"k\":1,\"k\":1}}");
	buf_adds(&msg, "x");
	for (int i = 0; i < 21; i++)
		buf_adds(&msg, "\xe2\x82\xac");
	buf_adds(&msg, "....k: duplicate key (line 1)");
	refuses(text.data, msg.data);
}
END_TEST

/* Objects of n different keys, the last of which is there twice if said so. */
static void many_keys(struct buf *text, int n, bool twice)
{
	buf_addc(text, '{');
	for (int i = 0; i < n; i++)
		buf_addf(text, "\"key%d\":%d,", i, i);
	buf_addf(text, "\"%s\":0}", twice ? "key0" : "last");
}

START_TEST(a_hundred_thousand_keys_are_checked_quickly)
{
	auto_buf struct buf fine = { 0 };
	auto_buf struct buf twice = { 0 };
	uint64_t start = loop_now_ms();

	many_keys(&fine, 100000, false);
	many_keys(&twice, 100000, true);
	accepts(fine.data, false);
	refuses(twice.data, "key0: duplicate key (line 1)");
	/* Comparing each with each takes minutes; this takes seconds even in valgrind. */
	ck_assert_int_lt((int)(loop_now_ms() - start), 30000);
}
END_TEST

static void nested(struct buf *text, int depth, const char *open, const char *close)
{
	for (int i = 0; i < depth; i++)
		buf_adds(text, open);
	if (open[0] == '{')
		buf_adds(text, "1");
	for (int i = 0; i < depth; i++)
		buf_adds(text, close);
}

START_TEST(depth_is_limited)
{
	auto_buf struct buf most = { 0 };
	auto_buf struct buf objects = { 0 };
	auto_buf struct buf more = { 0 };
	auto_buf struct buf bomb = { 0 };

	nested(&most, JSON_MAX_DEPTH, "[", "]");
	accepts(most.data, false);
	nested(&objects, JSON_MAX_DEPTH, "{\"a\":", "}");
	accepts(objects.data, false);
	nested(&more, JSON_MAX_DEPTH + 1, "{\"a\":", "}");
	refuses(more.data, NULL);
	nested(&bomb, 1000000, "[", "");
	refuses(bomb.data, NULL);
}
END_TEST

START_TEST(too_deep_is_told_with_its_path)
{
	auto_error struct error err = { 0 };
	auto_buf struct buf text = { 0 };

	nested(&text, JSON_MAX_DEPTH + 1, "[", "]");
	ck_assert_ptr_null(json_parse(text.data, text.len, false, &err));
	ck_assert(str_starts(err.msg, "[0][0][0]"));
	ck_assert(str_ends(err.msg, "[0]: nested too deep (line 1)"));
}
END_TEST

START_TEST(nul_characters_are_refused)
{
	refuses("{\"a\":[0,\"x\\u0000y\"]}", "a[1]: string contains a NUL character (line 1)");
	refuses("\"\\u0000\"", "line 1: string contains a NUL character");
	refuses("{\"b\":{\"a\\u0000\":1}}", "b.: key contains a NUL character (line 1)");
	refuses_bytes("\"a\0b\"", 5, false, NULL);
	refuses_bytes("[\0]", 3, false, NULL);
}
END_TEST

START_TEST(invalid_utf8_is_refused_everywhere)
{
	refuses("{\n \"a\xff\":1}", "line 2, column 4: invalid UTF-8");
	refuses("[\"\xc0\x80\"]", "line 1, column 3: invalid UTF-8");
	refuses("\"\xed\xa0\x80\"", "line 1, column 2: invalid UTF-8");
	refuses("\"\xf4\x90\x80\x80\"", "line 1, column 2: invalid UTF-8");
	refuses("\"\xe2\x82", "line 1, column 2: invalid UTF-8");
	refuses("\x80", "line 1, column 1: invalid UTF-8");
	refuses("\"\\\xff\"", "line 1, column 3: invalid UTF-8");
	refuses_bytes("[] // \xff", 7, true, "line 1, column 7: invalid UTF-8");
	accepts("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", false);
}
END_TEST

START_TEST(escapes_are_decoded)
{
	auto_error struct error err = { 0 };
	static const char text[] = "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20AC\\ud83d\\uDE00\"";
	auto_json struct json *j = json_parse(text, strlen(text), false, &err);

	ck_assert_msg(j, "%s", err.msg);
	ck_assert_str_eq(json_string(j), "\"\\/\b\f\n\r\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
}
END_TEST

START_TEST(half_a_surrogate_pair_is_refused)
{
	refuses("\"\\ud800\"", "line 1, column 8: half a surrogate pair");
	refuses("\"\\ud83dx\"", "line 1, column 8: half a surrogate pair");
	refuses("\"\\ud83d\\u0041\"", "line 1, column 8: half a surrogate pair");
	refuses("\"\\ud83d\\ud83d\"", "line 1, column 8: half a surrogate pair");
	refuses("\"\\udc00\"", "line 1, column 2: half a surrogate pair");
	refuses("{\"\\uDFFF\":1}", "line 1, column 3: half a surrogate pair");
	accepts("\"\\\\ud800\"", false);
}
END_TEST

START_TEST(comments_are_taken_only_when_allowed)
{
	static const char text[] = "// one\n{ /* \"two\" \n */ \"a//b\": \"/*c\" } // three";

	accepts(text, true);
	refuses(text, NULL);
	accepts("[1 /**/, /***/ 2]//", true);
	refuses_bytes("[1] /* x", 8, true, "line 1, column 5: comment without end");
	refuses_bytes("[1] /*/", 7, true, "line 1, column 5: comment without end");
	refuses_bytes("/* x */", 7, true, NULL);
	refuses_bytes("[1] / x", 7, true, NULL);
}
END_TEST

START_TEST(values_know_their_line)
{
	auto_error struct error err = { 0 };
	static const char text[] = "// c\n{\n\"a\": 1,\n\"b\":\n[\n\n\"x\", {}] }";
	auto_json struct json *j = json_parse(text, strlen(text), true, &err);
	const struct json *b;

	ck_assert_msg(j, "%s", err.msg);
	ck_assert_uint_eq(json_line(j), 2);
	ck_assert_uint_eq(json_line(json_get(j, "a")), 3);
	b = json_get(j, "b");
	ck_assert_uint_eq(json_line(b), 5);
	ck_assert_uint_eq(json_line(json_at(b, 0)), 7);
	ck_assert_uint_eq(json_line(json_at(b, 1)), 7);
}
END_TEST

START_TEST(text_needs_no_nul_at_its_end)
{
	auto_error struct error err = { 0 };
	auto_free char *text = xmemdup("123", 3);
	auto_json struct json *j = json_parse(text, 3, false, &err);

	ck_assert_msg(j, "%s", err.msg);
	ck_assert_str_eq(json_number_text(j), "123");
}
END_TEST

START_TEST(long_strings_and_numbers_arrive_whole)
{
	auto_error struct error err = { 0 };
	auto_buf struct buf text = { 0 };
	auto_json struct json *j = NULL;

	buf_adds(&text, "[\"\\n");
	memset(buf_space(&text, 1000000), 'x', 1000000);
	text.len += 1000000;
	buf_adds(&text, "\",");
	memset(buf_space(&text, 1000000), '7', 1000000);
	text.len += 1000000;
	buf_adds(&text, "]");
	j = json_parse(text.data, text.len, false, &err);
	ck_assert_msg(j, "%s", err.msg);
	ck_assert_uint_eq(strlen(json_string(json_at(j, 0))), 1000001);
	ck_assert_uint_eq(strlen(json_number_text(json_at(j, 1))), 1000000);
}
END_TEST

START_TEST(a_document_may_be_capped_in_its_values)
{
	const char *text = "{\"a\":[1,\"x\",null,true,{}]}"; /* seven values */
	auto_error struct error none = { 0 }, err = { 0 };
	auto_json struct json *j = json_parse_capped(text, strlen(text), 7, &none);

	ck_assert_msg(j != NULL, "%s", none.msg);
	for (size_t max = 0; max < 7; max++) {
		ck_assert_ptr_null(json_parse_capped(text, strlen(text), max, &err));
		ck_assert_int_eq(err.code, EINVAL);
		ck_assert_ptr_nonnull(strstr(err.msg, "too many values"));
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("json-parse");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, every_kind_of_value_may_be_the_document);
	tcase_add_test(tc, every_prefix_of_a_document_is_refused);
	tcase_add_test(tc, what_is_not_json_is_refused);
	tcase_add_test(tc, messages_say_line_and_column);
	tcase_add_test(tc, nothing_may_follow_the_document);
	tcase_add_test(tc, duplicate_keys_are_refused_by_their_path);
	tcase_add_test(tc, a_path_of_long_keys_is_shortened_between_characters);
	tcase_add_test(tc, a_hundred_thousand_keys_are_checked_quickly);
	tcase_add_test(tc, depth_is_limited);
	tcase_add_test(tc, too_deep_is_told_with_its_path);
	tcase_add_test(tc, nul_characters_are_refused);
	tcase_add_test(tc, invalid_utf8_is_refused_everywhere);
	tcase_add_test(tc, escapes_are_decoded);
	tcase_add_test(tc, half_a_surrogate_pair_is_refused);
	tcase_add_test(tc, comments_are_taken_only_when_allowed);
	tcase_add_test(tc, values_know_their_line);
	tcase_add_test(tc, text_needs_no_nul_at_its_end);
	tcase_add_test(tc, long_strings_and_numbers_arrive_whole);
	tcase_add_test(tc, a_document_may_be_capped_in_its_values);
	return scratch_run(tc);
}
