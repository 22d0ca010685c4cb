/* The floor of a cold start: how long the VMM, kernel and initrd of a configuration take from the
 * VMM's start to the agent's hello, with nothing of the runtime around them. Prints milliseconds.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/protocol.h"
#include "hypervisor/hypervisor.h"
#include "lib/config.h"
#include "lib/vm-config.h"
#include "lib/base/error.h"
#include "lib/base/loop.h"

#define TIMEOUT_MS 60000

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void on_ready(void *arg, const struct json *hello)
{
	(void)hello;
	loop_stop(arg, 0);
}

static void on_lost(void *arg, const struct error *err)
{
	fprintf(stderr, "raw-boot: %s\n", err->msg);
	loop_stop(arg, 1);
}

static void on_timeout(void *arg)
{
	fprintf(stderr, "raw-boot: no hello\n");
	loop_stop(arg, 1);
}

static int boot(const struct config *c, struct error *err)
{
	static const struct agent_events events = { .ready = on_ready, .lost = on_lost };
	struct loop *loop = loop_new();
	struct hv *hv = hv_new(hv_find(c->hypervisor));
	struct loop_source *timer = loop_add_timer(loop, TIMEOUT_MS, on_timeout, loop);
	struct agent *agent;
	int pair[2], status;
	struct hv_config cfg;
	char *why = NULL;
	double start;

	if (!vm_config(c, &cfg, err))
		return -err->code;
	if (hv_probe_accel(cfg.accel, "/dev/kvm", NULL, &cfg.accel, &why, err) < 0)
		return -err->code;
	free(why);
	cfg.share_path = "/tmp";
	cfg.share_tag = PROTOCOL_SHARE_TAG;
	cfg.log_fd = STDERR_FILENO;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_sys(err, "make the agent's channel");
	cfg.channel_fd = pair[1];
	start = now_ms();
	if (hv_start(hv, &cfg, err) < 0)
		return -err->code;
	close(pair[1]);
	agent = agent_open(agent_find(c->agent), loop, pair[0], &events, loop);
	status = loop_run(loop);
	printf("%.1f\n", now_ms() - start);
	agent_close(agent);
	hv_free(hv);
	loop_remove(&timer);
	loop_free(loop);
	return status;
}

int main(int argc, char **argv)
{
	auto_error struct error err = { 0 };
	auto_config struct config *c = config_load(argc > 1 ? argv[1] : NULL, &err);
	int r = c ? boot(c, &err) : 1;

	if (err.code)
		fprintf(stderr, "raw-boot: %s\n", err.msg);
	return r ? 1 : 0;
}
