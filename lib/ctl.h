/* Messages between verbs, shims and the monitor on unix stream sockets: one JSON object and the
 * descriptors that it speaks of. A descriptor is named in the object by its index. Requests carry
 * "op"; answers carry "ok" (an object) or "error" {code, msg}. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/mem.h"

struct error;
struct json;
struct loop;

#define CTL_MAX_MESSAGE (16u << 20) /* bytes of JSON */
#define CTL_MAX_FDS 4096            /* in a message: each bind mount is one */

struct ctl_msg {
	struct json *json; /* an object */
	int *fds;
	size_t n_fds;
};
#define auto_ctl_msg auto_(ctl_msg_freep)

void ctl_msg_free(struct ctl_msg *m); /* closes what was not taken */
void ctl_msg_freep(struct ctl_msg **m);
/* The descriptor whose index is the value of key, the caller's from then on; -1 when there is none.
 */
int ctl_msg_take_fd(struct ctl_msg *m, const char *key);
/* The same for an index found elsewhere in the message. */
int ctl_msg_take_fd_at(struct ctl_msg *m, size_t index);

/* A request under construction: descriptors stay the caller's. */
struct ctl_out {
	struct json *json;
	int *fds;
	size_t n_fds;
};
/* Add a descriptor and set key to its index in object (json itself when NULL); -1 is skipped. */
int ctl_out_fd(struct ctl_out *o, struct json *object, const char *key, int fd, struct error *err);
void ctl_out_done(struct ctl_out *o);

/* Send and receive, waiting at most timeout_ms (negative: no limit). ctl_recv gives NULL and
 * -ECONNRESET in err->code when the peer has closed. */
int ctl_send(int fd, const struct ctl_out *o, struct error *err);
struct ctl_msg *ctl_recv(int fd, int timeout_ms, struct error *err);
/* Send {"error": {code, msg}}: the answer that ctl_answer() turns into an error. A peer that is
 * gone cannot be told. */
void ctl_send_error(int fd, const struct error *why);
/* Whether something has arrived (or the peer has closed) within timeout_ms. */
bool ctl_is_readable(int fd, int timeout_ms);
/* Wait for an answer, turn an "error" answer into err. The "ok" answer otherwise. */
struct ctl_msg *ctl_answer(int fd, int timeout_ms, struct error *err);
/* ctl_send() of what will be answered: when the other side has ended, and said why before, that is
 * the error. */
int ctl_request(int fd, const struct ctl_out *o, struct error *err);
/* ctl_request() and ctl_answer() in one. */
struct ctl_msg *ctl_call(int fd, const struct ctl_out *o, int timeout_ms, struct error *err);

/* A socket pair, both ends close-on-exec. */
int ctl_pair(int fds[2], struct error *err);

/* One end of a connection in a loop (the monitor's side). */
struct ctl_conn;
typedef void (*ctl_message_fn)(struct ctl_conn *c, struct ctl_msg *m, void *arg); /* m: take it */
typedef void (*ctl_closed_fn)(struct ctl_conn *c, void *arg); /* ctl_conn_free() it then */
/* Takes fd. */
struct ctl_conn *ctl_conn_new(struct loop *loop, int fd, ctl_message_fn message,
                              ctl_closed_fn closed, void *arg);
void ctl_conn_free(struct ctl_conn *c); /* safe in its callbacks; NULL is fine */
/* Queue a message without descriptors; json is taken. Never blocks. */
void ctl_conn_send(struct ctl_conn *c, struct json *json);
/* More is queued than a peer that reads would leave: what can be missed should be. */
bool ctl_conn_is_full(const struct ctl_conn *c);
void ctl_conn_ok(struct ctl_conn *c, struct json *result); /* {"ok": result or {}} */
void ctl_conn_error(struct ctl_conn *c, const struct error *err);
