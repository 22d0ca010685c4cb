#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "lib/unit-properties.h"
#include "lib/base/error.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define PREFIX "org.systemd.property."
#define SEC "Sec"
#define USEC_PER_SEC 1000000
#define LEAST_NAME 3

static const struct number_type {
	const char *word;
	char type;
	int64_t min;
	uint64_t max;
} number_types[] = {
	{ "byte", 'y', 0, UINT8_MAX },
	{ "int16", 'n', INT16_MIN, INT16_MAX },
	{ "uint16", 'q', 0, UINT16_MAX },
	{ "int32", 'i', INT32_MIN, INT32_MAX }, /* that of a number without a type, too */
	{ "uint32", 'u', 0, UINT32_MAX },
	{ "int64", 'x', INT64_MIN, INT64_MAX },
	{ "uint64", 't', 0, UINT64_MAX },
};

/* "uint64 5", "@t 5" or "5". NULL: none of them; *rest is the number. */
static const struct number_type *type_of(const char *value, const char **rest)
{
	const char *space = strchr(value, ' ');
	size_t n = space ? (size_t)(space - value) : 0;

	*rest = space ? space + strspn(space, " ") : value;
	for (size_t i = 0; i < ARRAY_SIZE(number_types); i++) {
		const struct number_type *t = &number_types[i];

		if (!space ? t->type == 'i'
		           : (strlen(t->word) == n && strncmp(t->word, value, n) == 0) ||
		                     (n == 2 && value[0] == '@' && value[1] == t->type))
			return t;
	}
	return NULL;
}

static bool parse_number(struct unit_property *x, const char *value)
{
	const char *rest;
	const struct number_type *t = type_of(value, &rest);
	int64_t negative;

	if (!t)
		return false;
	x->type = t->type;
	if (*rest != '-')
		return str_to_u64(rest, 0, t->max, &x->number) == 0;
	if (str_to_i64(rest, t->min, 0, &negative) < 0)
		return false;
	x->number = (uint64_t)negative;
	return true;
}

static bool parse_text(struct unit_property *x, const char *value)
{
	size_t n = strlen(value);

	/* Escapes are GVariant's own. */
	if (n < 2 || (*value != '\'' && *value != '"') || value[n - 1] != *value ||
	    memchr(value + 1, *value, n - 2) || strchr(value, '\\'))
		return false;
	x->type = 's';
	x->text = str_ndup(value + 1, n - 2);
	return true;
}

static bool parse(struct unit_property *x, const char *value)
{
	if (!str_eq(value, "true") && !str_eq(value, "false"))
		return parse_text(x, value) || parse_number(x, value);
	x->type = 'b';
	x->number = str_eq(value, "true");
	return true;
}

/* systemd's files have seconds, its bus has microseconds. */
static bool to_usec(struct unit_property *x)
{
	if (x->type == 's' || x->type == 'b' || x->number > UINT64_MAX / USEC_PER_SEC)
		return false;
	x->number *= USEC_PER_SEC;
	x->type = 't';
	return true;
}

static bool is_name(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

	return n >= LEAST_NAME && !name[n];
}

static bool is_in_seconds(const char *name)
{
	size_t n = strlen(name), end = strlen(SEC);

	return n > end && str_ends(name, SEC) && name[n - end - 1] >= 'a' &&
	       name[n - end - 1] <= 'z';
}

int unit_properties_annotated(struct unit_properties *p, const struct oci_spec *spec,
                              struct error *err)
{
	for (size_t i = 0; i < spec->n_annotations; i++) {
		const char *key = spec->annotations[i].key, *value = spec->annotations[i].value;
		const char *name = key + strlen(PREFIX);
		auto_free char *usec = NULL;
		bool in_seconds;
		struct unit_property *x;

		if (!str_starts(key, PREFIX))
			continue;
		if (!is_name(name))
			return error_set(err, EINVAL, "annotation '%s': no name of a property",
			                 key);
		in_seconds = is_in_seconds(name);
		if (in_seconds)
			usec = str_fmt("%.*sU" SEC, (int)(strlen(name) - strlen(SEC)), name);
		x = unit_property_add(p, in_seconds ? usec : name, 'b');
		if (!parse(x, value) || (in_seconds && !to_usec(x)))
			return error_set(err, EINVAL,
			                 "annotation '%s': '%s' is no boolean, whole number or "
			                 "text of GVariant",
			                 key, value);
	}
	return 0;
}
