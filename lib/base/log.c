#include "lib/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

struct phase {
	char process[8]; /* "": this one */
	char name[24];
	uint64_t begin, end; /* µs */
};

static struct {
	int fd;
	bool owned; /* fd came from log_open() with a path */
	bool debug;
	enum log_format format;
	uint64_t zero;         /* µs, 0: none yet */
	struct json *warnings; /* where they are collected, or NULL */
	bool holds;
	struct buf held; /* records of warnings, see log_hold() */
	bool keeps_phases;
	struct phase phases[LOG_MAX_PHASES];
	size_t n_phases;
} log_state = { .fd = STDERR_FILENO };

static void log_switch(int fd, bool owned, enum log_format format, bool debug)
{
	if (log_state.owned)
		close_fd(&log_state.fd);
	log_state.fd = fd;
	log_state.owned = owned;
	log_state.format = format;
	log_state.debug = debug;
}

int log_open(const char *path, enum log_format format, bool debug, struct error *err)
{
	int fd = STDERR_FILENO;

	if (path)
		fd = open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
	if (fd < 0)
		return error_sys(err, "open log file '%s'", path);
	log_switch(fd, path != NULL, format, debug);
	return 0;
}

void log_to_fd(int fd, enum log_format format, bool debug)
{
	log_switch(fd, false, format, debug);
}

void log_collect(struct json *list)
{
	log_state.warnings = list;
}

void log_hold(void)
{
	log_state.holds = true;
}

void log_release(int fd)
{
	fs_write_all(fd, log_state.held.data, log_state.held.len);
	buf_done(&log_state.held);
	log_state.holds = false;
}

int log_fd(void)
{
	return log_state.fd;
}

bool log_is_debug(void)
{
	return log_state.debug;
}

bool log_is_stderr(void)
{
	return !log_state.owned;
}

/* The characters that logrus leaves without quotes. */
static bool is_bare(const char *s)
{
	static const char bare[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				   "-._/@^+";

	return s[strspn(s, bare)] == '\0';
}

/* A Go string literal: what strconv.Quote() makes of it, except that every valid character beyond
 * U+009F counts as printable. */
static void add_quoted(struct buf *b, const char *s)
{
	static const char from[] = "\a\b\f\n\r\t\v\"\\", to[] = "abfnrtv\"\\";
	size_t left = strlen(s);

	buf_addc(b, '"');
	while (left > 0) {
		size_t n = str_utf8_len(s, left);
		const char *short_form = strchr(from, *s);
		unsigned char c = (unsigned char)*s;

		if (short_form) {
			buf_addc(b, '\\');
			buf_addc(b, to[short_form - from]);
		} else if (n == 0 || (n == 1 && (c < 0x20 || c == 0x7f))) {
			buf_addf(b, "\\x%02x", c);
		} else if (n == 2 && c == 0xc2 && (unsigned char)s[1] < 0xa0) {
			buf_addf(b, "\\u%04x", (unsigned char)s[1]);
		} else {
			buf_add(b, s, n);
		}
		n = n ? n : 1;
		s += n;
		left -= n;
	}
	buf_addc(b, '"');
}

static void add_text(struct buf *b, const char *when, const char *level, const char *msg)
{
	buf_addf(b, "time=\"%s\" level=%s msg=", when, level);
	if (is_bare(msg))
		buf_adds(b, msg);
	else
		add_quoted(b, msg);
}

static void add_json(struct buf *b, const char *when, const char *level, const char *msg)
{
	auto_json struct json *record = json_new_object();
	auto_free char *text = NULL;

	json_set(record, "level", json_new_string(level));
	json_set(record, "msg", json_new_string(msg));
	json_set(record, "time", json_new_string(when));
	text = json_print(record, false);
	buf_adds(b, text);
}

static void log_record(const char *level, const char *msg)
{
	auto_buf struct buf b = { 0 };
	bool is_warning = str_eq(level, "warning");
	int saved = errno;
	time_t now = time(NULL);
	struct tm tm;
	char when[32] = "1970-01-01T00:00:00Z";

	if (gmtime_r(&now, &tm))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (log_state.format == LOG_JSON)
		add_json(&b, when, level, msg);
	else
		add_text(&b, when, level, msg);
	if (log_state.warnings && is_warning)
		json_add(log_state.warnings, json_new_string(msg));
	buf_addc(&b, '\n');
	/* One write, so that records of several processes do not mix. There is nobody to tell
	 * about a failure. */
	if (log_state.holds && is_warning)
		buf_add(&log_state.held, b.data, b.len);
	else
		fs_write_all(log_state.fd, b.data, b.len);
	errno = saved;
}

uint64_t log_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void log_set_zero(uint64_t us)
{
	log_state.zero = us;
}

uint64_t log_zero(void)
{
	return log_state.zero;
}

static double ms_of(uint64_t us)
{
	return ((double)us - (double)log_state.zero) / 1000;
}

/* The time of a record is in seconds, what takes long is found by milliseconds. */
void log_debug(const char *fmt, ...)
{
	auto_free char *msg = NULL, *timed = NULL;
	va_list ap;

	if (!log_state.debug)
		return;
	if (!log_state.zero)
		log_state.zero = log_now_us();
	va_start(ap, fmt);
	msg = str_vfmt(fmt, ap);
	va_end(ap);
	timed = str_fmt("+%.1f ms: %s", ms_of(log_now_us()), msg);
	log_record("debug", timed);
}

void log_warn(const char *fmt, ...)
{
	auto_free char *msg = NULL;
	va_list ap;

	va_start(ap, fmt);
	msg = str_vfmt(fmt, ap);
	va_end(ap);
	log_record("warning", msg);
}

void log_error(const char *fmt, ...)
{
	auto_free char *msg = NULL;
	va_list ap;

	va_start(ap, fmt);
	msg = str_vfmt(fmt, ap);
	va_end(ap);
	log_record("error", msg);
}

/* ---- the timeline ---- */

void log_keep_phases(void)
{
	log_state.keeps_phases = true;
}

static void keep_phase(const char *process, const char *name, uint64_t begin, uint64_t end)
{
	struct phase *p = &log_state.phases[log_state.n_phases];

	if (log_state.n_phases == LOG_MAX_PHASES)
		return;
	log_state.n_phases++;
	snprintf(p->process, sizeof(p->process), "%s", process);
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->begin = begin;
	p->end = end;
}

void log_phase(const char *name, uint64_t begin_us)
{
	if (log_state.debug || log_state.keeps_phases)
		keep_phase("", name, begin_us, log_now_us());
}

struct log_phase log_phase_begin(const char *name)
{
	return (struct log_phase){ .name = name, .begin = log_now_us() };
}

void log_phase_end(const struct log_phase *p)
{
	log_phase(p->name, p->begin);
}

struct json *log_phases_take(void)
{
	struct json *list = log_state.n_phases ? json_new_array() : NULL;

	for (size_t i = 0; i < log_state.n_phases; i++) {
		struct json *j = json_new_object();

		json_set(j, "name", json_new_string(log_state.phases[i].name));
		json_set(j, "begin", json_new_u64(log_state.phases[i].begin));
		json_set(j, "end", json_new_u64(log_state.phases[i].end));
		json_add(list, j);
	}
	log_state.n_phases = 0;
	return list;
}

void log_phases_add(const char *process, const struct json *phases)
{
	for (size_t i = 0; phases && i < json_len(phases); i++) {
		const struct json *j = json_at(phases, i);
		const char *name = json_get_string(j, "name");
		uint64_t begin = (uint64_t)json_get_i64(j, "begin", 0);

		/* What began before us is not what we are waiting for. */
		if (name && begin >= log_state.zero)
			keep_phase(process, name, begin, (uint64_t)json_get_i64(j, "end", 0));
	}
}

static int by_begin(const void *a, const void *b)
{
	const struct phase *x = a, *y = b;

	return x->begin < y->begin ? -1 : x->begin > y->begin;
}

void log_phases_write(const char *process)
{
	struct phase *list = log_state.phases;

	qsort(list, log_state.n_phases, sizeof(*list), by_begin);
	for (size_t i = 0; i < log_state.n_phases; i++)
		log_debug("timeline: %-7s %-14s %8.1f %8.1f",
		          *list[i].process ? list[i].process : process, list[i].name,
		          ms_of(list[i].begin), ms_of(list[i].end));
	log_state.n_phases = 0;
}
