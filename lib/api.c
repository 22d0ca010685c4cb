/* The functions of vcrt.h: each hands its arguments to the inside and its error to the caller. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/config.h"
#include "lib/query.h"
#include "lib/template.h"
#include "lib/vcrt.h"
#include "lib/verbs.h"
#include "lib/warnings.h"
#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define DEFAULT_ROOT "/run/vcrt"

/* Give what an inner call said to the caller; value is what that call returned. */
static int export_error(struct vcrt_error *to, struct error *from, int value)
{
	if (from->code) {
		free(to->msg);
		to->code = from->code;
		to->msg = steal_ptr(&from->msg);
		from->code = 0;
		return -to->code;
	}
	return value;
}

#define CALL(call)                                                                                 \
	({                                                                                         \
		struct error e = { 0 };                                                            \
		int value = (call);                                                                \
		export_error(err, &e, value);                                                      \
	})

void vcrt_error_clear(struct vcrt_error *err)
{
	free(err->msg);
	*err = (struct vcrt_error){ 0 };
}

/* ---- the runtime ---- */

static char *find_root(const char *root)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");

	if (root && *root) {
		if (*root == '/')
			return str_dup(root);
		auto_free char *cwd = getcwd(NULL, 0);
		return str_fmt("%s/%s", cwd ? cwd : "", root);
	}
	if (geteuid() != 0 && xdg && *xdg)
		return str_fmt("%s/vcrt", xdg);
	return str_dup(DEFAULT_ROOT);
}

struct vcrt *vcrt_open(const struct vcrt_options *o, struct vcrt_error *err)
{
	auto_phase struct log_phase phase = log_phase_begin("configuration");
	struct error e = { 0 };
	struct vcrt *v = xzalloc(sizeof(*v));

	v->config = config_load(o->config, &e);
	if (!v->config) {
		export_error(err, &e, 0);
		free(v);
		return NULL;
	}
	v->root = find_root(o->root);
	v->binary = str_dup(o->binary ? o->binary : VCRT_BINARY);
	v->systemd_cgroup = o->systemd_cgroup;
	v->progress = o->progress;
	v->progress_arg = o->progress_arg;
	if (o->debug)
		v->config->debug = true;
	return v;
}

void vcrt_close(struct vcrt *v)
{
	if (!v)
		return;
	free(v->root);
	free(v->binary);
	config_free(v->config);
	free(v);
}

int vcrt_check(struct vcrt *v, struct vcrt_finding **out, struct vcrt_error *err)
{
	return CALL(verb_check(v, out, &e));
}

void vcrt_findings_free(struct vcrt_finding *f, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(f[i].what);
		free(f[i].text);
	}
	free(f);
}

int vcrt_env(struct vcrt *v, char **json, struct vcrt_error *err)
{
	return CALL(verb_env(v, json, &e));
}

/* ---- containers ---- */

int vcrt_container_create(struct vcrt *v, const struct vcrt_create_options *o, pid_t *pid,
                          struct vcrt_error *err)
{
	struct created c = CREATED_NONE;
	bool holds = warnings_hold(o->stdio, o->console_socket);
	int r = CALL(verb_create(v, o, false, &c, &e) < 0 ? error_wrap(&e, "vcrt create failed")
	                                                  : 0);

	if (holds)
		warnings_release(v, o->id, r < 0);
	if (r == 0 && pid)
		*pid = c.shim;
	created_done(&c);
	return r;
}

int vcrt_container_start(struct vcrt *v, const char *id, struct vcrt_error *err)
{
	return CALL(verb_start(v, id, &e));
}

int vcrt_container_run(struct vcrt *v, const struct vcrt_run_options *o, int *exit_code,
                       struct vcrt_error *err)
{
	bool holds = o->detach && warnings_hold(o->create.stdio, o->create.console_socket);
	int r = CALL(verb_run(v, o, exit_code, &e) < 0 ? error_wrap(&e, "vcrt run failed") : 0);

	if (holds)
		warnings_release(v, o->create.id, r < 0);
	return r;
}

int vcrt_container_exec(struct vcrt *v, const struct vcrt_exec_options *o, pid_t *pid,
                        int *exit_code, struct vcrt_error *err)
{
	bool holds = o->detach && warnings_hold(o->stdio, o->console_socket);
	int r = CALL(verb_exec(v, o, pid, exit_code, &e));

	if (holds)
		warnings_release(v, o->id, r < 0);
	return r;
}

int vcrt_container_kill(struct vcrt *v, const char *id, int signal, bool all,
                        struct vcrt_error *err)
{
	return CALL(verb_kill(v, id, signal, all, &e));
}

int vcrt_signal_parse(const char *name, struct vcrt_error *err)
{
	int64_t n;

	/* Whether there is such a number is found out with the container, as by runc. */
	if (str_to_i64(name, INT32_MIN, INT32_MAX, &n) == 0)
		return n < 0 ? INT_MAX : (int)n;
	return CALL(oci_signal_parse(name, &e));
}

int vcrt_container_delete(struct vcrt *v, const char *id, bool force, struct vcrt_error *err)
{
	return CALL(verb_delete(v, id, force, &e));
}

int vcrt_container_state(struct vcrt *v, const char *id, struct vcrt_state *out,
                         struct vcrt_error *err)
{
	return CALL(query_state(v, id, out, &e));
}

void vcrt_state_done(struct vcrt_state *s)
{
	free(s->oci_version);
	free(s->id);
	free(s->status);
	free(s->bundle);
	free(s->rootfs);
	free(s->created);
	free(s->owner);
	free(s->sandbox);
	strv_free(s->annotations);
	*s = (struct vcrt_state){ 0 };
}

int vcrt_container_state_json(struct vcrt *v, const char *id, char **json, struct vcrt_error *err)
{
	return CALL(query_state_json(v, id, json, &e));
}

int vcrt_container_list(struct vcrt *v, struct vcrt_state **out, struct vcrt_error *err)
{
	return CALL(query_list(v, out, &e));
}

void vcrt_list_free(struct vcrt_state *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		vcrt_state_done(&list[i]);
	free(list);
}

int vcrt_container_list_json(struct vcrt *v, char **json, struct vcrt_error *err)
{
	return CALL(query_list_json(v, json, &e));
}

int vcrt_container_wait(struct vcrt *v, const char *id, int timeout_ms, int *exit_code,
                        struct vcrt_error *err)
{
	return CALL(verb_wait(v, id, timeout_ms, exit_code, &e));
}

int vcrt_container_pause(struct vcrt *v, const char *id, struct vcrt_error *err)
{
	return CALL(verb_freeze(v, id, true, &e));
}

int vcrt_container_resume(struct vcrt *v, const char *id, struct vcrt_error *err)
{
	return CALL(verb_freeze(v, id, false, &e));
}

int vcrt_container_update(struct vcrt *v, const char *id, const char *resources_json,
                          struct vcrt_error *err)
{
	return CALL(verb_update(v, id, resources_json, &e));
}

int vcrt_container_stats(struct vcrt *v, const char *id, char **json, struct vcrt_error *err)
{
	return CALL(verb_stats(v, id, json, &e));
}

int vcrt_container_events(struct vcrt *v, const char *id, unsigned interval_ms, vcrt_event_fn fn,
                          void *arg, struct vcrt_error *err)
{
	return CALL(verb_events(v, id, interval_ms, fn, arg, &e));
}

int vcrt_container_resize(struct vcrt *v, const char *id, unsigned height, unsigned width,
                          struct vcrt_error *err)
{
	return CALL(verb_resize(v, id, height, width, &e));
}

int vcrt_container_ps(struct vcrt *v, const char *id, struct vcrt_process **out,
                      struct vcrt_error *err)
{
	return CALL(verb_ps(v, id, out, &e));
}

void vcrt_processes_free(struct vcrt_process *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(p[i].uid);
		free(p[i].stime);
		free(p[i].tty);
		free(p[i].time);
		free(p[i].cmd);
		free(p[i].stat);
		free(p[i].comm);
	}
	free(p);
}

/* ---- sandboxes ---- */

int vcrt_sandbox_list(struct vcrt *v, struct vcrt_sandbox **out, struct vcrt_error *err)
{
	return CALL(query_sandboxes(v, out, &e));
}

void vcrt_sandboxes_free(struct vcrt_sandbox *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(s[i].id);
		free(s[i].status);
		free(s[i].hypervisor);
		strv_free(s[i].containers);
	}
	free(s);
}

int vcrt_sandbox_stop(struct vcrt *v, const char *sandbox, struct vcrt_error *err)
{
	return CALL(query_sandbox_stop(v, sandbox, &e));
}

int vcrt_sandbox_monitor(struct vcrt *v, const char *sandbox, struct vcrt_error *err)
{
	return CALL(query_sandbox_monitor(v, sandbox, &e));
}

/* ---- templates ---- */

int vcrt_template_create(struct vcrt *v, char **key, struct vcrt_error *err)
{
	return CALL(verb_template_create(v, key, &e));
}

int vcrt_template_build(struct vcrt *v, struct vcrt_error *err)
{
	return CALL(verb_template_build(v, &e));
}

static int list_templates(struct vcrt *v, struct vcrt_template **out, struct error *err)
{
	struct template *list;
	int n = template_list(v->config->template_dir, &list, err);

	*out = NULL;
	if (n < 0)
		return n;
	*out = xcalloc((size_t)n + 1, sizeof(**out));
	for (int i = 0; i < n; i++)
		(*out)[i] = (struct vcrt_template){ .key = str_dup(list[i].key),
			                            .problem = str_dup(list[i].problem),
			                            .is_stale = template_is_stale(&list[i]),
			                            .bytes = list[i].bytes,
			                            .made = list[i].made,
			                            .used = list[i].used };
	template_list_free(list, (size_t)n);
	return n;
}

int vcrt_template_list(struct vcrt *v, struct vcrt_template **out, struct vcrt_error *err)
{
	return CALL(list_templates(v, out, &e));
}

void vcrt_templates_free(struct vcrt_template *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(t[i].key);
		free(t[i].problem);
	}
	free(t);
}

int vcrt_template_remove(struct vcrt *v, const char *key, struct vcrt_error *err)
{
	return CALL(template_remove(v->config->template_dir, key, &e));
}

int vcrt_template_prune(struct vcrt *v, bool all, struct vcrt_error *err)
{
	return CALL(template_prune(v->config->template_dir, all, &e) < 0
	                    ? -e.code
	                    : template_forget_failures(v->config, &e));
}
