#include "lib/base/json.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "lib/base/error.h"
#include "lib/base/json-internal.h"
#include "lib/base/str.h"

#define PATH_KEY_MAX 64 /* bytes of a hostile key that a message shows */

struct parser {
	yajl_handle yajl;
	const char *text;
	size_t at; /* up to here lines are counted */
	unsigned line;
	struct json *root;
	struct json *open[JSON_MAX_DEPTH]; /* containers around the current position */
	size_t depth;
	size_t values_left;
	struct error *err;
};

static unsigned current_line(struct parser *p)
{
	size_t now = yajl_get_bytes_consumed(p->yajl);

	for (; p->at < now; p->at++)
		p->line += p->text[p->at] == '\n';
	return p->line;
}

static void path_add_key(struct buf *path, const char *key)
{
	size_t len = strlen(key), shown = 0;

	while (shown < len && shown < PATH_KEY_MAX)
		shown += str_utf8_len(key + shown, len - shown);
	if (path->len > 0)
		buf_addc(path, '.');
	buf_add(path, key, shown);
	if (shown < len)
		buf_adds(path, "...");
}

/* Report what is wrong with the value, or with the key, that was read last. Returns 0, which tells
 * yajl to stop. */
static int refuse(struct parser *p, const char *key, const char *what)
{
	auto_buf struct buf path = { 0 };

	for (size_t i = 0; i < p->depth; i++) {
		const struct json *c = p->open[i];
		bool last = i + 1 == p->depth;

		if (last && key)
			path_add_key(&path, key);
		else if (c->type == JSON_OBJECT && c->len > 0)
			path_add_key(&path, c->members[c->len - 1].key);
		else if (c->type == JSON_ARRAY)
			buf_addf(&path, "[%zu]", c->len - !last);
	}
	if (path.len > 0)
		error_set(p->err, EINVAL, "%s: %s (line %u)", path.data, what, current_line(p));
	else
		error_set(p->err, EINVAL, "line %u: %s", current_line(p), what);
	return 0;
}

/* Whether there may be another value; asked before each. */
static bool take_room(struct parser *p)
{
	if (p->values_left == 0)
		return refuse(p, NULL, "too many values");
	p->values_left--;
	return true;
}

static struct json *add_value(struct parser *p, enum json_type type)
{
	struct json *j = json_new(type);
	struct json *c = p->depth ? p->open[p->depth - 1] : NULL;

	j->line = current_line(p);
	if (!c)
		p->root = j;
	else if (c->type == JSON_ARRAY)
		json_append(c, NULL, j);
	else
		c->members[c->len - 1].value = j;
	return j;
}

static int on_null(void *ctx)
{
	if (!take_room(ctx))
		return 0;
	add_value(ctx, JSON_NULL);
	return 1;
}

static int on_boolean(void *ctx, int value)
{
	if (!take_room(ctx))
		return 0;
	add_value(ctx, JSON_BOOL)->boolean = value;
	return 1;
}

static int on_number(void *ctx, const char *text, size_t len)
{
	if (!take_room(ctx))
		return 0;
	add_value(ctx, JSON_NUMBER)->text = str_ndup(text, len);
	return 1;
}

static int on_string(void *ctx, const unsigned char *s, size_t len)
{
	if (memchr(s, '\0', len))
		return refuse(ctx, NULL, "string contains a NUL character");
	if (!take_room(ctx))
		return 0;
	add_value(ctx, JSON_STRING)->text = str_ndup((const char *)s, len);
	return 1;
}

static int open_container(struct parser *p, enum json_type type)
{
	if (p->depth == JSON_MAX_DEPTH)
		return refuse(p, NULL, "nested too deep");
	if (!take_room(p))
		return 0;
	/* add_value() looks at the parent, so depth grows after it. */
	p->open[p->depth] = add_value(p, type);
	p->depth++;
	return 1;
}

static int on_start_map(void *ctx)
{
	return open_container(ctx, JSON_OBJECT);
}

static int on_start_array(void *ctx)
{
	return open_container(ctx, JSON_ARRAY);
}

static int on_map_key(void *ctx, const unsigned char *key, size_t len)
{
	struct parser *p = ctx;

	if (memchr(key, '\0', len))
		return refuse(p, "", "key contains a NUL character");
	json_append(p->open[p->depth - 1], str_ndup((const char *)key, len), NULL);
	return 1;
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A key that an object has twice, NULL when there is none. Sorted, because whoever sends many keys
 * would like this to take long. */
static const char *duplicate_key(const struct json *object)
{
	auto_free const char **keys = NULL;

	if (object->len < 2)
		return NULL;
	keys = xcalloc(object->len, sizeof(*keys));
	for (size_t i = 0; i < object->len; i++)
		keys[i] = object->members[i].key;
	qsort(keys, object->len, sizeof(*keys), compare_strings);
	for (size_t i = 1; i < object->len; i++)
		if (strcmp(keys[i - 1], keys[i]) == 0)
			return keys[i];
	return NULL;
}

static int on_end_map(void *ctx)
{
	struct parser *p = ctx;
	const char *key = duplicate_key(p->open[p->depth - 1]);

	if (key)
		return refuse(p, key, "duplicate key");
	p->depth--;
	return 1;
}

static int on_end_array(void *ctx)
{
	struct parser *p = ctx;

	p->depth--;
	return 1;
}

static void *yajl_xmalloc(void *ctx, size_t size)
{
	(void)ctx;
	return xmalloc(size);
}

static void *yajl_xrealloc(void *ctx, void *p, size_t size)
{
	(void)ctx;
	return xrealloc(p, size);
}

static void yajl_xfree(void *ctx, void *p)
{
	(void)ctx;
	free(p);
}

static int syntax_error(struct parser *p, size_t at)
{
	unsigned char *text = yajl_get_error(p->yajl, 0, NULL, 0);
	size_t line_start = 0;
	unsigned line = 1;

	for (size_t i = 0; i < at; i++) {
		if (p->text[i] == '\n') {
			line++;
			line_start = i + 1;
		}
	}
	error_set(p->err, EINVAL, "line %u, column %zu: %.*s", line, at - line_start + 1,
	          (int)strcspn((char *)text, "\n"), (char *)text);
	yajl_free_error(p->yajl, text);
	return -EINVAL;
}

static int run_parser(struct parser *p, size_t len)
{
	yajl_status status = yajl_parse(p->yajl, (const unsigned char *)p->text, len);
	size_t consumed = yajl_get_bytes_consumed(p->yajl);

	/* The last byte read is the one it stumbled over. */
	if (status == yajl_status_error)
		return syntax_error(p, consumed ? consumed - 1 : 0);
	if (status == yajl_status_ok)
		status = yajl_complete_parse(p->yajl);
	if (status == yajl_status_client_canceled)
		return -p->err->code;
	if (status == yajl_status_error)
		return syntax_error(p, len);
	return 0;
}

static struct json *parse(const char *text, size_t len, bool comments, size_t max_values,
                          struct error *err)
{
	static const yajl_callbacks callbacks = {
		.yajl_null = on_null,
		.yajl_boolean = on_boolean,
		.yajl_number = on_number,
		.yajl_string = on_string,
		.yajl_start_map = on_start_map,
		.yajl_map_key = on_map_key,
		.yajl_end_map = on_end_map,
		.yajl_start_array = on_start_array,
		.yajl_end_array = on_end_array,
	};
	yajl_alloc_funcs memory = { yajl_xmalloc, yajl_xrealloc, yajl_xfree, NULL };
	struct parser p = { .text = text, .line = 1, .values_left = max_values, .err = err };
	int r;

	if (json_scan(text, len, comments, err) < 0)
		return NULL;
	p.yajl = yajl_alloc(&callbacks, &memory, &p);
	yajl_config(p.yajl, yajl_allow_comments, (int)comments);
	r = run_parser(&p, len);
	yajl_free(p.yajl);
	if (r < 0) {
		json_free(p.root);
		return NULL;
	}
	assert(p.root);
	return p.root;
}

struct json *json_parse(const char *text, size_t len, bool comments, struct error *err)
{
	return parse(text, len, comments, SIZE_MAX, err);
}

struct json *json_parse_capped(const char *text, size_t len, size_t max_values, struct error *err)
{
	return parse(text, len, false, max_values, err);
}
