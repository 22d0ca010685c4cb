#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "agent/agent.h"
#include "agent/datagrams.h"
#include "agent/duplex.h"
#include "agent/protocol.h"
#include "lib/dns.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "netns/netns.h"

#define FLOW_IDLE_MS 30000 /* longer than anybody waits for an answer */
#define READS 4            /* datagrams per event, so that others have a turn */
#define MAX_CONNECTIONS 32 /* of the guest's at a time; others wait in its kernel's queue */
#define MAX_ASKED 4        /* of them: requests for one that has not come yet */
#define RETRY_MS 1000      /* after the guest has failed, or has no streams left */

/* A conversation: a socket of the guest that has asked something. */
struct flow {
	struct flow *next;
	struct dns *dns;
	uint32_t number; /* the guest's */
	int fd;
	struct loop_source *source; /* NULL while there is no room for answers */
	uint64_t last_used;         /* ms */
};

/* A request for a connection. */
struct asked {
	struct dns *dns;
	bool is_open;
	uint32_t to, from;
};

struct dns {
	struct loop *loop;
	struct agent *agent;
	struct netns *ns;
	bool is_on;
	uint32_t to, from; /* streams of datagrams, from the guest's answer on */
	struct datagrams *datagrams;
	struct flow *flows;       /* the last one that was used first */
	struct loop_source *idle; /* ends flows */
	struct asked asked[MAX_ASKED];
	struct duplex_list connections;
	struct loop_source *tidy; /* frees connections that have ended, and asks for more */
};

/* ---- sockets in the namespace ---- */

static int open_socket(void *arg, struct error *err)
{
	const int *type = arg;
	int fd = socket(AF_INET, *type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? error_sys(err, "make a socket in the network namespace") : fd;
}

/* -1: nobody can be reached there. Without waiting: TCP goes on by itself. */
static int connect_to_server(struct dns *d, int type)
{
	const struct sockaddr_in server = {
		.sin_family = AF_INET,
		.sin_port = htons(PROTOCOL_RESOLVER_PORT),
		.sin_addr.s_addr = htonl(PROTOCOL_RESOLVER_ADDRESS),
	};
	auto_error struct error err = { 0 };
	auto_close int fd = netns_inside(d->ns, open_socket, &type, &err);

	if (fd < 0) {
		log_debug("name server: %s", err.msg);
		return -1;
	}
	if (connect(fd, (const struct sockaddr *)&server, sizeof(server)) < 0 &&
	    errno != EINPROGRESS) {
		log_debug("name server: %s", strerror(errno));
		return -1;
	}
	return steal_fd(&fd);
}

/* ---- datagrams ---- */

static void flow_free(struct flow *f)
{
	struct flow **at = &f->dns->flows;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	loop_remove(&f->source);
	close_fd(&f->fd);
	free(f);
}

/* Answers that there is no room for wait in their sockets. */
static void stop_reading(struct dns *d)
{
	for (struct flow *f = d->flows; f; f = f->next)
		loop_remove(&f->source);
}

/* Nobody is there. What comes next has another socket: with address translation on its way, as
 * Docker has it, this one would go on to where the name server was. */
static void refuse(struct flow *f)
{
	datagrams_send(f->dns->datagrams, f->number, NULL, 0);
	flow_free(f);
}

static void on_answer(int fd, uint32_t events, void *arg)
{
	struct flow *f = arg;
	struct dns *d = f->dns;
	auto_free uint8_t *data = xmalloc(DATAGRAM_MAX);

	(void)events;
	for (int i = 0; i < READS && datagrams_have_room(d->datagrams); i++) {
		ssize_t n = recv(fd, data, DATAGRAM_MAX, MSG_DONTWAIT);

		if (n < 0 && errno == ECONNREFUSED) {
			refuse(f);
			break;
		}
		if (n < 0)
			break;
		if (n > 0)
			datagrams_send(d->datagrams, f->number, data, (size_t)n);
	}
	if (!datagrams_have_room(d->datagrams))
		stop_reading(d);
}

static void watch(struct flow *f)
{
	if (!f->source && datagrams_have_room(f->dns->datagrams))
		f->source = loop_add_fd(f->dns->loop, f->fd, EPOLLIN, on_answer, f);
}

static void on_writable(void *arg)
{
	struct dns *d = arg;

	for (struct flow *f = d->flows; f; f = f->next)
		watch(f);
}

/* From the oldest on, which are the last in the list. */
static void end_flows(struct dns *d, uint64_t used_before, size_t max)
{
	struct flow *f, *next;
	size_t n = 0;

	for (f = d->flows; f; f = next) {
		next = f->next;
		if (++n > max || f->last_used < used_before)
			flow_free(f);
	}
}

static void on_idle(void *arg)
{
	struct dns *d = arg;

	end_flows(d, loop_now_ms() - FLOW_IDLE_MS, PROTOCOL_RESOLVER_ASKERS);
	if (d->flows)
		loop_rearm(d->idle, FLOW_IDLE_MS);
}

static struct flow *new_flow(struct dns *d, uint32_t number)
{
	int fd = connect_to_server(d, SOCK_DGRAM);
	struct flow *f;

	if (fd < 0)
		return NULL;
	end_flows(d, 0, PROTOCOL_RESOLVER_ASKERS - 1);
	if (!d->flows)
		loop_rearm(d->idle, FLOW_IDLE_MS);
	f = xzalloc(sizeof(*f));
	*f = (struct flow){ .next = d->flows, .dns = d, .number = number, .fd = fd };
	d->flows = f;
	watch(f);
	return f;
}

/* The flow of that number, which comes to the front. */
static struct flow *use_flow(struct dns *d, uint32_t number)
{
	struct flow **at = &d->flows, *f;

	while (*at && (*at)->number != number)
		at = &(*at)->next;
	f = *at;
	if (!f)
		return new_flow(d, number);
	*at = f->next;
	f->next = d->flows;
	d->flows = f;
	return f;
}

static void on_question(void *arg, uint32_t conversation, const uint8_t *data, size_t len)
{
	struct dns *d = arg;
	struct flow *f = use_flow(d, conversation);

	/* That an earlier one was refused is told once, to whoever comes first. */
	if (f && send(f->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED) {
		flow_free(f);
		f = new_flow(d, conversation);
		if (f)
			(void)send(f->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	if (f)
		f->last_used = loop_now_ms();
	else if (datagrams_have_room(d->datagrams))
		datagrams_send(d->datagrams, conversation, NULL, 0);
}

/* ---- connections ---- */

static void ask_for_connections(struct dns *d);

static void on_connection_done(void *arg)
{
	struct dns *d = arg;

	loop_rearm(d->tidy, 0);
}

/* A program in the guest has connected. */
static void join(struct dns *d, const struct asked *a)
{
	struct mux *mux = agent_mux(d->agent);
	int fd = connect_to_server(d, SOCK_STREAM);
	struct duplex *x;

	if (fd < 0) {
		mux_refuse_stream(mux, a->to, false);
		mux_refuse_stream(mux, a->from, true);
		return;
	}
	x = duplex_new(d->loop, mux, a->from, a->to, fd, DUPLEX_PRIVATE, on_connection_done, d);
	if (x)
		duplex_list_add(&d->connections, x);
}

static void on_accepted(void *arg, const struct json *result, const struct error *err)
{
	struct asked *a = arg;
	struct dns *d = a->dns;

	a->is_open = false;
	if (!result) {
		log_debug("name server: %s", err->msg);
		loop_rearm(d->tidy, RETRY_MS);
		return;
	}
	join(d, a);
	ask_for_connections(d);
}

static struct json *stream_args(struct dns *d, uint32_t *to, uint32_t *from)
{
	struct json *args = json_new_object();

	*to = agent_next_stream(d->agent);
	*from = agent_next_stream(d->agent);
	json_set(args, "to", json_new_u64(*to));
	json_set(args, "from", json_new_u64(*from));
	return args;
}

/* These may be answered at any time, or never, and so have no limit. */
static void ask_for_connections(struct dns *d)
{
	size_t n = duplex_list_sweep(&d->connections);

	for (size_t i = 0; i < MAX_ASKED; i++)
		n += d->asked[i].is_open;
	for (size_t i = 0; i < MAX_ASKED && n < MAX_CONNECTIONS; i++) {
		struct asked *a = &d->asked[i];
		struct json *args;

		if (a->is_open)
			continue;
		if (mux_streams_left(agent_mux(d->agent)) < MUX_SPARE_STREAMS) {
			loop_rearm(d->tidy, RETRY_MS);
			return;
		}
		a->dns = d;
		a->is_open = true;
		args = stream_args(d, &a->to, &a->from);
		agent_call(d->agent, "accept", args, on_accepted, a);
		n++;
	}
}

static void on_tidy(void *arg)
{
	ask_for_connections(arg);
}

/* ---- both ---- */

static const struct datagrams_events events = { .received = on_question, .writable = on_writable };

static void on_begun(void *arg, const struct json *result, const struct error *err)
{
	struct dns *d = arg;

	if (result)
		d->datagrams = datagrams_new(agent_mux(d->agent), d->from, d->to, &events, d);
	if (d->datagrams)
		ask_for_connections(d);
	else
		log_warn("the guest cannot use the name server of its network: %s, ignoring",
		         result ? "too many streams" : err->msg);
}

struct dns *dns_new(struct loop *loop, struct agent *agent, struct netns *ns)
{
	struct dns *d = xzalloc(sizeof(*d));

	d->loop = loop;
	d->agent = agent;
	d->ns = ns;
	return d;
}

void dns_look(struct dns *d)
{
	auto_error struct error err = { 0 };
	int found;

	if (d->is_on || !agent_mux(d->agent))
		return;
	found = netns_has_udp(d->ns, PROTOCOL_RESOLVER_ADDRESS, &err);
	if (found < 0 && found != -ENOENT)
		log_warn("look for a name server of the network: %s, ignoring", err.msg);
	if (found <= 0 && found != -ENOENT)
		return;
	d->is_on = true;
	d->idle = loop_add_timer(d->loop, 0, on_idle, d);
	loop_disarm(d->idle);
	d->tidy = loop_add_timer(d->loop, 0, on_tidy, d);
	loop_disarm(d->tidy);
	agent_call(d->agent, "resolver", stream_args(d, &d->to, &d->from), on_begun, d);
}

bool dns_is_on(const struct dns *d)
{
	return d && d->is_on;
}

void dns_free(struct dns *d)
{
	if (!d)
		return;
	while (d->flows)
		flow_free(d->flows);
	datagrams_free(d->datagrams);
	duplex_list_free(&d->connections);
	loop_remove(&d->idle);
	loop_remove(&d->tidy);
	free(d);
}
