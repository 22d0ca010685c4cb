/* Fuzz input as what a hostile peer sends to a mux. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct loop;

/* Write the input to fd (the peer's end of a socket pair) and run the loop meanwhile. An even first
 * byte: the rest goes as it is. An odd one: hello, then frames whose headers are made of four bytes
 * (type, stream, length or value), so that a mutation stays a frame. What the other side sends is
 * read and dropped. */
void agent_feed(struct loop *loop, int fd, const uint8_t *data, size_t size);
