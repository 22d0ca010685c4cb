#include <stdlib.h>

#include "lib/base/json.h"
#include "lib/base/str.h"
#include "oci/table-internal.h"

static struct json *write_u32s(const uint32_t *v, size_t n)
{
	struct json *j = json_new_array();

	for (size_t i = 0; i < n; i++)
		json_add(j, json_new_u64(v[i]));
	return j;
}

static struct json *write_pairs(const struct oci_pair *pairs, size_t n)
{
	struct json *j = json_new_object();

	for (size_t i = 0; i < n; i++)
		json_set(j, pairs[i].key, json_new_string(pairs[i].value));
	return j;
}

static struct json *write_list(const struct oci_field *f, const void *obj)
{
	const char *elements = oci_ptr(obj, f->off);
	size_t n = oci_count(obj, f->aux);
	struct json *j;

	if (!elements || (f->omit_empty && n == 0))
		return NULL;
	if (f->kind == OCI_U32S)
		return write_u32s(oci_ptr(obj, f->off), n);
	if (f->kind == OCI_MAP)
		return write_pairs(oci_ptr(obj, f->off), n);
	j = f->kind == OCI_KEYED ? json_new_object() : json_new_array();
	for (size_t i = 0; i < n; i++) {
		const void *element = elements + i * f->type->size;
		struct json *v = oci_write_fields(f->type, element);

		if (f->kind == OCI_KEYED)
			json_set(j, *oci_key_of(element), v);
		else
			json_add(j, v);
	}
	return j;
}

/* NULL: the field is absent. */
static struct json *write_field(const struct oci_field *f, const void *obj)
{
	const void *from = (const char *)obj + f->off;

	if (f->kind <= OCI_EMBED && !oci_has(obj, f->aux))
		return NULL;
	switch ((enum oci_kind)f->kind) {
	case OCI_BOOL:
		return json_new_bool(*(const bool *)from);
	case OCI_I32:
		return json_new_i64(*(const int32_t *)from);
	case OCI_I64:
	case OCI_PLAIN_I64:
		return json_new_i64(*(const int64_t *)from);
	case OCI_U16:
		return json_new_u64(*(const uint16_t *)from);
	case OCI_U32:
		return json_new_u64(*(const uint32_t *)from);
	case OCI_U64:
		return json_new_u64(*(const uint64_t *)from);
	case OCI_EMBED:
		return oci_write_fields(f->type, from);
	case OCI_STR:
		return json_new_string(oci_ptr(obj, f->off));
	case OCI_STRV:
		return oci_ptr(obj, f->off) ? json_new_strv(oci_ptr(obj, f->off)) : NULL;
	case OCI_OBJ:
		return oci_ptr(obj, f->off) ? oci_write_fields(f->type, oci_ptr(obj, f->off))
		                            : NULL;
	case OCI_U32S:
	case OCI_MAP:
	case OCI_ARRAY:
	case OCI_KEYED:
		return write_list(f, obj);
	}
	return NULL;
}

struct json *oci_write_fields(const struct oci_type *type, const void *obj)
{
	const struct json *extra = *(struct json *const *)obj;
	struct json *j = json_new_object();

	for (size_t i = 0; i < type->n_fields; i++)
		json_set(j, type->fields[i].name, write_field(&type->fields[i], obj));
	for (size_t i = 0; extra && i < json_len(extra); i++)
		if (!json_get(j, json_key_at(extra, i)))
			json_set(j, json_key_at(extra, i), json_copy(json_value_at(extra, i)));
	return j;
}

static void free_list(const struct oci_field *f, void *elements, size_t n)
{
	struct oci_pair *pairs = elements;

	for (size_t i = 0; i < n && f->kind == OCI_MAP; i++) {
		free(pairs[i].key);
		free(pairs[i].value);
	}
	for (size_t i = 0; i < n && f->type; i++) {
		void *element = (char *)elements + i * f->type->size;

		if (f->kind == OCI_KEYED)
			free(*oci_key_of(element));
		oci_free_fields(f->type, element);
	}
	free(elements);
}

/* Free what the fields own, not the object itself. */
void oci_free_fields(const struct oci_type *type, void *obj)
{
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct oci_field *f = &type->fields[i];
		void *p;

		if (f->kind == OCI_EMBED)
			oci_free_fields(f->type, (char *)obj + f->off);
		if (f->kind < OCI_STR)
			continue;
		p = oci_ptr(obj, f->off);
		if (!p)
			continue;
		if (f->kind == OCI_STRV)
			strv_free(p);
		else if (f->kind >= OCI_U32S)
			free_list(f, p, oci_count(obj, f->aux));
		else if (f->kind == OCI_OBJ)
			oci_free(f->type, p);
		else
			free(p);
	}
	json_free(*(struct json **)obj);
}

void oci_free(const struct oci_type *type, void *obj)
{
	if (!obj)
		return;
	oci_free_fields(type, obj);
	free(obj);
}
