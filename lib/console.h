/* Terminals on the host side (CLIENTS.md section 2.2). The line discipline that the user sees is
 * the guest's; the host's pty only carries bytes, so its slave is raw. */
#pragma once

#include <stdbool.h>
#include <termios.h>

struct error;

/* A new pty. *slave is raw and has the given size (0: none yet). Both close-on-exec. */
int console_open(unsigned short height, unsigned short width, int *master, int *slave,
                 struct error *err);
/* Send the master to the socket at path, as runc does: one message, one descriptor. */
int console_send(const char *socket_path, int master, struct error *err);
/* The caller's terminal: a new descriptor of that among stdio which is one (runc's order: standard
 * error first), or of the controlling one. */
int console_find(const int stdio[3], struct error *err);
/* Make a terminal raw, remembering its settings. */
int console_make_raw(int fd, struct termios *saved, struct error *err);
/* Its size; false when it has none. */
bool console_size(int fd, unsigned short *height, unsigned short *width);
