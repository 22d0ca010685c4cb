/* Children for tests: a shell with a script. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/child.h"

#define SHELL_WAIT_MS 10000 /* longer than anything here takes */

/* Options to run script; argv (of four) must live as long. The rest may be changed before use. */
struct child_opts shell_opts(char **argv, const char *script);

/* The child's standard output, owned by the caller; its exit status must be 0. */
char *shell_output(const struct child_opts *opts, const char *input);

/* Whether the process is gone within SHELL_WAIT_MS. */
bool shell_gone(pid_t pid, unsigned long long start);
