/* The other end of a mux, played by a test frame by frame. */
#pragma once

#include "agent/protocol.h"
#include "lib/base/str.h"

struct loop;
struct mux_events;

struct peer {
	struct loop *loop;
	int fd;
	struct buf in;
	struct frame frame; /* the last one that came, and its payload */
	char *payload;      /* with a NUL after it */
};

/* Makes a pair; the other end is returned, for a mux. */
int peer_init(struct peer *p, struct loop *loop);
void peer_done(struct peer *p);

void peer_send(struct peer *p, enum frame_type type, uint32_t stream, uint32_t value,
               const void *payload, size_t len);
void peer_hello(struct peer *p);
void peer_control(struct peer *p, const char *text);
void peer_data(struct peer *p, uint32_t stream, const char *text);

/* The next frame must be of this type, and on this stream. Runs the loop meanwhile. */
void peer_expect(struct peer *p, enum frame_type type, uint32_t stream);
/* No frame comes within a moment. */
void peer_expect_silence(struct peer *p);
/* The connection is closed by the other side. */
void peer_expect_end(struct peer *p);
/* For a mux whose control frames do not matter, and that must not end. */
extern const struct mux_events peer_quiet_events;
