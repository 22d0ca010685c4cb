#include <errno.h>
#include <inttypes.h>

#include "lib/base/json.h"
#include "lib/base/str.h"
#include "oci/table-internal.h"

static const struct {
	int64_t min; /* of the signed kinds; the unsigned ones start at 0 */
	uint64_t max;
} number_range[] = {
	[OCI_I32] = { INT32_MIN, INT32_MAX },
	[OCI_I64] = { INT64_MIN, INT64_MAX },
	[OCI_PLAIN_I64] = { INT64_MIN, INT64_MAX },
	[OCI_U16] = { 0, UINT16_MAX },
	[OCI_U32] = { 0, UINT32_MAX },
	[OCI_U64] = { 0, UINT64_MAX },
};

/* Looking up a key of a JSON tree is linear, so many keys in one object would take long. */
#define MAX_KEYS 4096

static int expect(const struct json *j, enum json_type type, const struct oci_at *at,
                  struct error *err)
{
	if (json_type(j) == type)
		return 0;
	return oci_fail(at, NULL, err, "expected %s, not %s", json_type_name(type),
	                json_type_name(json_type(j)));
}

static int expect_object(const struct json *j, const struct oci_at *at, struct error *err)
{
	if (expect(j, JSON_OBJECT, at, err) < 0)
		return -err->code;
	if (json_len(j) > MAX_KEYS)
		return oci_fail(at, NULL, err, "more than %d keys", MAX_KEYS);
	return 0;
}

static int bad_number(const struct json *j, enum oci_kind kind, int r, const struct oci_at *at,
                      struct error *err)
{
	auto_free char *text = str_ndup(json_number_text(j), 40);

	if (r == -EINVAL)
		return oci_fail(at, NULL, err, "expected an integer, not %s", text);
	return oci_fail(at, NULL, err, "%s is out of range (%" PRId64 " to %" PRIu64 ")", text,
	                number_range[kind].min, number_range[kind].max);
}

static int read_number(enum oci_kind kind, void *to, const struct json *j, const struct oci_at *at,
                       struct error *err)
{
	bool is_unsigned = kind == OCI_U16 || kind == OCI_U32 || kind == OCI_U64;
	uint64_t u = 0;
	int64_t i = 0;
	int r;

	if (expect(j, JSON_NUMBER, at, err) < 0)
		return -err->code;
	r = is_unsigned ? json_to_u64(j, &u) : json_to_i64(j, &i);
	if (r == 0 && is_unsigned && u > number_range[kind].max)
		r = -ERANGE;
	if (r == 0 && kind == OCI_I32 && (i < INT32_MIN || i > INT32_MAX))
		r = -ERANGE;
	if (r < 0)
		return bad_number(j, kind, r, at, err);
	if (kind == OCI_U16)
		*(uint16_t *)to = (uint16_t)u;
	else if (kind == OCI_U32)
		*(uint32_t *)to = (uint32_t)u;
	else if (kind == OCI_U64)
		*(uint64_t *)to = u;
	else if (kind == OCI_I32)
		*(int32_t *)to = (int32_t)i;
	else
		*(int64_t *)to = i;
	return 0;
}

static int read_string(char **to, const struct json *j, const struct oci_at *at, struct error *err)
{
	if (expect(j, JSON_STRING, at, err) < 0)
		return -err->code;
	*to = str_dup(json_string(j));
	return 0;
}

static int read_strv(char ***to, const struct json *j, const struct oci_at *at, struct error *err)
{
	size_t n = json_len(j);

	*to = xcalloc(n + 1, sizeof(**to));
	for (size_t i = 0; i < n; i++) {
		const struct oci_at here = { .up = at, .index = i };

		if (read_string(&(*to)[i], json_at(j, i), &here, err) < 0)
			return -err->code;
	}
	return 0;
}

/* The arrays and maps: count is raised element by element, so that a half-read one can be freed. */
static int read_list(const struct oci_field *f, void *elements, size_t *count, const struct json *j,
                     const struct oci_at *at, struct error *err)
{
	bool is_map = f->kind == OCI_MAP || f->kind == OCI_KEYED;
	size_t n = json_len(j);

	for (size_t i = 0; i < n; i++) {
		const struct json *v = is_map ? json_value_at(j, i) : json_at(j, i);
		const char *key = is_map ? json_key_at(j, i) : NULL;
		const struct oci_at here = { .up = at, .name = key, .index = i, .is_key = is_map };
		int r;

		*count = i + 1;
		if (f->kind == OCI_U32S) {
			r = read_number(OCI_U32, (uint32_t *)elements + i, v, &here, err);
		} else if (f->kind == OCI_MAP) {
			struct oci_pair *pair = (struct oci_pair *)elements + i;

			pair->key = str_dup(key);
			r = read_string(&pair->value, v, &here, err);
		} else {
			void *obj = (char *)elements + i * f->type->size;

			if (is_map)
				*oci_key_of(obj) = str_dup(key);
			r = oci_read_fields(f->type, obj, v, &here, err);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static size_t element_size(const struct oci_field *f)
{
	if (f->kind == OCI_U32S)
		return sizeof(uint32_t);
	return f->kind == OCI_MAP ? sizeof(struct oci_pair) : f->type->size;
}

static int read_field(const struct oci_field *f, void *obj, const struct json *j,
                      const struct oci_at *at, struct error *err)
{
	bool is_object = f->kind == OCI_MAP || f->kind == OCI_KEYED;
	void *to = (char *)obj + f->off, *has = (char *)obj + f->aux, *p;
	size_t n;

	switch ((enum oci_kind)f->kind) {
	case OCI_BOOL:
		if (expect(j, JSON_BOOL, at, err) < 0)
			return -err->code;
		*(bool *)to = json_bool(j);
		*(bool *)has = true;
		return 0;
	case OCI_I32:
	case OCI_I64:
	case OCI_U16:
	case OCI_U32:
	case OCI_U64:
		*(bool *)has = true;
		return read_number(f->kind, to, j, at, err);
	case OCI_PLAIN_I64:
		return read_number(f->kind, to, j, at, err);
	case OCI_EMBED:
		*(bool *)has = true;
		return oci_read_fields(f->type, to, j, at, err);
	case OCI_STR:
		return read_string(to, j, at, err);
	case OCI_STRV:
		if (expect(j, JSON_ARRAY, at, err) < 0)
			return -err->code;
		return read_strv(to, j, at, err);
	case OCI_OBJ:
		p = xzalloc(f->type->size);
		oci_set_ptr(obj, f->off, p);
		return oci_read_fields(f->type, p, j, at, err);
	case OCI_U32S:
	case OCI_MAP:
	case OCI_ARRAY:
	case OCI_KEYED:
		break;
	}
	if ((is_object ? expect_object(j, at, err) : expect(j, JSON_ARRAY, at, err)) < 0)
		return -err->code;
	n = json_len(j);
	p = xcalloc(n ? n : 1, element_size(f));
	oci_set_ptr(obj, f->off, p);
	return read_list(f, p, has, j, at, err);
}

static const struct oci_field *find_field(const struct oci_type *type, const char *name)
{
	for (size_t i = 0; i < type->n_fields; i++)
		if (str_eq(type->fields[i].name, name))
			return &type->fields[i];
	return NULL;
}

int oci_read_fields(const struct oci_type *type, void *obj, const struct json *j,
                    const struct oci_at *at, struct error *err)
{
	struct json **extra = obj;

	if (expect_object(j, at, err) < 0)
		return -err->code;
	for (size_t i = 0; i < json_len(j); i++) {
		const char *name = json_key_at(j, i);
		const struct json *v = json_value_at(j, i);
		const struct oci_field *f = find_field(type, name);
		const struct oci_at here = { .up = at, .name = name };

		if (!f || json_type(v) == JSON_NULL) {
			if (!*extra)
				*extra = json_new_object();
			json_set(*extra, name, json_copy(v));
		} else if (read_field(f, obj, v, &here, err) < 0) {
			return -err->code;
		}
	}
	return 0;
}
