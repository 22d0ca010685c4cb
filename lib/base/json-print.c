#include "lib/base/json.h"

#include <assert.h>
#include <string.h>
#include <yajl/yajl_gen.h>

#include "lib/base/json-internal.h"
#include "lib/base/str.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static void collect(void *ctx, const char *text, size_t len)
{
	buf_add(ctx, text, len);
}

/* Names of files and arguments may be any bytes, JSON text may not. */
static void print_string(yajl_gen gen, const char *s)
{
	auto_buf struct buf b = { 0 };
	size_t left = strlen(s);

	while (left > 0) {
		size_t n = str_utf8_len(s, left);

		if (n > 0)
			buf_add(&b, s, n);
		else
			buf_adds(&b, REPLACEMENT);
		n = n ? n : 1;
		s += n;
		left -= n;
	}
	yajl_gen_string(gen, (const unsigned char *)(b.data ? b.data : ""), b.len);
}

static void print_raw(yajl_gen gen, const char *text)
{
	yajl_gen_number(gen, text, strlen(text));
}

static void print_value(yajl_gen gen, const struct json *j)
{
	bool object = j->type == JSON_OBJECT;
	yajl_gen_status status;

	switch (j->type) {
	case JSON_NULL:
		yajl_gen_null(gen);
		return;
	case JSON_BOOL:
		yajl_gen_bool(gen, j->boolean);
		return;
	case JSON_NUMBER:
		print_raw(gen, j->text);
		return;
	case JSON_STRING:
		print_string(gen, j->text);
		return;
	case JSON_ARRAY:
	case JSON_OBJECT:
		break;
	}
	/* yajl would put empty lines between the brackets. */
	if (j->len == 0) {
		print_raw(gen, object ? "{}" : "[]");
		return;
	}
	status = object ? yajl_gen_map_open(gen) : yajl_gen_array_open(gen);
	/* yajl's limit is twice that of the parser; built documents are shallow. */
	assert(status == yajl_gen_status_ok);
	for (size_t i = 0; i < j->len; i++) {
		if (object)
			print_string(gen, j->members[i].key);
		print_value(gen, j->members[i].value);
	}
	if (object)
		yajl_gen_map_close(gen);
	else
		yajl_gen_array_close(gen);
}

char *json_print(const struct json *j, bool pretty)
{
	auto_buf struct buf b = { 0 };
	yajl_gen gen = yajl_gen_alloc(NULL);

	assert(gen);
	yajl_gen_config(gen, yajl_gen_print_callback, collect, &b);
	yajl_gen_config(gen, yajl_gen_beautify, pretty);
	yajl_gen_config(gen, yajl_gen_indent_string, "  ");
	print_value(gen, j);
	yajl_gen_free(gen);
	if (pretty && b.len > 0 && b.data[b.len - 1] == '\n')
		b.data[--b.len] = '\0';
	return buf_steal(&b);
}
