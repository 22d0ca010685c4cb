/* What template.c and template-store.c share. */
#pragma once

#include "lib/template.h"

#define TEMPLATE_FILE "template.json"
#define TEMPLATE_MEMORY "memory"

/* Fill *t; on a failure there is nothing to free. */
int template_load(const char *store, const char *key, struct template *t, struct error *err);
void template_clear(struct template *t); /* free what is in it */
/* Write what t says of itself into its directory. */
int template_write(int dirfd, const struct template *t, struct error *err);
