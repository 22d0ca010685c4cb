#include "lib/base/json.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/json-internal.h"
#include "lib/base/mem.h"

static int compare_keys(const void *a, const void *b)
{
	const struct json_member *ma = a, *mb = b;

	return strcmp(ma->key, mb->key);
}

/* The members in the order of their keys: a borrowed view, the array is owned by the caller. */
static struct json_member *sorted(const struct json *object)
{
	struct json_member *m = xmemdup(object->members, object->len * sizeof(*m));

	qsort(m, object->len, sizeof(*m), compare_keys);
	return m;
}

static bool equal_members(const struct json_member *a, const struct json_member *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (a[i].key && strcmp(a[i].key, b[i].key) != 0)
			return false;
		if (!json_equal(a[i].value, b[i].value))
			return false;
	}
	return true;
}

static bool equal_objects(const struct json *a, const struct json *b)
{
	auto_free struct json_member *ma = sorted(a);
	auto_free struct json_member *mb = sorted(b);

	return equal_members(ma, mb, a->len);
}

bool json_equal(const struct json *a, const struct json *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case JSON_NULL:
		return true;
	case JSON_BOOL:
		return a->boolean == b->boolean;
	case JSON_NUMBER:
	case JSON_STRING:
		return strcmp(a->text, b->text) == 0;
	case JSON_ARRAY:
		return a->len == b->len && equal_members(a->members, b->members, a->len);
	case JSON_OBJECT:
		return a->len == b->len && equal_objects(a, b);
	}
	return false;
}
