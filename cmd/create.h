/* What create and run have in common. */
#pragma once

#include "cmd/cmd.h"

struct create_values {
	const char *bundle, *console_socket, *pid_file, *pidfd_socket;
	bool no_pivot, no_new_keyring;
	unsigned preserve_fds;
};

/* Rows of an option table; base: offset of the struct above in the command's values. */
#define CREATE_AT(base, member) ((base) + offsetof(struct create_values, member))
/* clang-format off */
#define CREATE_OPTS(base) \
	{ "bundle", 'b', OPT_STRING, CREATE_AT(base, bundle), NULL, \
	  "directory with config.json; by default the current one" }, \
	{ "console-socket", 0, OPT_STRING, CREATE_AT(base, console_socket), NULL, \
	  "unix socket that receives the master end of the container's terminal" }, \
	{ "pid-file", 0, OPT_STRING, CREATE_AT(base, pid_file), NULL, \
	  "file that receives the pid of the container's stand-in process" }, \
	{ "no-pivot", 0, OPT_BOOL, CREATE_AT(base, no_pivot), NULL, \
	  "change the root directory without pivot_root, for a root file system in RAM" }, \
	{ "no-new-keyring", 0, OPT_BOOL, CREATE_AT(base, no_new_keyring), NULL, \
	  "do not give the container a session keyring of its own" }, \
	{ "preserve-fds", 0, OPT_UINT, CREATE_AT(base, preserve_fds), NULL, \
	  "so many pipes and sockets from descriptor 3 on are handed to the container" }, \
	{ "pidfd-socket", 0, OPT_STRING, CREATE_AT(base, pidfd_socket), NULL, \
	  "unix socket that receives a pidfd of the container's stand-in process" }
/* clang-format on */

void create_fill(struct vcrt_create_options *out, const struct create_values *values,
                 const char *id);
