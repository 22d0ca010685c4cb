#include <stdlib.h>

#include "agent/agent-internal.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"

const struct agent_ops *const agent_backends[] = { &agent_vcrt_ops, &agent_noop_ops, NULL };

const struct agent_ops *agent_find(const char *name)
{
	for (size_t i = 0; agent_backends[i]; i++) {
		if (str_eq(agent_backends[i]->name, name))
			return agent_backends[i];
	}
	return NULL;
}

struct agent *agent_open(const struct agent_ops *ops, struct loop *loop, int fd,
                         const struct agent_events *ev, void *arg)
{
	return ops->open(loop, fd, NULL, ev, arg);
}

struct agent *agent_resume(const struct agent_ops *ops, struct loop *loop, int fd,
                           const struct json *hello, const struct agent_events *ev, void *arg)
{
	return ops->open(loop, fd, hello, ev, arg);
}

void agent_call(struct agent *a, const char *op, struct json *args, agent_reply_fn fn, void *arg)
{
	if (!args)
		args = json_new_object();
	json_set(args, "op", json_new_string(op));
	a->ops->call(a, args, fn, arg);
}

bool agent_is_ready(const struct agent *a)
{
	return a->ready;
}

struct mux *agent_mux(struct agent *a)
{
	return a->ops->mux ? a->ops->mux(a) : NULL;
}

uint32_t agent_next_stream(struct agent *a)
{
	return ++a->last_stream;
}

void agent_close(struct agent *a)
{
	if (a)
		a->ops->close(a);
}

struct later_answer {
	struct later_answer *next;
	agent_reply_fn fn;
	void *arg;
	struct json *result;
	struct error err;
};

struct later {
	struct loop *loop;
	struct loop_source *timer;
	struct later_answer *first;
	bool is_running, is_freed; /* a callback may free the queue */
};

static void answer_free(struct later_answer *a)
{
	json_free(a->result);
	error_clear(&a->err);
	free(a);
}

static void give_answers(void *arg)
{
	struct later *l = arg;

	l->is_running = true;
	while (!l->is_freed && l->first) {
		struct later_answer *a = l->first;

		l->first = a->next;
		if (a->fn)
			a->fn(a->arg, a->result, &a->err);
		answer_free(a);
	}
	l->is_running = false;
	if (l->is_freed)
		later_free(l);
}

struct later *later_new(struct loop *loop)
{
	struct later *l = xzalloc(sizeof(*l));

	l->loop = loop;
	return l;
}

void later_add(struct later *l, agent_reply_fn fn, void *arg, struct json *result,
               const struct error *err)
{
	struct later_answer *a = xzalloc(sizeof(*a));
	struct later_answer **end = &l->first;

	a->fn = fn;
	a->arg = arg;
	a->result = result;
	if (!result)
		error_set(&a->err, err->code, "%s", err->msg);
	while (*end)
		end = &(*end)->next;
	*end = a;
	if (l->timer)
		loop_rearm(l->timer, 0);
	else
		l->timer = loop_add_timer(l->loop, 0, give_answers, l);
}

void later_free(struct later *l)
{
	l->is_freed = true;
	loop_remove(&l->timer);
	while (l->first) {
		struct later_answer *a = l->first;

		l->first = a->next;
		answer_free(a);
	}
	if (!l->is_running)
		free(l);
}
