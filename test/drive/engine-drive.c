/* Runs one container with the guest's engine on this machine, without a VM. For trying things out:
 *
 *     engine-drive CGROUP-ROOT CONFIG.JSON [EXEC-ARGS...]
 *
 * Creates and starts it with our stdio (a terminal's output is copied to ours), runs EXEC-ARGS in
 * it when given and kills it afterwards, deletes it, exits with the status of the last program. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/seccomp-filter.h"
#include "agent/guest/guest.h"
#include "lib/seccomp-compile.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define ID "drive"

struct drive {
	struct loop *loop;
	struct guest *guest;
	int code, exec_code, master;
	bool has_exited, exec_has_exited, is_done;
	struct error err;
};

static void on_exit_event(void *arg, const char *container, const char *process, int code)
{
	struct drive *d = arg;

	fprintf(stderr, "drive: %s '%s' exited with %d\n", container, process, code);
	if (process[0]) {
		d->exec_has_exited = true;
		d->exec_code = code;
	} else {
		d->has_exited = true;
		d->code = code;
	}
}

static void on_oom(void *arg, const char *container)
{
	(void)arg;
	fprintf(stderr, "drive: %s ran out of memory\n", container);
}

static const struct guest_events events = { .exited = on_exit_event, .oom = on_oom };

static void on_child(int signo, void *arg)
{
	struct drive *d = arg;
	int status;
	pid_t pid;

	(void)signo;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		guest_child_exited(d->guest, pid, status);
}

static void on_done(void *arg, const struct error *err)
{
	struct drive *d = arg;

	d->is_done = true;
	if (err->code)
		error_set(&d->err, err->code, "%s", err->msg);
}

static void on_launched(void *arg, pid_t pid, int master, const struct error *err)
{
	struct drive *d = arg;

	(void)pid;
	d->master = master;
	on_done(arg, err);
}

static int wait_done(struct drive *d)
{
	while (!d->is_done)
		loop_step(d->loop, 1000);
	return d->err.code ? -1 : 0;
}

static void on_master(int fd, uint32_t ev, void *arg)
{
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf));

	(void)ev;
	if (n > 0)
		fprintf(stdout, "%.*s", (int)n, buf), fflush(stdout);
	else
		loop_remove(arg);
}

static void watch_master(struct drive *d, int master, struct loop_source **source)
{
	if (master >= 0)
		*source = loop_add_fd(d->loop, master, EPOLLIN, on_master, source);
}

/* DRIVE_DEBUG: how long it took. */
static void print_time(const char *what, const struct timespec *since)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	log_debug("%s took %ld us", what,
	          (now.tv_sec - since->tv_sec) * 1000000 + (now.tv_nsec - since->tv_nsec) / 1000);
}

static int drive_exec(struct drive *d, const struct oci_spec *spec, char **args)
{
	struct oci_process *p = oci_process_copy(spec->process);
	const struct guest_exec_options options = { .name = "exec" };
	struct guest_io io = { .fd = { 0, 1, 2 } };
	struct loop_source *source = NULL;
	struct timespec t;

	strv_free(p->args);
	p->args = strv_dup(args);
	clock_gettime(CLOCK_MONOTONIC, &t);
	d->is_done = false;
	guest_exec(d->guest, ID, p, &options, &io, on_launched, d);
	if (wait_done(d) < 0)
		return -1;
	print_time("exec", &t);
	watch_master(d, d->master, &source);
	while (!d->exec_has_exited || source)
		loop_step(d->loop, 1000);
	return 0;
}

static void on_rows(void *arg, struct json *rows, const struct error *err)
{
	auto_json struct json *owned = rows;
	auto_free char *text = rows ? json_print(rows, false) : NULL;

	fprintf(stderr, "drive: ps %s\n", text ? text : err->msg);
	on_done(arg, err);
}

static int print_ps(struct drive *d)
{
	d->is_done = false;
	guest_ps(d->guest, ID, on_rows, d);
	return wait_done(d);
}

static int drive_run(struct drive *d, const char *config, char **exec_args)
{
	auto_oci_spec struct oci_spec *spec = oci_spec_read(AT_FDCWD, config, &d->err);
	struct oci_spec *copy = spec ? oci_spec_copy(spec) : NULL;
	struct guest_io io = { .fd = { 0, 1, 2 }, .height = 33, .width = 99 };
	auto_seccomp_filter struct seccomp_filter filter = { 0 };
	auto_json struct json *seccomp = NULL;
	struct guest_options options = { 0 };
	struct loop_source *source = NULL;
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	if (!spec || (spec->linux_ && seccomp_compile(spec->linux_->seccomp, &filter, &d->err) < 0))
		return -1;
	options.seccomp = seccomp = seccomp_filter_to_json(&filter);
	guest_create(d->guest, ID, copy, &options, &io, on_launched, d);
	if (wait_done(d) < 0)
		return -1;
	print_time("create", &t);
	watch_master(d, d->master, &source);
	d->is_done = false;
	guest_start(d->guest, ID, on_done, d);
	if (wait_done(d) < 0)
		return -1;
	print_time("create and start", &t);
	if (exec_args[0]) {
		if (print_ps(d) < 0 || drive_exec(d, spec, exec_args) < 0 ||
		    guest_signal(d->guest, ID, "", SIGKILL, false, &d->err) < 0)
			return -1;
	}
	while (!d->has_exited || source)
		loop_step(d->loop, 1000);
	return 0;
}

int main(int argc, char **argv)
{
	struct drive d = { .loop = loop_new() };
	struct error failed = { 0 };
	sigset_t set;
	int status;

	if (argc < 3)
		return 2;
	log_to_fd(2, LOG_TEXT, getenv("DRIVE_DEBUG") != NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	loop_add_signals(d.loop, &set, on_child, &d);
	d.guest = guest_new(d.loop, argv[1], &events, &d);
	if (drive_run(&d, argv[2], argv + 3) < 0)
		error_move(&failed, &d.err);
	d.is_done = false;
	guest_delete(d.guest, ID, on_done, &d);
	while (!d.is_done)
		loop_step(d.loop, 1000);
	if (failed.code)
		fprintf(stderr, "drive: error %d: %s\n", failed.code, failed.msg);
	if (d.err.code && d.err.code != ENOENT)
		fprintf(stderr, "drive: delete: %s\n", d.err.msg);
	guest_free(d.guest);
	loop_free(d.loop);
	status = failed.code ? 125 : argc > 3 ? d.exec_code : d.code;
	error_clear(&failed);
	error_clear(&d.err);
	return status;
}
