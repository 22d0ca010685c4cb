/* The guest's server against a host that is played frame by frame, on an engine without processes
 * (mock_guest.h). */
#pragma once

#include <string.h>

#include "agent/guest/server.h"
#include "lib/base/error.h"
#include "lib/base/loop.h"
#include "test/mock_guest.h"
#include "test/peer.h"
#include "test/scratch.h"

#define SPEC(program)                                                                              \
	"\"spec\":{\"ociVersion\":\"1.3.0\",\"root\":{\"path\":\"/r\"},"                           \
	"\"process\":{\"cwd\":\"/\",\"args\":[\"" program "\"]}}"
#define CREATE(program, io)                                                                        \
	"{\"id\":1,\"op\":\"create\",\"container\":\"c\",\"io\":" io "," SPEC(program) "}"

static struct loop *loop;
static struct peer peer;
static struct server *server;

static void setup(void)
{
	auto_error struct error err = { 0 };

	loop = loop_new();
	server = server_new(loop, peer_init(&peer, loop));
	ck_assert_msg(server_start(server, &err) == 0, "%s", err.msg);
	peer_expect(&peer, FRAME_HELLO, 0);
	ck_assert_ptr_nonnull(strstr(peer.payload, "\"vcrt\":1"));
}

static void teardown(void)
{
	server_free(server);
	peer_done(&peer);
	loop_free(loop);
}

static void expect_control(const char *text)
{
	peer_expect(&peer, FRAME_CONTROL, 0);
	ck_assert_str_eq(peer.payload, text);
}

static void ask(const char *request, const char *answer)
{
	peer_control(&peer, request);
	expect_control(answer);
}
