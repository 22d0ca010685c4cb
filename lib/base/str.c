#include "lib/base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *str_dup(const char *s)
{
	return s ? xmemdup(s, strlen(s) + 1) : NULL;
}

char *str_ndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *copy = xmalloc(len + 1);

	memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

char *str_vfmt(const char *fmt, va_list ap)
{
	auto_buf struct buf b = { 0 };
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	if (n > 0) {
		vsnprintf(buf_space(&b, (size_t)n), (size_t)n + 1, fmt, again);
		b.len = (size_t)n;
	}
	va_end(again);
	return buf_steal(&b);
}

char *str_fmt(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = str_vfmt(fmt, ap);
	va_end(ap);
	return s;
}

char *str_uncapital(const char *text)
{
	char *copy = str_dup(text);

	if (copy[0] >= 'A' && copy[0] <= 'Z' && !(copy[1] >= 'A' && copy[1] <= 'Z'))
		copy[0] = (char)(copy[0] - 'A' + 'a');
	return copy;
}

void str_clean(char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\0' || s[i] == '\n' || s[i] == '\t' || s[i] == '\r')
			s[i] = ' ';
		else if (s[i] < ' ' || s[i] > '~')
			s[i] = '?';
	}
}

bool str_eq(const char *a, const char *b)
{
	if (!a || !b)
		return a == b;
	return strcmp(a, b) == 0;
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t len = strlen(s), n = strlen(suffix);

	return len >= n && memcmp(s + len - n, suffix, n) == 0;
}

size_t str_utf8_len(const char *s, size_t n)
{
	const unsigned char *u = (const unsigned char *)s;
	unsigned char low = 0x80, high = 0xbf; /* bounds of the second byte */
	size_t len;

	if (n == 0)
		return 0;
	if (u[0] < 0x80)
		return 1;
	if (u[0] < 0xc2 || u[0] > 0xf4)
		return 0;
	len = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
	if (u[0] == 0xe0)
		low = 0xa0;
	else if (u[0] == 0xed)
		high = 0x9f;
	else if (u[0] == 0xf0)
		low = 0x90;
	else if (u[0] == 0xf4)
		high = 0x8f;
	if (n < len || u[1] < low || u[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

/* The digits of a number, at least one, nothing else. */
static int parse_digits(const char *s, uint64_t *out)
{
	uint64_t n = 0;
	bool overflow = false;

	if (!*s)
		return -EINVAL;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(n, (uint64_t)10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*s - '0'), &n))
			overflow = true;
	}
	*out = n;
	return overflow ? -ERANGE : 0;
}

int str_to_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t n;
	int r = parse_digits(s, &n);

	if (r < 0)
		return r;
	if (n < min || n > max)
		return -ERANGE;
	*out = n;
	return 0;
}

int str_to_i64(const char *s, int64_t min, int64_t max, int64_t *out)
{
	bool negative = *s == '-';
	uint64_t n;
	int64_t value;
	int r = parse_digits(s + negative, &n);

	if (r < 0)
		return r;
	if (n > (uint64_t)INT64_MAX + negative)
		return -ERANGE;
	/* Unsigned arithmetic, as -INT64_MIN has no int64_t. */
	value = (int64_t)(negative ? 0 - n : n);
	if (value < min || value > max)
		return -ERANGE;
	*out = value;
	return 0;
}

char *str_hex(const void *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *u = data;
	auto_buf struct buf b = { 0 };

	for (size_t i = 0; i < len; i++) {
		buf_addc(&b, digits[u[i] >> 4]);
		buf_addc(&b, digits[u[i] & 15]);
	}
	return buf_steal(&b);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

char *str_mac(const uint8_t mac[6])
{
	return str_fmt("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
	               mac[5]);
}

int str_unhex(const char *hex, void *data, size_t len)
{
	unsigned char *to = data;

	if (strlen(hex) != 2 * len)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		to[i] = (unsigned char)(high << 4 | low);
	}
	return 0;
}

uint64_t str_hash(uint64_t seed, const void *data, size_t len)
{
	const unsigned char *u = data;

	for (size_t i = 0; i < len; i++)
		seed = (seed ^ u[i]) * UINT64_C(0x100000001b3);
	return seed;
}
