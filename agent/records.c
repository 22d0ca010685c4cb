#include "agent/mux-internal.h"
#include "agent/records.h"

size_t record_missing(const struct fifo *record)
{
	size_t have = fifo_len(record);

	if (have < RECORD_HEADER)
		return RECORD_HEADER - have;
	return RECORD_HEADER + protocol_get32(fifo_data(record)) - have;
}

size_t record_take(struct fifo *record, const uint8_t *data, size_t len)
{
	size_t need = record_missing(record), n = need < len ? need : len;

	fifo_add(record, data, n);
	return n;
}
