#pragma once

#include "lib/base/json.h"

struct json_member {
	char *key; /* NULL in an array */
	struct json *value;
};

struct json {
	enum json_type type;
	unsigned line;
	union {
		bool boolean;
		char *text; /* of a string or number */
		struct {
			struct json_member *members;
			size_t len, cap;
		};
	};
};

struct error;

struct json *json_new(enum json_type type);
/* Append without looking for the key. key and value are taken. */
void json_append(struct json *container, char *key, struct json *value);

/* What yajl lets pass or gets wrong: UTF-8 that is not strict, \u escapes of half a surrogate pair,
 * a comment that does not end. Whether it is JSON at all is left to yajl. */
int json_scan(const char *text, size_t len, bool comments, struct error *err);
