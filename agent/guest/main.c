/* PID 1 of the VM. Brings it up, serves one host over one channel, and powers off with it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/guest/boot.h"
#include "agent/guest/modules.h"
#include "agent/guest/channel.h"
#include "agent/guest/guest.h"
#include "agent/guest/server.h"
#include "agent/guest/size.h"
#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"

#define LATE_MS 1000

struct init {
	struct loop *loop;
	struct server *server;
};

static void on_child(int signo, void *arg)
{
	struct init *in = arg;
	pid_t pid;
	int status;

	(void)signo;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		server_child_exited(in->server, pid, status);
}

static int watch_children(struct init *in, struct error *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (!loop_add_signals(in->loop, &set, on_child, in))
		return error_sys(err, "watch for the end of children");
	return 0;
}

/* The host brings entropy of its own with its first request: the device's can wait until the first
 * container has had its start. */
static void load_late_modules(void *arg)
{
	const struct init *in = arg;
	auto_error struct error err = { 0 };

	if (!server_is_warm(in->server) && modules_load_list("late", &err) < 0)
		log_warn("%s, ignoring", err.msg);
}

static int prepare(struct init *in, struct error *err)
{
	if (boot_finish(err) < 0 || modules_load_list("early", err) < 0)
		return -err->code;
	if (watch_children(in, err) < 0)
		return -err->code;
	loop_add_timer(in->loop, LATE_MS, load_late_modules, in);
	return server_start(in->server, err);
}

/* As little as possible stands before the hello: the host waits for it. What goes wrong after it
 * can be told to the host. */
static int bring_up(struct init *in, struct error *err)
{
	int fd;

	if (boot_mounts(err) < 0 || modules_load_list("order", err) < 0)
		return -err->code;
	log_to_fd(STDERR_FILENO, LOG_TEXT, boot_is_debug());
	size_note();
	fd = channel_open(err);
	if (fd < 0)
		return fd;
	in->loop = loop_new();
	if (!in->loop) {
		close(fd);
		return error_sys(err, "make an event loop");
	}
	in->server = server_new(in->loop, fd);
	if (prepare(in, err) < 0) {
		log_error("guest agent: %s", err->msg);
		server_set_broken(in->server, err);
		error_clear(err);
	}
	return 0;
}

/* The kernel opens the console for 0-2 when there is one; they must not become something else. */
static void reserve_stdio(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int main(int argc, char **argv)
{
	auto_error struct error err = { 0 };
	struct init in = { 0 };

	if (argc == 2 && str_eq(argv[1], "--version")) {
		printf("vcrt-agent %s\n", VCRT_VERSION);
		return EXIT_SUCCESS;
	}
	if (getpid() != 1) {
		fprintf(stderr, "vcrt-agent: this is the init process of a vcrt guest; it runs "
		                "as PID 1 of a virtual machine only\n");
		return EXIT_FAILURE;
	}
	reserve_stdio();
	if (bring_up(&in, &err) < 0 || loop_run(in.loop) < 0)
		log_error("guest agent: %s", err.msg ? err.msg : "the event loop failed");
	boot_power_off();
}
