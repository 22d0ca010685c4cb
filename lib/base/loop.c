#include "lib/base/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define LOOP_BATCH 16
#define NSEC_PER_MSEC UINT64_C(1000000)

enum source_kind { SOURCE_FD, SOURCE_TIMER, SOURCE_SIGNALS };

struct loop_source {
	struct loop *loop;
	struct loop_source *prev, *next; /* in loop->sources; next also in loop->dead */
	enum source_kind kind;
	bool dead;
	void *arg;
	/* Descriptors and signals; the descriptor of signals is owned. */
	int fd;
	uint32_t events;
	union {
		loop_fd_fn fd_fn;
		loop_timer_fn timer_fn;
		loop_signal_fn signal_fn;
	};
	/* Timers. */
	bool armed;
	uint64_t due;              /* ns */
	struct loop_source *later; /* armed timers in the order they are due */
};

struct loop {
	int epfd;
	struct loop_source *sources;
	struct loop_source *timers;
	struct loop_source *dead; /* removed while callbacks may still hold them */
	unsigned nesting;         /* of loop_step() */
	uint64_t rounds;
	bool stopped;
	int value;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 * NSEC_PER_MSEC + (uint64_t)ts.tv_nsec;
}

uint64_t loop_now_ms(void)
{
	return now_ns() / NSEC_PER_MSEC;
}

struct loop *loop_new(void)
{
	struct loop *loop = xzalloc(sizeof(*loop));

	loop->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epfd < 0) {
		free(loop);
		return NULL;
	}
	return loop;
}

static void free_dead(struct loop *loop)
{
	while (loop->dead) {
		struct loop_source *s = loop->dead;

		loop->dead = s->next;
		free(s);
	}
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	assert(loop->nesting == 0);
	while (loop->sources) {
		struct loop_source *s = loop->sources;

		loop_remove(&s);
	}
	free_dead(loop);
	close_fd(&loop->epfd);
	free(loop);
}

static struct loop_source *source_new(struct loop *loop, enum source_kind kind, void *arg)
{
	struct loop_source *s = xzalloc(sizeof(*s));

	s->loop = loop;
	s->kind = kind;
	s->fd = -1;
	s->arg = arg;
	s->next = loop->sources;
	if (s->next)
		s->next->prev = s;
	loop->sources = s;
	return s;
}

static int source_watch(struct loop_source *s, int op, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };

	s->events = events;
	return epoll_ctl(s->loop->epfd, op, s->fd, &ev);
}

struct loop_source *loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn fn,
                                void *arg)
{
	struct loop_source *s = source_new(loop, SOURCE_FD, arg);

	s->fd = fd;
	s->fd_fn = fn;
	if (source_watch(s, EPOLL_CTL_ADD, events) < 0) {
		int saved = errno;

		s->fd = -1;
		loop_remove(&s);
		errno = saved;
		return NULL;
	}
	return s;
}

void loop_set_events(struct loop_source *source, uint32_t events)
{
	assert(source->kind == SOURCE_FD);
	if (events != source->events)
		source_watch(source, EPOLL_CTL_MOD, events);
}

struct loop_source *loop_add_timer(struct loop *loop, unsigned msec, loop_timer_fn fn, void *arg)
{
	struct loop_source *s = source_new(loop, SOURCE_TIMER, arg);

	s->timer_fn = fn;
	loop_rearm(s, msec);
	return s;
}

void loop_rearm(struct loop_source *timer, unsigned msec)
{
	struct loop_source **at = &timer->loop->timers;

	assert(timer->kind == SOURCE_TIMER);
	loop_disarm(timer);
	timer->due = now_ns() + msec * NSEC_PER_MSEC;
	while (*at && (*at)->due <= timer->due)
		at = &(*at)->later;
	timer->later = *at;
	*at = timer;
	timer->armed = true;
}

void loop_disarm(struct loop_source *timer)
{
	struct loop_source **at = &timer->loop->timers;

	assert(timer->kind == SOURCE_TIMER);
	if (!timer->armed)
		return;
	while (*at != timer)
		at = &(*at)->later;
	*at = timer->later;
	timer->armed = false;
}

struct loop_source *loop_add_signals(struct loop *loop, const sigset_t *set, loop_signal_fn fn,
                                     void *arg)
{
	struct loop_source *s = source_new(loop, SOURCE_SIGNALS, arg);

	s->signal_fn = fn;
	s->fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd < 0 || source_watch(s, EPOLL_CTL_ADD, EPOLLIN) < 0 ||
	    sigprocmask(SIG_BLOCK, set, NULL) < 0) {
		int saved = errno;

		loop_remove(&s);
		errno = saved;
	}
	return s;
}

void loop_remove(struct loop_source **source)
{
	struct loop_source *s = *source;
	struct loop *loop;

	*source = NULL;
	if (!s)
		return;
	loop = s->loop;
	if (s->kind == SOURCE_TIMER)
		loop_disarm(s);
	if (s->fd >= 0)
		epoll_ctl(loop->epfd, EPOLL_CTL_DEL, s->fd, NULL);
	if (s->kind == SOURCE_SIGNALS)
		close_fd(&s->fd);
	if (s->prev)
		s->prev->next = s->next;
	else
		loop->sources = s->next;
	if (s->next)
		s->next->prev = s->prev;
	s->dead = true;
	s->next = loop->dead;
	loop->dead = s;
	if (loop->nesting == 0)
		free_dead(loop);
}

/* One signal at a time: the callback may remove the source. The rest is reported again. */
static void run_signal(struct loop_source *s)
{
	struct signalfd_siginfo info;

	if (read(s->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		s->signal_fn((int)info.ssi_signo, s->arg);
}

static void run_event(struct loop_source *s, uint32_t events)
{
	/* An earlier callback of this round may have removed it or asked for less. */
	events &= s->events | EPOLLERR | EPOLLHUP;
	if (s->dead || events == 0)
		return;
	if (s->kind == SOURCE_SIGNALS)
		run_signal(s);
	else
		s->fd_fn(s->fd, events, s->arg);
}

static void run_timers(struct loop *loop)
{
	uint64_t now = now_ns();

	/* One that is armed again for now by its callback waits for the next round. */
	while (loop->timers && loop->timers->due <= now) {
		struct loop_source *s = loop->timers;

		loop_disarm(s);
		s->timer_fn(s->arg);
	}
}

/* How long epoll may wait, given that the caller wants at most msec (-1: no limit). */
static int wait_time(const struct loop *loop, int msec)
{
	uint64_t now, left;

	if (!loop->timers)
		return msec;
	now = now_ns();
	left = loop->timers->due > now ? loop->timers->due - now : 0;
	left = (left + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
	if (left > INT_MAX)
		left = INT_MAX;
	return msec >= 0 && (uint64_t)msec < left ? msec : (int)left;
}

int loop_step(struct loop *loop, int msec)
{
	struct epoll_event events[LOOP_BATCH];
	uint64_t round = ++loop->rounds;
	int n = epoll_wait(loop->epfd, events, LOOP_BATCH, wait_time(loop, msec));

	if (n < 0 && errno != EINTR)
		return -errno;
	loop->nesting++;
	/* A nested loop_step() makes the rest of this batch stale; what still holds is reported
	 * again. */
	for (int i = 0; i < n && loop->rounds == round; i++)
		run_event(events[i].data.ptr, events[i].events);
	run_timers(loop);
	if (--loop->nesting == 0)
		free_dead(loop);
	return 0;
}

int loop_run(struct loop *loop)
{
	while (!loop->stopped) {
		int r = loop_step(loop, -1);

		if (r < 0)
			return r;
	}
	loop->stopped = false;
	return loop->value;
}

void loop_stop(struct loop *loop, int value)
{
	loop->stopped = true;
	loop->value = value;
}
