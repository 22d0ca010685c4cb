/* server.c (the connection) and requests.c (what each request does). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/guest/guest.h"
#include "agent/guest/server.h"
#include "lib/base/error.h"
#include "lib/base/str.h"

struct exits;
struct json;
struct mux;
struct resolver;
struct stdio;

/* A process whose stdio we own. */
struct attached {
	struct attached *next;
	char *container, *process;
	struct stdio *io;
};

struct server {
	struct loop *loop;
	struct mux *mux;
	struct guest *guest;
	struct attached *attached;
	struct exits *exits;
	struct resolver *resolver; /* NULL: the host has none */
	struct request *requests;  /* not answered yet, oldest first */
	struct loop_source *log_source, *off_timer;
	int log_fd, log_end;   /* a pipe: warnings of the agent, on their way to the host */
	struct buf log_text;   /* a part of a line */
	uint64_t off_deadline; /* loop_now_ms() */
	struct error broken;   /* code 0: not at all */
	bool is_debug, has_sandbox, is_warm, is_going_on;
};

/* One request until it is answered. */
struct request {
	struct request *next;
	struct server *server;
	const struct operation *operation;
	int64_t id;
	struct json *args;
	struct json *result; /* of the answer, an object */
	struct json *warnings;
	struct stdio *io; /* of the process that it makes */
	bool is_started;  /* else it waits for one before it */
};

enum kind {
	OP_OTHER,
	OP_CREATE,
	OP_EXEC,
	OP_SIGNAL,
	OP_WINSIZE,
	OP_CHANGE,  /* of limits, or of whether it stands still: one at a time */
	OP_NETWORK, /* of the whole VM: one at a time */
	OP_DELETE,
};

struct operation {
	const char *name;
	enum kind kind;
	/* 0: answer with result; 1: answered by request_done(), perhaps already; else -errno with
	 * err. */
	int (*fn)(struct server *s, struct request *r, struct error *err);
};
const struct operation *operation_find(const char *name);
/* Whether r is to wait until the answer to the older one is known. */
bool request_must_wait(const struct request *r, const struct request *older);

/* End the streams of a request that will not be carried out. Returns -err->code. */
int request_refuse(struct server *s, struct request *r, const struct error *err);

/* Answer and free the request. A guest_done_fn. */
void request_done(void *arg, const struct error *err);

struct attached *server_find(struct server *s, const char *container, const char *process);
void server_attach(struct server *s, const char *container, const char *process, struct stdio *io);
