/* Strings and growing buffers. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/mem.h"

struct error;

char *str_dup(const char *s); /* NULL gives NULL */
char *str_ndup(const char *s, size_t n);
char *str_fmt(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *str_vfmt(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0), nonnull(1)));

/* A text of the system as Go has it: without the capital at its start, unless it is one of an
 * abbreviation ("CPU time limit exceeded"). */
char *str_uncapital(const char *text);

/* Make hostile bytes fit for a line on a terminal, in place: what is not printable ASCII becomes
 * '?', white space and NUL a blank. */
void str_clean(char *s, size_t len);

bool str_eq(const char *a, const char *b); /* NULL equals only NULL */
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);

/* Length of the valid UTF-8 sequence at the start of s (1 to 4; no overlong forms, surrogates or
 * values beyond U+10FFFF), 0 when there is none in the n bytes. */
size_t str_utf8_len(const char *s, size_t n);

/* Whole-string decimal numbers within [min, max]; -EINVAL or -ERANGE, *out untouched on failure.
 * No sign for the unsigned one, no white space, no other base. */
int str_to_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out);
int str_to_i64(const char *s, int64_t min, int64_t max, int64_t *out);

/* NULL-terminated string vectors. A NULL vector is an empty one. */
#define auto_strv auto_(strv_freep)
size_t strv_len(char *const *v);
void strv_push(char ***v, const char *s); /* copies s */
void strv_take(char ***v, char *s);       /* takes s */
void strv_pushf(char ***v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char **strv_dup(char *const *v);
bool strv_has(char *const *v, const char *s);
char *strv_join(char *const *v, const char *separator);
char **str_split(const char *s, char separator); /* "" gives one empty string */
void strv_free(char **v);
void strv_freep(char ***v);

/* A growing byte buffer; data is always followed by a NUL that len does not count (data may be
 * NULL while the buffer has never been written). */
struct buf {
	char *data;
	size_t len, cap;
};
#define auto_buf auto_(buf_done)
void buf_add(struct buf *b, const void *data, size_t len);
void buf_addc(struct buf *b, char c);
void buf_adds(struct buf *b, const char *s);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void *buf_space(struct buf *b, size_t len); /* room for len more bytes; follow with b->len += n */
void buf_drop(struct buf *b, size_t len);   /* forget the first len bytes */
char *buf_steal(struct buf *b);             /* the string ("" when empty); b is empty afterwards */
void buf_done(struct buf *b);

/* Bytes to lower-case hex, owned by the caller. */
char *str_hex(const void *data, size_t len);
/* Back: exactly len bytes. 0 or -EINVAL. */
int str_unhex(const char *hex, void *data, size_t len);
/* A MAC address as text, owned by the caller. */
char *str_mac(const uint8_t mac[6]);
/* 64-bit FNV-1a: names and cache keys, not for anything hostile. Chain through seed; start with
 * STR_HASH_SEED. */
#define STR_HASH_SEED UINT64_C(0xcbf29ce484222325)
uint64_t str_hash(uint64_t seed, const void *data, size_t len);
