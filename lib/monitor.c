#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/config.h"
#include "lib/monitor-internal.h"
#include "lib/network.h"
#include "lib/share.h"
#include "lib/vcrt.h"
#include "lib/vmm-jail.h"
#include "lib/warnings.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"

enum { VERB_FD = 3 }; /* the connection to the verb that started us */

#define BOOT_MESSAGE_TIMEOUT 30000 /* ms; the verb is at work all that time, or gone */

/* ---- clients ---- */

struct client *client_ref(struct client *c)
{
	c->refs++;
	return c;
}

void client_unref(struct client *c)
{
	struct client **at;
	struct monitor *m;

	if (!c || --c->refs)
		return;
	m = c->m;
	at = &m->clients;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	free(c->watching);
	free(c);
	/* Requests and answers are large; what follows may be hours of nothing. */
	if (!m->clients)
		malloc_trim(0);
}

static struct json *add_timeline(struct json *result)
{
	struct json *phases = log_phases_take();

	if (phases && !result)
		result = json_new_object();
	if (phases)
		json_set(result, "timeline", phases);
	return result;
}

void client_ok(struct client *c, struct json *result)
{
	if (c->conn)
		ctl_conn_ok(c->conn, c->wants_timeline ? add_timeline(result) : result);
	else
		json_free(result);
	client_unref(c);
}

void client_fail(struct client *c, const struct error *err)
{
	if (c->conn)
		ctl_conn_error(c->conn, err);
	client_unref(c);
}

void client_failf(struct client *c, int code, const char *fmt, ...)
{
	auto_error struct error err = { 0 };
	auto_free char *msg = NULL;
	va_list ap;

	va_start(ap, fmt);
	msg = str_vfmt(fmt, ap);
	va_end(ap);
	error_set(&err, code, "%s", msg);
	client_fail(c, &err);
}

/* ---- requests ---- */

static void handle_stop(struct monitor *m, struct client *c)
{
	auto_error struct error err = { 0 };

	client_ok(client_ref(c), NULL);
	clone_done(m); /* not to be started anew */
	error_set(&err, ECANCELED, "the sandbox was stopped");
	vm_lost(m, &err);
}

static void handle_for_container(struct monitor *m, struct client *c, const char *op,
                                 struct ctl_msg *msg)
{
	const char *id = json_get_string(msg->json, "container");
	struct container *ct = id ? container_find(m, id) : NULL;

	if (!ct && str_eq(op, "delete")) /* ended, and forgotten here */
		client_ok(client_ref(c), container_deleted(m));
	else if (!ct)
		client_failf(client_ref(c), ENOENT, "container does not exist");
	else if (str_eq(op, "start"))
		container_start(ct, c);
	else if (str_eq(op, "exec"))
		container_exec(ct, c, msg);
	else if (str_eq(op, "kill"))
		container_kill(ct, c, msg->json);
	else if (str_eq(op, "ps"))
		container_ps(ct, c);
	else if (str_eq(op, "plan"))
		container_plan(ct, c, msg->json);
	else if (str_eq(op, "grow"))
		container_grow(ct, c, msg->json);
	else if (str_eq(op, "update"))
		container_update(ct, c, msg->json);
	else if (str_eq(op, "stats"))
		container_stats(ct, c);
	else if (str_eq(op, "events"))
		container_watch(ct, c, msg->json);
	else if (str_eq(op, "pause") || str_eq(op, "resume"))
		container_freeze(ct, c, str_eq(op, "pause"));
	else if (str_eq(op, "resize"))
		container_resize(ct, c, msg->json);
	else if (str_eq(op, "delete"))
		container_delete(ct, c, json_get_bool(msg->json, "force", false));
	else
		client_failf(client_ref(c), EPROTO, "unknown request '%s'", op);
}

static void on_message(struct ctl_conn *conn, struct ctl_msg *msg, void *arg)
{
	auto_ctl_msg struct ctl_msg *owned = msg;
	struct client *c = arg;
	struct monitor *m = c->m;
	const char *op = json_get_string(msg->json, "op");

	(void)conn;
	(void)owned; /* clang: is used by its cleanup */
	if (json_get_bool(msg->json, "timeline", false)) {
		c->wants_timeline = true;
		log_keep_phases();
	}
	if (!op)
		client_failf(client_ref(c), EPROTO, "a request without \"op\"");
	else if (m->is_ending)
		return; /* the end of the connection says so */
	else if (str_eq(op, "signal") || str_eq(op, "winsize")) {
		if (c->process)
			process_request(c->process, msg->json);
	} else if (str_eq(op, "join"))
		pod_join(c, msg->json);
	else if (str_eq(op, "create"))
		container_create(m, c, msg);
	else if (str_eq(op, "commit")) {
		if (c->creating)
			container_committed(c->creating);
	} else if (str_eq(op, "stop"))
		handle_stop(m, c);
	else
		handle_for_container(m, c, op, msg);
}

static void on_closed(struct ctl_conn *conn, void *arg)
{
	struct client *c = arg;
	struct monitor *m = c->m;
	auto_error struct error err = { 0 };
	bool was_coming = c->is_coming;

	ctl_conn_free(conn);
	c->conn = NULL;
	if (c->creating) {
		error_set(&err, ECANCELED, "create was interrupted");
		container_abort(c->creating, &err);
	} else if (c->process && (c->is_standin || !c->process->is_answered)) {
		/* Nobody would learn of what a verb that is gone has asked for. */
		process_standin_gone(c->process);
	}
	client_unref(c);
	if (was_coming) /* it may have died before its request */
		container_end_if_last(m);
}

static struct client *add_client(struct monitor *m, int fd)
{
	struct client *c = xzalloc(sizeof(*c));

	c->m = m;
	c->refs = 1;
	c->next = m->clients;
	m->clients = c;
	c->conn = ctl_conn_new(m->loop, fd, on_message, on_closed, c);
	return c;
}

static void on_connect(int fd, uint32_t events, void *arg)
{
	int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	(void)events;
	if (conn >= 0)
		add_client(arg, conn);
}

/* ---- start and end ---- */

static int take_boot_message(struct monitor *m, int *listener, char **stage, struct error *err)
{
	auto_ctl_msg struct ctl_msg *msg = ctl_recv(VERB_FD, BOOT_MESSAGE_TIMEOUT, err);
	auto_free char *text = NULL;

	if (!msg)
		return -err->code;
	text = json_print(json_get(msg->json, "config"), false);
	m->config = config_parse(text, "of the sandbox", err);
	if (!m->config)
		return -err->code;
	if (!json_get_object(msg->json, "card"))
		return error_set(err, EPROTO, "the monitor's first message is incomplete");
	pod_init(m, json_get_object(msg->json, "card"));
	if (json_get(msg->json, "zero"))
		log_set_zero((uint64_t)json_get_i64(msg->json, "zero", 0));
	m->sandbox = str_dup(json_get_string(msg->json, "sandbox"));
	*stage = str_dup(json_get_string(msg->json, "stage"));
	m->dirfd = ctl_msg_take_fd(msg, "dir");
	*listener = ctl_msg_take_fd(msg, "listener");
	m->vmm_log = ctl_msg_take_fd(msg, "vmm_log");
	m->console_log = ctl_msg_take_fd(msg, "console_log");
	m->clone.state = ctl_msg_take_fd(msg, "template_state");
	m->clone.memory = str_dup(json_get_string(msg->json, "template_memory"));
	m->clone.is_template = m->clone.memory;
	size_init(m, msg->json);
	if (m->dirfd < 0 || (*listener < 0 && !m->clone.is_template) || m->vmm_log < 0 || !*stage ||
	    !m->sandbox)
		return error_set(err, EPROTO, "the monitor's first message is incomplete");
	return 0;
}

static int start(struct monitor *m, struct error *err)
{
	auto_free char *stage = NULL;
	uint64_t begin = log_now_us();
	int listener = -1, log;
	struct share_view view;

	if (take_boot_message(m, &listener, &stage, err) < 0)
		return -err->code;
	log = openat(m->dirfd, MONITOR_LOG, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log < 0)
		return error_sys(err, "open the monitor's log");
	log_to_fd(log, LOG_TEXT, m->config->debug);
	log_phase("order", begin);
	begin = log_now_us();
	view = (struct share_view){ .stage = stage,
		                    .vmm = m->config->vmm_path,
		                    .kernel = m->config->kernel,
		                    .initrd = m->config->initrd,
		                    .fs_server = fs_server_is_wanted(m->config)
		                                         ? m->config->virtiofsd_path
		                                         : NULL };
	clone_find(m);
	view.memory = m->clone.memory;
	view.is_template = m->clone.is_template;
	view.preload = m->clone.template ? m->config->vmm_preload : NULL;
	if (share_enter(&view, err) < 0)
		return -err->code;
	log_phase("share", begin);
	clone_check(m);
	if (vm_start(m, err) < 0)
		return -err->code;
	/* A clone that turns out to be of no use is started anew, see vm.c. */
	if (!m->clone.template && monitor_jail_enter(err) < 0)
		return -err->code;
	if (listener >= 0)
		m->listener = loop_add_fd(m->loop, listener, EPOLLIN, on_connect, m);
	return 0;
}

int vcrt_monitor_main(int argc, char **argv)
{
	struct monitor m = { .dirfd = -1,
		             .vmm_log = -1,
		             .console_log = -1,
		             .clone = { .state = -1 },
		             .fs_server = { .pidfd = -1, .log = -1 } };
	auto_error struct error err = { 0 };
	sigset_t none;
	int status;

	(void)argc;
	(void)argv;
	/* Terminals and engines send signals to whole groups; the sandbox ends by request, or by
	 * SIGKILL. */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int s = 1; s < NSIG; s++)
		if (s != SIGCHLD && s != SIGSEGV && s != SIGBUS && s != SIGABRT && s != SIGFPE &&
		    s != SIGILL)
			signal(s, SIG_IGN);
	fcntl(VERB_FD, F_SETFD, FD_CLOEXEC);
	/* Each process of a container takes some; at the limit a client could not even be refused.
	 */
	fs_raise_limit();
	m.loop = loop_new();
	if (start(&m, &err) < 0) {
		/* The verb waits for an answer to its create. */
		ctl_send_error(VERB_FD, &err);
		vm_stop(&m);
		return 1; /* there is no network yet */
	}
	add_client(&m, VERB_FD)->is_coming = true;
	status = loop_run(m.loop);
	while (m.containers)
		container_free(m.containers);
	vm_stop(&m);
	clone_done(&m);
	free(m.clone.warning);
	network_free(m.network);
	pod_done(&m);
	log_debug("phase: ended");
	return status < 0 ? 1 : status;
}
