/* A container's life through the public functions, with the monitor and the stand-in as they are
 * and without a VM: hypervisor "mock" and agent "noop". */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/vcrt.h"
#include "lib/base/child.h"
#include "lib/base/fs.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "test/scratch.h"

#define WAIT_MS 10000

#define SPEC                                                                                       \
	"{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},"                                \
	"\"process\":{\"args\":[\"/bin/sleep\",\"1000\"],\"cwd\":\"/\","                           \
	"\"user\":{\"uid\":0,\"gid\":0}},"                                                         \
	"\"linux\":{\"cgroupsPath\":\"/%s\",\"namespaces\":[{\"type\":\"pid\"},"                   \
	"{\"type\":\"network\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"mount\"}]}%s}"

static struct vcrt *v;
static struct vcrt_error err;
static char *bundle, *id;
static int null;

static void write_spec(const char *more)
{
	auto_free char *text = str_fmt(SPEC, id, more);

	scratch_file("b/config.json", text);
}

static void setup(void)
{
	auto_free char *config = NULL, *text = NULL, *root = NULL;

	scratch_new();
	/* Monitor and stand-in leave their memory to the kernel at their end. */
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	id = str_fmt("vcrt-life-%d", (int)getpid());
	root = scratch_path("root");
	config = scratch_path("config.json");
	bundle = scratch_path("b");
	text = str_fmt("{\"hypervisor\":\"mock\",\"agent\":\"noop\",\"accel\":\"tcg\","
	               "\"runtime_dir\":\"%s/run\"}",
	               scratch_root());
	scratch_file("config.json", text);
	scratch_dir("b/rootfs/proc");
	write_spec("");
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	err = (struct vcrt_error){ 0 };
	v = vcrt_open(
		&(struct vcrt_options){ .root = root, .config = config, .binary = VCRT_PROGRAM },
		&err);
	ck_assert_msg(v != NULL, "%s", err.msg);
}

static size_t count(const char *rel)
{
	auto_free char *path = scratch_path(rel);
	DIR *d = opendir(path);
	size_t n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n > 2 ? n - 2 : 0;
}

static bool cgroup_exists(void)
{
	auto_free char *path = str_fmt("/sys/fs/cgroup/pids/%s", id);
	auto_free char *unified = str_fmt("/sys/fs/cgroup/%s", id);

	return fs_exists(path) || fs_exists(unified);
}

static void reap(void)
{
	uint64_t end = loop_now_ms() + WAIT_MS;
	pid_t pid;

	do {
		pid = waitpid(-1, NULL, WNOHANG);
		if (pid == 0)
			usleep(2000);
	} while (pid >= 0 && loop_now_ms() < end);
	ck_assert_msg(pid < 0, "a child is left");
}

static void teardown(void)
{
	vcrt_container_delete(v, id, true, &err);
	vcrt_error_clear(&err);
	reap();
	ck_assert_uint_eq(count("root"), 0);
	ck_assert_uint_eq(count("run"), 0);
	ck_assert(!cgroup_exists());
	vcrt_close(v);
	close_fd(&null);
	free(bundle);
	free(id);
	scratch_remove();
}

static int create(pid_t *pid)
{
	struct vcrt_create_options o = { .id = id,
		                         .bundle = bundle,
		                         .stdio = { null, null, null } };

	return vcrt_container_create(v, &o, pid, &err);
}

static pid_t created(void)
{
	pid_t pid = 0;

	ck_assert_msg(create(&pid) == 0, "%s", err.msg);
	return pid;
}

static void start(void)
{
	ck_assert_msg(vcrt_container_start(v, id, &err) == 0, "%s", err.msg);
}

static void assert_status(const char *status, pid_t pid)
{
	struct vcrt_state s;

	ck_assert_msg(vcrt_container_state(v, id, &s, &err) == 0, "%s", err.msg);
	ck_assert_str_eq(s.status, status);
	ck_assert_int_eq(s.pid, pid);
	ck_assert_str_eq(s.bundle, bundle);
	vcrt_state_done(&s);
}

static void assert_error(int result, int code, const char *msg)
{
	ck_assert_int_eq(result, -code);
	ck_assert_str_eq(err.msg, msg);
	vcrt_error_clear(&err);
}

/* The exit status of the stand-in, which must end soon. */
static int wait_exit(pid_t pid)
{
	uint64_t end = loop_now_ms() + WAIT_MS;
	int status;
	pid_t r;

	while ((r = waitpid(pid, &status, WNOHANG)) == 0 && loop_now_ms() < end)
		usleep(2000);
	ck_assert_int_eq(r, pid);
	return child_exit_code(status);
}

static struct vcrt_sandbox *sandbox(int *n)
{
	struct vcrt_sandbox *s = NULL;

	*n = vcrt_sandbox_list(v, &s, &err);
	ck_assert_msg(*n >= 0, "%s", err.msg);
	return s;
}

static void pids(pid_t *monitor, pid_t *vmm)
{
	int n;
	struct vcrt_sandbox *s = sandbox(&n);

	ck_assert_int_eq(n, 1);
	*monitor = s->monitor;
	*vmm = s->vmm;
	vcrt_sandboxes_free(s, (size_t)n);
}

START_TEST(a_container_lives_from_create_to_delete)
{
	pid_t pid = created();
	int code = -1;

	assert_status(VCRT_CREATED, pid);
	start();
	assert_status(VCRT_RUNNING, pid);
	ck_assert(cgroup_exists());
	ck_assert_msg(vcrt_container_kill(v, id, SIGTERM, false, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(wait_exit(pid), 143);
	assert_status(VCRT_STOPPED, 0);
	ck_assert_int_eq(vcrt_container_wait(v, id, 0, &code, &err), 0);
	ck_assert_int_eq(code, 143);
	ck_assert_msg(vcrt_container_delete(v, id, false, &err) == 0, "%s", err.msg);
	assert_error(vcrt_container_state(v, id, &(struct vcrt_state){ 0 }, &err), ENOENT,
	             "container does not exist");
	ck_assert_uint_eq(count("root"), 0);
	ck_assert_uint_eq(count("run"), 0);
	ck_assert(!cgroup_exists());
}
END_TEST

START_TEST(verbs_that_do_not_fit_the_state_are_refused_as_by_runc)
{
	auto_free char *running =
		str_fmt("cannot delete container %s that is not stopped: running", id);
	pid_t pid;

	assert_error(vcrt_container_start(v, id, &err), ENOENT, "container does not exist");
	assert_error(vcrt_container_kill(v, id, 9, false, &err), ENOENT,
	             "container does not exist");
	assert_error(vcrt_container_delete(v, id, false, &err), ENOENT, "container does not exist");
	pid = created();
	assert_error(create(NULL), EEXIST,
	             "vcrt create failed: container with given ID already exists");
	start();
	ck_assert_int_lt(vcrt_container_start(v, id, &err), 0);
	ck_assert_str_eq(err.msg, "cannot start an already running container");
	vcrt_error_clear(&err);
	assert_error(vcrt_container_delete(v, id, false, &err), EBUSY, running);
	ck_assert_int_lt(vcrt_container_resume(v, id, &err), 0);
	ck_assert_str_eq(err.msg, "container not paused");
	vcrt_error_clear(&err);
	ck_assert_int_eq(vcrt_container_kill(v, id, SIGKILL, false, &err), 0);
	ck_assert_int_eq(wait_exit(pid), 137);
	assert_error(vcrt_container_kill(v, id, 9, false, &err), ESRCH, "container not running");
	ck_assert_int_eq(vcrt_container_kill(v, id, 9, true, &err), 0);
	assert_error(vcrt_container_start(v, id, &err), ESRCH,
	             "cannot start a container that has stopped");
	assert_error(vcrt_container_pause(v, id, &err), ESRCH, "container not running");
}
END_TEST

START_TEST(a_created_container_can_be_deleted_without_force)
{
	pid_t pid = created();

	ck_assert_msg(vcrt_container_delete(v, id, false, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(wait_exit(pid), 137);
	ck_assert_uint_eq(count("root"), 0);
}
END_TEST

START_TEST(a_running_container_is_deleted_by_force)
{
	pid_t pid = created();

	start();
	ck_assert_msg(vcrt_container_delete(v, id, true, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(wait_exit(pid), 137);
	ck_assert_msg(vcrt_container_delete(v, id, true, &err) == 0, "%s", err.msg);
}
END_TEST

START_TEST(pausing_shows_in_the_state)
{
	pid_t pid = created();

	start();
	ck_assert_msg(vcrt_container_pause(v, id, &err) == 0, "%s", err.msg);
	assert_status(VCRT_PAUSED, pid);
	ck_assert_int_lt(vcrt_container_pause(v, id, &err), 0);
	vcrt_error_clear(&err);
	ck_assert_msg(vcrt_container_resume(v, id, &err) == 0, "%s", err.msg);
	assert_status(VCRT_RUNNING, pid);
}
END_TEST

START_TEST(signals_to_the_stand_in_reach_the_container)
{
	pid_t pid = created();

	start();
	ck_assert_int_eq(kill(pid, SIGUSR1), 0);
	assert_status(VCRT_RUNNING, pid);
	ck_assert_int_eq(kill(pid, SIGTERM), 0);
	ck_assert_int_eq(wait_exit(pid), 143);
}
END_TEST

START_TEST(the_death_of_the_vmm_stops_the_container)
{
	pid_t pid = created(), monitor, vmm;
	int code = 0;

	start();
	pids(&monitor, &vmm);
	ck_assert_int_gt(vmm, 0);
	ck_assert_int_eq(kill(vmm, SIGKILL), 0);
	ck_assert_int_eq(wait_exit(pid), 137);
	ck_assert_int_eq(vcrt_container_wait(v, id, WAIT_MS, &code, &err), 0);
	ck_assert_int_eq(code, 137);
	assert_status(VCRT_STOPPED, 0);
	ck_assert_msg(vcrt_container_delete(v, id, false, &err) == 0, "%s", err.msg);
}
END_TEST

START_TEST(the_death_of_the_monitor_stops_the_container)
{
	pid_t pid = created(), monitor, vmm;
	unsigned long long vmm_start;

	start();
	pids(&monitor, &vmm);
	vmm_start = child_start_time(vmm);
	ck_assert_int_eq(kill(monitor, SIGKILL), 0);
	ck_assert_int_eq(wait_exit(pid), 137);
	wait_exit(monitor);
	for (int i = 0; i < 1000 && child_is_alive(vmm, vmm_start); i++)
		usleep(5000);
	ck_assert(!child_is_alive(vmm, vmm_start));
	assert_status(VCRT_STOPPED, 0);
	ck_assert_msg(vcrt_container_delete(v, id, false, &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(count("run"), 0);
}
END_TEST

START_TEST(the_death_of_the_stand_in_stops_the_container)
{
	pid_t pid = created();
	int code = 0;

	start();
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(wait_exit(pid), 137);
	ck_assert_msg(vcrt_container_wait(v, id, WAIT_MS, &code, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(code, 137);
	ck_assert_msg(vcrt_container_delete(v, id, false, &err) == 0, "%s", err.msg);
}
END_TEST

START_TEST(waiting_has_a_limit)
{
	uint64_t begin;
	int code = 7;

	created();
	begin = loop_now_ms();
	ck_assert_int_eq(vcrt_container_wait(v, id, 100, &code, &err), -ETIMEDOUT);
	ck_assert_msg(str_ends(err.msg, "' is still created"), "%s", err.msg);
	ck_assert_uint_lt(loop_now_ms() - begin, 3000);
	ck_assert_int_eq(code, 7);
}
END_TEST

START_TEST(a_sandbox_can_be_listed_watched_and_stopped)
{
	struct pollfd p = { .events = POLLIN };
	pid_t pid = created();
	struct vcrt_sandbox *s;
	int n, code = 0;

	start();
	s = sandbox(&n);
	ck_assert_int_eq(n, 1);
	ck_assert_str_eq(s->status, VCRT_RUNNING);
	ck_assert_str_eq(s->hypervisor, "mock");
	ck_assert_str_eq(s->containers[0], id);
	p.fd = vcrt_sandbox_monitor(v, s->id, &err);
	ck_assert_msg(p.fd >= 0, "%s", err.msg);
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	ck_assert_msg(vcrt_sandbox_stop(v, s->id, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(poll(&p, 1, WAIT_MS), 1);
	close(p.fd);
	ck_assert_int_eq(wait_exit(pid), 137);
	ck_assert_int_eq(vcrt_container_wait(v, id, WAIT_MS, &code, &err), 0);
	assert_status(VCRT_STOPPED, 0);
	vcrt_sandboxes_free(s, (size_t)n);
}
END_TEST

START_TEST(the_list_shows_what_is_there)
{
	auto_free char *foreign = scratch_path("root/foreign/state.json");
	auto_free char *dir = scratch_path("root/foreign");
	auto_free char *empty = NULL, *full = NULL;
	struct vcrt_state *list = NULL;

	ck_assert_int_eq(vcrt_container_list(v, &list, &err), 0);
	vcrt_list_free(list, 0);
	ck_assert_int_eq(vcrt_container_list_json(v, &empty, &err), 0);
	ck_assert_str_eq(empty, "null");
	created();
	scratch_file("root/foreign/state.json", "{}");
	ck_assert_int_eq(vcrt_container_list(v, &list, &err), 1);
	ck_assert_str_eq(list[0].id, id);
	ck_assert_str_eq(list[0].owner, "root");
	vcrt_list_free(list, 1);
	ck_assert_int_eq(vcrt_container_list_json(v, &full, &err), 0);
	ck_assert_msg(str_starts(full, "[{\"ociVersion\":\"1.0.2\",\"id\":\""), "%s", full);
	ck_assert_int_eq(unlink(foreign), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(the_pid_file_holds_the_stand_in)
{
	auto_free char *path = scratch_path("pid"), *text = NULL, *should = NULL;
	struct vcrt_create_options o = {
		.id = id, .bundle = bundle, .stdio = { null, null, null }, .pid_file = path
	};
	pid_t pid;

	ck_assert_msg(vcrt_container_create(v, &o, &pid, &err) == 0, "%s", err.msg);
	text = scratch_read("pid");
	should = str_fmt("%d", (int)pid);
	ck_assert_str_eq(text, should);
}
END_TEST

START_TEST(run_waits_and_gives_the_exit_code)
{
	struct vcrt_run_options o = {
		.create = { .id = id, .bundle = bundle, .stdio = { null, null, null } }
	};
	pid_t killer = fork();
	int code = -1;

	if (killer == 0) {
		for (int i = 0; i < 2000; i++, usleep(5000)) {
			struct vcrt_state s = { 0 };

			if (vcrt_container_state(v, id, &s, &err) == 0 &&
			    str_eq(s.status, VCRT_RUNNING) &&
			    vcrt_container_kill(v, id, SIGTERM, false, &err) == 0)
				_exit(0);
			vcrt_state_done(&s);
			vcrt_error_clear(&err);
		}
		_exit(1);
	}
	ck_assert_msg(vcrt_container_run(v, &o, &code, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(code, 143);
	ck_assert_uint_eq(count("root"), 0);
}
END_TEST

START_TEST(a_failing_hook_takes_everything_back)
{
	write_spec(",\"hooks\":{\"prestart\":[{\"path\":\"/bin/false\"}]}");
	assert_error(
		create(NULL), EIO,
		"vcrt create failed: unable to start container process: error during container "
		"init: error running hook #0: error running hook: exit status 1, stdout: , "
		"stderr: ");
	ck_assert_uint_eq(count("root"), 0);
	ck_assert_uint_eq(count("run"), 0);
	ck_assert(!cgroup_exists());
}
END_TEST

START_TEST(hooks_see_the_stand_in_in_its_namespaces)
{
	auto_free char *more = str_fmt(
		",\"hooks\":{\"createRuntime\":[{\"path\":\"/bin/sh\",\"args\":[\"sh\",\"-c\","
		"\"cat >%s/create\"]}],\"poststart\":[{\"path\":\"/bin/sh\",\"args\":[\"sh\","
		"\"-c\",\"cat >%s/start\"]}],\"poststop\":[{\"path\":\"/bin/sh\",\"args\":["
		"\"sh\",\"-c\",\"cat >%s/stop\"]}]}",
		scratch_root(), scratch_root(), scratch_root());
	auto_free char *create_text = NULL, *start_text = NULL, *stop_text = NULL, *pid_text = NULL;
	pid_t pid;

	write_spec(more);
	pid = created();
	pid_text = str_fmt("\"pid\":%d,", (int)pid);
	create_text = scratch_read("create");
	ck_assert_msg(strstr(create_text, pid_text) && strstr(create_text, "\"creating\""), "%s",
	              create_text);
	start();
	start_text = scratch_read("start");
	ck_assert_msg(strstr(start_text, pid_text) && strstr(start_text, "\"running\""), "%s",
	              start_text);
	ck_assert_int_eq(vcrt_container_delete(v, id, true, &err), 0);
	stop_text = scratch_read("stop");
	ck_assert_msg(!strstr(stop_text, "pid") && strstr(stop_text, "\"stopped\""), "%s",
	              stop_text);
}
END_TEST

START_TEST(bad_bundles_are_told)
{
	struct vcrt_create_options o = { .id = id,
		                         .bundle = "/no/such",
		                         .stdio = { null, null, null } };
	auto_free char *config = scratch_path("b/config.json"), *rootfs = scratch_path("b/rootfs");
	auto_free char *proc = scratch_path("b/rootfs/proc"), *msg = NULL;

	assert_error(vcrt_container_create(v, &o, NULL, &err), ENOENT,
	             "vcrt create failed: chdir /no/such: no such file or directory");
	o.bundle = bundle;
	ck_assert_int_eq(rmdir(proc), 0);
	ck_assert_int_eq(rmdir(rootfs), 0);
	msg = str_fmt("vcrt create failed: root file system: stat %s: no such file or directory",
	              rootfs);
	assert_error(vcrt_container_create(v, &o, NULL, &err), ENOENT, msg);
	ck_assert_int_eq(unlink(config), 0);
	assert_error(vcrt_container_create(v, &o, NULL, &err), ENOENT,
	             "vcrt create failed: JSON specification file config.json not found");
	o.id = "a/b";
	assert_error(vcrt_container_create(v, &o, NULL, &err), EINVAL,
	             "vcrt create failed: invalid container ID format");
	ck_assert_uint_eq(count("root"), 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("life");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_container_lives_from_create_to_delete);
	tcase_add_test(tc, verbs_that_do_not_fit_the_state_are_refused_as_by_runc);
	tcase_add_test(tc, a_created_container_can_be_deleted_without_force);
	tcase_add_test(tc, a_running_container_is_deleted_by_force);
	tcase_add_test(tc, pausing_shows_in_the_state);
	tcase_add_test(tc, signals_to_the_stand_in_reach_the_container);
	tcase_add_test(tc, the_death_of_the_vmm_stops_the_container);
	tcase_add_test(tc, the_death_of_the_monitor_stops_the_container);
	tcase_add_test(tc, the_death_of_the_stand_in_stops_the_container);
	tcase_add_test(tc, waiting_has_a_limit);
	tcase_add_test(tc, a_sandbox_can_be_listed_watched_and_stopped);
	tcase_add_test(tc, the_list_shows_what_is_there);
	tcase_add_test(tc, the_pid_file_holds_the_stand_in);
	tcase_add_test(tc, run_waits_and_gives_the_exit_code);
	tcase_add_test(tc, a_failing_hook_takes_everything_back);
	tcase_add_test(tc, hooks_see_the_stand_in_in_its_namespaces);
	tcase_add_test(tc, bad_bundles_are_told);
	return scratch_run(tc);
}
