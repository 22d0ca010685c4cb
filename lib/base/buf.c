#include "lib/base/str.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BUF_MIN 64

/* Room for len more bytes and the NUL. A length that cannot exist becomes one that cannot be
 * allocated. */
static void buf_grow(struct buf *b, size_t len)
{
	size_t need, cap = b->cap ? b->cap : BUF_MIN;

	if (__builtin_add_overflow(b->len, len, &need) || __builtin_add_overflow(need, 1, &need))
		need = SIZE_MAX;
	if (need <= b->cap)
		return;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	b->data = xrealloc(b->data, cap);
	b->cap = cap;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
	buf_grow(b, len);
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void buf_addc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
	auto_free char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	s = str_vfmt(fmt, ap);
	va_end(ap);
	buf_adds(b, s);
}

void *buf_space(struct buf *b, size_t len)
{
	buf_grow(b, len);
	/* However much of it the caller uses, a NUL follows. */
	memset(b->data + b->len, 0, len + 1);
	return b->data + b->len;
}

void buf_drop(struct buf *b, size_t len)
{
	assert(len <= b->len);
	if (len == 0)
		return;
	memmove(b->data, b->data + len, b->len - len + 1);
	b->len -= len;
}

char *buf_steal(struct buf *b)
{
	char *s = b->data ? xrealloc(b->data, b->len + 1) : xzalloc(1);

	*b = (struct buf){ 0 };
	return s;
}

void buf_done(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ 0 };
}
