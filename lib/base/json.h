/* A JSON document as a tree, read and written with yajl. The reader is strict because what it
 * reads is hostile: size, depth, duplicate keys, embedded NULs and invalid UTF-8 are errors. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/mem.h"

struct error;
struct json;

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

#define JSON_MAX_DEPTH 64
#define auto_json auto_(json_freep)

/* Parse text of len bytes (the caller caps len). comments: allow C and C++ comments, as the
 * configuration file has. NULL and err on failure; messages say line and column or the path. */
struct json *json_parse(const char *text, size_t len, bool comments, struct error *err);

/* The same with at most max_values values in all, for what a hostile sender may send again and
 * again: a value of two bytes of text takes fifty times as much memory. */
struct json *json_parse_capped(const char *text, size_t len, size_t max_values, struct error *err);

void json_free(struct json *j);
void json_freep(struct json **j);

enum json_type json_type(const struct json *j);
const char *json_type_name(enum json_type t); /* "an object", "a number", ... for messages */
unsigned json_line(const struct json *j);     /* line of the text it came from, 0 when built */

/* Content. The kind must be right (asserted). Numbers keep their text, so nothing is lost. */
bool json_bool(const struct json *j);
const char *json_string(const struct json *j);
const char *json_number_text(const struct json *j);
int json_to_i64(const struct json *j, int64_t *out); /* 0; -EINVAL: not an integer; -ERANGE */
int json_to_u64(const struct json *j, uint64_t *out);
int json_to_double(const struct json *j, double *out);

/* Arrays and objects, in the order of the text. */
size_t json_len(const struct json *j);
const struct json *json_at(const struct json *array, size_t i);
const char *json_key_at(const struct json *object, size_t i);
const struct json *json_value_at(const struct json *object, size_t i);
const struct json *json_get(const struct json *object, const char *key); /* NULL: absent */

/* Builders. Values given to json_set and json_add are owned by the container from then on; NULL
 * values are skipped, so that optional parts need no if. json_set replaces an existing key. */
struct json *json_new_null(void);
struct json *json_new_bool(bool b);
struct json *json_new_i64(int64_t n);
struct json *json_new_u64(uint64_t n);
struct json *json_new_number(const char *text);
struct json *json_new_string(const char *s); /* NULL gives NULL */
struct json *json_new_strv(char *const *v);
struct json *json_new_array(void);
struct json *json_new_object(void);
struct json *json_copy(const struct json *j);                /* NULL gives NULL */
bool json_equal(const struct json *a, const struct json *b); /* key order does not matter */
void json_set(struct json *object, const char *key, struct json *value);
void json_add(struct json *array, struct json *value);
void json_del(struct json *object, const char *key);

/* Text, owned by the caller: compact, or indented by two spaces. No trailing newline. */
char *json_print(const struct json *j, bool pretty);

/* Reading messages: the value of a key when it is there and of that kind, else the default (NULL,
 * dflt). For documents of a user, where a wrong type must be reported, see oci/. object may be
 * NULL or not an object. */
const char *json_get_string(const struct json *object, const char *key);
int64_t json_get_i64(const struct json *object, const char *key, int64_t dflt);
bool json_get_bool(const struct json *object, const char *key, bool dflt);
const struct json *json_get_object(const struct json *object, const char *key);
const struct json *json_get_array(const struct json *object, const char *key);
char **json_get_strv(const struct json *object, const char *key); /* NULL unless all strings */
