/* config.json, process.json, resources and state from hostile hands: what is accepted must be
 * written without a loss and read again as the same. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/base/json.h"
#include "oci/oci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const struct json *a, const struct json *b)
{
	if (!json_equal(a, b))
		abort();
}

/* The text of what was accepted, read and written once more. */
static struct json *print_and_parse(const struct json *j)
{
	auto_error struct error err = { 0 };
	char *text = json_print(j, true);
	struct json *again = json_parse(text, strlen(text), false, &err);

	if (!again)
		abort();
	free(text);
	return again;
}

#define FUZZ(doc)                                                                                  \
	static void fuzz_##doc(const struct json *in, bool is_exact)                               \
	{                                                                                          \
		auto_error struct error err = { 0 };                                               \
		auto_oci_##doc struct oci_##doc *first = oci_##doc##_from_json(in, &err);          \
		auto_oci_##doc struct oci_##doc *second = NULL;                                    \
		auto_oci_##doc struct oci_##doc *copy = NULL;                                      \
		auto_json struct json *written = NULL, *parsed = NULL, *again = NULL,              \
				      *copied = NULL;                                              \
                                                                                                   \
		if (!first && (err.code == 0 || !err.msg))                                         \
			abort();                                                                   \
		if (!first)                                                                        \
			return;                                                                    \
		written = oci_##doc##_to_json(first);                                              \
		if (is_exact)                                                                      \
			same(in, written);                                                         \
		parsed = print_and_parse(written);                                                 \
		second = oci_##doc##_from_json(parsed, &err);                                      \
		if (!second)                                                                       \
			abort();                                                                   \
		again = oci_##doc##_to_json(second);                                               \
		same(written, again);                                                              \
		copy = oci_##doc##_copy(first);                                                    \
		copied = oci_##doc##_to_json(copy);                                                \
		same(written, copied);                                                             \
		if (oci_##doc##_validate(first, &err) < 0 && !err.msg)                             \
			abort();                                                                   \
	}

FUZZ(spec)
FUZZ(process)
FUZZ(resources)
FUZZ(state)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_error struct error err = { 0 };
	auto_json struct json *in = json_parse((const char *)data, size, false, &err);
	bool is_exact;

	if (!in)
		return 0;
	/* "-0" is the only integer with a second spelling, which is not kept. */
	is_exact = !memmem(data, size, "-0", 2);
	fuzz_spec(in, is_exact);
	fuzz_process(in, is_exact);
	fuzz_resources(in, is_exact);
	fuzz_state(in, false); /* writes a pid that was not there */
	return 0;
}
