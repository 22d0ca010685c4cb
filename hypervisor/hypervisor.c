#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hypervisor/hypervisor-internal.h"
#include "hypervisor/hypervisor.h"
#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/str.h"

enum { LOG_TAIL_MAX = 64 << 10, KILL_WAIT_MS = 5000 };

const struct hv_ops *const hv_backends[] = { &hv_qemu_ops, &hv_mock_ops, NULL };

const struct hv_ops *hv_find(const char *name)
{
	for (size_t i = 0; hv_backends[i]; i++)
		if (str_eq(hv_backends[i]->name, name))
			return hv_backends[i];
	return NULL;
}

struct hv *hv_new(const struct hv_ops *ops)
{
	struct hv *hv = xzalloc(ops->size);

	hv->ops = ops;
	hv->pidfd = -1;
	return hv;
}

void hv_free(struct hv *hv)
{
	if (!hv)
		return;
	if (hv->ops->close)
		hv->ops->close(hv);
	hv_kill_vmm(hv);
	auto_freep(&hv);
}

static int cannot(const struct hv_ops *ops, const char *what, struct error *err)
{
	return error_set(err, ENOTSUP, "hypervisor '%s' cannot %s", ops->name, what);
}

int hv_check(const struct hv_ops *ops, const struct hv_config *cfg, struct error *err)
{
	if (!ops->check)
		return cannot(ops, "check a configuration", err);
	return ops->check(cfg, err);
}

char *hv_identity(const struct hv_ops *ops, const struct hv_config *cfg)
{
	return ops->identity ? ops->identity(cfg) : NULL;
}

int hv_start(struct hv *hv, const struct hv_config *cfg, struct error *err)
{
	if (!hv->ops->start)
		return cannot(hv->ops, "start a VM", err);
	if (hv->pid)
		return error_set(err, EALREADY, "the VM was started before");
	return hv->ops->start(hv, cfg, err);
}

/* For the commands to a VM: is there the op, and a VM? */
static int need(const struct hv *hv, bool has_op, const char *what, struct error *err)
{
	if (!has_op)
		return cannot(hv->ops, what, err);
	if (!hv->pid)
		return error_set(err, ESRCH, "%s: the VM was not started", what);
	return 0;
}

int hv_pause(struct hv *hv, struct error *err)
{
	if (need(hv, hv->ops->pause, "pause a VM", err) < 0)
		return -err->code;
	return hv->ops->pause(hv, err);
}

int hv_resume(struct hv *hv, struct error *err)
{
	if (need(hv, hv->ops->resume, "resume a VM", err) < 0)
		return -err->code;
	return hv->ops->resume(hv, err);
}

int hv_save(struct hv *hv, int fd, struct error *err)
{
	if (need(hv, hv->ops->save, "save a VM", err) < 0)
		return -err->code;
	return hv->ops->save(hv, fd, err);
}

int hv_restore(struct hv *hv, int fd, int *progress, struct error *err)
{
	*progress = -1;
	if (need(hv, hv->ops->restore, "restore a VM", err) < 0)
		return -err->code;
	return hv->ops->restore(hv, fd, progress, err);
}

int hv_restored(struct hv *hv, unsigned timeout_ms, struct error *err)
{
	return hv->ops->restored ? hv->ops->restored(hv, timeout_ms, err) : 1;
}

int hv_add_device(struct hv *hv, struct hv_device *dev, struct error *err)
{
	if (need(hv, hv->ops->add_device, "add a device", err) < 0)
		return -err->code;
	return hv->ops->add_device(hv, dev, err);
}

int hv_del_device(struct hv *hv, const char *id, struct error *err)
{
	if (need(hv, hv->ops->del_device, "remove a device", err) < 0)
		return -err->code;
	return hv->ops->del_device(hv, id, err);
}

int hv_drop_device(struct hv *hv, const char *id, struct error *err)
{
	if (need(hv, hv->ops->drop_device, "drop a device", err) < 0)
		return -err->code;
	return hv->ops->drop_device(hv, id, err);
}

int hv_grow(struct hv *hv, struct hv_size *size, struct error *err)
{
	if (need(hv, hv->ops->grow, "grow a VM", err) < 0)
		return -err->code;
	return hv->ops->grow(hv, size, err);
}

bool hv_can(const struct hv *hv, unsigned cap)
{
	return (hv->ops->caps & cap) == cap;
}

void hv_kill(struct hv *hv)
{
	if (hv && hv->pidfd >= 0)
		pidfd_send_signal(hv->pidfd, SIGKILL, NULL, 0);
}

bool hv_was_killed(const struct hv *hv, unsigned timeout_ms)
{
	siginfo_t how;

	return hv && child_has_ended(hv->pidfd, timeout_ms, &how) && how.si_code == CLD_KILLED &&
	       how.si_status == SIGKILL;
}

void hv_kill_vmm(struct hv *hv)
{
	child_end(&hv->pidfd, KILL_WAIT_MS);
	hv->pid = 0;
}

/* The log may have been opened for writing only. */
static int open_for_reading(int fd)
{
	char path[32];
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -1;
	if ((flags & O_ACCMODE) == O_RDWR || (flags & O_ACCMODE) == O_RDONLY)
		return fcntl(fd, F_DUPFD_CLOEXEC, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

/* Lines become sentences parted by "; ", what is not printable ASCII becomes "?". */
static char *tidy(const char *text, size_t len)
{
	auto_buf struct buf b = { 0 };
	bool is_new_line = false;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\n' || c == '\r') {
			is_new_line = true;
			continue;
		}
		if (isspace(c) && (is_new_line || b.len == 0))
			continue;
		if (is_new_line && b.len > 0)
			buf_adds(&b, "; ");
		is_new_line = false;
		buf_addc(&b, c == '\t' ? ' ' : c < ' ' || c > '~' ? '?' : (char)c);
	}
	return buf_steal(&b);
}

char *hv_log_tail(int log_fd, size_t max)
{
	auto_close int fd = log_fd < 0 ? -1 : open_for_reading(log_fd);
	auto_free char *text = NULL;
	struct stat st;
	off_t from = 0;
	ssize_t n, start = 0;

	if (max > LOG_TAIL_MAX)
		max = LOG_TAIL_MAX;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || max == 0)
		return str_dup("");
	if (st.st_size > (off_t)max)
		from = st.st_size - (off_t)max;
	text = xmalloc(max);
	n = pread(fd, text, max, from);
	if (n <= 0)
		return str_dup("");
	/* Whole lines only, unless the last one alone is longer than max. */
	if (from > 0) {
		while (start < n && text[start] != '\n')
			start++;
		if (start >= n - 1)
			start = 0;
	}
	return tidy(text + start, (size_t)(n - start));
}
