/* The socket on which a container's program says that it is ready, as to a service manager: the
 * guest's end of NOTIFY_SOCKET. Only one thing is passed on, that it is ready: what else it may
 * send is taken and dropped. */
#pragma once

struct error;
struct loop;
struct notify;
struct oci_spec;

/* Make a directory of this name below root (made when missing), with the socket in it, and have
 * spec bring both into the container: a mount on /run/notify and NOTIFY_SOCKET in the environment.
 * ready() is called each time when the program has said READY=1. NULL and err on failure. */
struct notify *notify_new(struct loop *loop, const char *root, const char *name,
                          struct oci_spec *spec, void (*ready)(void *arg), void *arg,
                          struct error *err);
/* Take what has arrived, also when the loop has not got to it yet. */
void notify_drain(struct notify *n); /* NULL is fine, */
void notify_free(struct notify *n);  /* here, too */
