/* The log, as runc writes it (CLIENTS.md section 4). Library code logs debug and warnings; errors
 * are logged by main() alone. The only mutable globals of the project live in log.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct error;
struct json;

enum log_format { LOG_TEXT, LOG_JSON };

/* Where records go: a file (created, appended, 0644) or standard error when path is NULL. Safe to
 * call again. Returns 0 or -errno. */
int log_open(const char *path, enum log_format format, bool debug, struct error *err);
/* Log to a descriptor that the log does not own (the guest agent's console). */
void log_to_fd(int fd, enum log_format format, bool debug);
/* From now on the texts of warnings are also added to list, an array that stays the caller's; NULL
 * ends it. */
void log_collect(struct json *list);
/* From now on warnings are not written but kept, until log_release() writes them to fd, which stays
 * the caller's; -1: nowhere. */
void log_hold(void);
void log_release(int fd);
int log_fd(void); /* stays the log's */
bool log_is_debug(void);
bool log_is_stderr(void); /* true unless log_open() was given a path */

void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
