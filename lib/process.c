/* Members of a verb's request that describe a process:
 *
 *   stdin, stdout, stderr   descriptors; missing: /dev/null in the guest
 *   terminal                the process has a terminal: what it writes there goes to stdout
 *   tty                     descriptor of a terminal, used for both directions of one instead
 *   height, width           of the terminal, may be missing
 *   fds                     what it has as 3, 4, ..., an array as in protocol.h, but with the
 *                           descriptor (fd) in place of streams; of a pipe, whether it reads
 *   shim, shim_pid          control socket of its stand-in; without, the verb itself is it
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <fcntl.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/mux.h"
#include "lib/fds-proxy.h"
#include "lib/monitor-internal.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"

/* How long a guest may take to end the output of a process that has ended, ms. */
#define STALL_TIMEOUT 10000
/* How long it may take a process to die whose stand-in was killed, ms. */
#define KILL_TIMEOUT 900

struct process *process_find(struct container *ct, const char *name)
{
	for (struct process *p = ct->processes; p; p = p->next)
		if (str_eq(p->name, name))
			return p;
	return NULL;
}

/* ---- the stand-in ---- */

static void on_signal_reply(void *arg, const struct json *result, const struct error *err)
{
	(void)arg;
	(void)result;
	/* ESRCH: it ended meanwhile. */
	if (err && err->code && err->code != ESRCH)
		log_debug("pass on a signal: %s", err->msg);
}

static struct json *request_for(struct process *p)
{
	struct json *j = json_new_object();

	json_set(j, "container", json_new_string(p->ct->id));
	json_set(j, "process", json_new_string(p->name));
	return j;
}

static void send_signal(struct process *p, int signo)
{
	struct json *j;

	if (!p->ct->is_in_guest || p->is_exited || p->ct->m->is_ending)
		return;
	j = request_for(p);
	json_set(j, "signal", json_new_i64(signo));
	vm_call(p->ct->m, "signal", j, on_signal_reply, NULL);
}

void process_kill(struct process *p)
{
	send_signal(p, SIGKILL);
}

void process_resize(struct process *p, unsigned short height, unsigned short width)
{
	struct json *j;

	p->height = height;
	p->width = width;
	if (!p->has_tty || !p->ct->is_in_guest || p->is_exited || p->ct->m->is_ending)
		return;
	j = request_for(p);
	json_set(j, "height", json_new_u64(height));
	json_set(j, "width", json_new_u64(width));
	vm_call(p->ct->m, "winsize", j, on_signal_reply, NULL);
}

void process_request(struct process *p, const struct json *request)
{
	const char *op = json_get_string(request, "op");

	if (str_eq(op, "signal"))
		send_signal(p, (int)json_get_i64(request, "signal", 0));
	else if (str_eq(op, "winsize"))
		process_resize(p, (unsigned short)json_get_i64(request, "height", 0),
		               (unsigned short)json_get_i64(request, "width", 0));
}

static void on_shim_message(struct ctl_conn *c, struct ctl_msg *msg, void *arg)
{
	(void)c;
	process_request(arg, msg->json);
	ctl_msg_free(msg);
}

/* The guest was told to kill the process and does not say that it has ended. */
static void on_kill_timeout(void *arg)
{
	struct process *p = arg;
	auto_error struct error err = { 0 };

	if (p != p->ct->processes) {
		process_end(p, 128 + SIGKILL);
		return;
	}
	error_set(&err, ETIMEDOUT, "container '%s' does not die", p->ct->id);
	container_give_up(p->ct, &err);
}

void process_standin_gone(struct process *p)
{
	auto_error struct error err = { 0 };

	/* It may have taken its exit code and gone. */
	if (p->is_exited || p->kill_timer)
		return;
	if (!p->ct->is_in_guest) {
		error_set(&err, ECANCELED, "the stand-in of '%s' was killed", p->ct->id);
		container_abort(p->ct, &err);
		return;
	}
	process_kill(p);
	p->kill_timer = loop_add_timer(p->ct->m->loop, KILL_TIMEOUT, on_kill_timeout, p);
}

static void on_shim_closed(struct ctl_conn *c, void *arg)
{
	struct process *p = arg;

	ctl_conn_free(c);
	p->shim = NULL;
	process_standin_gone(p);
}

/* ---- making and freeing ---- */

struct process *process_new(struct container *ct, const char *name, struct client *c,
                            struct ctl_msg *msg)
{
	static const char *const keys[] = { "stdin", "stdout", "stderr" };
	struct process *p = xzalloc(sizeof(*p)), **end = &ct->processes;
	int shim = ctl_msg_take_fd(msg, "shim");
	int tty = ctl_msg_take_fd(msg, "tty");

	p->ct = ct;
	p->name = str_dup(name);
	p->has_tty = tty >= 0 || json_get_bool(msg->json, "terminal", false);
	p->height = (unsigned short)json_get_i64(msg->json, "height", 0);
	p->width = (unsigned short)json_get_i64(msg->json, "width", 0);
	for (int i = 0; i < 3; i++)
		p->fds[i] = tty >= 0 ? -1 : ctl_msg_take_fd(msg, keys[i]);
	if (tty >= 0) {
		p->fds[0] = tty;
		p->fds[1] = fcntl(tty, F_DUPFD_CLOEXEC, 3);
	}
	p->proxy = fds_proxy_new(p, msg);
	p->shim_pid = (pid_t)json_get_i64(msg->json, "shim_pid", 0);
	if (shim >= 0)
		p->shim = ctl_conn_new(ct->m->loop, shim, on_shim_message, on_shim_closed, p);
	else
		p->foreground = client_ref(c);
	while (*end)
		end = &(*end)->next;
	*end = p;
	return p;
}

void process_close_io(struct process *p)
{
	for (int i = 0; i < 3; i++) {
		pump_free(p->pumps[i]);
		p->pumps[i] = NULL;
		close_fd(&p->fds[i]);
	}
	fds_proxy_free(steal_ptr(&p->proxy));
}

void process_free(struct process *p)
{
	struct process **at = &p->ct->processes;

	while (*at && *at != p)
		at = &(*at)->next;
	if (*at)
		*at = p->next;
	for (struct client *c = p->ct->m->clients; c; c = c->next)
		if (c->process == p)
			c->process = NULL;
	loop_remove(&p->stall);
	loop_remove(&p->kill_timer);
	process_close_io(p);
	ctl_conn_free(p->shim);
	client_unref(p->foreground);
	free(p->name);
	free(p);
}

/* ---- stdio ---- */

static bool outputs_are_done(const struct process *p)
{
	for (int i = 1; i < 3; i++)
		if (p->pumps[i] && !pump_is_done(p->pumps[i]))
			return false;
	return fds_proxy_is_done(p->proxy);
}

/* After the exit: the last byte of output is waited for as long as the caller's reader takes, but a
 * guest that sends neither bytes nor the end of its output is not waited for. */
static void on_stall_timer(void *arg)
{
	struct process *p = arg;
	bool is_blocked = false;
	uint64_t moved = 0;

	for (int i = 1; i < 3; i++) {
		moved += p->pumps[i] ? pump_bytes(p->pumps[i]) : 0;
		is_blocked |= p->pumps[i] && pump_is_blocked(p->pumps[i]);
	}
	moved += fds_proxy_bytes(p->proxy, &is_blocked);
	if (moved != p->moved || is_blocked) {
		p->moved = moved;
		loop_rearm(p->stall, STALL_TIMEOUT);
		return;
	}
	log_warn("the guest does not end the output of '%s', ignoring", p->ct->id);
	process_end(p, p->code);
}

static void on_finish_timer(void *arg)
{
	struct process *p = arg;

	process_end(p, p->code);
}

/* A pump is not freed in its own callback: the loop does it. */
static void end_soon(struct process *p)
{
	loop_remove(&p->stall);
	p->stall = loop_add_timer(p->ct->m->loop, 0, on_finish_timer, p);
}

void process_output_done(struct process *p)
{
	if (p->is_exited && outputs_are_done(p))
		end_soon(p);
}

static void on_output_done(void *arg)
{
	process_output_done(arg);
}

static bool has_streams_left(const struct process *p, const struct mux *mux)
{
	return !mux || mux_streams_left(mux) >= ARRAY_SIZE(p->pumps) + fds_proxy_streams(p->proxy);
}

struct json *process_open_io(struct process *p)
{
	static const char *const keys[] = { "stdin", "stdout", "stderr" };
	struct agent *agent = p->ct->m->agent;
	struct mux *mux = agent_mux(agent);
	struct json *io, *size;
	bool failed;

	if (!has_streams_left(p, mux))
		return NULL;
	io = json_new_object();
	for (int i = 0; mux && i < 3; i++) {
		uint32_t stream;

		if (p->fds[i] < 0)
			continue;
		stream = agent_next_stream(agent);
		p->pumps[i] = i == 0 ? pump_from_fd(p->ct->m->loop, mux, stream,
		                                    steal_fd(&p->fds[i]), NULL, NULL)
		                     : pump_to_fd(p->ct->m->loop, mux, stream, steal_fd(&p->fds[i]),
		                                  on_output_done, p);
		if (!p->pumps[i]) {
			json_free(io);
			return NULL;
		}
		json_set(io, keys[i], json_new_u64(stream));
	}
	json_set(io, "fds", fds_proxy_open(p->proxy, &failed));
	if (failed) {
		json_free(io);
		return NULL;
	}
	if (p->has_tty && (p->height || p->width)) {
		size = json_new_object();
		json_set(size, "height", json_new_u64(p->height));
		json_set(size, "width", json_new_u64(p->width));
		json_set(io, "size", size);
	}
	return io;
}

/* ---- the end ---- */

void process_exited(struct process *p, int code)
{
	if (p->is_exited)
		return;
	p->code = code;
	/* The verb that asked for it must have its answer first. */
	if (!p->is_answered) {
		p->is_early = true;
		return;
	}
	p->is_exited = true;
	loop_remove(&p->kill_timer);
	/* Whoever writes to it learns that nobody reads. */
	pump_free(p->pumps[0]);
	p->pumps[0] = NULL;
	fds_proxy_exited(p->proxy);
	/* Who deletes a container does not wait for a reader. */
	if (outputs_are_done(p) || p->ct->deleter)
		end_soon(p);
	else
		p->stall = loop_add_timer(p->ct->m->loop, STALL_TIMEOUT, on_stall_timer, p);
}

void process_answered(struct process *p)
{
	p->is_answered = true;
	if (p->is_early)
		process_exited(p, p->code);
}

void process_end(struct process *p, int code)
{
	struct container *ct = p->ct;
	struct json *j;

	p->is_exited = true;
	loop_remove(&p->stall);
	if (p == ct->processes) {
		container_ended(ct, code);
		return;
	}
	process_close_io(p);
	j = json_new_object();
	json_set(j, "exit", json_new_i64(code));
	if (p->shim)
		ctl_conn_send(p->shim, j);
	else if (p->foreground && p->foreground->conn)
		ctl_conn_send(p->foreground->conn, j);
	else
		json_free(j);
	process_free(p);
}
