/* The start of a VM from a template (DESIGN section 6). */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "hypervisor/hypervisor.h"
#include "lib/config.h"
#include "lib/monitor-internal.h"
#include "lib/template.h"
#include "lib/vm-config.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"

#define KILLED_MS 300      /* from the end of a VMM's connections to its own */
#define ASIDE_SECONDS 3600 /* before one that cannot be restored is made anew */
#define SLOW_SECONDS 60    /* the same where only time was short: perhaps it was the host's */

void clone_done(struct monitor *m)
{
	template_freep(&m->clone.template);
	auto_freep(&m->clone.memory);
	close_fd(&m->clone.state);
	json_free(m->clone.hello);
	m->clone.hello = NULL;
	m->clone.has_answered = false;
}

void clone_find(struct monitor *m)
{
	const struct config *c = m->config;
	auto_error struct error err = { 0 };
	auto_free char *identity = NULL;

	if (m->clone.is_template || str_eq(c->template, CONFIG_TEMPLATE_OFF) ||
	    !fs_exists(c->vmm_preload))
		return;
	/* A failure is told when the VM is started. */
	identity = vm_identity(c, &err);
	m->clone.template = identity ? template_find(c->template_dir, identity) : NULL;
	if (!m->clone.template)
		return;
	m->clone.memory = template_memory(m->clone.template);
	m->clone.state = template_open_state(m->clone.template, &err);
	if (m->clone.state < 0)
		clone_give_up(m, &err);
}

void clone_check(struct monitor *m)
{
	auto_error struct error err = { 0 };

	/* One that has replaced it has the same path, but not the same state. */
	if (!m->clone.template ||
	    (fs_exists(m->clone.memory) && !template_is_gone(m->clone.template)))
		return;
	error_set(&err, ENOENT, "its memory '%s' is missing", m->clone.memory);
	clone_give_up(m, &err);
}

void clone_configure(const struct monitor *m, struct hv_config *cfg)
{
	if (!m->clone.template && !m->clone.is_template)
		return;
	cfg->memory = m->clone.is_template ? HV_MEMORY_SHARED : HV_MEMORY_PRIVATE;
	cfg->memory_path = m->clone.memory;
	cfg->preload = m->config->vmm_preload;
}

int clone_has_failed(struct monitor *m, struct error *err)
{
	int r = m->clone.restoring ? hv_restored(m->hv, 0, err) : 0;

	return r < 0 ? r : 0;
}

static void log_restored(const struct monitor *m)
{
	log_phase("restore", m->clone.begin);
	log_debug("phase: restored %s", m->clone.template ? m->clone.template->key : "");
}

static void on_progress(int fd, uint32_t events, void *arg)
{
	struct monitor *m = arg;
	auto_error struct error err = { 0 };
	int r = hv_restored(m->hv, 0, &err);

	(void)fd;
	(void)events;
	if (r == 0)
		return;
	loop_remove(&m->clone.restoring);
	if (r < 0) {
		vm_lost(m, &err);
		return;
	}
	log_restored(m);
	if (size_start(m, &err) < 0) {
		clone_done(m); /* that is no fault of the template's */
		vm_lost(m, &err);
		return;
	}
	vm_check_clone(m);
}

int clone_restore(struct monitor *m, struct error *err)
{
	int progress;

	if (!m->clone.template)
		return 0;
	m->clone.begin = log_now_us();
	if (hv_restore(m->hv, m->clone.state, &progress, err) < 0)
		return -err->code;
	if (progress >= 0)
		m->clone.restoring = loop_add_fd(m->loop, progress, EPOLLIN, on_progress, m);
	else
		log_restored(m);
	return 0;
}

void clone_give_up(struct monitor *m, const struct error *reason)
{
	/* By us it has not been ended yet: memory was short, or somebody wanted it so. */
	bool is_killed = hv_was_killed(m->hv, KILLED_MS);

	/* That is nobody's fault, and there is nothing to set aside. */
	if (template_is_gone(m->clone.template)) {
		log_debug("template '%s' was removed, the VM boots", m->clone.template->key);
		clone_done(m);
		return;
	}
	free(m->clone.warning);
	m->clone.warning =
		str_fmt("start from template '%s': %s; %s, the VM boots", m->clone.template->key,
	                reason->msg, is_killed ? "the VMM was killed" : "it is set aside");
	log_warn("%s", m->clone.warning);
	if (!is_killed)
		template_set_aside(m->clone.template, reason->msg,
		                   reason->code == ETIMEDOUT ? SLOW_SECONDS : ASIDE_SECONDS);
	clone_done(m);
}

struct json *clone_add_warning(struct monitor *m, struct json *answer)
{
	const struct json *before = answer ? json_get_array(answer, "warnings") : NULL;
	struct json *all;

	if (!m->clone.warning)
		return answer;
	all = before ? json_copy(before) : json_new_array();
	json_add(all, json_new_string(m->clone.warning));
	auto_freep(&m->clone.warning);
	if (!answer)
		answer = json_new_object();
	json_set(answer, "warnings", all);
	return answer;
}

/* What containers may need is there, and nothing is under way. */
static void on_warm(void *arg, const struct json *result, const struct error *err)
{
	struct monitor *m = arg;
	auto_error struct error failed = { 0 };
	struct json *answer;

	if (m->is_ending)
		return;
	if (!result)
		error_set(&failed, err->code, "prepare the guest: %s", err->msg);
	else
		hv_save(m->hv, m->clone.state, &failed);
	if (failed.code) {
		vm_lost(m, &failed);
		return;
	}
	log_debug("phase: saved");
	answer = json_new_object();
	json_set(answer, "hello", steal_ptr(&m->clone.hello));
	for (struct client *c = m->clients; c; c = c->next)
		if (c->is_coming)
			client_ok(client_ref(c), steal_ptr(&answer));
	json_free(answer);
	m->is_ending = true;
	loop_stop(m->loop, 0);
}

void clone_save(struct monitor *m, const struct json *hello)
{
	m->clone.hello = json_copy(hello);
	vm_call(m, "warm", NULL, on_warm, m);
}
