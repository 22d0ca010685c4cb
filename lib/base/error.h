/* An error is an errno value and one sentence. Whoever adds a fact wraps it; only main() prints. */
#pragma once

#include "lib/base/mem.h"

struct error {
	int code;  /* errno value; 0 means "no error" */
	char *msg; /* owned */
};

#define auto_error auto_(error_clear)

/* All three return -code, so that "return error_sys(err, ...)" reads well. err is never NULL.
 * A message that is already there is replaced (set, sys) or prefixed with "fmt: " (wrap). */
int error_set(struct error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int error_sys(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int error_wrap(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What strerror() says, without the capital at its start: as Go, and so runc, has it, for messages
 * that clients compare. Owned by the caller. */
char *error_text(int code);

/* Forget and free the message; err can be used again. */
void error_clear(struct error *err);

/* Move src into dst (dst's old content is freed, src is left empty). Returns -dst->code. */
int error_move(struct error *dst, struct error *src);
