#include <string.h>

#include "lib/base/str.h"
#include "oci/table-internal.h"

static bool is_absolute(const char *s)
{
	return *s == '/';
}

static bool is_not_empty(const char *s)
{
	return *s != '\0';
}

const struct oci_rule oci_rule_absolute = { .what = "must be an absolute path",
	                                    .is_ok = is_absolute };
const struct oci_rule oci_rule_not_empty = { .what = "must not be empty", .is_ok = is_not_empty };

static int check_string(const struct oci_rule *rule, const char *s, const struct oci_at *at,
                        struct error *err)
{
	auto_free char *quoted = NULL;

	if (rule->names ? strv_has((char *const *)rule->names, s) : rule->is_ok(s))
		return 0;
	if (!*s)
		return oci_fail(at, NULL, err, "must not be empty");
	quoted = oci_quote(s);
	if (rule->names)
		return oci_fail(at, NULL, err, "unknown %s %s", rule->what, quoted);
	return oci_fail(at, NULL, err, "%s, not %s", rule->what, quoted);
}

static bool is_present(const struct oci_field *f, const void *obj)
{
	if (f->kind <= OCI_EMBED)
		return oci_has(obj, f->aux);
	return f->kind == OCI_PLAIN_I64 || oci_ptr(obj, f->off);
}

static int check_strv(const struct oci_field *f, char *const *v, const struct oci_at *at,
                      struct error *err)
{
	int r = 0;

	for (size_t i = 0; f->rule && v[i] && r == 0; i++) {
		const struct oci_at here = { .up = at, .index = i };

		r = check_string(f->rule, v[i], &here, err);
	}
	return r;
}

static int check_list(const struct oci_field *f, const void *obj, const struct oci_at *at,
                      struct error *err)
{
	const char *elements = oci_ptr(obj, f->off);
	const struct oci_pair *pairs = oci_ptr(obj, f->off);
	size_t n = oci_count(obj, f->aux);
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		struct oci_at here = { .up = at, .index = i };

		if (f->kind == OCI_MAP) {
			here.name = pairs[i].key;
		} else if (f->kind == OCI_KEYED) {
			here.name = *oci_key_of(elements + i * f->type->size);
		}
		here.is_key = here.name;
		/* The rule of a map is about its keys. */
		if (f->rule && here.name)
			r = check_string(f->rule, here.name, &here, err);
		if (r == 0 && f->type)
			r = oci_check_fields(f->type, elements + i * f->type->size, &here, err);
	}
	return r;
}

static int check_field(const struct oci_field *f, const void *obj, const struct oci_at *at,
                       struct error *err)
{
	const char *s;

	switch ((enum oci_kind)f->kind) {
	case OCI_EMBED:
		return oci_check_fields(f->type, (const char *)obj + f->off, at, err);
	case OCI_OBJ:
		return oci_check_fields(f->type, oci_ptr(obj, f->off), at, err);
	case OCI_STR:
		s = oci_ptr(obj, f->off);
		if (!f->rule || (!*s && !f->required))
			return 0;
		return check_string(f->rule, s, at, err);
	case OCI_STRV:
		return check_strv(f, oci_ptr(obj, f->off), at, err);
	case OCI_U32S:
	case OCI_MAP:
	case OCI_ARRAY:
	case OCI_KEYED:
		return check_list(f, obj, at, err);
	default:
		return 0;
	}
}

int oci_check_fields(const struct oci_type *type, const void *obj, const struct oci_at *at,
                     struct error *err)
{
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct oci_field *f = &type->fields[i];
		const struct oci_at here = { .up = at, .name = f->name };

		if (!is_present(f, obj)) {
			if (f->required)
				return oci_fail(&here, NULL, err, "required, but missing");
		} else if (check_field(f, obj, &here, err) < 0) {
			return -err->code;
		}
	}
	return type->check ? type->check(obj, at, err) : 0;
}
