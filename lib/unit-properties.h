/* Limits as properties of a systemd unit (systemd.resource-control(5),
 * org.freedesktop.systemd1(5)). systemd writes the files of a unit's cgroup again whenever it
 * likes: it has to know what is written there besides. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/base/mem.h"

struct error;
struct oci_spec;

struct unit_property {
	char *name;
	char type;       /* of D-Bus, a basic one but 'd'; 'a': array of bytes */
	uint64_t number; /* two's complement; UINT64_MAX is no limit */
	char *text;      /* 's' */
	unsigned char *bytes;
	size_t len;
};

struct unit_properties {
	struct unit_property *v;
	size_t n;
};
#define auto_unit_properties auto_(unit_properties_done)
void unit_properties_done(struct unit_properties *p);

/* A new one, or the one of that name emptied; borrowed, until the next one is added. */
struct unit_property *unit_property_add(struct unit_properties *p, const char *name, char type);

/* Add what the content of a file in a cgroup (of version 1 or 2) is as a property; one that is
 * there already is replaced. Files that systemd has no property for, and lines that are none of the
 * kernel's, add nothing. "cpu.max" stands for version 1's quota and period, too. */
void unit_properties_add(struct unit_properties *p, const char *file, const char *content);

/* Add what annotations "org.systemd.property.NAME" say, in GVariant's text format: booleans, whole
 * numbers, also with their type ("uint64 5"), and quoted texts. NAMESec in seconds becomes
 * NAMEUSec. 0, or -EINVAL with err naming the annotation. */
int unit_properties_annotated(struct unit_properties *p, const struct oci_spec *spec,
                              struct error *err);
