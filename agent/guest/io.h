/* The stdio of one process in the guest: from the "io" object of a request to running pumps. */
#pragma once

#include <stdbool.h>

struct error;
struct guest_io;
struct json;
struct loop;
struct mux;
struct stdio;

/* Decode io, make the pipes, and run the pumps (those of a terminal hold what comes until there is
 * one); what the process gets is put into out. NULL and err when a pipe
 * cannot be made; what io says wrong is a breach of the protocol, since its streams are unknown
 * then. io may be NULL: no streams. */
struct stdio *stdio_new(struct loop *loop, struct mux *m, const struct json *io, bool is_terminal,
                        struct guest_io *out, struct error *err);
/* The process exists: its ends of the pipes are closed here. master: that of its terminal (taken),
 * else -1. */
void stdio_attach(struct stdio *io, int master);
int stdio_resize(struct stdio *io, unsigned short height, unsigned short width, struct error *err);
/* Carry out a "connect" of protocol.h about one of its listening sockets. */
int stdio_connect(struct stdio *io, const struct json *request, struct error *err);
/* The process is gone: send what it has written, then the end. */
void stdio_finish(struct stdio *io);
/* Streams that were never attached (the process could not be made) are ended, too. */
void stdio_free(struct stdio *io);
