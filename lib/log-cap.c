#include "lib/log-cap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

#define MAX_LOG (1 << 20)
#define KEPT_PART (128 << 10) /* bytes, of each end */
#define LOOK_MS 1000          /* the least time between two looks at a busy log */
#define CUT "\n[... cut here, the log was too long ...]\n"

struct log_cap {
	int fds[LOG_CAP_MAX];
	size_t n;
	int inotify;
	struct loop_source *source, *timer;
};

void log_cap_trim(int fd)
{
	auto_free char *tail = NULL;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= MAX_LOG)
		return;
	tail = xmalloc(KEPT_PART);
	n = pread(fd, tail, KEPT_PART, st.st_size - KEPT_PART);
	if (ftruncate(fd, KEPT_PART) < 0) {
		log_debug("cut a log: %s", strerror(errno));
		return;
	}
	if (fs_write_all(fd, CUT, strlen(CUT)) < 0 ||
	    (n > 0 && fs_write_all(fd, tail, (size_t)n) < 0))
		log_debug("write the end of a log again: %s", strerror(errno));
}

/* A busy log is looked at once in a while, a quiet one never. */
static void on_change(int fd, uint32_t events, void *arg)
{
	struct log_cap *c = arg;

	(void)fd;
	(void)events;
	loop_set_events(c->source, 0);
	loop_rearm(c->timer, LOOK_MS);
}

static void on_look(void *arg)
{
	struct log_cap *c = arg;
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

	for (size_t i = 0; i < c->n; i++)
		log_cap_trim(c->fds[i]);
	while (read(c->inotify, events, sizeof(events)) > 0)
		;
	loop_set_events(c->source, EPOLLIN);
}

static int watch(const struct log_cap *c, int fd)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return inotify_add_watch(c->inotify, path, IN_MODIFY);
}

struct log_cap *log_cap_new(struct loop *loop, const int *fds, size_t n)
{
	struct log_cap *c = xzalloc(sizeof(*c));

	c->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	for (size_t i = 0; i < n && c->inotify >= 0; i++) {
		if (fds[i] < 0)
			continue;
		c->fds[c->n++] = fds[i];
		if (watch(c, fds[i]) < 0)
			log_warn("watch the size of a log: %s, ignoring", strerror(errno));
	}
	if (c->inotify < 0) {
		log_warn("watch the size of the logs: %s, ignoring", strerror(errno));
		return c;
	}
	c->source = loop_add_fd(loop, c->inotify, EPOLLIN, on_change, c);
	c->timer = loop_add_timer(loop, LOOK_MS, on_look, c);
	return c;
}

void log_cap_free(struct log_cap *c)
{
	if (!c)
		return;
	loop_remove(&c->source);
	loop_remove(&c->timer);
	close_fd(&c->inotify);
	free(c);
}
