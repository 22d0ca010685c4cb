#include <stdlib.h>
#include <string.h>

#include "lib/base/changes.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/str.h"

#define FILE_MAX (64 * 1024)

struct change {
	int dir;
	char *file, *old;
};

/* A file that lists devices has a line for each, whose first word names it. */
static char *line_of(const char *text, const char *value, const char *otherwise)
{
	size_t word = strcspn(value, " \n");

	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (strncmp(line, value, word) == 0 && line[word] == ' ')
			return str_ndup(line, strcspn(line, "\n"));
	return otherwise ? str_dup(otherwise) : str_ndup(text, strcspn(text, "\n"));
}

int changes_write(struct changes *c, int dir, const char *file, const char *value,
                  const char *otherwise, struct error *err)
{
	auto_error struct error ignored = { 0 };
	auto_free char *old = NULL;

	/* What cannot be read cannot be taken back either: that is no reason not to write. */
	if (c)
		fs_read_at(dir, file, FILE_MAX, &old, NULL, &ignored);
	if (fs_write_value_at(dir, file, value, err) < 0)
		return -err->code;
	if (!old)
		return 0;
	c->v = xreallocarray(c->v, c->n + 1, sizeof(*c->v));
	c->v[c->n++] = (struct change){ .dir = dir,
		                        .file = str_dup(file),
		                        .old = line_of(old, value, otherwise) };
	return 0;
}

void changes_undo(struct changes *c)
{
	for (size_t i = c->n; i-- > 0;) {
		auto_error struct error err = { 0 };
		auto_free char *line = str_fmt("%s\n", c->v[i].old); /* also writes "nothing" */

		if (fs_write_value_at(c->v[i].dir, c->v[i].file, line, &err) < 0)
			log_warn("set back what was changed: %s, ignoring", err.msg);
	}
	changes_done(c);
}

void changes_done(struct changes *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->v[i].file);
		free(c->v[i].old);
	}
	free(c->v);
	*c = (struct changes){ 0 };
}
