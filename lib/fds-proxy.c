#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/duplex.h"
#include "lib/fds-proxy.h"
#include "lib/monitor-internal.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"

#define FIRST_FD 3
#define MAX_CONNECTIONS 256 /* of a process, at a time: the others wait in the kernel's queue */
#define RETRY_MS 50         /* after the guest's queue, or we, had no room */

struct entry {
	struct fds_proxy *proxy;
	struct json *what; /* for the agent */
	int fd;            /* until a pump has it; of a listening socket to the end */
	bool is_listener, has_records;
	struct pump *in, *out;
	struct duplex *duplex;
	struct loop_source *source;
};

struct connection {
	struct connection *next;
	struct fds_proxy *proxy;
	struct entry *entry;
	uint64_t number;
	int fd; /* until it is connected in the guest */
	bool is_asked;
	struct duplex *duplex;
};

struct fds_proxy {
	struct process *process;
	struct loop *loop;
	size_t n;
	struct entry *v;
	struct connection *connections;
	size_t n_connections;
	uint64_t last_number;
	struct loop_source *tidy; /* removes what has ended, tries again what had to wait */
	bool is_listening, is_exited;
};

static struct mux *mux_of(const struct fds_proxy *f)
{
	return agent_mux(f->process->ct->m->agent);
}

struct fds_proxy *fds_proxy_new(struct process *p, struct ctl_msg *msg)
{
	const struct json *list = json_get_array(msg->json, "fds");
	struct fds_proxy *f;

	if (!list || json_len(list) == 0)
		return NULL;
	f = xzalloc(sizeof(*f));
	f->process = p;
	f->loop = p->ct->m->loop;
	f->n = json_len(list);
	f->v = xcalloc(f->n, sizeof(*f->v));
	for (size_t i = 0; i < f->n; i++) {
		struct entry *e = &f->v[i];
		int64_t index = json_get_i64(json_at(list, i), "fd", -1);

		e->proxy = f;
		e->what = json_copy(json_at(list, i));
		json_del(e->what, "fd");
		e->fd = index < 0 ? -1 : ctl_msg_take_fd_at(msg, (size_t)index);
		e->is_listener = str_eq(json_get_string(e->what, "type"), "listen");
		e->has_records = !str_eq(json_get_string(e->what, "kind"), "stream");
	}
	return f;
}

/* ---- descriptors that are there from the beginning ---- */

static bool is_of_type(const struct entry *e, const char *type)
{
	return str_eq(json_get_string(e->what, "type"), type);
}

size_t fds_proxy_streams(const struct fds_proxy *f)
{
	size_t n = 0;

	for (size_t i = 0; f && i < f->n; i++)
		n += is_of_type(&f->v[i], "socket") ? 2 : is_of_type(&f->v[i], "pipe") ? 1 : 0;
	return n;
}

static void on_output_done(void *arg)
{
	struct entry *e = arg;

	process_output_done(e->proxy->process);
}

static bool open_pipe(struct entry *e)
{
	struct agent *agent = e->proxy->process->ct->m->agent;
	uint32_t stream = agent_next_stream(agent);
	bool reads = json_get_bool(e->what, "reads", false);
	int fd = steal_fd(&e->fd);

	json_del(e->what, "reads");
	json_set(e->what, reads ? "in" : "out", json_new_u64(stream));
	if (reads)
		e->in = pump_from_fd(e->proxy->loop, mux_of(e->proxy), stream, fd, NULL, NULL);
	else
		e->out =
			pump_to_fd(e->proxy->loop, mux_of(e->proxy), stream, fd, on_output_done, e);
	return e->in || e->out;
}

static bool open_socket(struct entry *e)
{
	struct agent *agent = e->proxy->process->ct->m->agent;
	uint32_t in = agent_next_stream(agent), out = agent_next_stream(agent);

	json_set(e->what, "in", json_new_u64(in));
	json_set(e->what, "out", json_new_u64(out));
	e->duplex = duplex_new(e->proxy->loop, mux_of(e->proxy), out, in, steal_fd(&e->fd),
	                       e->has_records ? DUPLEX_RECORDS : 0, on_output_done, e);
	return e->duplex;
}

struct json *fds_proxy_open(struct fds_proxy *f, bool *failed)
{
	struct json *list;

	*failed = false;
	if (!f || !mux_of(f))
		return NULL;
	list = json_new_array();
	for (size_t i = 0; i < f->n && !*failed; i++) {
		struct entry *e = &f->v[i];

		if (is_of_type(e, "pipe"))
			*failed = !open_pipe(e);
		else if (is_of_type(e, "socket"))
			*failed = !open_socket(e);
		else if (is_of_type(e, "device"))
			close_fd(&e->fd);
		json_add(list, json_copy(e->what));
	}
	if (!*failed)
		return list;
	json_free(list);
	return NULL;
}

/* ---- connections ---- */

static void connection_free(struct connection *c)
{
	struct connection **at = &c->proxy->connections;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->proxy->n_connections--;
	duplex_free(c->duplex);
	close_fd(&c->fd);
	free(c);
}

/* The proxy, and the connection, may be gone when the guest answers. */
struct reply {
	struct monitor *m;
	char *container, *process;
	uint64_t number;
	uint32_t to, from;
};

static struct connection *find_connection(const struct reply *r)
{
	struct container *ct = container_find(r->m, r->container);
	struct process *p = ct ? process_find(ct, r->process) : NULL;
	struct connection *c = p && p->proxy ? p->proxy->connections : NULL;

	while (c && c->number != r->number)
		c = c->next;
	return c;
}

static void on_connection_done(void *arg)
{
	struct connection *c = arg;

	loop_rearm(c->proxy->tidy, 0);
	process_output_done(c->proxy->process);
}

static void connected(struct connection *c, const struct reply *r)
{
	struct fds_proxy *f = c->proxy;

	c->duplex = duplex_new(f->loop, mux_of(f), r->from, r->to, steal_fd(&c->fd),
	                       DUPLEX_PRIVATE | (c->entry->has_records ? DUPLEX_RECORDS : 0),
	                       on_connection_done, c);
	if (!c->duplex)
		connection_free(c);
}

static void on_reply(void *arg, const struct json *result, const struct error *err)
{
	struct reply *r = arg;
	struct connection *c = find_connection(r);
	struct mux *mux = r->m->is_ending ? NULL : agent_mux(r->m->agent);

	if (result && c) {
		connected(c, r);
	} else if (result && mux) {
		mux_refuse_stream(mux, r->to, false);
		mux_refuse_stream(mux, r->from, true);
	} else if (c && err && err->code == EAGAIN) {
		c->is_asked = false;
		loop_rearm(c->proxy->tidy, RETRY_MS);
	} else if (c) {
		log_debug("a connection for '%s': %s", r->container, err->msg);
		connection_free(c);
	}
	free(r->container);
	free(r->process);
	free(r);
}

static void ask(struct connection *c)
{
	struct process *p = c->proxy->process;
	struct agent *agent = p->ct->m->agent;
	struct json *args = container_args(p->ct);
	struct reply *r = xzalloc(sizeof(*r));
	socklen_t size = sizeof(struct ucred);
	struct ucred cred;

	*r = (struct reply){ .m = p->ct->m, .number = c->number };
	r->container = str_dup(p->ct->id);
	r->process = str_dup(p->name);
	r->to = agent_next_stream(agent);
	r->from = agent_next_stream(agent);
	json_set(args, "process", json_new_string(p->name));
	json_set(args, "fd", json_new_i64(FIRST_FD + (c->entry - c->proxy->v)));
	json_set(args, "to", json_new_u64(r->to));
	json_set(args, "from", json_new_u64(r->from));
	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) == 0 &&
	    cred.uid != (uid_t)-1) {
		json_set(args, "uid", json_new_u64(cred.uid));
		json_set(args, "gid", json_new_u64(cred.gid));
	}
	c->is_asked = true;
	vm_call(p->ct->m, "connect", args, on_reply, r);
}

/* The socket's flags are not only ours, and somebody else may take the connection that epoll has
 * told of: so with a time limit, which is as short as it can be. */
static int accept_now(int listener)
{
	struct pollfd ready = { .fd = listener, .events = POLLIN };
	struct timeval old = { 0 }, limit = { .tv_usec = 1000 };
	socklen_t size = sizeof(old);
	int fd, code;

	if (poll(&ready, 1, 0) <= 0) {
		errno = EAGAIN;
		return -1;
	}
	getsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &old, &size);
	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	code = errno;
	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &old, sizeof(old));
	errno = code;
	return fd;
}

static bool has_room(const struct fds_proxy *f, const struct entry *e)
{
	for (const struct connection *c = f->connections; c; c = c->next)
		if (c->entry == e && !c->duplex && !c->is_asked)
			return false; /* one waits for the guest's queue already */
	return f->n_connections < MAX_CONNECTIONS &&
	       mux_streams_left(mux_of(f)) > MUX_SPARE_STREAMS;
}

static void on_connection(int fd, uint32_t events, void *arg)
{
	struct entry *e = arg;
	struct fds_proxy *f = e->proxy;
	struct connection *c;
	int peer;

	(void)events;
	peer = has_room(f, e) ? accept_now(fd) : -1;
	if (peer < 0) {
		/* No room, also for descriptors: not asked about until there may be some. */
		loop_remove(&e->source);
		loop_rearm(f->tidy, RETRY_MS);
		return;
	}
	c = xzalloc(sizeof(*c));
	*c = (struct connection){ .next = f->connections,
		                  .proxy = f,
		                  .entry = e,
		                  .number = ++f->last_number,
		                  .fd = peer };
	f->connections = c;
	f->n_connections++;
	ask(c);
}

static void watch_listeners(struct fds_proxy *f)
{
	for (size_t i = 0; f->is_listening && i < f->n; i++) {
		struct entry *e = &f->v[i];

		if (e->is_listener && e->fd >= 0 && !e->source)
			e->source = loop_add_fd(f->loop, e->fd, EPOLLIN, on_connection, e);
	}
}

static void on_tidy(void *arg)
{
	struct fds_proxy *f = arg;
	struct connection *c, *next;

	for (c = f->connections; c; c = next) {
		next = c->next;
		if (c->duplex && duplex_is_done(c->duplex))
			connection_free(c);
		else if (!c->duplex && !c->is_asked && f->is_listening)
			ask(c);
	}
	watch_listeners(f);
}

void fds_proxy_listen(struct fds_proxy *f)
{
	if (!f || f->is_exited || !mux_of(f))
		return;
	f->is_listening = true;
	f->tidy = loop_add_timer(f->loop, 0, on_tidy, f);
}

/* ---- the end ---- */

static bool is_out(const struct pump *p)
{
	return !p || pump_is_done(p);
}

bool fds_proxy_is_done(const struct fds_proxy *f)
{
	for (size_t i = 0; f && i < f->n; i++)
		if (!is_out(f->v[i].out) || (f->v[i].duplex && !is_out(duplex_to(f->v[i].duplex))))
			return false;
	for (const struct connection *c = f ? f->connections : NULL; c; c = c->next)
		if (c->duplex && !is_out(duplex_to(c->duplex)))
			return false;
	return true;
}

static uint64_t look_at(const struct pump *p, bool *is_blocked)
{
	*is_blocked |= p && pump_is_blocked(p);
	return p ? pump_bytes(p) : 0;
}

uint64_t fds_proxy_bytes(const struct fds_proxy *f, bool *is_blocked)
{
	bool ignored = false;
	uint64_t n = 0;

	for (size_t i = 0; f && i < f->n; i++) {
		n += look_at(f->v[i].out, is_blocked);
		n += f->v[i].duplex ? look_at(duplex_to(f->v[i].duplex), is_blocked) : 0;
	}
	/* A client that does not read is not the caller: the container does not wait for it. */
	for (const struct connection *c = f ? f->connections : NULL; c; c = c->next)
		n += c->duplex ? look_at(duplex_to(c->duplex), &ignored) : 0;
	return n;
}

void fds_proxy_exited(struct fds_proxy *f)
{
	struct connection *c, *next;

	if (!f)
		return;
	f->is_exited = true;
	f->is_listening = false;
	for (size_t i = 0; i < f->n; i++) {
		loop_remove(&f->v[i].source);
		close_fd(&f->v[i].fd);
		pump_free(steal_ptr(&f->v[i].in));
	}
	for (c = f->connections; c; c = next) {
		next = c->next;
		if (!c->duplex)
			connection_free(c);
	}
}

void fds_proxy_free(struct fds_proxy *f)
{
	if (!f)
		return;
	while (f->connections)
		connection_free(f->connections);
	for (size_t i = 0; i < f->n; i++) {
		struct entry *e = &f->v[i];

		loop_remove(&e->source);
		pump_free(e->in);
		pump_free(e->out);
		duplex_free(e->duplex);
		close_fd(&e->fd);
		json_free(e->what);
	}
	loop_remove(&f->tidy);
	free(f->v);
	free(f);
}
