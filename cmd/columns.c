#include "cmd/columns.h"

#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"

void columns_add(struct columns *c, const char *const *row)
{
	size_t i;

	c->cells = xreallocarray(c->cells, c->n_cells + c->n, sizeof(*c->cells));
	for (i = 0; i < c->n; i++)
		c->cells[c->n_cells++] = str_dup(row[i] ? row[i] : "");
}

/* Characters, not bytes, as the terminal shows them. */
static size_t width_of(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static size_t column_width(const struct columns *c, size_t column)
{
	size_t i, max = c->min_width;

	for (i = column; i < c->n_cells; i += c->n) {
		size_t width = width_of(c->cells[i]) + c->padding;

		if (width > max)
			max = width;
	}
	return max;
}

void columns_print(const struct columns *c, FILE *out)
{
	auto_free size_t *width = xcalloc(c->n, sizeof(*width));
	size_t i;

	for (i = 0; i < c->n; i++)
		width[i] = column_width(c, i);
	for (i = 0; i < c->n_cells; i++) {
		const char *cell = c->cells[i];

		if (i % c->n == c->n - 1)
			fprintf(out, "%s\n", cell);
		else
			fprintf(out, "%s%*s", cell, (int)(width[i % c->n] - width_of(cell)), "");
	}
}

void columns_done(struct columns *c)
{
	size_t i;

	for (i = 0; i < c->n_cells; i++)
		free(c->cells[i]);
	free(c->cells);
	c->cells = NULL;
	c->n_cells = 0;
}
