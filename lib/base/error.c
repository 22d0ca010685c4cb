#include "lib/base/error.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"

/* The arguments of a new message may point into the old one, so it is freed last. */
static int error_replace(struct error *err, int code, char *msg)
{
	free(err->msg);
	err->msg = msg;
	err->code = code;
	return -code;
}

int error_set(struct error *err, int code, const char *fmt, ...)
{
	va_list ap;
	char *msg;

	assert(code > 0);
	va_start(ap, fmt);
	msg = str_vfmt(fmt, ap);
	va_end(ap);
	return error_replace(err, code, msg);
}

int error_sys(struct error *err, const char *fmt, ...)
{
	int code = errno > 0 ? errno : EIO;
	auto_free char *what = NULL;
	va_list ap;

	va_start(ap, fmt);
	what = str_vfmt(fmt, ap);
	va_end(ap);
	return error_replace(err, code, str_fmt("%s: %s", what, strerror(code)));
}

int error_wrap(struct error *err, const char *fmt, ...)
{
	auto_free char *what = NULL;
	va_list ap;

	assert(err->code > 0);
	va_start(ap, fmt);
	what = str_vfmt(fmt, ap);
	va_end(ap);
	return error_replace(err, err->code, str_fmt("%s: %s", what, err->msg));
}

void error_clear(struct error *err)
{
	free(err->msg);
	*err = (struct error){ 0 };
}

int error_move(struct error *dst, struct error *src)
{
	if (dst == src)
		return -dst->code;
	free(dst->msg);
	*dst = *src;
	*src = (struct error){ 0 };
	return -dst->code;
}

char *error_text(int code)
{
	return str_uncapital(strerror(code));
}
