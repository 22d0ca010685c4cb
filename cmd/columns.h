/* A table of text, columns aligned by spaces. */
#pragma once

#include <stddef.h>
#include <stdio.h>

struct columns {
	size_t n, min_width, padding; /* set by the caller; the last column is not padded */
	char **cells;
	size_t n_cells;
};

void columns_add(struct columns *c, const char *const *row); /* copies n cells; NULL is empty */
void columns_print(const struct columns *c, FILE *out);
void columns_done(struct columns *c);
