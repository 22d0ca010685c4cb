#include <stdlib.h>

#include "agent/guest/exits.h"
#include "agent/guest/sandbox.h"
#include "agent/guest/work.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

#define SYNC_MS 30000 /* a share that hangs must not hide that a container has ended */

/* One of both. */
struct news {
	struct news *next;
	struct json *event;
	void *request;
};

struct exits {
	struct loop *loop;
	struct exits_target target;
	struct news *first; /* oldest first */
	size_t n_syncing;   /* of these are told when the share is written back */
	struct work *sync;
	bool is_telling;
};

struct exits *exits_new(struct loop *loop, const struct exits_target *target)
{
	struct exits *x = xzalloc(sizeof(*x));

	x->loop = loop;
	x->target = *target;
	return x;
}

static void news_free(struct news *n)
{
	json_free(n->event);
	free(n);
}

void exits_free(struct exits *x)
{
	if (!x)
		return;
	work_cancel(&x->sync);
	while (x->first) {
		struct news *n = x->first;

		x->first = n->next;
		news_free(n);
	}
	free(x);
}

static size_t append(struct exits *x, struct json *event, void *request)
{
	struct news *n = xzalloc(sizeof(*n)), **end = &x->first;
	size_t before = 0;

	for (; *end; end = &(*end)->next)
		before++;
	n->event = event;
	n->request = request;
	*end = n;
	return before;
}

static void tell(struct exits *x)
{
	const struct error success = { 0 };

	x->is_telling = true;
	for (; x->n_syncing > 0; x->n_syncing--) {
		struct news *n = x->first;

		x->first = n->next;
		if (n->event)
			x->target.send(x->target.arg, n->event);
		else
			x->target.answer(n->request, &success);
		news_free(n);
	}
	x->is_telling = false;
}

/* Child: what hangs here hangs alone. */
static int write_back(void *in, struct buf *out, struct error *err)
{
	(void)in;
	(void)out;
	(void)err;
	sandbox_sync();
	return 0;
}

static void go_on(struct exits *x);

static void on_synced(void *arg, const char *data, size_t len, const struct error *err)
{
	struct exits *x = arg;

	(void)data;
	(void)len;
	x->sync = NULL;
	if (err->code)
		log_warn("%s, ignoring", err->msg);
	tell(x);
	go_on(x);
}

/* What came after a write-back had begun needs another one: its files may not be in the first. */
static void go_on(struct exits *x)
{
	const struct work_plan plan = {
		.what = "write back the share",
		.fn = write_back,
		.keep = -1,
		.limit_ms = SYNC_MS,
		.done = on_synced,
		.arg = x,
	};

	while (!x->sync && !x->is_telling && x->first) {
		auto_error struct error err = { 0 };

		for (const struct news *n = x->first; n; n = n->next)
			x->n_syncing++;
		x->sync = work_start(x->loop, &plan, &err);
		if (x->sync)
			return;
		log_warn("%s, ignoring", err.msg);
		sandbox_sync();
		tell(x);
	}
}

void exits_add(struct exits *x, struct json *event)
{
	append(x, event, NULL);
	go_on(x);
}

bool exits_hold(struct exits *x, void *request)
{
	/* It comes right after the last event: with the same write-back if that is on its way. */
	if (!x->first)
		return false;
	if (append(x, NULL, request) == x->n_syncing && x->sync)
		x->n_syncing++;
	return true;
}
