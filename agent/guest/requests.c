/* What each request of protocol.h does. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "agent/guest/exits.h"
#include "agent/guest/fds.h"
#include "agent/guest/io.h"
#include "agent/guest/resolver.h"
#include "agent/guest/sandbox.h"
#include "agent/guest/server-internal.h"
#include "agent/guest/size.h"
#include "agent/mux.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define MAX_NAME 1024
#define MAX_SIGNAL 64
#define OFF_STEP_MS 1
#define OFF_LIMIT_MS 1000

/* The name of a container, fit to be a file name; NULL and err otherwise. */
static const char *get_container(const struct request *r, struct error *err)
{
	const char *id = json_get_string(r->args, "container");

	if (!id || !*id || str_eq(id, ".") || str_eq(id, "..") || strchr(id, '/') ||
	    strlen(id) > MAX_NAME) {
		error_set(err, EINVAL, "odd \"container\" in a request");
		return NULL;
	}
	return id;
}

static const char *get_process(const struct request *r)
{
	const char *name = json_get_string(r->args, "process");

	return name ? name : "";
}

static int do_sandbox(struct server *s, struct request *r, struct error *err)
{
	if (s->has_sandbox)
		return error_set(err, EALREADY, "the sandbox is set up already");
	s->has_sandbox = true;
	return sandbox_setup(r->args, err);
}

static int do_warm(struct server *s, struct request *r, struct error *err)
{
	(void)r;
	s->is_warm = true;
	if (sandbox_warm(err) < 0 || exits_prepare(s->exits, err) < 0 ||
	    guest_warm(s->guest, err) < 0)
		return -err->code;
	return 0;
}

static int do_size(struct server *s, struct request *r, struct error *err)
{
	return size_take(s->loop, r->args, request_done, r, err) < 0 ? -err->code : 1;
}

static void on_launched(void *arg, pid_t pid, int master, const struct error *err)
{
	struct request *r = arg;
	struct stdio *io = steal_ptr(&r->io);

	if (err->code) {
		stdio_free(io);
	} else {
		stdio_attach(io, master);
		server_attach(r->server, json_get_string(r->args, "container"), get_process(r), io);
		json_set(r->result, "pid", json_new_i64(pid));
	}
	request_done(r, err);
}

/* The streams of a request exist even if it fails; io must be looked at first, and is ended by
 * stdio_free(). */
int request_refuse(struct server *s, struct request *r, const struct error *err)
{
	auto_error struct error ignored = { 0 };
	struct guest_io gio;

	stdio_free(stdio_new(s->loop, s->mux, json_get(r->args, "io"), false, &gio, &ignored));
	return -err->code;
}

static int do_create(struct server *s, struct request *r, struct error *err)
{
	const char *id = get_container(r, err);
	const struct json *text = json_get_object(r->args, "spec");
	auto_oci_spec struct oci_spec *spec = NULL;
	struct guest_options options;
	struct guest_io gio;

	if (id && !text)
		error_set(err, EINVAL, "a \"create\" without \"spec\"");
	if (!id || !text)
		return request_refuse(s, r, err);
	spec = oci_spec_from_json(text, err);
	if (!spec || oci_spec_validate(spec, err) < 0)
		return request_refuse(s, r, err);
	if (!spec->process) {
		error_set(err, EINVAL, "process: missing");
		return request_refuse(s, r, err);
	}
	if (sandbox_set_time(r->args, err) < 0)
		return request_refuse(s, r, err);
	r->io = stdio_new(s->loop, s->mux, json_get(r->args, "io"), spec->process->terminal, &gio,
	                  err);
	if (!r->io)
		return -err->code;
	options = (struct guest_options){
		.no_pivot = json_get_bool(r->args, "no_pivot", false),
		.no_new_keyring = json_get_bool(r->args, "no_new_keyring", false),
		.notify = json_get_bool(r->args, "notify", false),
		.bundle = json_get_string(r->args, "bundle"),
		.request = r->args,
		.seccomp = json_get_object(r->args, "seccomp"),
	};
	guest_create(s->guest, id, steal_ptr(&spec), &options, &gio, on_launched, r);
	return 1;
}

static int do_exec(struct server *s, struct request *r, struct error *err)
{
	const char *id = get_container(r, err);
	const char *name = get_process(r);
	const struct json *text = json_get_object(r->args, "spec");
	const char *cgroup = json_get_string(r->args, "cgroup");
	const struct guest_exec_options options = { .name = name, .cgroup = cgroup };
	auto_oci_process struct oci_process *process = NULL;
	struct guest_io gio;

	if (id && (!text || !*name || strlen(name) > MAX_NAME))
		error_set(err, EINVAL, "an \"exec\" without \"spec\" or \"process\"");
	if (err->code != 0)
		return request_refuse(s, r, err);
	process = oci_process_from_json(text, err);
	if (!process || oci_process_validate(process, err) < 0)
		return request_refuse(s, r, err);
	if (server_find(s, id, name)) {
		error_set(err, EEXIST, "process '%s' exists", name);
		return request_refuse(s, r, err);
	}
	r->io = stdio_new(s->loop, s->mux, json_get(r->args, "io"), process->terminal, &gio, err);
	if (!r->io)
		return -err->code;
	guest_exec(s->guest, id, steal_ptr(&process), &options, &gio, on_launched, r);
	return 1;
}

static int do_start(struct server *s, struct request *r, struct error *err)
{
	const char *id = get_container(r, err);

	if (!id)
		return -err->code;
	guest_start(s->guest, id, request_done, r);
	return 1;
}

/* Every end of a process is told before. */
static void on_deleted(void *arg, const struct error *err)
{
	struct request *r = arg;

	if (err->code || !exits_hold(r->server->exits, r))
		request_done(r, err);
}

static int do_delete(struct server *s, struct request *r, struct error *err)
{
	const char *id = get_container(r, err);

	if (!id)
		return -err->code;
	guest_delete(s->guest, id, on_deleted, r);
	return 1;
}

static int do_signal(struct server *s, struct request *r, struct error *err)
{
	const char *id = get_container(r, err);
	int64_t signo = json_get_i64(r->args, "signal", 0);

	if (!id)
		return -err->code;
	if (signo < 0 || signo > MAX_SIGNAL)
		return error_set(err, EINVAL, "odd \"signal\" in a request");
	return guest_signal(s->guest, id, get_process(r), (int)signo,
	                    json_get_bool(r->args, "all", false), err);
}

static int do_winsize(struct server *s, struct request *r, struct error *err)
{
	const char *id = get_container(r, err);
	int64_t height = json_get_i64(r->args, "height", -1);
	int64_t width = json_get_i64(r->args, "width", -1);
	struct attached *a;

	if (!id)
		return -err->code;
	if (height < 0 || height > UINT16_MAX || width < 0 || width > UINT16_MAX)
		return error_set(err, EINVAL, "odd size of a terminal");
	a = server_find(s, id, get_process(r));
	if (!a)
		return error_set(err, ESRCH, "the process is gone");
	return stdio_resize(a->io, (unsigned short)height, (unsigned short)width, err);
}

static int do_connect(struct server *s, struct request *r, struct error *err)
{
	const char *id = get_container(r, err);
	struct attached *a;

	if (!id)
		return -err->code;
	a = server_find(s, id, get_process(r));
	if (!a)
		return error_set(err, ESRCH, "the process is gone");
	return stdio_connect(a->io, r->args, err);
}

static int freeze(struct server *s, struct request *r, bool frozen, struct error *err)
{
	const char *id = get_container(r, err);

	if (!id)
		return -err->code;
	guest_freeze(s->guest, id, frozen, request_done, r);
	return 1;
}

static int do_pause(struct server *s, struct request *r, struct error *err)
{
	return freeze(s, r, true, err);
}

static int do_resume(struct server *s, struct request *r, struct error *err)
{
	return freeze(s, r, false, err);
}

static void on_rows(void *arg, struct json *rows, const struct error *err)
{
	struct request *r = arg;

	if (rows)
		json_set(r->result, "processes", rows);
	request_done(r, err);
}

static int do_ps(struct server *s, struct request *r, struct error *err)
{
	const char *id = get_container(r, err);

	if (!id)
		return -err->code;
	guest_ps(s->guest, id, on_rows, r);
	return 1;
}

static int do_update(struct server *s, struct request *r, struct error *err)
{
	const char *id = get_container(r, err);
	const struct json *text = json_get_object(r->args, "resources");
	auto_oci_resources struct oci_resources *resources = NULL;

	if (!id)
		return -err->code;
	if (!text)
		return error_set(err, EINVAL, "an \"update\" without \"resources\"");
	resources = oci_resources_from_json(text, err);
	if (!resources || oci_resources_validate(resources, err) < 0)
		return -err->code;
	guest_update(s->guest, id, steal_ptr(&resources), request_done, r);
	return 1;
}

static int do_stats(struct server *s, struct request *r, struct error *err)
{
	const char *id = get_container(r, err);
	struct json *stats;

	if (!id)
		return -err->code;
	stats = guest_stats(s->guest, id, err);
	if (!stats)
		return -err->code;
	json_free(r->result);
	r->result = stats;
	return 0;
}

static void on_network(void *arg, unsigned changes, const struct error *err)
{
	struct request *r = arg;

	json_set(r->result, "changes", json_new_u64(changes));
	request_done(r, err);
}

static int do_network(struct server *s, struct request *r, struct error *err)
{
	(void)err;
	guest_network(s->guest, r->args, on_network, r);
	return 1;
}

static int get_streams(const struct request *r, uint32_t *to, uint32_t *from, struct error *err)
{
	if (fds_decode_stream(r->args, "to", to) < 0 ||
	    fds_decode_stream(r->args, "from", from) < 0 || !*to || !*from || *to == *from)
		return error_set(err, EINVAL, "odd streams in a request");
	return 0;
}

static int do_resolver(struct server *s, struct request *r, struct error *err)
{
	uint32_t to, from;

	if (get_streams(r, &to, &from, err) < 0)
		return -err->code;
	if (s->resolver)
		return error_set(err, EALREADY, "the resolver is served already");
	s->resolver = resolver_new(s->loop, s->mux, to, from, err);
	return s->resolver ? 0 : -err->code;
}

static int do_accept(struct server *s, struct request *r, struct error *err)
{
	uint32_t to, from;

	if (get_streams(r, &to, &from, err) < 0)
		return -err->code;
	if (!s->resolver)
		return error_set(err, EINVAL, "there is no resolver to connect to");
	if (resolver_accept(s->resolver, to, from, request_done, r, err) < 0)
		return -err->code;
	return 1;
}

/* Once the answer is on its way; after its loop the agent powers off (main.c). */
static void try_stop(void *arg)
{
	struct server *s = arg;

	if (mux_is_idle(s->mux) || loop_now_ms() > s->off_deadline)
		loop_stop(s->loop, 0);
	else
		loop_rearm(s->off_timer, OFF_STEP_MS);
}

static int do_shutdown(struct server *s, struct request *r, struct error *err)
{
	(void)r;
	(void)err;
	if (!s->off_timer) {
		s->off_deadline = loop_now_ms() + OFF_LIMIT_MS;
		s->off_timer = loop_add_timer(s->loop, 0, try_stop, s);
	}
	return 0;
}

static const struct operation operations[] = {
	{ "sandbox", OP_OTHER, do_sandbox }, { "create", OP_CREATE, do_create },
	{ "start", OP_OTHER, do_start },     { "exec", OP_EXEC, do_exec },
	{ "signal", OP_SIGNAL, do_signal },  { "winsize", OP_WINSIZE, do_winsize },
	{ "pause", OP_CHANGE, do_pause },    { "resume", OP_CHANGE, do_resume },
	{ "ps", OP_OTHER, do_ps },           { "update", OP_CHANGE, do_update },
	{ "stats", OP_OTHER, do_stats },     { "network", OP_NETWORK, do_network },
	{ "delete", OP_DELETE, do_delete },  { "shutdown", OP_OTHER, do_shutdown },
	{ "connect", OP_OTHER, do_connect }, { "resolver", OP_OTHER, do_resolver },
	{ "accept", OP_OTHER, do_accept },   { "warm", OP_OTHER, do_warm },
	{ "size", OP_OTHER, do_size },
};

const struct operation *operation_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
		if (str_eq(operations[i].name, name))
			return &operations[i];
	}
	return NULL;
}

/* A process that is not up yet: signals but SIGKILL would end its set-up. */
static bool is_about_new_process(const struct request *r, const struct request *exec)
{
	if (r->operation->kind != OP_WINSIZE && r->operation->kind != OP_SIGNAL)
		return false;
	if (r->operation->kind == OP_SIGNAL &&
	    (json_get_bool(r->args, "all", false) || json_get_i64(r->args, "signal", 0) == SIGKILL))
		return false;
	return str_eq(get_process(r), get_process(exec));
}

bool request_must_wait(const struct request *r, const struct request *older)
{
	enum kind kind = r->operation->kind;
	const char *id = json_get_string(r->args, "container");

	if (kind == OP_NETWORK)
		return older->operation->kind == OP_NETWORK;
	if (!id || !str_eq(id, json_get_string(older->args, "container")))
		return false;
	switch (older->operation->kind) {
	case OP_CREATE: /* an exec is refused: its streams have no place to wait */
		return kind != OP_DELETE && kind != OP_EXEC;
	case OP_EXEC:
		return is_about_new_process(r, older);
	case OP_CHANGE:
		return kind == OP_CHANGE;
	default:
		return false;
	}
}
