/* The table of ps, as the options of procps choose it. The host's ps cannot look into a virtual
 * machine, so what people and scripts give it most is done here. */
#pragma once

#include <stddef.h>
#include <stdio.h>

struct error;
struct vcrt_process;

#define PS_MAX_COLUMNS 64

struct ps_column {
	const struct ps_field *field;
	char *title; /* owned */
};

struct ps_table {
	struct ps_column columns[PS_MAX_COLUMNS];
	size_t n;
};

/* Read ps options: none is "-ef"; -e -A -a -d -x a x choose processes and change nothing, as a
 * container's are shown in any case; -f u x -o LIST choose columns. 0 or -EINVAL: an option that is
 * not known here, or no column for the pid, which runc refuses, too. */
int ps_table_parse(struct ps_table *t, char *const *options, struct error *err);
void ps_table_done(struct ps_table *t);

/* The heading and a line for each process. */
void ps_table_print(const struct ps_table *t, const struct vcrt_process *p, size_t n, FILE *out);
