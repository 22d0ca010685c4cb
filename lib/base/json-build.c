/* Making values, and reading the values of messages. */
#include "lib/base/json.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/json-internal.h"
#include "lib/base/str.h"

struct json *json_new_null(void)
{
	return json_new(JSON_NULL);
}

struct json *json_new_bool(bool b)
{
	struct json *j = json_new(JSON_BOOL);

	j->boolean = b;
	return j;
}

static struct json *new_text(enum json_type type, char *text)
{
	struct json *j = json_new(type);

	j->text = text;
	return j;
}

struct json *json_new_i64(int64_t n)
{
	return new_text(JSON_NUMBER, str_fmt("%" PRId64, n));
}

struct json *json_new_u64(uint64_t n)
{
	return new_text(JSON_NUMBER, str_fmt("%" PRIu64, n));
}

static const char *skip_digits(const char *s)
{
	return s + strspn(s, "0123456789");
}

/* The grammar of RFC 8259 section 6. */
static bool is_number(const char *s)
{
	const char *from = s += *s == '-';

	s = *s == '0' ? s + 1 : skip_digits(s);
	if (s == from)
		return false;
	if (*s == '.') {
		from = ++s;
		s = skip_digits(s);
		if (s == from)
			return false;
	}
	if (*s == 'e' || *s == 'E') {
		s++;
		from = s += *s == '+' || *s == '-';
		s = skip_digits(s);
		if (s == from)
			return false;
	}
	return *s == '\0';
}

struct json *json_new_number(const char *text)
{
	assert(is_number(text));
	return new_text(JSON_NUMBER, str_dup(text));
}

struct json *json_new_string(const char *s)
{
	return s ? new_text(JSON_STRING, str_dup(s)) : NULL;
}

struct json *json_new_strv(char *const *v)
{
	struct json *array = json_new_array();

	for (; v && *v; v++)
		json_add(array, json_new_string(*v));
	return array;
}

struct json *json_new_array(void)
{
	return json_new(JSON_ARRAY);
}

struct json *json_new_object(void)
{
	return json_new(JSON_OBJECT);
}

/* The value of key if it is there and of that type. */
static const struct json *get_typed(const struct json *object, const char *key, enum json_type type)
{
	const struct json *j = NULL;

	if (object && object->type == JSON_OBJECT)
		j = json_get(object, key);
	return j && j->type == type ? j : NULL;
}

const char *json_get_string(const struct json *object, const char *key)
{
	const struct json *j = get_typed(object, key, JSON_STRING);

	return j ? j->text : NULL;
}

int64_t json_get_i64(const struct json *object, const char *key, int64_t dflt)
{
	const struct json *j = get_typed(object, key, JSON_NUMBER);
	int64_t n;

	return j && json_to_i64(j, &n) == 0 ? n : dflt;
}

bool json_get_bool(const struct json *object, const char *key, bool dflt)
{
	const struct json *j = get_typed(object, key, JSON_BOOL);

	return j ? j->boolean : dflt;
}

const struct json *json_get_object(const struct json *object, const char *key)
{
	return get_typed(object, key, JSON_OBJECT);
}

const struct json *json_get_array(const struct json *object, const char *key)
{
	return get_typed(object, key, JSON_ARRAY);
}

char **json_get_strv(const struct json *object, const char *key)
{
	const struct json *array = get_typed(object, key, JSON_ARRAY);
	char **v;

	if (!array)
		return NULL;
	for (size_t i = 0; i < array->len; i++)
		if (array->members[i].value->type != JSON_STRING)
			return NULL;
	v = xcalloc(array->len + 1, sizeof(*v));
	for (size_t i = 0; i < array->len; i++)
		v[i] = str_dup(array->members[i].value->text);
	return v;
}
