#include <errno.h>
#include <string.h>

#include "agent/protocol.h"
#include "test/scratch.h"

static int decode(struct frame f, const char **why)
{
	uint8_t bytes[PROTOCOL_HEADER];
	struct frame got = { 0 };
	int r;

	frame_encode(&f, bytes);
	r = frame_decode(bytes, &got, why);
	if (r == 0)
		ck_assert_int_eq(memcmp(&f, &got, sizeof(f)), 0);
	return r;
}

START_TEST(headers_are_sixteen_bytes_little_endian)
{
	static const uint8_t expected[PROTOCOL_HEADER] = {
		0x34, 0x12, 0, 0, 0xef, 0xbe, 0xad, 0xde, 3, 0, 0, 0, 0, 0, 0, 0,
	};
	struct frame f = { .length = 0x1234, .stream = 0xdeadbeef, .type = FRAME_DATA };
	uint8_t bytes[PROTOCOL_HEADER];

	frame_encode(&f, bytes);
	ck_assert_int_eq(memcmp(bytes, expected, sizeof(bytes)), 0);
}
END_TEST

START_TEST(every_type_at_its_longest_is_accepted)
{
	static const struct frame good[] = {
		{ .type = FRAME_HELLO, .length = PROTOCOL_MAX_HELLO },
		{ .type = FRAME_CONTROL, .length = PROTOCOL_MAX_CONTROL },
		{ .type = FRAME_DATA, .length = PROTOCOL_MAX_DATA, .stream = 1 },
		{ .type = FRAME_CREDIT, .stream = UINT32_MAX, .value = UINT32_MAX },
		{ .type = FRAME_EOF, .stream = 1 },
		{ .type = FRAME_CLOSE, .stream = 1 },
	};
	const char *why;

	ck_assert_int_eq(decode(good[_i], &why), 0);
	ck_assert_ptr_null(why);
}
END_TEST

static const struct bad {
	struct frame frame;
	const char *why;
} bad[] = {
	{ { .type = 0 }, "frame of an unknown type" },
	{ { .type = 7 }, "frame of an unknown type" },
	{ { .type = UINT16_MAX }, "frame of an unknown type" },
	{ { .type = FRAME_EOF, .stream = 1, .flags = 1 }, "frame with unknown flags" },
	{ { .type = FRAME_HELLO, .length = PROTOCOL_MAX_HELLO + 1 }, "frame that is too long" },
	{ { .type = FRAME_CONTROL, .length = PROTOCOL_MAX_CONTROL + 1 }, "frame that is too long" },
	{ { .type = FRAME_DATA, .stream = 1, .length = PROTOCOL_MAX_DATA + 1 },
	  "frame that is too long" },
	{ { .type = FRAME_DATA, .stream = 1, .length = UINT32_MAX }, "frame that is too long" },
	{ { .type = FRAME_EOF, .stream = 1, .length = 1 }, "frame that is too long" },
	{ { .type = FRAME_HELLO }, "empty frame" },
	{ { .type = FRAME_CONTROL }, "empty frame" },
	{ { .type = FRAME_DATA, .stream = 1 }, "empty frame" },
	{ { .type = FRAME_DATA, .length = 1 }, "frame on the wrong kind of stream" },
	{ { .type = FRAME_CONTROL, .stream = 1, .length = 1 },
	  "frame on the wrong kind of stream" },
	{ { .type = FRAME_CREDIT, .stream = 1 }, "frame with an odd value" },
	{ { .type = FRAME_DATA, .stream = 1, .length = 1, .value = 1 }, "frame with an odd value" },
};

START_TEST(what_is_not_in_the_protocol_is_refused_with_a_reason)
{
	const char *why;

	ck_assert_int_eq(decode(bad[_i].frame, &why), -EPROTO);
	ck_assert_str_eq(why, bad[_i].why);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("protocol");

	tcase_add_test(tc, headers_are_sixteen_bytes_little_endian);
	tcase_add_loop_test(tc, every_type_at_its_longest_is_accepted, 0, 6);
	tcase_add_loop_test(tc, what_is_not_in_the_protocol_is_refused_with_a_reason, 0,
	                    (int)(sizeof(bad) / sizeof(bad[0])));
	return scratch_run(tc);
}
