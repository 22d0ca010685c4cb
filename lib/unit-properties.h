/* Limits as properties of a systemd unit (systemd.resource-control(5),
 * org.freedesktop.systemd1(5)). systemd writes the files of a unit's cgroup again whenever it
 * likes: it has to know what is written there besides. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/base/mem.h"

struct unit_property {
	const char *name; /* static */
	char type;        /* 't': number, 'y': array of bytes */
	uint64_t number;  /* UINT64_MAX: no limit */
	unsigned char *bytes;
	size_t len;
};

struct unit_properties {
	struct unit_property *v;
	size_t n;
};
#define auto_unit_properties auto_(unit_properties_done)
void unit_properties_done(struct unit_properties *p);

/* Add what the content of a file in a cgroup (of version 1 or 2) is as a property; one that is
 * there already is replaced. Files that systemd has no property for, and lines that are none of the
 * kernel's, add nothing. "cpu.max" stands for version 1's quota and period, too. */
void unit_properties_add(struct unit_properties *p, const char *file, const char *content);
