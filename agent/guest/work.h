/* What may take long or hang (reading /proc of a stuck process, a limit that makes the kernel
 * reclaim) is done by a child, so that the agent goes on serving. */
#pragma once

#include <stddef.h>

struct buf;
struct error;
struct loop;
struct work;

/* Child: fills out, 0 or -err->code. */
typedef int (*work_fn)(void *in, struct buf *out, struct error *err);
/* The result (valid during the call only), or NULL with err. Called once, unless cancelled. */
typedef void (*work_done_fn)(void *arg, const char *data, size_t len, const struct error *err);

struct work_plan {
	const char *what; /* constant, for messages: "list the processes" */
	work_fn fn;
	void *in;          /* what fn gets: the child has a copy of all memory */
	int keep;          /* a descriptor that fn uses, -1: none; all others are closed */
	unsigned limit_ms; /* then the child is killed */
	work_done_fn done;
	void *arg;
};

/* NULL with err when no child can be made; done() is not called then. */
struct work *work_start(struct loop *loop, const struct work_plan *plan, struct error *err);
/* Kill the child, whose result nobody wants any more; NULL is fine. *w becomes NULL. */
void work_cancel(struct work **w);
