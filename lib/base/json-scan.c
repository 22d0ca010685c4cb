#include <errno.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/base/json-internal.h"
#include "lib/base/str.h"

struct scan {
	const char *p, *end;
	const char *line_start;
	unsigned line;
	struct error *err;
};

static int scan_error(const struct scan *s, const char *what)
{
	return error_set(s->err, EINVAL, "line %u, column %zu: %s", s->line,
	                 (size_t)(s->p - s->line_start) + 1, what);
}

static int scan_char(struct scan *s)
{
	size_t n = str_utf8_len(s->p, (size_t)(s->end - s->p));

	if (n == 0)
		return scan_error(s, "invalid UTF-8");
	if (*s->p == '\n') {
		s->line++;
		s->line_start = s->p + 1;
	}
	s->p += n;
	return 0;
}

/* The value of a \uXXXX at p, -1 when there is none. */
static int unicode_escape(const struct scan *s)
{
	int value = 0;

	if (s->end - s->p < 6 || s->p[0] != '\\' || s->p[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++) {
		char c = s->p[i];

		value <<= 4;
		if (c >= '0' && c <= '9')
			value |= c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			value |= (c | 0x20) - 'a' + 10;
		else
			return -1;
	}
	return value;
}

static int scan_escape(struct scan *s)
{
	int value = unicode_escape(s);

	if (value < 0) {
		/* Simple or wrong; one step over the backslash, so that \" does not end it. */
		s->p++;
		return s->p < s->end ? scan_char(s) : 0;
	}
	if (value >= 0xdc00 && value <= 0xdfff)
		return scan_error(s, "half a surrogate pair");
	if (value >= 0xd800 && value <= 0xdbff) {
		s->p += 6;
		value = unicode_escape(s);
		if (value < 0xdc00 || value > 0xdfff)
			return scan_error(s, "half a surrogate pair");
	}
	s->p += 6;
	return 0;
}

static int scan_string(struct scan *s)
{
	s->p++;
	while (s->p < s->end && *s->p != '"') {
		int r = *s->p == '\\' ? scan_escape(s) : scan_char(s);

		if (r < 0)
			return r;
	}
	if (s->p < s->end)
		s->p++;
	return 0;
}

static int scan_comment(struct scan *s)
{
	bool block = s->p[1] == '*';
	struct scan start = *s;

	s->p += 2;
	while (s->p < s->end) {
		if (!block && *s->p == '\n')
			return 0;
		if (block && s->end - s->p >= 2 && s->p[0] == '*' && s->p[1] == '/') {
			s->p += 2;
			return 0;
		}
		if (scan_char(s) < 0)
			return -s->err->code;
	}
	return block ? scan_error(&start, "comment without end") : 0;
}

int json_scan(const char *text, size_t len, bool comments, struct error *err)
{
	struct scan s = { .p = text, .end = text + len, .line_start = text, .line = 1, .err = err };

	while (s.p < s.end) {
		int r;

		if (*s.p == '"')
			r = scan_string(&s);
		else if (comments && *s.p == '/' && s.end - s.p >= 2 &&
		         (s.p[1] == '/' || s.p[1] == '*'))
			r = scan_comment(&s);
		else
			r = scan_char(&s);
		if (r < 0)
			return r;
	}
	return 0;
}
