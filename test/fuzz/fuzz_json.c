/* Any bytes: the parser must not crash, say why it refuses, and what it accepts must come back the
 * same through the printer, compact and pretty. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void comes_back(const struct json *j, bool pretty)
{
	auto_error struct error err = { 0 };
	auto_free char *text = json_print(j, pretty);
	auto_json struct json *again = json_parse(text, strlen(text), false, &err);

	must(again && json_equal(j, again));
}

static void read_all(const struct json *j)
{
	int64_t i;
	uint64_t u;
	double d;

	must(json_line(j) > 0);
	if (json_type(j) == JSON_NUMBER) {
		if (json_to_i64(j, &i) == 0 && i >= 0)
			must(json_to_u64(j, &u) == 0 && u == (uint64_t)i);
		json_to_double(j, &d);
	}
	if (json_type(j) == JSON_STRING)
		must(strlen(json_string(j)) < SIZE_MAX);
	if (json_type(j) == JSON_ARRAY)
		for (size_t k = 0; k < json_len(j); k++)
			read_all(json_at(j, k));
	if (json_type(j) == JSON_OBJECT)
		for (size_t k = 0; k < json_len(j); k++) {
			strv_free(json_get_strv(j, json_key_at(j, k)));
			read_all(json_value_at(j, k));
		}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_error struct error err = { 0 };
	auto_json struct json *lenient = NULL;
	auto_json struct json *strict = NULL;
	auto_json struct json *copy = NULL;

	lenient = json_parse((const char *)data, size, true, &err);
	must(!!lenient == !err.msg);
	error_clear(&err);
	strict = json_parse((const char *)data, size, false, &err);
	must(!!strict == !err.msg);
	/* Comments are all that is added. */
	must(!strict || (lenient && json_equal(strict, lenient)));
	if (!lenient)
		return 0;
	read_all(lenient);
	copy = json_copy(lenient);
	must(json_equal(lenient, copy));
	comes_back(lenient, false);
	comes_back(lenient, true);
	return 0;
}
