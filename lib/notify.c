#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/ctl.h"
#include "lib/handover.h"
#include "lib/notify.h"
#include "lib/verbs.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define PATIENCE 30 /* seconds for a service manager to take, and understand, a message */

static const char *target(void)
{
	const char *path = getenv("NOTIFY_SOCKET");

	return path && *path ? path : NULL;
}

bool notify_is_wanted(void)
{
	return target() != NULL;
}

void notify_close(struct notify *n)
{
	close_fd(&n->socket);
	close_fd(&n->monitor);
}

static int watch(struct notify *n, struct vcrt *v, const struct record *r, struct error *err)
{
	struct ctl_out out = client_request("events", r->oci->id);

	json_set(out.json, "ready", json_new_bool(true));
	n->monitor = client_connect(r, err);
	if (n->monitor >= 0)
		ctl_msg_free(ctl_call(n->monitor, &out, client_timeout(v), err));
	ctl_out_done(&out);
	return -err->code;
}

int notify_open(struct notify *n, struct vcrt *v, const struct record *r, struct error *err)
{
	struct timeval limit = { .tv_sec = PATIENCE };

	if (!notify_is_wanted() || !str_eq(record_status(r), VCRT_CREATED))
		return 0;
	n->socket = handover_connect(SOCK_DGRAM, target(), "NOTIFY_SOCKET", err);
	if (n->socket < 0)
		return -err->code;
	setsockopt(n->socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (watch(n, v, r, err) == 0)
		return 0;
	notify_close(n);
	if (client_is_gone(err))
		error_clear(err);
	return -err->code;
}

/* What comes next: 1: it is ready; -1: there will be nothing any more; 0: else. */
static int next(const struct notify *n)
{
	auto_error struct error err = { 0 };
	auto_ctl_msg struct ctl_msg *m = ctl_recv(n->monitor, -1, &err);
	const char *event = m ? json_get_string(m->json, "event") : "end";

	return str_eq(event, "ready") ? 1 : str_eq(event, "end") ? -1 : 0;
}

static int tell(const struct notify *n, pid_t pid, struct error *err)
{
	auto_free char *main_pid = str_fmt("MAINPID=%d\n", (int)pid);

	if (handover_send(n->socket, "READY=1\n", -1, err) < 0 ||
	    handover_send(n->socket, main_pid, -1, err) < 0)
		return error_wrap(err, "NOTIFY_SOCKET '%s'", target());
	return 0;
}

/* A service manager looks up who has sent a message when it gets to it: the sender must not be gone
 * by then. It closes what came with a BARRIER once it has done all that came before. */
static int wait_for_barrier(const struct notify *n, struct error *err)
{
	struct pollfd p = { .events = POLLIN };
	auto_close int ours = -1, theirs = -1;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_sys(err, "make a pipe");
	ours = p.fd = ends[0];
	theirs = ends[1];
	if (handover_send(n->socket, "BARRIER=1", theirs, err) < 0)
		return error_wrap(err, "NOTIFY_SOCKET '%s'", target());
	close_fd(&theirs);
	if (poll(&p, 1, PATIENCE * 1000) == 0)
		log_warn("NOTIFY_SOCKET '%s': no answer within %d seconds, ignoring", target(),
		         PATIENCE);
	return 0;
}

int notify_wait(struct notify *n, pid_t pid, struct error *err)
{
	int what = 0;

	while (n->monitor >= 0 && what == 0)
		what = next(n);
	if (what > 0 && tell(n, pid, err) == 0)
		wait_for_barrier(n, err);
	notify_close(n);
	return -err->code;
}

int notify_take(struct notify *n, pid_t pid, struct error *err)
{
	int what = next(n);

	if (what > 0)
		tell(n, pid, err);
	if (what != 0)
		notify_close(n);
	return -err->code;
}
