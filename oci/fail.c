#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "lib/base/str.h"
#include "oci/table-internal.h"

#define QUOTE_MAX 80 /* bytes of a foreign string that a message shows */

char *oci_quote(const char *s)
{
	auto_buf struct buf b = { 0 };
	size_t n = strlen(s), max = n;

	if (n > QUOTE_MAX) /* not inside a UTF-8 sequence */
		for (max = QUOTE_MAX; max > 0 && ((unsigned char)s[max] & 0xc0) == 0x80; max--)
			;
	buf_addc(&b, '"');
	for (size_t i = 0; i < max; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '"' || c == '\\')
			buf_addf(&b, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			buf_addf(&b, "\\x%02x", c);
		else
			buf_addc(&b, (char)c);
	}
	buf_adds(&b, n > max ? "\"..." : "\"");
	return buf_steal(&b);
}

static void add_path(struct buf *b, const struct oci_at *at)
{
	if (!at)
		return;
	add_path(b, at->up);
	if (at->is_key) {
		auto_free char *key = oci_quote(at->name);

		buf_addf(b, "[%s]", key);
	} else if (at->name) {
		buf_addf(b, "%s%s", b->len ? "." : "", at->name);
	} else if (at->up) {
		buf_addf(b, "[%zu]", at->index);
	}
}

int oci_fail(const struct oci_at *at, const char *name, struct error *err, const char *fmt, ...)
{
	const struct oci_at last = { .up = at, .name = name };
	auto_buf struct buf path = { 0 };
	auto_free char *msg = NULL;
	va_list ap;

	va_start(ap, fmt);
	msg = str_vfmt(fmt, ap);
	va_end(ap);
	add_path(&path, name ? &last : at);
	return error_set(err, EINVAL, "%s: %s", path.len ? path.data : "the document", msg);
}
