/* Values written to files of the kernel, and how to take them back: for several limits that must
 * all be changed, or none. */
#pragma once

#include <stddef.h>

#include "lib/base/mem.h"

struct error;

struct change;
struct changes {
	struct change *v;
	size_t n;
};
#define auto_changes auto_(changes_done)

/* fs_write_value_at(). What was there is remembered in c (NULL: it is not): the line of the file
 * that begins with the first word of value; when there is none, otherwise; when that is NULL, the
 * first line. dir must stay open as long as c is in use. 0 or -errno with err. */
int changes_write(struct changes *c, int dir, const char *file, const char *value,
                  const char *otherwise, struct error *err);
/* Write back what was there, the latest change first; what cannot be written back is told in the
 * log. */
void changes_undo(struct changes *c);
void changes_done(struct changes *c); /* forget */
