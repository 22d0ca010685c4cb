/* The verb "events": what happens to a container, and what it uses, until it ends. */
#include <errno.h>
#include <stdint.h>
#include <unistd.h>

#include "lib/ctl.h"
#include "lib/verbs.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "oci/oci.h"

struct follow {
	struct vcrt *v;
	const char *id;
	int fd; /* the monitor */
	unsigned interval;
	uint64_t next;  /* when to ask for numbers, loop_now_ms() */
	bool is_asking; /* the last answer is due */
	vcrt_event_fn fn;
	void *arg;
};

static int pass_on(const struct follow *f, const char *type, const struct json *data)
{
	auto_json struct json *event = json_new_object();
	auto_free char *text = NULL;

	json_set(event, "type", json_new_string(type));
	json_set(event, "id", json_new_string(f->id));
	json_set(event, "data", data ? json_copy(data) : NULL);
	text = json_print(event, false);
	return f->fn(f->arg, text);
}

/* The container ended, or its monitor did, or the connection broke because of it. */
static bool is_end(const struct error *err)
{
	return err->code == ECONNRESET || err->code == EPIPE || err->code == ECONNREFUSED;
}

static int subscribe(struct follow *f, const struct record *r, struct error *err)
{
	struct ctl_out out = client_request("events", f->id);

	f->fd = client_connect(r, err);
	if (f->fd >= 0)
		ctl_msg_free(ctl_call(f->fd, &out, client_timeout(f->v), err));
	ctl_out_done(&out);
	if (err->code && is_end(err))
		return error_set(err, ESRCH, "container with id %s is not running", f->id);
	return -err->code;
}

static int ask(struct follow *f, struct error *err)
{
	uint64_t now = loop_now_ms();
	struct ctl_out out;
	int ret = 0;

	f->next = now - (now - f->next) % f->interval + f->interval;
	if (f->is_asking) /* a slow guest is not asked twice */
		return 0;
	out = client_request("stats", f->id);
	ret = ctl_send(f->fd, &out, err);
	ctl_out_done(&out);
	f->is_asking = true;
	return ret;
}

/* 0: go on; 1: over. */
static int take(struct follow *f, const struct ctl_msg *m)
{
	const struct json *ok = json_get_object(m->json, "ok");
	const struct json *failed = json_get_object(m->json, "error");
	const char *event = json_get_string(m->json, "event");

	if (str_eq(event, "end"))
		return 1;
	if (str_eq(event, "oom"))
		return pass_on(f, "oom", NULL) != 0;
	if (event)
		return 0;
	f->is_asking = false;
	if (failed)
		log_warn("statistics of '%s': %s, ignoring", f->id, json_get_string(failed, "msg"));
	return ok && pass_on(f, "stats", json_get(ok, "stats")) != 0;
}

static int follow(struct follow *f, struct error *err)
{
	for (;;) {
		auto_ctl_msg struct ctl_msg *m = NULL;
		uint64_t now = loop_now_ms();
		uint64_t wait = now < f->next ? f->next - now : 0;

		if (!ctl_is_readable(f->fd, f->interval ? (int)wait : -1)) {
			if (f->interval && loop_now_ms() >= f->next && ask(f, err) < 0)
				return -err->code;
			continue;
		}
		m = ctl_recv(f->fd, client_timeout(f->v), err);
		if (!m)
			return -err->code;
		if (take(f, m))
			return 0;
	}
}

int verb_events(struct vcrt *v, const char *id, unsigned interval_ms, vcrt_event_fn fn, void *arg,
                struct error *err)
{
	auto_record struct record *r = verb_load(v, id, NULL, err);
	struct follow f = {
		.v = v,
		.id = id,
		.fd = -1,
		.interval = interval_ms > INT32_MAX ? INT32_MAX : interval_ms,
		.fn = fn,
		.arg = arg,
	};

	if (!r)
		return -err->code;
	if (str_eq(record_status(r), VCRT_STOPPED))
		return error_set(err, ESRCH, "container with id %s is not running", id);
	if (subscribe(&f, r, err) == 0) {
		f.next = loop_now_ms() + f.interval;
		if (follow(&f, err) < 0 && is_end(err))
			error_clear(err);
	}
	close_fd(&f.fd);
	return -err->code;
}
