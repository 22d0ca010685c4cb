/* The monitor's side of what a process in the guest has beyond 0-2: bytes between the caller's
 * descriptors (fds.h) and the guest. A listening socket is accepted from here, and each connection
 * goes to the guest's own socket on streams of its own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ctl_msg;
struct fds_proxy;
struct json;
struct process;

/* Take the descriptors out of a request; NULL: there are none. All other calls accept NULL. */
struct fds_proxy *fds_proxy_new(struct process *p, struct ctl_msg *msg);
size_t fds_proxy_streams(const struct fds_proxy *f); /* that fds_proxy_open() needs */
/* The "fds" of the agent's request. Bytes flow from here on: send it in the same callback. NULL
 * when there are none, or (there are too many streams) *failed is set. */
struct json *fds_proxy_open(struct fds_proxy *f, bool *failed);
/* The program runs: connections that came before are accepted now. */
void fds_proxy_listen(struct fds_proxy *f);
/* The process has ended. What it has written still comes: process_output_done() is called as that
 * gets to its end. */
void fds_proxy_exited(struct fds_proxy *f);
bool fds_proxy_is_done(const struct fds_proxy *f);
/* Bytes that came from the guest so far; whether a reader of the caller's makes more wait. */
uint64_t fds_proxy_bytes(const struct fds_proxy *f, bool *is_blocked);
void fds_proxy_free(struct fds_proxy *f);
