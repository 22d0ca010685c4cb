/* Descriptors of the caller that a process in the guest gets beyond 0-2, as 3, 4, ...:
 * --preserve-fds and socket activation (LISTEN_FDS). The calls here run in a verb's process;
 * fds-proxy.h is the monitor's side. */
#pragma once

#include <stddef.h>

struct ctl_out;
struct error;
struct json;

struct preserved {
	int first;         /* the caller's first one */
	size_t n;          /* descriptors from there up */
	size_t n_listen;   /* the first of them, for LISTEN_FDS */
	struct json *list; /* an object for each as protocol.h has it, still without streams */
};

#define PRESERVED_NONE ((struct preserved){ .first = 3 })

/* Look at what the caller has there: the sockets of LISTEN_FDS (when its LISTEN_PID is this
 * process), then preserve_fds more. They stay the caller's. Fails when one is not open, or of a
 * kind that cannot be handed to a guest. A descriptor that is close-on-exec is none that the caller
 * has for the container. */
int preserved_find(struct preserved *p, unsigned preserve_fds, struct error *err);
/* The same without LISTEN_FDS, as for exec. */
int preserved_find_only(struct preserved *p, unsigned preserve_fds, struct error *err);
/* Tell the program in the container of the sockets, in its environment. */
void preserved_set_env(const struct preserved *p, char ***env);
/* Add them to a request as "fds". */
int preserved_add(const struct preserved *p, struct ctl_out *request, struct error *err);
/* The container has them now: this process must not keep them open while it runs. */
void preserved_close(struct preserved *p);
void preserved_done(struct preserved *p);
