/* Sizes and times as runc's options have them. */
#pragma once

#include <stdint.h>

/* "50M", "1.5g", "10 KiB", "4096": bytes, by steps of 1024 up to "p"; the case of letters does not
 * matter. 0 or -EINVAL, with *out untouched. */
int size_parse(const char *s, int64_t *out);

/* "5s", "1m30s", "1.5h", "-20ms", "0": nanoseconds, as Go writes a duration (ns, us, ms, s, m, h).
 * 0, -EINVAL or -ERANGE, with *out untouched. */
int time_parse(const char *s, int64_t *out);
