/* The server of a virtio-fs share, virtiofsd: a process of the monitor beside the VMM, which it
 * lets act on files of the share, and on nothing else (DESIGN section 7). */
#pragma once

#include <stdbool.h>

#include "lib/state.h"

struct config;
struct error;

#define FS_SERVER_NAME "virtiofs" /* value of shared_fs */

struct fs_server {
	struct proc_ref ref;
	int pidfd; /* readable when it has ended; -1: none was started */
	int log;
};

bool fs_server_is_wanted(const struct config *c);
/* Before anything is started: is the program there? Content when none is wanted. */
int fs_server_check(const struct config *c, struct error *err);
/* Start it on SHARE_DIR, with its log in dirfd. Returns the VMM's end of the connection, owned by
 * the caller. */
int fs_server_start(struct fs_server *s, const struct config *c, int dirfd, struct error *err);
/* Has it ended, by itself or by a signal, other than because the VMM closed the connection? Waits
 * for its end for at most timeout_ms; the reason is in err then. */
bool fs_server_has_failed(const struct fs_server *s, unsigned timeout_ms, struct error *err);
/* End it; when this returns it has let go of every file. */
void fs_server_stop(struct fs_server *s);

/* NULL-terminated, owned by the caller. has_timeout: the server in C of QEMU up to 7.2. */
char **fs_server_args(const struct config *c, bool has_timeout);
