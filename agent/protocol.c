#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "agent/protocol.h"

static void put16(uint8_t *out, uint16_t v)
{
	out[0] = (uint8_t)v;
	out[1] = (uint8_t)(v >> 8);
}

void protocol_put32(uint8_t out[4], uint32_t v)
{
	put16(out, (uint16_t)v);
	put16(out + 2, (uint16_t)(v >> 16));
}

static uint16_t get16(const uint8_t *in)
{
	return (uint16_t)(in[0] | in[1] << 8);
}

uint32_t protocol_get32(const uint8_t in[4])
{
	return get16(in) | (uint32_t)get16(in + 2) << 16;
}

void frame_encode(const struct frame *f, uint8_t out[PROTOCOL_HEADER])
{
	protocol_put32(out, f->length);
	protocol_put32(out + 4, f->stream);
	put16(out + 8, f->type);
	put16(out + 10, f->flags);
	protocol_put32(out + 12, f->value);
}

/* What a frame of each type may look like. */
static const struct rule {
	uint32_t min, max; /* length */
	bool has_stream;
	bool has_value;
} rules[] = {
	[FRAME_HELLO] = { .min = 1, .max = PROTOCOL_MAX_HELLO },
	[FRAME_CONTROL] = { .min = 1, .max = PROTOCOL_MAX_CONTROL },
	[FRAME_DATA] = { .min = 1, .max = PROTOCOL_MAX_DATA, .has_stream = true },
	[FRAME_CREDIT] = { .has_stream = true, .has_value = true },
	[FRAME_EOF] = { .has_stream = true },
	[FRAME_CLOSE] = { .has_stream = true },
};

int frame_decode(const uint8_t in[PROTOCOL_HEADER], struct frame *f, const char **why)
{
	struct frame got = {
		.length = protocol_get32(in),
		.stream = protocol_get32(in + 4),
		.type = get16(in + 8),
		.flags = get16(in + 10),
		.value = protocol_get32(in + 12),
	};
	const struct rule *rule;

	*why = NULL;
	if (got.type < FRAME_HELLO || got.type > FRAME_CLOSE) {
		*why = "frame of an unknown type";
		return -EPROTO;
	}
	rule = &rules[got.type];
	if (got.flags != 0)
		*why = "frame with unknown flags";
	else if (got.length > rule->max)
		*why = "frame that is too long";
	else if (got.length < rule->min)
		*why = "empty frame";
	else if ((got.stream != 0) != rule->has_stream)
		*why = "frame on the wrong kind of stream";
	else if ((got.value != 0) != rule->has_value)
		*why = "frame with an odd value";
	if (*why)
		return -EPROTO;
	*f = got;
	return 0;
}
