#include "lib/base/json.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/json-internal.h"
#include "lib/base/str.h"

struct json *json_new(enum json_type type)
{
	struct json *j = xzalloc(sizeof(*j));

	j->type = type;
	return j;
}

static bool is_container(const struct json *j)
{
	return j->type == JSON_ARRAY || j->type == JSON_OBJECT;
}

void json_free(struct json *j)
{
	if (!j)
		return;
	if (j->type == JSON_STRING || j->type == JSON_NUMBER)
		free(j->text);
	if (is_container(j)) {
		for (size_t i = 0; i < j->len; i++) {
			free(j->members[i].key);
			json_free(j->members[i].value);
		}
		free(j->members);
	}
	free(j);
}

void json_freep(struct json **j)
{
	json_free(*j);
	*j = NULL;
}

void json_append(struct json *container, char *key, struct json *value)
{
	if (container->len == container->cap) {
		container->cap = container->cap ? container->cap * 2 : 4;
		container->members = xreallocarray(container->members, container->cap,
		                                   sizeof(*container->members));
	}
	container->members[container->len++] = (struct json_member){ key, value };
}

enum json_type json_type(const struct json *j)
{
	return j->type;
}

const char *json_type_name(enum json_type t)
{
	static const char *const names[] = {
		[JSON_NULL] = "null",       [JSON_BOOL] = "a boolean", [JSON_NUMBER] = "a number",
		[JSON_STRING] = "a string", [JSON_ARRAY] = "an array", [JSON_OBJECT] = "an object",
	};

	return names[t];
}

unsigned json_line(const struct json *j)
{
	return j->line;
}

bool json_bool(const struct json *j)
{
	assert(j->type == JSON_BOOL);
	return j->boolean;
}

const char *json_string(const struct json *j)
{
	assert(j->type == JSON_STRING);
	return j->text;
}

const char *json_number_text(const struct json *j)
{
	assert(j->type == JSON_NUMBER);
	return j->text;
}

int json_to_i64(const struct json *j, int64_t *out)
{
	return str_to_i64(json_number_text(j), INT64_MIN, INT64_MAX, out);
}

int json_to_u64(const struct json *j, uint64_t *out)
{
	const char *text = json_number_text(j);
	bool negative = *text == '-';
	uint64_t n;
	int r = str_to_u64(text + negative, 0, UINT64_MAX, &n);

	if (r < 0)
		return r;
	if (negative && n != 0)
		return -ERANGE;
	*out = n;
	return 0;
}

int json_to_double(const struct json *j, double *out)
{
	double d = strtod(json_number_text(j), NULL);

	if (isinf(d))
		return -ERANGE;
	*out = d;
	return 0;
}

size_t json_len(const struct json *j)
{
	assert(is_container(j));
	return j->len;
}

const struct json *json_at(const struct json *array, size_t i)
{
	assert(array->type == JSON_ARRAY && i < array->len);
	return array->members[i].value;
}

const char *json_key_at(const struct json *object, size_t i)
{
	assert(object->type == JSON_OBJECT && i < object->len);
	return object->members[i].key;
}

const struct json *json_value_at(const struct json *object, size_t i)
{
	assert(object->type == JSON_OBJECT && i < object->len);
	return object->members[i].value;
}

static struct json_member *find(const struct json *object, const char *key)
{
	assert(object->type == JSON_OBJECT);
	for (size_t i = 0; i < object->len; i++)
		if (strcmp(object->members[i].key, key) == 0)
			return &object->members[i];
	return NULL;
}

const struct json *json_get(const struct json *object, const char *key)
{
	const struct json_member *m = find(object, key);

	return m ? m->value : NULL;
}

void json_set(struct json *object, const char *key, struct json *value)
{
	struct json_member *m = find(object, key);

	if (!value)
		return;
	if (m) {
		json_free(m->value);
		m->value = value;
	} else {
		json_append(object, str_dup(key), value);
	}
}

void json_add(struct json *array, struct json *value)
{
	assert(array->type == JSON_ARRAY);
	if (value)
		json_append(array, NULL, value);
}

void json_del(struct json *object, const char *key)
{
	struct json_member *m = find(object, key);

	if (!m)
		return;
	free(m->key);
	json_free(m->value);
	object->len--;
	memmove(m, m + 1, (size_t)(object->members + object->len - m) * sizeof(*m));
}

struct json *json_copy(const struct json *j)
{
	struct json *copy = j ? json_new(j->type) : NULL;

	if (!j)
		return NULL;
	copy->line = j->line;
	if (j->type == JSON_BOOL)
		copy->boolean = j->boolean;
	if (j->type == JSON_STRING || j->type == JSON_NUMBER)
		copy->text = str_dup(j->text);
	if (is_container(j))
		for (size_t i = 0; i < j->len; i++)
			json_append(copy, str_dup(j->members[i].key),
			            json_copy(j->members[i].value));
	return copy;
}
