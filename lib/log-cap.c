#include "lib/log-cap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

#define MAX_LOG (1 << 20)
#define KEPT_PART (128 << 10) /* bytes, of each end */
#define LOOK_MS 1000          /* between two looks */
#define CUT "\n[... cut here, the log was too long ...]\n"

struct log_cap {
	int fds[LOG_CAP_MAX];
	size_t n;
	struct loop_source *timer;
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

/* To be told of changes (inotify) would cost more: to let go of that takes the kernel 10 ms, and
 * there are 128 of it for all sandboxes. */
static void on_look(void *arg)
{
	struct log_cap *c = arg;

	for (size_t i = 0; i < c->n; i++)
		log_cap_trim(c->fds[i]);
	loop_rearm(c->timer, LOOK_MS);
}

struct log_cap *log_cap_new(struct loop *loop, const int *fds, size_t n)
{
	struct log_cap *c = xzalloc(sizeof(*c));

	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0)
			c->fds[c->n++] = fds[i];
	c->timer = loop_add_timer(loop, LOOK_MS, on_look, c);
	return c;
}

void log_cap_free(struct log_cap *c)
{
	if (!c)
		return;
	loop_remove(&c->timer);
	free(c);
}
