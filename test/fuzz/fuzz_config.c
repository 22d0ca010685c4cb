/* The configuration file and, after a zero byte, a container's config.json with its annotations
 * and "vm" object. What is accepted must be printed and read again as the same; what a container
 * may not change must be as it was. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/config.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "oci/oci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void comes_back(const struct config *c)
{
	auto_error struct error err = { 0 };
	auto_json struct json *j = config_to_json(c), *k = NULL;
	auto_free char *text = json_print(j, false);
	auto_config struct config *again = config_parse(text, "again", &err);

	must(again != NULL);
	k = config_to_json(again);
	must(json_equal(j, k));
}

static void keeps(const struct json *before, const struct json *after, const char *key)
{
	must(json_equal(json_get(before, key), json_get(after, key)));
}

static void apply(struct config *c, const char *text, size_t len)
{
	auto_error struct error err = { 0 };
	auto_oci_spec struct oci_spec *spec = oci_spec_parse(text, len, &err);
	auto_config struct config *copy = config_copy(c);
	auto_json struct json *before = config_to_json(c), *after = NULL;

	if (!spec)
		return;
	must((config_apply_spec(copy, spec, &err) == 0) == !err.code);
	after = config_to_json(copy);
	keeps(before, after, "hypervisor");
	keeps(before, after, "agent");
	keeps(before, after, "runtime_dir");
	keeps(before, after, "enable_annotations");
	keeps(before, after, "allowed_paths");
	if (!strv_len(c->enable_annotations))
		must(json_equal(before, after));
	comes_back(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = str_ndup((const char *)data, size);
	size_t len = strnlen(text, size);
	auto_error struct error err = { 0 };
	auto_config struct config *c = config_parse(text, "fuzz", &err);

	must(!!c == !err.code);
	if (!c)
		return 0;
	comes_back(c);
	if (len < size)
		apply(c, (const char *)data + len + 1, size - len - 1);
	return 0;
}
