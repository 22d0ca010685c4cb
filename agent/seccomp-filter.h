/* A seccomp filter on its way from the host, which compiles it while the VM boots, to the guest. */
#pragma once

#include <stddef.h>

#include "lib/base/mem.h"

struct error;
struct json;
struct sock_filter;

struct seccomp_filter {
	struct sock_filter *code; /* owned; NULL: no filter */
	size_t n;
	unsigned flags; /* SECCOMP_FILTER_FLAG_* */
};
#define auto_seccomp_filter auto_(seccomp_filter_done)
void seccomp_filter_done(struct seccomp_filter *f);

/* {flags, code (hex)}; NULL: there is none. */
struct json *seccomp_filter_to_json(const struct seccomp_filter *f);
/* j may be NULL. 0 or -EINVAL. */
int seccomp_filter_from_json(const struct json *j, struct seccomp_filter *f, struct error *err);
