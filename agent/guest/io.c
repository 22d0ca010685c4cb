#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/guest/fds.h"
#include "agent/guest/guest.h"
#include "agent/guest/io.h"
#include "agent/mux.h"
#include "agent/protocol.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

struct stdio {
	struct loop *loop;
	struct mux *mux;
	uint32_t stream[3]; /* 0: none */
	int ours[3];        /* pipe ends, until the pumps have them */
	int theirs[3];
	int master, slave; /* of a terminal */
	struct pump *pump[3];
	struct fds *fds; /* beyond the standard streams */
};

static const char *const stream_names[3] = { "stdin", "stdout", "stderr" };

static int decode_size(const struct json *io, struct guest_io *out)
{
	const struct json *size = json_get_object(io, "size");
	int64_t height = json_get_i64(size, "height", 0);
	int64_t width = json_get_i64(size, "width", 0);

	if (height < 0 || height > UINT16_MAX || width < 0 || width > UINT16_MAX)
		return -EPROTO;
	out->height = (unsigned short)height;
	out->width = (unsigned short)width;
	return 0;
}

static int decode(struct stdio *s, const struct json *io, struct guest_io *out)
{
	int r = json_type(io) == JSON_OBJECT ? 0 : -EPROTO;

	for (int i = 0; i < 3 && r == 0; i++)
		r = fds_decode_stream(io, stream_names[i], &s->stream[i]);
	return r < 0 ? r : decode_size(io, out);
}

static int make_pipe(struct stdio *io, int i, struct error *err)
{
	int ends[2];
	int own = i == 0 ? 1 : 0; /* of stdin we write */

	if (io->stream[i] == 0)
		return 0;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_sys(err, "make a pipe for %s", stream_names[i]);
	io->ours[i] = ends[own];
	io->theirs[i] = ends[!own];
	/* Each end is an open file description of its own: the process's stays blocking. */
	if (fcntl(io->ours[i], F_SETFL, O_NONBLOCK) < 0)
		return error_sys(err, "set up a pipe for %s", stream_names[i]);
	return 0;
}

/* Frames of a stream may come from now on, long before there is a process. */
static void start_pump(struct stdio *s, int i)
{
	if (i == 0)
		s->pump[i] = pump_to_fd(s->loop, s->mux, s->stream[i], -1, NULL, NULL);
	else
		s->pump[i] = pump_from_fd(s->loop, s->mux, s->stream[i], -1, NULL, NULL);
	if (s->pump[i] && s->ours[i] >= 0)
		pump_set_own_pipe(s->pump[i], steal_fd(&s->ours[i]));
	if (!s->pump[i])
		mux_fail(s->mux, EPROTO, "the peer broke the protocol: stream %u is not free",
		         s->stream[i]);
	s->stream[i] = 0;
}

static int make_fds(struct stdio *s, const struct json *io, struct guest_io *out, struct error *err)
{
	s->fds = fds_new(s->loop, s->mux, io ? json_get(io, "fds") : NULL, err);
	if (!s->fds)
		return -err->code;
	out->extra = fds_theirs(s->fds, &out->n_extra);
	return 0;
}

struct stdio *stdio_new(struct loop *loop, struct mux *m, const struct json *io, bool is_terminal,
                        struct guest_io *out, struct error *err)
{
	struct stdio *s = xzalloc(sizeof(*s));
	int r = 0;

	*out = (struct guest_io){ .fd = { -1, -1, -1 } };
	s->loop = loop;
	s->mux = m;
	s->master = s->slave = -1;
	for (int i = 0; i < 3; i++)
		s->ours[i] = s->theirs[i] = -1;
	if (io)
		r = decode(s, io, out);
	if (r == 0 && is_terminal && s->stream[2] != 0)
		r = -EPROTO; /* a terminal has no stderr */
	if (r < 0)
		error_set(err, EPROTO, "odd \"io\" in a request");
	else
		r = make_fds(s, io, out, err);
	for (int i = 0; i < 3 && r == 0 && !is_terminal; i++) {
		r = make_pipe(s, i, err);
		out->fd[i] = s->theirs[i];
	}
	for (int i = 0; i < 3 && r == 0; i++)
		if (s->stream[i] != 0)
			start_pump(s, i);
	if (r == -EPROTO)
		mux_fail(m, EPROTO, "the peer broke the protocol: %s", err->msg);
	if (r < 0) {
		stdio_free(s);
		return NULL;
	}
	return s;
}

/* Our own hold on the slave: a process that closes its terminal for a while (an init system does)
 * must not look like the end of the stream. */
static void open_terminal(struct stdio *s, int master)
{
	s->master = master;
	s->slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK);
	for (int i = 0; i < 2; i++) {
		int fd = s->pump[i] ? fcntl(master, F_DUPFD_CLOEXEC, 0) : -1;

		if (fd >= 0)
			pump_set_fd(s->pump[i], fd);
	}
}

void stdio_attach(struct stdio *s, int master)
{
	if (master >= 0)
		open_terminal(s, master);
	for (int i = 0; i < 3; i++)
		close_fd(&s->theirs[i]);
	fds_attach(s->fds);
}

int stdio_connect(struct stdio *s, const struct json *request, struct error *err)
{
	struct fds_peer peer;
	uint32_t to, from;

	if (fds_decode_stream(request, "to", &to) < 0 ||
	    fds_decode_stream(request, "from", &from) < 0 || !to || !from || to == from ||
	    fds_decode_peer(request, &peer) < 0)
		return mux_fail(s->mux, EPROTO, "the peer broke the protocol: an odd \"connect\"");
	return fds_connect(s->fds, json_get_i64(request, "fd", -1), to, from, peer, err);
}

int stdio_resize(struct stdio *s, unsigned short height, unsigned short width, struct error *err)
{
	struct winsize size = { .ws_row = height, .ws_col = width };

	if (s->master < 0)
		return error_set(err, ENOTTY, "the process has no terminal");
	if (ioctl(s->master, TIOCSWINSZ, &size) < 0)
		return error_sys(err, "resize the terminal");
	return 0;
}

void stdio_finish(struct stdio *s)
{
	close_fd(&s->slave);
	pump_free(steal_ptr(&s->pump[0]));
	for (int i = 1; i < 3; i++) {
		if (s->pump[i])
			pump_finish(s->pump[i]);
	}
	fds_finish(s->fds);
}

void stdio_free(struct stdio *s)
{
	if (!s)
		return;
	for (int i = 0; i < 3; i++) {
		pump_free(s->pump[i]);
		if (s->stream[i] != 0)
			mux_refuse_stream(s->mux, s->stream[i], i == 0);
		close_fd(&s->ours[i]);
		close_fd(&s->theirs[i]);
	}
	fds_free(s->fds);
	close_fd(&s->slave);
	close_fd(&s->master);
	free(s);
}
