/* An epoll loop. One thread, callbacks, no allocation on the hot path. */
#pragma once

#include <signal.h>
#include <stdint.h>

#include "lib/base/mem.h"

struct error;
struct loop;
struct loop_source;

/* events: EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP as reported. */
typedef void (*loop_fd_fn)(int fd, uint32_t events, void *arg);
typedef void (*loop_timer_fn)(void *arg);
typedef void (*loop_signal_fn)(int signo, void *arg);

struct loop *loop_new(void);
void loop_free(struct loop *loop); /* and every source that is left; NULL is fine */

/* Watch a descriptor, which stays the caller's. NULL with errno EPERM for what epoll cannot watch
 * (regular files, /dev/null): those never block. Level triggered. Remove the source
 * before closing the descriptor. */
struct loop_source *loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn fn,
                                void *arg);
void loop_set_events(struct loop_source *source, uint32_t events); /* 0: keep, but ask nothing
                                                                      (errors are still told) */
/* Call fn once after msec milliseconds (CLOCK_MONOTONIC). The source stays until removed; arm it
 * again with loop_rearm(). */
struct loop_source *loop_add_timer(struct loop *loop, unsigned msec, loop_timer_fn fn, void *arg);
void loop_rearm(struct loop_source *timer, unsigned msec);
void loop_disarm(struct loop_source *timer);
/* Block these signals in the process and receive them here (signalfd). */
struct loop_source *loop_add_signals(struct loop *loop, const sigset_t *set, loop_signal_fn fn,
                                     void *arg);
/* Safe from within any callback, also its own; *source becomes NULL; NULL is fine. After this the
 * callback is not called again, even for an event that was already fetched. */
void loop_remove(struct loop_source **source);

/* Run until loop_stop(); returns the value given to it, or -errno. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop, int value);
/* One round, waiting at most msec (-1: no limit). 0 or -errno. For tests and nested waits. */
int loop_step(struct loop *loop, int msec);

uint64_t loop_now_ms(void); /* CLOCK_MONOTONIC */
