#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "agent/datagrams.h"
#include "agent/duplex.h"
#include "agent/guest/resolver-internal.h"
#include "agent/guest/resolver.h"
#include "lib/base/error.h"
#include "lib/base/loop.h"

#define READS 16 /* datagrams per event, so that others have a turn */

/* A socket that has asked something. */
struct asker {
	uint32_t conversation; /* 0: none yet */
	struct sockaddr_in address;
	uint64_t last; /* which question of all it was */
};

struct waiting {
	uint32_t to, from;
	resolver_done_fn done;
	void *arg;
};

struct resolver {
	struct loop *loop;
	struct mux *mux;
	struct resolver_sockets sockets;
	struct loop_source *udp, *tcp; /* NULL while nothing can be done about what comes */

	struct datagrams *datagrams;
	struct asker askers[PROTOCOL_RESOLVER_ASKERS];
	uint32_t last_conversation;
	uint64_t questions;

	struct waiting waiting[PROTOCOL_RESOLVER_ACCEPTS]; /* for connections, oldest first */
	size_t n_waiting;
	struct duplex_list connections;
};

/* ---- datagrams ---- */

/* The one whose last question is the oldest makes room for a new one. */
static struct asker *find_asker(struct resolver *r, const struct sockaddr_in *address)
{
	struct asker *oldest = &r->askers[0];

	for (struct asker *a = r->askers; a < r->askers + ARRAY_SIZE(r->askers); a++) {
		if (a->conversation != 0 && a->address.sin_port == address->sin_port &&
		    a->address.sin_addr.s_addr == address->sin_addr.s_addr)
			return a;
		if (a->last < oldest->last)
			oldest = a;
	}
	if (++r->last_conversation == 0)
		r->last_conversation = 1;
	*oldest = (struct asker){ .conversation = r->last_conversation, .address = *address };
	return oldest;
}

static void on_question(int fd, uint32_t events, void *arg)
{
	struct resolver *r = arg;
	auto_free uint8_t *data = xmalloc(DATAGRAM_MAX);

	(void)events;
	for (int i = 0; i < READS && datagrams_have_room(r->datagrams); i++) {
		struct sockaddr_in from;
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(fd, data, DATAGRAM_MAX, MSG_DONTWAIT, (struct sockaddr *)&from,
		                     &size);
		struct asker *asker;

		if (n < 0)
			return;
		if (n == 0)
			continue;
		asker = find_asker(r, &from);
		asker->last = ++r->questions;
		datagrams_send(r->datagrams, asker->conversation, data, (size_t)n);
	}
	if (!datagrams_have_room(r->datagrams))
		loop_remove(&r->udp);
}

static void on_answer(void *arg, uint32_t conversation, const uint8_t *data, size_t len)
{
	struct resolver *r = arg;
	const struct asker *a = r->askers, *end = a + ARRAY_SIZE(r->askers);

	while (a < end && a->conversation != conversation)
		a++;
	if (a == end || conversation == 0)
		return; /* it came too late */
	if (len > 0)
		resolver_answer(&r->sockets, &a->address, data, len);
	else
		resolver_refuse(&r->sockets, &a->address);
}

static void watch_udp(void *arg)
{
	struct resolver *r = arg;

	if (!r->udp)
		r->udp = loop_add_fd(r->loop, r->sockets.udp, EPOLLIN, on_question, r);
}

static const struct datagrams_events events = { .received = on_answer, .writable = watch_udp };

/* ---- connections ---- */

static struct waiting take_waiting(struct resolver *r)
{
	struct waiting first = r->waiting[0];

	r->n_waiting--;
	for (size_t i = 0; i < r->n_waiting; i++)
		r->waiting[i] = r->waiting[i + 1];
	return first;
}

static void on_connection(int fd, uint32_t events_, void *arg)
{
	struct resolver *r = arg;
	auto_error struct error err = { 0 };
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	struct waiting w;
	struct duplex *d;

	(void)events_;
	if (peer < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
		return;
	if (peer < 0)
		error_sys(&err, "accept a connection to the resolver");
	w = take_waiting(r);
	if (r->n_waiting == 0)
		loop_remove(&r->tcp);
	duplex_list_sweep(&r->connections);
	if (peer >= 0) {
		d = duplex_new(r->loop, r->mux, w.to, w.from, peer, DUPLEX_PRIVATE, NULL, NULL);
		if (d)
			duplex_list_add(&r->connections, d);
		else
			mux_fail(r->mux, EPROTO,
			         "the peer broke the protocol: a stream is not free");
	}
	w.done(w.arg, &err);
}

int resolver_accept(struct resolver *r, uint32_t to, uint32_t from, resolver_done_fn done,
                    void *arg, struct error *err)
{
	if (r->n_waiting == PROTOCOL_RESOLVER_ACCEPTS)
		return error_set(err, EBUSY, "enough requests wait for a connection already");
	r->waiting[r->n_waiting++] =
		(struct waiting){ .to = to, .from = from, .done = done, .arg = arg };
	if (!r->tcp)
		r->tcp = loop_add_fd(r->loop, r->sockets.tcp, EPOLLIN, on_connection, r);
	return 0;
}

/* ---- both ---- */

struct resolver *resolver_new(struct loop *loop, struct mux *m, uint32_t to, uint32_t from,
                              struct error *err)
{
	struct resolver *r = xzalloc(sizeof(*r));

	r->loop = loop;
	r->mux = m;
	if (resolver_sockets_open(&r->sockets, err) < 0) {
		free(r);
		return NULL;
	}
	r->datagrams = datagrams_new(m, to, from, &events, r);
	if (!r->datagrams) {
		error_set(err, EPROTO, "the peer broke the protocol: a stream is not free");
		mux_fail(m, err->code, "%s", err->msg);
		resolver_free(r);
		return NULL;
	}
	watch_udp(r);
	return r;
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	loop_remove(&r->udp);
	loop_remove(&r->tcp);
	datagrams_free(r->datagrams);
	duplex_list_free(&r->connections);
	resolver_sockets_close(&r->sockets);
	free(r);
}
