#pragma once

struct error;

struct spec_owner {
	unsigned uid, gid;
};

/* The document of "vcrt spec", owned by the caller; rootless: for that user, or NULL. */
char *spec_document(const struct spec_owner *rootless, struct error *err);
