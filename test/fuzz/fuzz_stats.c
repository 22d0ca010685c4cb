/* The guest's answer to "stats". Whatever it is, what is shown of it is numbers, under names that
 * are plain words, and small. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/stats.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check(const struct json *j)
{
	uint64_t n;

	switch (json_type(j)) {
	case JSON_NUMBER:
		must(json_to_u64(j, &n) == 0);
		break;
	case JSON_STRING:
		must(str_eq(json_string(j), "Read") || str_eq(json_string(j), "Write"));
		break;
	case JSON_OBJECT:
		must(json_len(j) <= 256);
		for (size_t i = 0; i < json_len(j); i++) {
			const char *key = json_key_at(j, i);

			must(*key && strlen(key) <= 64);
			for (; *key; key++)
				must((*key >= 'a' && *key <= 'z') || (*key >= 'A' && *key <= 'Z') ||
				     (*key >= '0' && *key <= '9') || *key == '_');
			check(json_value_at(j, i));
		}
		break;
	case JSON_ARRAY:
		must(json_len(j) <= 512);
		for (size_t i = 0; i < json_len(j); i++)
			check(json_at(j, i));
		break;
	case JSON_NULL: /* network_interfaces */
		break;
	case JSON_BOOL:
		must(false);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_error struct error err = { 0 };
	auto_json struct json *in = json_parse((const char *)data, size, false, &err), *out = NULL;

	if (!in)
		return 0;
	out = stats_of_guest(in);
	must(json_len(out) == 8);
	check(out);
	return 0;
}
