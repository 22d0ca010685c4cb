#include <stdlib.h>

#include "agent/guest/exits.h"
#include "agent/guest/sandbox.h"
#include "agent/guest/writer.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

/* One of both. */
struct news {
	struct news *next;
	struct json *event;
	void *request;
};

struct exits {
	struct exits_target target;
	struct news *first; /* oldest first */
	size_t n_syncing;   /* of these are told when the share is written back */
	struct writer *writer;
	bool is_syncing, is_telling;
};

static void news_free(struct news *n)
{
	json_free(n->event);
	free(n);
}

void exits_free(struct exits *x)
{
	if (!x)
		return;
	writer_free(x->writer);
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

/* What came after a write-back had begun needs another one: its files may not be in the first. */
static void go_on(struct exits *x)
{
	while (!x->is_syncing && !x->is_telling && x->first) {
		auto_error struct error err = { 0 };
		int share = -1;

		for (const struct news *n = x->first; n; n = n->next)
			x->n_syncing++;
		x->is_syncing = writer_start(x->writer, &err) == 0;
		if (x->is_syncing)
			return;
		log_warn("%s, ignoring", err.msg);
		sandbox_sync(&share, sandbox_has_submounts());
		close_fd(&share);
		tell(x);
	}
}

static void on_synced(void *arg)
{
	struct exits *x = arg;

	x->is_syncing = false;
	tell(x);
	go_on(x);
}

struct exits *exits_new(struct loop *loop, const struct exits_target *target)
{
	struct exits *x = xzalloc(sizeof(*x));

	x->target = *target;
	x->writer = writer_new(loop, on_synced, x);
	return x;
}

int exits_prepare(struct exits *x, struct error *err)
{
	return writer_prepare(x->writer, err);
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
	if (append(x, NULL, request) == x->n_syncing && x->is_syncing)
		x->n_syncing++;
	return true;
}
