/* A hostile guest: whatever it sends, the client answers every call exactly once, tells the end
 * once, and loses no memory. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "agent/agent.h"
#include "agent/datagrams.h"
#include "agent/duplex.h"
#include "agent/mux.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "test/fuzz/agent_feed.h"

#define CALLS 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	int answers[CALLS], lost;
};

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void on_event(void *arg, const char *name, const struct json *event)
{
	(void)arg;
	must(name && json_type(event) == JSON_OBJECT);
}

static void on_lost(void *arg, const struct error *err)
{
	struct run *r = arg;

	must(err->code != 0 && err->msg);
	must(++r->lost == 1);
	for (int i = 0; i < CALLS; i++)
		must(r->answers[i] == 1);
}

static void on_answer(void *arg, const struct json *result, const struct error *err)
{
	int *answers = arg;

	must(++*answers == 1);
	must(result ? json_type(result) == JSON_OBJECT : err->code > 0 && err->msg);
}

/* Streams of messages, with one on its way to the guest. other: the caller's end. */
static struct duplex *records(struct loop *loop, struct agent *agent, int *other)
{
	uint32_t to = agent_next_stream(agent), from = agent_next_stream(agent);
	int ends[2];

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	must(send(ends[1], "message", 7, 0) == 7);
	*other = ends[1];
	return duplex_new(loop, agent_mux(agent), to, from, ends[0], DUPLEX_RECORDS, NULL, NULL);
}

static void take_records(int fd)
{
	static char buf[65536];

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	close_fd(&fd);
}

static void on_datagram(void *arg, uint32_t conversation, const uint8_t *data, size_t len)
{
	struct datagrams **d = arg;

	must(len <= DATAGRAM_MAX);
	if (datagrams_have_room(*d))
		datagrams_send(*d, conversation, data, len);
}

static void on_writable(void *arg)
{
	(void)arg;
}

static const struct datagrams_events datagrams_events = { on_datagram, on_writable };
static const struct agent_events events = { .event = on_event, .lost = on_lost };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct loop *loop = loop_new();
	struct run run = { 0 };
	struct agent *agent;
	struct duplex *duplex;
	struct datagrams *datagrams;
	struct pump *in, *out;
	uint32_t to;
	int ends[2], other;

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	agent = agent_open(&agent_vcrt_ops, loop, ends[0], &events, &run);
	in = pump_from_fd(loop, agent_mux(agent), agent_next_stream(agent),
	                  open("/proc/self/maps", O_RDONLY | O_CLOEXEC), NULL, NULL);
	out = pump_to_fd(loop, agent_mux(agent), agent_next_stream(agent),
	                 open("/dev/null", O_WRONLY | O_CLOEXEC), NULL, NULL);
	duplex = records(loop, agent, &other);
	must(duplex != NULL);
	to = agent_next_stream(agent);
	datagrams = datagrams_new(agent_mux(agent), agent_next_stream(agent), to, &datagrams_events,
	                          &datagrams);
	must(datagrams != NULL);
	for (int i = 0; i < CALLS; i++)
		agent_call(agent, "ps", NULL, on_answer, &run.answers[i]);
	agent_feed(loop, ends[1], data, size);
	close_fd(&ends[1]);
	for (int i = 0; i < 100 && !run.lost; i++)
		loop_step(loop, 1);
	must(run.lost == 1);
	pump_free(in);
	pump_free(out);
	duplex_free(duplex);
	datagrams_free(datagrams);
	take_records(other);
	agent_close(agent);
	loop_free(loop);
	return 0;
}
