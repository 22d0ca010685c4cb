/* The floors of a start, with nothing of the runtime around the VMM: no monitor, jail or network.
 *
 * raw-vm boot [CONFIG]     how long the VMM, kernel and initrd of a configuration take from the
 *                          VMM's start to the agent's hello
 * raw-vm restore [CONFIG]  how long a clone of the configuration's template, which must exist,
 *                          takes to answer its first request, which is every sandbox's first
 *
 * Prints a line for each phase, "NAME MILLISECONDS since the VMM's start"; the last one is the
 * floor: spawned (exec has succeeded), restored (clones only), reply.
 */
#include <errno.h>
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
#include "lib/template.h"
#include "lib/vm-config.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"

#define TIMEOUT_MS 60000

struct run {
	struct loop *loop;
	struct config *config;
	struct template *template; /* NULL: boot */
	struct agent *agent;
	struct hv *hv;
	struct loop_source *restoring;
	int progress;
	double start; /* ms */
};

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void phase(const struct run *r, const char *name)
{
	printf("%s %.1f\n", name, now_ms() - r->start);
}

static void fail(const char *what)
{
	fprintf(stderr, "raw-vm: %s\n", what);
}

static void on_reply(void *arg, const struct json *result, const struct error *err)
{
	struct run *r = arg;

	if (result)
		phase(r, "reply");
	else
		fail(err->msg);
	loop_stop(r->loop, result ? 0 : 1);
}

static void on_ready(void *arg, const struct json *hello)
{
	struct run *r = arg;

	(void)hello;
	if (r->template) {
		agent_call(r->agent, "sandbox", vm_first_request(r->config), on_reply, r);
		return;
	}
	phase(r, "reply");
	loop_stop(r->loop, 0);
}

static void on_lost(void *arg, const struct error *err)
{
	struct run *r = arg;

	fail(err->msg);
	loop_stop(r->loop, 1);
}

static void on_progress(int fd, uint32_t events, void *arg)
{
	struct run *r = arg;
	auto_error struct error err = { 0 };
	int done = hv_restored(r->hv, 0, &err);

	(void)fd;
	(void)events;
	if (done == 0)
		return;
	loop_remove(&r->restoring);
	if (done > 0)
		phase(r, "restored");
	else
		on_lost(r, &err);
}

static void on_timeout(void *arg)
{
	fail("no answer");
	loop_stop(arg, 1);
}

static int find_template(struct run *r, struct error *err)
{
	auto_free char *identity = vm_identity(r->config, err);

	r->template = identity ? template_find(r->config->template_dir, identity) : NULL;
	if (r->template || err->code)
		return -err->code;
	return error_set(err, ENOENT, "there is no template of this configuration in '%s'",
	                 r->config->template_dir);
}

static int resolve_accel(struct config *c, struct error *err)
{
	auto_free char *why = NULL;
	enum hv_accel accel;

	if (hv_accel_parse(c->accel, &accel) < 0)
		return error_set(err, EINVAL, "unknown acceleration '%s'", c->accel);
	if (hv_probe_accel(accel, "/dev/kvm", NULL, &accel, &why, err) < 0)
		return -err->code;
	free(c->accel);
	c->accel = str_dup(hv_accel_name(accel));
	return 0;
}

static int start(struct run *r, struct hv *hv, struct hv_config *cfg, struct error *err)
{
	auto_free char *memory = r->template ? template_memory(r->template) : NULL;
	auto_close int state = -1;

	if (r->template) {
		cfg->memory = HV_MEMORY_PRIVATE;
		cfg->memory_path = memory;
		cfg->preload = r->config->vmm_preload;
		state = template_open_state(r->template, err);
		if (state < 0)
			return -err->code;
	}
	r->start = now_ms();
	if (hv_start(hv, cfg, err) < 0)
		return -err->code;
	phase(r, "spawned");
	if (!r->template)
		return 0;
	return hv_restore(hv, state, &r->progress, err);
}

/* Returns the exit status. */
static int run(struct run *r, struct hv *hv, struct hv_config *cfg, struct error *err)
{
	static const struct agent_events events = { .ready = on_ready, .lost = on_lost };
	const struct agent_ops *ops = agent_find(r->config->agent);
	struct loop_source *timer;
	int pair[2], status;

	if (!ops)
		return error_set(err, EINVAL, "unknown agent '%s'", r->config->agent);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_sys(err, "make the agent's channel");
	cfg->channel_fd = pair[1];
	if (start(r, hv, cfg, err) < 0) {
		close(pair[0]);
		close(pair[1]);
		return -err->code;
	}
	close(pair[1]);
	timer = loop_add_timer(r->loop, TIMEOUT_MS, on_timeout, r->loop);
	if (r->progress >= 0)
		r->restoring = loop_add_fd(r->loop, r->progress, EPOLLIN, on_progress, r);
	r->agent = r->template ? agent_resume(ops, r->loop, pair[0], r->template->hello, &events, r)
	                       : agent_open(ops, r->loop, pair[0], &events, r);
	status = loop_run(r->loop);
	agent_close(r->agent);
	loop_remove(&timer);
	loop_remove(&r->restoring);
	return status;
}

static int measure(struct run *r, bool restore, struct error *err)
{
	const struct hv_ops *ops;
	struct hv_config cfg;
	struct hv *hv;
	int status;

	if (resolve_accel(r->config, err) < 0 || (restore && find_template(r, err) < 0))
		return -err->code;
	ops = vm_config(r->config, &cfg, err);
	if (!ops)
		return -err->code;
	cfg.share_path = "/tmp";
	cfg.share_tag = PROTOCOL_SHARE_TAG;
	cfg.log_fd = STDERR_FILENO;
	hv = r->hv = hv_new(ops);
	r->loop = loop_new();
	status = run(r, hv, &cfg, err);
	hv_free(hv);
	loop_free(r->loop);
	return status;
}

int main(int argc, char **argv)
{
	auto_error struct error err = { 0 };
	auto_config struct config *c = NULL;
	bool restore = argc > 1 && str_eq(argv[1], "restore");
	struct run r = { .progress = -1 };
	int status;

	if (argc < 2 || argc > 3 || (!restore && !str_eq(argv[1], "boot"))) {
		fail("usage: raw-vm boot|restore [CONFIG]");
		return 2;
	}
	c = config_load(argc > 2 ? argv[2] : NULL, &err);
	r.config = c;
	status = c ? measure(&r, restore, &err) : 1;
	template_free(r.template);
	if (err.code)
		fail(err.msg);
	return status ? 1 : 0;
}
