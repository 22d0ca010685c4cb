#include <errno.h>
#include <linux/filter.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/seccomp-filter.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

void seccomp_filter_done(struct seccomp_filter *f)
{
	free(f->code);
	*f = (struct seccomp_filter){ 0 };
}

struct json *seccomp_filter_to_json(const struct seccomp_filter *f)
{
	auto_free char *code = NULL;
	struct json *j;

	if (!f->code)
		return NULL;
	code = str_hex(f->code, f->n * sizeof(*f->code));
	j = json_new_object();
	json_set(j, "flags", json_new_u64(f->flags));
	json_set(j, "code", json_new_string(code));
	return j;
}

int seccomp_filter_from_json(const struct json *j, struct seccomp_filter *f, struct error *err)
{
	const char *code = json_get_string(j, "code");
	int64_t flags = json_get_i64(j, "flags", 0);
	size_t len = code ? strlen(code) / 2 : 0;

	*f = (struct seccomp_filter){ 0 };
	if (!j)
		return 0;
	if (len == 0 || len % sizeof(*f->code) || len / sizeof(*f->code) > BPF_MAXINSNS ||
	    flags < 0 || flags > UINT32_MAX)
		return error_set(err, EINVAL, "linux.seccomp: no filter of the right size");
	f->code = xmalloc(len);
	f->n = len / sizeof(*f->code);
	f->flags = (unsigned)flags;
	if (str_unhex(code, f->code, len) < 0) {
		seccomp_filter_done(f);
		return error_set(err, EINVAL, "linux.seccomp: the filter is not hexadecimal");
	}
	return 0;
}
