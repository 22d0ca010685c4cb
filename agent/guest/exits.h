/* What the host hears of the end of processes: each with the share written back since, which takes
 * as long as it takes and holds up nobody else. */
#pragma once

#include <stdbool.h>

struct error;
struct exits;
struct json;
struct loop;

/* Where it goes. Both are called from the loop, or from within exits_add(). */
struct exits_target {
	void (*send)(void *arg, const struct json *event);
	void (*answer)(void *request, const struct error *err);
	void *arg; /* of send */
};

struct exits *exits_new(struct loop *loop, const struct exits_target *target);
/* Get ready what the first one needs. */
int exits_prepare(struct exits *x, struct error *err);
void exits_free(struct exits *x); /* what has not been sent yet is not; NULL is fine */
/* Send the event, which is taken, once the share is written back. One after the other. */
void exits_add(struct exits *x, struct json *event);
/* Answer the request with success after what is on its way now. False: nothing is. */
bool exits_hold(struct exits *x, void *request);
