#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/protocol.h"
#include "lib/base/loop.h"
#include "test/fuzz/agent_feed.h"

#define ROUNDS 4
#define SHAPE 4 /* bytes that describe a frame */

static void run(struct loop *loop, int fd)
{
	static uint8_t sink[PROTOCOL_MAX_DATA];

	for (int i = 0; i < ROUNDS; i++) {
		loop_step(loop, 0);
		while (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
			;
	}
}

static bool put(struct loop *loop, int fd, const void *data, size_t len)
{
	const uint8_t *next = data;

	while (len > 0) {
		ssize_t n = send(fd, next, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return false; /* ended, or it takes no more: both are fine */
		next += n;
		len -= (size_t)n;
		run(loop, fd);
	}
	return true;
}

static bool put_frame(struct loop *loop, int fd, struct frame f, const void *payload)
{
	uint8_t header[PROTOCOL_HEADER];

	frame_encode(&f, header);
	return put(loop, fd, header, sizeof(header)) && put(loop, fd, payload, f.length);
}

static void put_frames(struct loop *loop, int fd, const uint8_t *data, const uint8_t *end)
{
	static const char hello[] = "{\"vcrt\":1}";
	struct frame f = { .type = FRAME_HELLO, .length = sizeof(hello) - 1 };

	if (!put_frame(loop, fd, f, hello))
		return;
	for (; end - data >= SHAPE; data += f.length) {
		uint32_t number = (uint32_t)(data[2] | data[3] << 8);

		f = (struct frame){ .type = data[0], .stream = data[1] };
		data += SHAPE;
		if (f.type == FRAME_CREDIT)
			f.value = number;
		else if (f.type == FRAME_CONTROL || f.type == FRAME_DATA)
			f.length = number;
		if (f.length > (size_t)(end - data))
			f.length = (uint32_t)(end - data);
		if (!put_frame(loop, fd, f, data))
			return;
	}
}

void agent_feed(struct loop *loop, int fd, const uint8_t *data, size_t size)
{
	run(loop, fd);
	if (size > 0 && data[0] % 2 == 0)
		put(loop, fd, data + 1, size - 1);
	else if (size > 0)
		put_frames(loop, fd, data + 1, data + size);
	run(loop, fd);
}
