/* Messages in a stream: each is a record, its length as four bytes, little endian, before it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct fifo;

#define RECORD_HEADER 4u

/* How many bytes of the record, or of its header, have not come yet. One that is begun is never
 * longer than its header says: look at that before taking more. */
size_t record_missing(const struct fifo *record);
/* Take what belongs to the record, up to the end of its header first; returns how much. */
size_t record_take(struct fifo *record, const uint8_t *data, size_t len);
