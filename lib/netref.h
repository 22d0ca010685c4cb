/* A network namespace that can be found again after a crash. */
#pragma once

#include <sys/types.h>

struct error;

struct netref {
	char *path; /* as config.json has it, NULL: it was made for the container */
	ino_t ino;  /* 0: there is none */
};

/* The namespace of a process: its descriptor, the caller's, or -errno. Fills ino. */
int netref_open(struct netref *ref, pid_t pid, struct error *err);
/* Take away what monitors that are gone have left in the namespace, if it still exists: there is
 * something at the path, or somewhere else among the mounts, that holds it. */
int netref_clean(const struct netref *ref, struct error *err);
