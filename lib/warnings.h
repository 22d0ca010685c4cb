/* Where warnings go that nobody has asked for. */
#pragma once

#include <stdbool.h>

#define MONITOR_LOG "monitor.log" /* in the sandbox's directory */

struct vcrt;

/* Without a log file warnings go to standard error. That of a detached process without a terminal
 * is the process's own: whoever reads the output of a container must not find our words there. So
 * they are kept until warnings_release() puts them into the log of the container's monitor, which
 * lasts as long as its VM; after a failure to the log, before the error. A person at a terminal
 * sees them at once, and so does who asked for debug records.
 * stdio: of the process; console_socket: NULL or empty: none. Returns whether they are kept. */
bool warnings_hold(const int stdio[3], const char *console_socket);
void warnings_release(const struct vcrt *v, const char *id, bool has_failed);
