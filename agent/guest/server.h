/* The guest's end of the protocol: decodes requests, owns the stdio streams of every process, sends
 * events. When the connection ends, the loop is stopped. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct error;
struct loop;
struct server;

/* Takes fd and says hello at once. Requests wait until server_start(). */
struct server *server_new(struct loop *loop, int fd);
int server_start(struct server *s, struct error *err);
/* The guest could not be brought up: every request but "shutdown" is answered with this. */
void server_set_broken(struct server *s, const struct error *why);
bool server_is_warm(const struct server *s); /* its VM was about to be saved, or is a clone */
void server_free(struct server *s);

void server_child_exited(struct server *s, pid_t pid, int wait_status);
