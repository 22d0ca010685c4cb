#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/protocol.h"
#include "hypervisor/hypervisor.h"
#include "lib/config.h"
#include "lib/log-cap.h"
#include "lib/monitor-internal.h"
#include "lib/network.h"
#include "lib/share.h"
#include "lib/template.h"
#include "lib/vcrt.h"
#include "lib/vm-config.h"
#include "lib/vmm-jail.h"
#include "lib/base/child.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define MUTUAL_END_MS 300         /* from the end of one process to that of those that need it */
#define MAX_QUEUED 300u           /* seconds that earlier calls add to the limit of a call */
#define MAX_GUEST_LOG (64u << 10) /* bytes: the log lies in memory */
#define MAX_CLONE_SECONDS 20      /* until a clone has answered; then a VM is booted */
#define MAX_LOG_TAIL 600          /* bytes of the VMM's log that a message quotes */

/* A question to the agent that has no answer yet. */
struct call {
	struct call *next;
	struct monitor *m;
	const char *op;  /* constant */
	char *container; /* whom it is about, or NULL */
	unsigned limit;  /* seconds */
	struct loop_source *timer;
	uint64_t begin; /* µs, log_now_us() */
	vm_reply_fn fn;
	void *arg;
};

/* ---- the end ---- */

void vm_stop(struct monitor *m)
{
	loop_remove(&m->vmm_death);
	/* The kernel gives its memory back while we do the rest. */
	hv_kill(m->hv);
	loop_remove(&m->fs_server_death);
	loop_remove(&m->boot_timer);
	loop_remove(&m->clone.restoring);
	log_cap_free(m->log_cap);
	m->log_cap = NULL;
	network_stop(m->network);
	if (m->agent)
		agent_close(m->agent);
	m->agent = NULL;
	hv_free(m->hv);
	m->hv = NULL;
	fs_server_stop(&m->fs_server);
}

static void call_free(struct call *c)
{
	loop_remove(&c->timer);
	free(c->container);
	free(c);
}

/* Calls are forgotten before their askers are told, so that nobody asks again through them. */
static void drop_calls(struct monitor *m, const struct error *reason)
{
	while (m->calls) {
		struct call *c = m->calls;

		m->calls = c->next;
		c->fn(c->arg, NULL, reason);
		call_free(c);
	}
}

static int boot_instead(struct monitor *m, const struct error *reason, struct error *err);

void vm_lost(struct monitor *m, const struct error *reason)
{
	auto_error struct error again = { 0 };
	struct container *next;

	if (m->is_ending)
		return;
	if (m->clone.template) {
		if (boot_instead(m, reason, &again) == 0 && monitor_jail_enter(&again) == 0)
			return;
		reason = &again;
	}
	m->is_ending = true;
	log_warn("%s, ending the sandbox", reason->msg);
	for (struct container *ct = m->containers; ct; ct = ct->next)
		for (struct process *p = ct->processes; p; p = p->next)
			process_close_io(p);
	/* Verbs whose request has not been read yet wait for an answer, too. */
	for (struct client *c = m->clients; c; c = c->next)
		if (c->is_coming && c->conn)
			ctl_conn_error(c->conn, reason);
	vm_stop(m);
	drop_calls(m, reason);
	for (struct container *ct = m->containers; ct; ct = next) {
		next = ct->next;
		if (!ct->is_committed && !container_is_live(ct))
			container_abort(ct, reason);
		else if (container_is_live(ct))
			container_ended(ct, ct->processes->is_exited ? ct->processes->code
			                                             : 128 + SIGKILL);
	}
	loop_stop(m->loop, 1);
}

/* A guest that powers off, or whose kernel has failed (panic=-1), lets the VMM end well. */
static void explain_end(struct monitor *m, struct error *err)
{
	auto_free char *tail = hv_log_tail(m->vmm_log, MAX_LOG_TAIL), *end = NULL;
	siginfo_t how;

	child_has_ended(m->hv->pidfd, 0, &how);
	if (how.si_pid == 0 || how.si_code != CLD_EXITED || how.si_status != 0)
		end = child_end_text(&how);
	error_set(err, EIO, "the virtual machine has ended%s: %s%s%s%s",
	          m->is_ready ? "" : " before its agent answered",
	          end ? "its VMM " : "the guest has stopped it", end ? end : "", *tail ? ": " : "",
	          tail);
}

static void lost_vmm(struct monitor *m)
{
	auto_error struct error err = { 0 };

	/* Each ends with the other. */
	if (!fs_server_has_failed(&m->fs_server, MUTUAL_END_MS, &err) &&
	    clone_has_failed(m, &err) == 0)
		explain_end(m, &err);
	vm_lost(m, &err);
}

static void on_vmm_death(int fd, uint32_t events, void *arg)
{
	(void)fd;
	(void)events;
	lost_vmm(arg);
}

static void on_fs_server_death(int fd, uint32_t events, void *arg)
{
	struct monitor *m = arg;
	struct pollfd p = { .fd = m->hv ? m->hv->pidfd : -1, .events = POLLIN };
	auto_error struct error err = { 0 };

	(void)fd;
	(void)events;
	if (!fs_server_has_failed(&m->fs_server, 0, &err)) {
		if (poll(&p, 1, MUTUAL_END_MS) > 0) {
			lost_vmm(m);
			return;
		}
		error_set(&err, EIO, "the file server virtiofsd has ended");
	}
	vm_lost(m, &err);
}

static unsigned boot_limit(const struct monitor *m)
{
	unsigned limit = m->config->boot_timeout;

	return m->clone.template && limit > MAX_CLONE_SECONDS ? MAX_CLONE_SECONDS : limit;
}

static void on_boot_timeout(void *arg)
{
	struct monitor *m = arg;
	auto_error struct error err = { 0 };

	error_set(&err, ETIMEDOUT, "the guest's agent did not answer within %u seconds",
	          boot_limit(m));
	vm_lost(m, &err);
}

/* ---- the agent ---- */

/* Containers that wait for the guest are made now. */
static void become_ready(struct monitor *m)
{
	m->is_ready = true;
	size_tell_guest(m);
	pod_go_on(m);
}

void vm_check_clone(struct monitor *m)
{
	auto_error struct error reason = { 0 };

	if (m->clone.restoring || !m->clone.has_answered)
		return;
	/* It works. Only a VM that runs nothing of anybody's could be started anew. */
	clone_done(m);
	loop_remove(&m->boot_timer);
	if (monitor_jail_enter(&reason) < 0)
		vm_lost(m, &reason);
	else
		become_ready(m);
}

static void on_sandbox_reply(void *arg, const struct json *result, const struct error *err)
{
	struct monitor *m = arg;
	auto_error struct error reason = { 0 };

	if (m->is_ending || !m->agent) /* or the VM is started anew */
		return;
	if (!result) {
		error_set(&reason, err->code, "set up the guest: %s", err->msg);
		vm_lost(m, &reason);
	} else if (m->clone.template) {
		m->clone.has_answered = true;
		vm_check_clone(m);
	}
}

static void on_ready(void *arg, const struct json *hello)
{
	struct monitor *m = arg;

	log_phase("agent-hello", m->up);
	log_debug("phase: hello");
	if (m->clone.is_template) {
		loop_remove(&m->boot_timer);
		clone_save(m, hello);
		return;
	}
	/* Requests are carried out in order: a VM that has booted gets all at once. A clone must
	 * show first that it is in order. */
	if (!m->clone.template)
		loop_remove(&m->boot_timer);
	vm_call(m, "sandbox", vm_first_request(m->config), on_sandbox_reply, m);
	if (!m->clone.template)
		become_ready(m);
}

/* What the agent warns of. */
static void log_of_guest(struct monitor *m, const struct json *event)
{
	const char *level = json_get_string(event, "level"), *msg = json_get_string(event, "msg");
	auto_free char *clean = str_ndup(msg ? msg : "", MAX_LOG_TAIL);

	str_clean(clean, strlen(clean));
	if (m->logged > MAX_GUEST_LOG)
		return;
	m->logged += strlen(clean);
	if (m->logged > MAX_GUEST_LOG)
		log_warn("the guest has too much to say, ignoring it from now on");
	else if (str_eq(level, "warning"))
		log_warn("guest: %s", clean);
	else
		log_debug("guest: %s", clean);
}

static void on_event(void *arg, const char *name, const struct json *event)
{
	struct monitor *m = arg;
	const char *id = json_get_string(event, "container");
	const char *process = json_get_string(event, "process");
	struct container *ct = id ? container_find(m, id) : NULL;
	struct process *p = ct && process ? process_find(ct, process) : NULL;

	log_debug("phase: event %s", name);
	if (str_eq(name, "log"))
		log_of_guest(m, event);
	else if (str_eq(name, "exit") && p)
		process_exited(p, (int)json_get_i64(event, "code", 255) & 0xff);
	else if (str_eq(name, "oom") && ct)
		container_tell(ct, "oom");
	else if (str_eq(name, "ready") && ct)
		container_ready(ct);
	else
		log_debug("event '%s' of the guest is of no concern", name);
}

static void on_lost(void *arg, const struct error *cause)
{
	struct monitor *m = arg;
	struct pollfd p = { .fd = m->hv ? m->hv->pidfd : -1, .events = POLLIN };
	auto_error struct error err = { 0 };

	/* Mostly because the VMM has died, which says more. */
	if (m->hv && poll(&p, 1, MUTUAL_END_MS) > 0) {
		lost_vmm(m);
		return;
	}
	error_set(&err, cause->code ? cause->code : ECONNRESET, "lost the guest's agent: %s",
	          cause->code ? cause->msg : "it closed the connection");
	vm_lost(m, &err);
}

static void on_call_timeout(void *arg)
{
	struct call *c = arg;
	struct container *ct = c->container ? container_find(c->m, c->container) : NULL;
	auto_error struct error err = { 0 };

	/* What is made in a paused container stands still, too, and its time with it. */
	if (ct && str_eq(ct->record->oci->status, VCRT_PAUSED)) {
		loop_rearm(c->timer, c->limit * 1000);
		return;
	}
	error_set(&err, ETIMEDOUT, "the guest did not answer '%s' within %u seconds", c->op,
	          c->limit);
	vm_lost(c->m, &err);
}

static void on_reply(void *arg, const struct json *result, const struct error *err)
{
	struct call *c = arg;
	struct call **at = &c->m->calls;

	/* A call that fails because the agent is lost stays, until vm_lost() knows why. */
	if (!result && c->m->agent && c->m->agent->is_lost)
		return;
	log_phase(str_eq(c->op, "create") ? "container" : c->op, c->begin);
	log_debug("phase: answer to %s", c->op);
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->fn(c->arg, result, err);
	call_free(c);
}

void vm_rearm_calls(struct monitor *m, const char *container)
{
	for (struct call *c = m->calls; c; c = c->next)
		if (str_eq(c->container, container))
			loop_rearm(c->timer, c->limit * 1000);
}

void vm_call(struct monitor *m, const char *op, struct json *args, vm_reply_fn fn, void *arg)
{
	vm_call_long(m, op, args, 0, fn, arg);
}

void vm_call_long(struct monitor *m, const char *op, struct json *args, unsigned more_seconds,
                  vm_reply_fn fn, void *arg)
{
	const char *container = json_get_string(args, "container");
	unsigned limit = m->config->request_timeout + more_seconds;
	struct call *c = xzalloc(sizeof(*c));
	unsigned queued = 0;

	/* What was asked before about the same container may have to be done first. */
	for (const struct call *before = m->calls; before; before = before->next)
		if (!container || !before->container || str_eq(before->container, container))
			queued += before->limit;
	limit += queued < MAX_QUEUED ? queued : MAX_QUEUED;
	*c = (struct call){ .m = m, .op = op, .limit = limit, .fn = fn, .arg = arg };
	c->begin = log_now_us();
	c->container = str_dup(container);
	c->next = m->calls;
	c->timer = loop_add_timer(m->loop, limit * 1000, on_call_timeout, c);
	m->calls = c;
	log_debug("phase: request %s", op);
	agent_call(m->agent, op, args, on_reply, c);
}

/* ---- start ---- */

static const struct agent_events agent_events = {
	.ready = on_ready,
	.event = on_event,
	.lost = on_lost,
};

/* As a clone, if there is a template. */
static int start_vmm(struct monitor *m, struct error *err)
{
	const struct agent_ops *agent = agent_find(m->config->agent);
	struct vmm_jail jail = { .serves_share = !fs_server_is_wanted(m->config) };
	auto_close int ours = -1, theirs = -1, share = -1;
	const struct hv_ops *ops;
	struct hv_config cfg;
	uint64_t begin;
	int pair[2];

	ops = vm_config(m->config, &cfg, err);
	if (!ops)
		return -err->code;
	if (!agent)
		return error_set(err, EINVAL, "unknown agent '%s'", m->config->agent);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_sys(err, "make the agent's channel");
	ours = pair[0];
	theirs = pair[1];
	cfg.name = m->sandbox;
	cfg.channel_fd = theirs;
	if (jail.serves_share)
		cfg.share_path = SHARE_DIR;
	else if ((share = fs_server_start(&m->fs_server, m->config, m->dirfd, err)) < 0)
		return -err->code;
	cfg.share_fd = share;
	cfg.share_tag = PROTOCOL_SHARE_TAG;
	cfg.log_fd = m->vmm_log;
	cfg.console_fd = m->clone.template || m->clone.is_template ? -1 : m->console_log;
	cfg.namespaces = VMM_JAIL_NAMESPACES;
	cfg.prepare = vmm_jail_enter;
	cfg.prepare_arg = &jail;
	clone_configure(m, &cfg);
	size_configure(m, &cfg);
	m->hv = hv_new(ops);
	begin = log_now_us();
	if (hv_start(m->hv, &cfg, err) < 0)
		return -err->code;
	log_phase("spawn", begin);
	if (clone_restore(m, err) < 0)
		return -err->code;
	m->vmm = proc_ref_of(m->hv->pid);
	m->log_cap = log_cap_new(
		m->loop, (int[]){ m->vmm_log, m->console_log, m->fs_server.log, log_fd() }, 4);
	m->up = log_now_us();
	log_debug("phase: VMM started");
	m->vmm_death = loop_add_fd(m->loop, m->hv->pidfd, EPOLLIN, on_vmm_death, m);
	if (!jail.serves_share)
		m->fs_server_death =
			loop_add_fd(m->loop, m->fs_server.pidfd, EPOLLIN, on_fs_server_death, m);
	m->boot_timer = loop_add_timer(m->loop, boot_limit(m) * 1000, on_boot_timeout, m);
	m->agent = m->clone.template
	                   ? agent_resume(agent, m->loop, steal_fd(&ours), m->clone.template->hello,
	                                  &agent_events, m)
	                   : agent_open(agent, m->loop, steal_fd(&ours), &agent_events, m);
	return 0;
}

/* A clone that does not work: boot a VM instead. */
static int boot_instead(struct monitor *m, const struct error *reason, struct error *err)
{
	clone_give_up(m, reason);
	vm_stop(m);
	drop_calls(m, reason);
	return start_vmm(m, err);
}

int vm_start(struct monitor *m, struct error *err)
{
	auto_error struct error reason = { 0 };

	if (start_vmm(m, err) == 0)
		return m->clone.restoring ? 0 : size_start(m, err);
	if (!m->clone.template)
		return -err->code;
	error_move(&reason, err);
	return boot_instead(m, &reason, err);
}
