#include "lib/base/str.h"

#include <stdlib.h>
#include <string.h>

size_t strv_len(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

void strv_push(char ***v, const char *s)
{
	strv_take(v, str_dup(s));
}

void strv_take(char ***v, char *s)
{
	size_t n = strv_len(*v);

	*v = xreallocarray(*v, n + 2, sizeof(**v));
	(*v)[n] = s;
	(*v)[n + 1] = NULL;
}

void strv_pushf(char ***v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strv_take(v, str_vfmt(fmt, ap));
	va_end(ap);
}

char **strv_dup(char *const *v)
{
	size_t n = strv_len(v);
	char **copy;

	if (!v)
		return NULL;
	copy = xcalloc(n + 1, sizeof(*copy));
	for (size_t i = 0; i < n; i++)
		copy[i] = str_dup(v[i]);
	return copy;
}

bool strv_has(char *const *v, const char *s)
{
	for (; v && *v; v++)
		if (strcmp(*v, s) == 0)
			return true;
	return false;
}

char *strv_join(char *const *v, const char *separator)
{
	auto_buf struct buf b = { 0 };

	for (size_t i = 0; v && v[i]; i++) {
		if (i > 0)
			buf_adds(&b, separator);
		buf_adds(&b, v[i]);
	}
	return buf_steal(&b);
}

char **str_split(const char *s, char separator)
{
	size_t n = 1;
	char **v;

	for (const char *p = s; *p; p++)
		n += *p == separator;
	v = xcalloc(n + 1, sizeof(*v));
	for (size_t i = 0; i < n; i++) {
		const char *end = strchrnul(s, separator);

		v[i] = str_ndup(s, (size_t)(end - s));
		s = end + 1;
	}
	return v;
}

void strv_free(char **v)
{
	for (size_t i = 0; v && v[i]; i++)
		free(v[i]);
	free(v);
}

void strv_freep(char ***v)
{
	strv_free(*v);
	*v = NULL;
}
