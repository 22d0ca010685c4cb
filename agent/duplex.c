#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "agent/duplex.h"
#include "lib/base/mem.h"

struct duplex {
	int fd; /* for shutdown(); the pumps have their own */
	bool is_private, is_unix;
	bool has_ended; /* the socket said so; else the reader of the stream does not want more */
	struct pump *to, *from;
	pump_done_fn done;
	void *arg;
	struct duplex *next; /* in a list */
};

static bool is_over(const struct pump *p)
{
	return !p || pump_is_done(p);
}

bool duplex_is_done(const struct duplex *d)
{
	return is_over(d->to) && is_over(d->from);
}

const struct pump *duplex_to(const struct duplex *d)
{
	return d->to;
}

static void check_done(struct duplex *d)
{
	pump_done_fn done = d->done;

	if (!duplex_is_done(d) || !done)
		return;
	d->done = NULL;
	close_fd(&d->fd);
	done(d->arg);
}

/* With the other direction over there is nothing to say: closing says it, unless somebody else has
 * the socket as well and wants to go on. */
static void on_to_done(void *arg)
{
	struct duplex *d = arg;

	if (d->is_private || (d->from && !pump_is_unwanted(d->from)))
		shutdown(d->fd, SHUT_WR);
	check_done(d);
}

/* A unix socket that was closed, not only shut down, is seen to be. The stream that goes to it is
 * closed before the other one ends, so that the peer can tell the two apart. */
static void on_from_ending(void *arg)
{
	struct duplex *d = arg;
	struct pollfd ask = { .fd = d->fd };

	d->has_ended = true;
	if (d->is_private && d->is_unix && poll(&ask, 1, 0) > 0 && (ask.revents & POLLHUP))
		pump_free(steal_ptr(&d->to));
}

static void on_from_done(void *arg)
{
	struct duplex *d = arg;

	/* The writer is to learn that nobody reads. TCP can only say so by closing. */
	if (d->is_private && !d->has_ended) {
		shutdown(d->fd, SHUT_RD);
		if (!d->is_unix)
			pump_free(steal_ptr(&d->to));
	}
	check_done(d);
}

struct duplex *duplex_new(struct loop *loop, struct mux *m, uint32_t to, uint32_t from, int fd,
                          unsigned flags, pump_done_fn done, void *arg)
{
	struct duplex *d = xzalloc(sizeof(*d));
	int domain = 0, a = fcntl(fd, F_DUPFD_CLOEXEC, 3), b = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	socklen_t size = sizeof(domain);

	d->fd = fd;
	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
	d->is_unix = domain == AF_UNIX;
	d->is_private = flags & DUPLEX_PRIVATE;
	if (flags & DUPLEX_RECORDS) {
		d->to = pump_records_to_fd(loop, m, to, a, on_to_done, d);
		d->from = pump_records_from_fd(loop, m, from, b, on_from_done, d);
	} else {
		d->to = pump_to_fd(loop, m, to, a, on_to_done, d);
		d->from = pump_from_fd(loop, m, from, b, on_from_done, d);
	}
	if (!d->to || !d->from) {
		duplex_free(d);
		return NULL;
	}
	pump_on_end(d->from, on_from_ending);
	d->done = done;
	d->arg = arg;
	return d;
}

void duplex_finish(struct duplex *d)
{
	pump_free(steal_ptr(&d->to));
	if (d->from)
		pump_finish(d->from);
}

void duplex_free(struct duplex *d)
{
	if (!d)
		return;
	d->done = NULL;
	pump_free(d->to);
	pump_free(d->from);
	close_fd(&d->fd);
	free(d);
}

void duplex_list_add(struct duplex_list *l, struct duplex *d)
{
	d->next = l->first;
	l->first = d;
}

size_t duplex_list_sweep(struct duplex_list *l)
{
	struct duplex **at = &l->first;
	size_t left = 0;

	while (*at) {
		struct duplex *d = *at;

		if (!duplex_is_done(d)) {
			at = &d->next;
			left++;
			continue;
		}
		*at = d->next;
		duplex_free(d);
	}
	return left;
}

void duplex_list_finish(struct duplex_list *l)
{
	for (struct duplex *d = l->first; d; d = d->next)
		duplex_finish(d);
}

void duplex_list_free(struct duplex_list *l)
{
	while (l->first) {
		struct duplex *d = l->first;

		l->first = d->next;
		duplex_free(d);
	}
}
