#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/config.h"
#include "lib/console.h"
#include "lib/ctl.h"
#include "lib/handover.h"
#include "lib/verbs.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "oci/oci.h"

/* The monitor gives up a guest that does not answer; we only guard against a stuck monitor. */
#define MONITOR_GRACE 30 /* seconds */
#define MAX_WARNINGS 64  /* of one request */
#define MAX_WARNING 1024 /* bytes */

int client_connect(const struct record *r, struct error *err)
{
	auto_free char *path = str_fmt("%s/ctl.sock", r->sandbox_dir ? r->sandbox_dir : "");
	int fd;

	if (!r->sandbox_dir || !proc_ref_is_alive(&r->monitor))
		return error_set(err, ECONNREFUSED, "the monitor of '%s' has ended", r->oci->id);
	fd = handover_connect(SOCK_STREAM, path, "monitor's socket", err);
	if (fd < 0 && err->code == ENOENT)
		err->code = ECONNREFUSED;
	return fd < 0 ? -err->code : fd;
}

struct ctl_out client_request(const char *op, const char *id)
{
	struct ctl_out out = { .json = json_new_object() };

	json_set(out.json, "op", json_new_string(op));
	json_set(out.json, "container", json_new_string(id));
	if (log_is_debug())
		json_set(out.json, "timeline", json_new_bool(true));
	return out;
}

int client_timeout(const struct vcrt *v)
{
	return (int)(v->config->request_timeout + MONITOR_GRACE) * 1000;
}

struct ctl_msg *client_ask(struct vcrt *v, const struct record *r, struct ctl_out *request,
                           struct error *err)
{
	return client_ask_within(client_timeout(v), r, request, err);
}

struct ctl_msg *client_ask_within(int timeout_ms, const struct record *r, struct ctl_out *request,
                                  struct error *err)
{
	auto_close int fd = client_connect(r, err);
	struct ctl_msg *m = NULL;

	if (fd >= 0)
		m = ctl_call(fd, request, timeout_ms, err);
	ctl_out_done(request);
	return m;
}

/* The texts are the guest's. */
void client_log_warnings(const struct ctl_msg *answer)
{
	const struct json *list = json_get_array(json_get_object(answer->json, "ok"), "warnings");

	for (size_t i = 0; list && i < json_len(list) && i < MAX_WARNINGS; i++) {
		const char *text = json_string(json_at(list, i));
		auto_free char *clean = str_ndup(text ? text : "", MAX_WARNING);

		str_clean(clean, strlen(clean));
		log_warn("%s", clean);
	}
}

bool client_is_gone(const struct error *err)
{
	return err->code == ECONNREFUSED || err->code == ECONNRESET || err->code == EPIPE;
}

bool client_is_reserved(const struct vcrt *v, const char *id)
{
	auto_free char *root = realpath(v->root, NULL), *runtime = NULL, *dir = NULL;
	size_t n;

	runtime = realpath(v->config->runtime_dir, NULL);
	dir = str_fmt("%s/%s", root ? root : v->root, id);
	n = strlen(dir);
	if (!runtime)
		runtime = str_dup(v->config->runtime_dir);
	return strncmp(runtime, dir, n) == 0 && (!runtime[n] || runtime[n] == '/');
}

int client_write_pid(const char *path, pid_t pid, struct error *err)
{
	auto_free char *text = str_fmt("%d", (int)pid);
	auto_free char *temporary = NULL;
	auto_close int fd = -1;
	const char *name;

	if (!path || !*path)
		return 0;
	name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	temporary = str_fmt("%.*s.%s", (int)(name - path), path, name);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return error_sys(err, "write the pid file '%s'", path);
	if (fs_write_all(fd, text, strlen(text)) < 0 || rename(temporary, path) < 0) {
		error_sys(err, "write the pid file '%s'", path);
		unlink(temporary);
	}
	return -err->code;
}

int client_add_stdio(struct ctl_out *request, const int stdio[3], int tty, bool in_background,
                     struct error *err)
{
	static const char *const keys[] = { "stdin", "stdout", "stderr" };
	bool is_own_tty = tty >= 0 && !in_background;
	unsigned short h, w;

	if (tty >= 0 && console_size(tty, &h, &w)) {
		json_set(request->json, "height", json_new_u64(h));
		json_set(request->json, "width", json_new_u64(w));
	}
	if (tty >= 0 && in_background)
		return ctl_out_fd(request, NULL, "tty", tty, err);
	json_set(request->json, "terminal", json_new_bool(is_own_tty));
	for (int i = 0; i < (is_own_tty ? 2 : 3); i++) {
		if (fcntl(stdio[i], F_GETFD) < 0 || (i == 0 && in_background && isatty(stdio[0])))
			continue;
		if (ctl_out_fd(request, NULL, keys[i], stdio[i], err) < 0)
			return -err->code;
	}
	return 0;
}

/* A kernel (or valgrind) without pidfds: look every few milliseconds. */
static int poll_gone(const struct proc_ref *p, unsigned timeout_ms)
{
	uint64_t end = loop_now_ms() + timeout_ms;

	while (proc_ref_is_alive(p)) {
		if (loop_now_ms() >= end)
			return -ETIMEDOUT;
		nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	}
	return 0;
}

int client_wait_gone(const struct proc_ref *p, unsigned timeout_ms)
{
	struct pollfd f = { .events = POLLIN };
	auto_close int fd = -1;
	int n;

	if (p->pid <= 0)
		return 0;
	fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (fd < 0 && errno != ESRCH)
		return poll_gone(p, timeout_ms);
	if (fd < 0 || !proc_ref_is_alive(p))
		return 0;
	f.fd = fd;
	do
		n = poll(&f, 1, (int)timeout_ms);
	while (n < 0 && errno == EINTR);
	return n > 0 ? 0 : -ETIMEDOUT;
}
