/* Answers from the state directory alone; vcrt.h says what they are. */
#pragma once

#include "lib/vcrt.h"

struct error;

int query_state(struct vcrt *v, const char *id, struct vcrt_state *out, struct error *err);
int query_state_json(struct vcrt *v, const char *id, char **text, struct error *err);
int query_list(struct vcrt *v, struct vcrt_state **out, struct error *err);
int query_list_json(struct vcrt *v, char **text, struct error *err);
int query_sandboxes(struct vcrt *v, struct vcrt_sandbox **out, struct error *err);
int query_sandbox_stop(struct vcrt *v, const char *sandbox, struct error *err);
int query_sandbox_monitor(struct vcrt *v, const char *sandbox, struct error *err);
