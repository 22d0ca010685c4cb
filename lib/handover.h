/* Unix sockets of the caller: connecting to one, and handing it a descriptor. */
#pragma once

#include <sys/types.h>

struct error;

/* Connect to the socket at path (of SOCK_STREAM or SOCK_DGRAM), or to the abstract name behind an
 * '@'. what: its name in an error. The descriptor, close-on-exec, is the caller's. */
int handover_connect(int type, const char *path, const char *what, struct error *err);
/* One message: a text, and (unless -1) one descriptor. Never waits for an answer. */
int handover_send(int socket, const char *text, int fd, struct error *err);

/* For --pidfd-socket: connect early, so that a wrong path costs no virtual machine. -1 and no error
 * when path is NULL or empty. */
int pidfd_connect(const char *path, struct error *err);
/* Send a pidfd of the process as runc does. text: "standard", or "setns" for an exec'd process.
 * Nothing to do when socket is -1. */
int pidfd_send(int socket, const char *text, pid_t pid, struct error *err);
