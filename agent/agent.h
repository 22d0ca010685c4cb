/* The host's view of the agent in a guest: an ops table with two backends, "vcrt" (ours, over a
 * byte stream) and "noop" (answers everything with success, no VM; for tests). All calls return at
 * once; answers come through callbacks from the loop. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct agent;
struct error;
struct json;
struct loop;
struct mux;

struct agent_events {
	void (*ready)(void *arg, const struct json *hello); /* the guest's hello has come */
	void (*event)(void *arg, const char *name, const struct json *event); /* exit, oom */
	/* The stream ended or the guest broke the protocol. Every pending call has been answered
	 * with an error before. Called once. */
	void (*lost)(void *arg, const struct error *err);
};

/* result is the "ok" object, or NULL with err filled. Both belong to the agent. */
typedef void (*agent_reply_fn)(void *arg, const struct json *result, const struct error *err);

struct agent_ops {
	const char *name; /* as in the configuration file */
	/* hello: see agent_resume(), else NULL. */
	struct agent *(*open)(struct loop *loop, int fd, const struct json *hello,
	                      const struct agent_events *ev, void *arg);
	/* Takes request (an object without "id"; "op" is set by agent_call). */
	void (*call)(struct agent *a, struct json *request, agent_reply_fn fn, void *arg);
	struct mux *(*mux)(struct agent *a); /* NULL: no stdio */
	void (*close)(struct agent *a);
};

extern const struct agent_ops *const agent_backends[]; /* NULL-terminated */
const struct agent_ops *agent_find(const char *name);  /* NULL: no such backend */

/* fd (taken) is the stream to the guest; ignored by "noop". */
struct agent *agent_open(const struct agent_ops *ops, struct loop *loop, int fd,
                         const struct agent_events *ev, void *arg);
/* The same for the guest of a VM that was restored from a template, with which hellos were
 * exchanged when that was made: hello, which ready() had got then, is what ready() gets from the
 * loop. */
struct agent *agent_resume(const struct agent_ops *ops, struct loop *loop, int fd,
                           const struct json *hello, const struct agent_events *ev, void *arg);
/* Send a request (args is taken, may be NULL, is the object without "op"). fn may be NULL. Calls
 * before ready() are queued. */
void agent_call(struct agent *a, const char *op, struct json *args, agent_reply_fn fn, void *arg);
bool agent_is_ready(const struct agent *a);
struct mux *agent_mux(struct agent *a);
uint32_t agent_next_stream(struct agent *a); /* a fresh stream number */
void agent_close(struct agent *a); /* pending callbacks are dropped, lost() is not called */

/* Backends embed this first. */
struct agent {
	const struct agent_ops *ops;
	const struct agent_events *events;
	void *arg;
	uint32_t last_stream;
	bool ready;
	bool is_lost; /* the stream has ended: answers from now on are errors made here */
};
extern const struct agent_ops agent_vcrt_ops, agent_noop_ops;
