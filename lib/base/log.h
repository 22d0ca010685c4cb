/* The log, as runc writes it (CLIENTS.md section 4). Library code logs debug and warnings; errors
 * are logged by main() alone. The only mutable globals of the project live in log.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/mem.h"

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

/* ---- the timeline: when what was done, by this process and others ---- */

/* Microseconds of CLOCK_MONOTONIC, which all processes of a host share. */
uint64_t log_now_us(void);
/* What the times of records and of the timeline are counted from; without it, from the first debug
 * record. */
void log_set_zero(uint64_t us);
uint64_t log_zero(void); /* 0: none yet */
/* Phases are kept from now on; with debug they always are. At most LOG_MAX_PHASES. */
#define LOG_MAX_PHASES 64
void log_keep_phases(void);
/* A phase that began then has just ended. name: one word, at most 23 characters. */
void log_phase(const char *name, uint64_t begin_us);
/* The same for a block: auto_phase struct log_phase p = log_phase_begin("launch"); */
struct log_phase {
	const char *name;
	uint64_t begin;
};
struct log_phase log_phase_begin(const char *name);
void log_phase_end(const struct log_phase *p);
#define auto_phase __attribute__((unused)) auto_(log_phase_end)
/* Those of this process, for another one, and forget them: [{name, begin, end}], owned by the
 * caller; NULL: none. */
struct json *log_phases_take(void);
/* Those of another process that began after zero; NULL is fine. */
void log_phases_add(const char *process, const struct json *phases);
/* Write the timeline, a debug record for each phase in the order of their beginnings:
 * "timeline: PROCESS NAME BEGIN END", the times in ms, and forget it. process: our name in it. */
void log_phases_write(const char *process);
