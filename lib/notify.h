/* NOTIFY_SOCKET in the environment of who starts a container: it is told, in the protocol of
 * sd_notify(3), when the container's program says that it is ready, and who that is. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct error;
struct record;
struct vcrt;

/* Whether there is somebody to tell: then a container is made so that it can say so. */
bool notify_is_wanted(void);

struct notify {
	int socket;  /* of who is told, -1: nobody */
	int monitor; /* the connection on which the monitor says that the program is ready */
};
#define NOTIFY_NONE ((struct notify){ .socket = -1, .monitor = -1 })

/* Before the container is started. Nothing to do when nobody is to be told, or the container does
 * not exist any more (its start will say so). Fails when the container was made without. */
int notify_open(struct notify *n, struct vcrt *v, const struct record *r, struct error *err);
/* Wait until the program is ready, tell so and that pid stands for it, and wait until that was
 * understood; or until the container has ended. n is closed. */
int notify_wait(struct notify *n, pid_t pid, struct error *err);
/* The same for one message of the monitor, which must be there. pid is this process, which lives
 * on, so that nothing is waited for. n is closed when all is done. */
int notify_take(struct notify *n, pid_t pid, struct error *err);
void notify_close(struct notify *n);
