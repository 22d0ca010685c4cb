/* What the backends of agent.h share. */
#pragma once

#include "agent/agent.h"

/* Answers that are known already but, by contract, come from the loop. */
struct later;
struct later *later_new(struct loop *loop);
/* result (taken) or, when it is NULL, the error err (copied). */
void later_add(struct later *l, agent_reply_fn fn, void *arg, struct json *result,
               const struct error *err);
void later_free(struct later *l); /* answers that were not given are dropped */
