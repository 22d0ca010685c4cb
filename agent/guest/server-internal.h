/* server.c (the connection) and requests.c (what each request does). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/guest/guest.h"
#include "agent/guest/server.h"
#include "lib/base/error.h"
#include "lib/base/str.h"

struct json;
struct mux;
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
	struct loop_source *log_source, *off_timer;
	int log_fd, log_end;   /* a pipe: warnings of the agent, on their way to the host */
	struct buf log_text;   /* a part of a line */
	uint64_t off_deadline; /* loop_now_ms() */
	struct error broken;   /* code 0: not at all */
	bool is_debug, has_sandbox;
};

/* One request while it is carried out. */
struct request {
	struct server *server;
	int64_t id;
	struct json *args;
	struct json *result; /* of the answer, an object */
};

/* 0: answer with result; 1: answered later, by request_done(); else -errno with err. */
typedef int (*request_fn)(struct server *s, struct request *r, struct error *err);
request_fn request_find(const char *op);

/* End the streams of a request that will not be carried out. Returns -err->code. */
int request_refuse(struct server *s, struct request *r, const struct error *err);

/* Answer and free the request. A guest_done_fn. */
void request_done(void *arg, const struct error *err);

struct attached *server_find(struct server *s, const char *container, const char *process);
void server_attach(struct server *s, const char *container, const char *process, struct stdio *io);
