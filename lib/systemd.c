#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "lib/systemd.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/library.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"

#define LIBRARY "libsystemd.so.0"
#define OWN_SOCKET "unix:path=/run/systemd/private"
#define NAME "org.freedesktop.systemd1"
#define OBJECT "/org/freedesktop/systemd1"
#define INTERFACE NAME ".Manager"
#define USEC_PER_MSEC 1000

#define FUNCTIONS(X)                                                                               \
	X(sd_bus_open_system)                                                                      \
	X(sd_bus_new)                                                                              \
	X(sd_bus_set_address)                                                                      \
	X(sd_bus_start)                                                                            \
	X(sd_bus_set_method_call_timeout)                                                          \
	X(sd_bus_is_ready)                                                                         \
	X(sd_bus_process)                                                                          \
	X(sd_bus_wait)                                                                             \
	X(sd_bus_call)                                                                             \
	X(sd_bus_close_unref)                                                                      \
	X(sd_bus_match_signal)                                                                     \
	X(sd_bus_error_free)                                                                       \
	X(sd_bus_message_unref)                                                                    \
	X(sd_bus_message_new_method_call)                                                          \
	X(sd_bus_message_append)                                                                   \
	X(sd_bus_message_append_array)                                                             \
	X(sd_bus_message_open_container)                                                           \
	X(sd_bus_message_close_container)                                                          \
	X(sd_bus_message_read)

/* libsystemd, as far as it is used. */
struct functions {
	FUNCTIONS(LIBRARY_FIELD)
};

struct systemd {
	void *library;
	struct functions f;
	sd_bus *bus;
	uint64_t end; /* ms of the monotonic clock */
	char *job;    /* that is waited for */
	char *result; /* its result, once it is known */
};

bool systemd_is_running(void)
{
	return fs_exists("/run/systemd/system");
}

/* ---- connecting ---- */

static int load(struct systemd *s, struct error *err)
{
	static const char *const names[] = { FUNCTIONS(LIBRARY_NAME) NULL };

	s->library = library_load(LIBRARY, names, &s->f, err);
	return s->library ? 0 : -err->code;
}

/* Microseconds that are left, 0: none. */
static uint64_t time_left(const struct systemd *s)
{
	uint64_t now = loop_now_ms();

	return now < s->end ? (s->end - now) * USEC_PER_MSEC : 0;
}

/* Deal with what has come in, or wait for something. 0, -ETIMEDOUT, or another error of the bus. */
static int step(struct systemd *s)
{
	int r = s->f.sd_bus_process(s->bus, NULL);

	if (r != 0)
		return r < 0 ? r : 0;
	if (time_left(s) == 0)
		return -ETIMEDOUT;
	r = s->f.sd_bus_wait(s->bus, time_left(s));
	return r < 0 && r != -EINTR ? r : 0;
}

static int wait_until_ready(struct systemd *s)
{
	int r = 0;

	while (r == 0 && (r = s->f.sd_bus_is_ready(s->bus)) == 0)
		r = step(s);
	return r < 0 ? r : 0;
}

static void disconnect(struct systemd *s)
{
	if (s->bus)
		s->f.sd_bus_close_unref(s->bus);
	s->bus = NULL;
}

static int open_own_socket(struct systemd *s)
{
	int r = s->f.sd_bus_new(&s->bus);

	if (r >= 0)
		r = s->f.sd_bus_set_address(s->bus, OWN_SOCKET);
	return r < 0 ? r : s->f.sd_bus_start(s->bus);
}

/* A host may have systemd but no bus. */
static int open_bus(struct systemd *s, struct error *err)
{
	auto_free char *text = NULL;
	int own, r = s->f.sd_bus_open_system(&s->bus);

	if (r >= 0)
		r = wait_until_ready(s);
	if (r < 0 && r != -ETIMEDOUT) {
		disconnect(s);
		own = open_own_socket(s);
		if (own >= 0)
			own = wait_until_ready(s);
		/* Without either it is the bus that is missed. */
		if (own >= 0 || own == -ETIMEDOUT)
			r = own;
	}
	if (r >= 0)
		return 0;
	text = error_text(-r);
	return error_set(err, -r, "connect to the system bus: %s",
	                 r == -ETIMEDOUT ? "no answer" : text);
}

struct systemd *systemd_connect(unsigned timeout_ms, struct error *err)
{
	auto_systemd struct systemd *s = NULL;

	if (geteuid() != 0) {
		error_set(err, EPERM, "systemd cgroups are for root only");
		return NULL;
	}
	s = xzalloc(sizeof(*s));
	s->end = loop_now_ms() + timeout_ms;
	if (load(s, err) < 0 || open_bus(s, err) < 0)
		return NULL;
	/* For calls that the library makes by itself. */
	s->f.sd_bus_set_method_call_timeout(s->bus, time_left(s) + 1);
	return steal_ptr(&s);
}

/* The library stays in memory: it has registered what is to be done at the end of a thread. */
void systemd_free(struct systemd *s)
{
	if (!s)
		return;
	disconnect(s);
	free(s->job);
	free(s->result);
	free(s);
}

void systemd_freep(struct systemd **s)
{
	systemd_free(*s);
}

/* ---- calls ---- */

static int build_failed(int r, const char *method, struct error *err)
{
	return error_set(err, -r, "make the request '%s' of systemd: %s", method, strerror(-r));
}

static int new_call(const struct systemd *s, const char *method, sd_bus_message **m,
                    struct error *err)
{
	int r = s->f.sd_bus_message_new_method_call(s->bus, m, NAME, OBJECT, INTERFACE, method);

	return r < 0 ? build_failed(r, method, err) : 0;
}

/* Which errno a refusal is; what nobody asks for by name is a failure of the request. */
static int code_of(const sd_bus_error *e, int r)
{
	if (str_eq(e->name, NAME ".UnitExists"))
		return EEXIST;
	if (str_eq(e->name, NAME ".NoSuchUnit"))
		return ENOENT;
	return r < 0 ? -r : EIO;
}

/* m is used up. *reply may be NULL. 0 or -errno with the words of systemd. */
static int call(struct systemd *s, sd_bus_message *m, sd_bus_message **reply, struct error *err)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	uint64_t left = time_left(s);
	/* 0 would be the library's own limit. */
	int r = left ? s->f.sd_bus_call(s->bus, m, left, &e, reply) : -ETIMEDOUT;

	s->f.sd_bus_message_unref(m);
	if (r == -ETIMEDOUT)
		error_set(err, ETIMEDOUT, "no answer from systemd");
	else if (r < 0)
		error_set(err, code_of(&e, r), "%s", e.message ? e.message : strerror(-r));
	s->f.sd_bus_error_free(&e);
	return -err->code;
}

static int call_with_unit(struct systemd *s, const char *method, const char *unit, const char *mode,
                          sd_bus_message **reply, struct error *err)
{
	sd_bus_message *m = NULL;
	int r;

	if (new_call(s, method, &m, err) < 0)
		return -err->code;
	r = s->f.sd_bus_message_append(m, "s", unit);
	if (r >= 0 && mode)
		r = s->f.sd_bus_message_append(m, "s", mode);
	if (r >= 0)
		return call(s, m, reply, err);
	s->f.sd_bus_message_unref(m);
	return build_failed(r, method, err);
}

/* ---- jobs ---- */

static int on_job_removed(sd_bus_message *m, void *arg, sd_bus_error *unused)
{
	struct systemd *s = arg;
	const char *job, *unit, *result;
	uint32_t id;

	(void)unused;
	if (s->f.sd_bus_message_read(m, "uoss", &id, &job, &unit, &result) >= 0 &&
	    str_eq(job, s->job) && !s->result)
		s->result = str_dup(result);
	return 0;
}

/* Before the job is started, so that its end is not missed. */
static int watch_jobs(struct systemd *s, struct error *err)
{
	sd_bus_message *m = NULL;
	int r = s->f.sd_bus_match_signal(s->bus, NULL, NULL, OBJECT, INTERFACE, "JobRemoved",
	                                 on_job_removed, s);

	if (r < 0)
		return error_set(err, -r, "watch the jobs of systemd: %s", strerror(-r));
	if (new_call(s, "Subscribe", &m, err) < 0 || call(s, m, NULL, err) < 0)
		return error_wrap(err, "watch the jobs of systemd");
	return 0;
}

/* reply: of the call that has started the job. 0 when it is over, s->result says how. */
static int wait_for_job(struct systemd *s, sd_bus_message *reply, struct error *err)
{
	const char *job;
	int r = s->f.sd_bus_message_read(reply, "o", &job);

	if (r >= 0) {
		free(s->job);
		s->job = str_dup(job);
		auto_freep(&s->result);
	}
	while (r >= 0 && !s->result)
		r = step(s);
	if (r == -ETIMEDOUT)
		return error_set(err, ETIMEDOUT, "its job does not end");
	return r < 0 ? error_set(err, -r, "wait for its job: %s", strerror(-r)) : 0;
}

/* ---- units ---- */

static int reset_failed(struct systemd *s, const char *unit)
{
	auto_error struct error err = { 0 };

	/* A unit that has not failed is none to be reset, and usually gone. */
	if (call_with_unit(s, "ResetFailedUnit", unit, NULL, NULL, &err) < 0)
		log_debug("reset the unit '%s': %s", unit, err.msg);
	return -err.code;
}

static int append_bytes(const struct systemd *s, sd_bus_message *m, const struct unit_property *p)
{
	int r = s->f.sd_bus_message_open_container(m, 'r', "sv");

	if (r >= 0)
		r = s->f.sd_bus_message_append(m, "s", p->name);
	if (r >= 0)
		r = s->f.sd_bus_message_open_container(m, 'v', "ay");
	if (r >= 0)
		r = s->f.sd_bus_message_append_array(m, 'y', p->bytes, p->len);
	if (r >= 0)
		r = s->f.sd_bus_message_close_container(m);
	return r < 0 ? r : s->f.sd_bus_message_close_container(m);
}

static int append_property(const struct systemd *s, sd_bus_message *m,
                           const struct unit_property *p)
{
	const char type[] = { p->type, '\0' };

	switch (p->type) {
	case 'a':
		return append_bytes(s, m, p);
	case 's':
		return s->f.sd_bus_message_append(m, "(sv)", p->name, type, p->text);
	case 't':
	case 'x':
		return s->f.sd_bus_message_append(m, "(sv)", p->name, type, p->number);
	default: /* as wide as an int, or made so wide */
		return s->f.sd_bus_message_append(m, "(sv)", p->name, type, (uint32_t)p->number);
	}
}

/* Accounting as well, without which the unit would have a cgroup in those hierarchies only for
 * which it has a limit. Its end is the runtime's to bring about: with default dependencies systemd
 * would stop it early at shutdown. */
static int append_scope(const struct systemd *s, sd_bus_message *m, const char *unit,
                        const char *slice, const char *description, pid_t pid,
                        const struct unit_properties *more)
{
	const char *io = fs_exists("/sys/fs/cgroup/cgroup.controllers") ? "IOAccounting"
	                                                                : "BlockIOAccounting";
	int r = s->f.sd_bus_message_append(m, "ss", unit, "replace");

	if (r >= 0)
		r = s->f.sd_bus_message_open_container(m, 'a', "(sv)");
	if (r >= 0)
		r = s->f.sd_bus_message_append(m, "(sv)(sv)(sv)(sv)", "Description", "s",
		                               description, "Slice", "s", slice, "Delegate", "b", 1,
		                               "PIDs", "au", 1, (uint32_t)pid);
	if (r >= 0)
		r = s->f.sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)", "MemoryAccounting", "b",
		                               1, "CPUAccounting", "b", 1, "TasksAccounting", "b",
		                               1, io, "b", 1, "DefaultDependencies", "b", 0);
	for (size_t i = 0; r >= 0 && i < more->n; i++)
		r = append_property(s, m, &more->v[i]);
	if (r >= 0)
		r = s->f.sd_bus_message_close_container(m);
	return r < 0 ? r : s->f.sd_bus_message_append(m, "a(sa(sv))", 0);
}

static int request_scope(struct systemd *s, const char *unit, const char *slice,
                         const char *description, pid_t pid, const struct unit_properties *more,
                         sd_bus_message **reply, struct error *err)
{
	static const char method[] = "StartTransientUnit";
	sd_bus_message *m = NULL;
	int r;

	if (new_call(s, method, &m, err) < 0)
		return -err->code;
	r = append_scope(s, m, unit, slice, description, pid, more);
	if (r >= 0)
		return call(s, m, reply, err);
	s->f.sd_bus_message_unref(m);
	return build_failed(r, method, err);
}

int systemd_start_scope(struct systemd *s, const char *unit, const char *slice,
                        const char *description, pid_t pid, const struct unit_properties *more,
                        struct error *err)
{
	sd_bus_message *reply = NULL;

	if (watch_jobs(s, err) < 0)
		return -err->code;
	/* One that has failed is kept by systemd for whoever wants to look at it. */
	if (request_scope(s, unit, slice, description, pid, more, &reply, err) == -EEXIST &&
	    reset_failed(s, unit) == 0) {
		error_clear(err);
		request_scope(s, unit, slice, description, pid, more, &reply, err);
	}
	if (err->code)
		return error_wrap(err, "start the unit '%s'", unit);
	if (wait_for_job(s, reply, err) < 0)
		error_wrap(err, "start the unit '%s'", unit);
	else if (!str_eq(s->result, "done"))
		error_set(err, EIO, "error creating systemd unit `%s`: got `%s`", unit, s->result);
	s->f.sd_bus_message_unref(reply);
	if (err->code) {
		auto_error struct error ignored = { 0 };

		/* There may be time left for it; the end of its process ends it, too. */
		call_with_unit(s, "StopUnit", unit, "replace", NULL, &ignored);
		reset_failed(s, unit);
	}
	return -err->code;
}

int systemd_set_properties(struct systemd *s, const char *unit, const struct unit_properties *p,
                           struct error *err)
{
	static const char method[] = "SetUnitProperties";
	sd_bus_message *m = NULL;
	int r;

	if (p->n == 0)
		return 0;
	if (new_call(s, method, &m, err) < 0)
		return -err->code;
	r = s->f.sd_bus_message_append(m, "sb", unit, 1);
	if (r >= 0)
		r = s->f.sd_bus_message_open_container(m, 'a', "(sv)");
	for (size_t i = 0; r >= 0 && i < p->n; i++)
		r = append_property(s, m, &p->v[i]);
	if (r >= 0)
		r = s->f.sd_bus_message_close_container(m);
	if (r < 0) {
		s->f.sd_bus_message_unref(m);
		return build_failed(r, method, err);
	}
	if (call(s, m, NULL, err) < 0)
		return error_wrap(err, "set the properties of the unit '%s'", unit);
	return 0;
}

int systemd_stop_unit(struct systemd *s, const char *unit, struct error *err)
{
	sd_bus_message *reply = NULL;

	if (watch_jobs(s, err) < 0)
		return -err->code;
	if (call_with_unit(s, "StopUnit", unit, "replace", &reply, err) == 0)
		wait_for_job(s, reply, err);
	s->f.sd_bus_message_unref(reply);
	if (err->code == ENOENT)
		error_clear(err);
	if (err->code)
		return error_wrap(err, "stop the unit '%s'", unit);
	if (s->result && !str_eq(s->result, "done"))
		log_warn("error removing unit `%s`: got `%s`, ignoring", unit, s->result);
	/* What was killed for want of memory has failed, and would stay. */
	reset_failed(s, unit);
	return 0;
}
