/* A bound for the logs in a sandbox's directory, which lie in memory and are written by programs
 * that a guest can make talk. The writers never wait for it: they append to plain files, which are
 * cut from time to time. */
#pragma once

#include <stddef.h>

struct loop;
struct log_cap;

#define LOG_CAP_MAX 4

/* Watch n logs (at most LOG_CAP_MAX; -1 is skipped), which stay the caller's, are open for reading
 * and appending, and are appended to by everybody else. One that has grown beyond 1 MiB keeps its
 * first and its last part. There may be more for a second. Never NULL. */
struct log_cap *log_cap_new(struct loop *loop, const int *fds, size_t n);
void log_cap_free(struct log_cap *c); /* NULL is fine */
/* Cut one that is too long, now. */
void log_cap_trim(int fd);
