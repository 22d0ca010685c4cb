/* A pump on a stream, whose other end is a peer that is played frame by frame. */
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/mux.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/loop.h"
#include "test/peer.h"
#include "test/scratch.h"

#define STREAM 5

static struct loop *loop;
static struct peer peer;
static struct mux *mux;
static struct pump *pump;
static int ends[2]; /* of a pipe, or socket pair, or terminal (master, slave) */
static int done;

static inline void setup(void)
{
	scratch_setup();
	loop = loop_new();
	mux = mux_new(loop, peer_init(&peer, loop), &peer_quiet_events, NULL);
	mux_send_hello(mux, "{}");
	peer_hello(&peer);
	peer_expect(&peer, FRAME_HELLO, 0);
	pump = NULL;
	ends[0] = ends[1] = -1;
	done = 0;
}

static inline void teardown(void)
{
	pump_free(pump);
	mux_free(mux);
	peer_done(&peer);
	loop_free(loop);
	close_fd(&ends[0]);
	close_fd(&ends[1]);
	scratch_remove();
}

static inline void on_done(void *arg)
{
	(void)arg;
	done++;
}

static inline void to_fd(int *fd)
{
	pump = pump_to_fd(loop, mux, STREAM, steal_fd(fd), on_done, NULL);
	ck_assert_ptr_nonnull(pump);
}

static inline void from_fd(int *fd)
{
	pump = pump_from_fd(loop, mux, STREAM, steal_fd(fd), on_done, NULL);
	ck_assert_ptr_nonnull(pump);
}

static inline void settle(void)
{
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(loop_step(loop, 1), 0);
}

static inline void make_pipe(void)
{
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
}

static inline void make_terminal(void)
{
	struct termios raw;

	cfmakeraw(memset(&raw, 0, sizeof(raw)));
	ck_assert_int_eq(openpty(&ends[0], &ends[1], NULL, &raw, NULL), 0);
}

static inline void make_kind(int kind)
{
	if (kind == 0)
		make_pipe();
	else if (kind == 1)
		make_terminal();
	else
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
}

/* Read exactly this from fd, while the loop runs. */
static inline void expect_text(int fd, const char *text)
{
	size_t len = strlen(text), got = 0;
	char *have = xzalloc(len + 1);

	for (int i = 0; i < 1000 && got < len; i++) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		ck_assert_int_eq(loop_step(loop, 1), 0);
		if (poll(&p, 1, 0) == 1) {
			ssize_t n = read(fd, have + got, len - got);

			ck_assert_int_gt((int)n, 0);
			got += (size_t)n;
		}
	}
	ck_assert_str_eq(have, text);
	free(have);
}

static inline void expect_data(const char *text)
{
	auto_buf struct buf all = { 0 };

	while (all.len < strlen(text)) {
		peer_expect(&peer, FRAME_DATA, STREAM);
		buf_adds(&all, peer.payload);
	}
	ck_assert_str_eq(all.data, text);
}
