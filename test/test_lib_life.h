/* A runtime without a VM, with the monitor and the stand-in as they are: hypervisor "mock" and
 * agent "noop". */
#pragma once

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
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
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

static pid_t janitor;
static int janitor_pipe;

static inline void delete_all(void)
{
	struct vcrt_state *list = NULL;
	int n = v ? vcrt_container_list(v, &list, &err) : 0;

	for (int i = 0; i < n; i++)
		vcrt_container_delete(v, list[i].id, true, &err);
	vcrt_list_free(list, n > 0 ? (size_t)n : 0);
	vcrt_error_clear(&err);
}

/* A test that fails ends without its teardown: a process that sees it end removes the containers.
 */
static inline void start_janitor(const char *root, const char *config)
{
	struct vcrt_options o = { .root = root, .config = config, .binary = VCRT_PROGRAM };
	struct error ignored = { 0 };
	int pair[2];
	char c;

	ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
	janitor = fork();
	ck_assert_int_ge(janitor, 0);
	if (janitor) {
		close(pair[0]);
		janitor_pipe = pair[1];
		return;
	}
	/* Not in the group that is killed after a failure. */
	setpgid(0, 0);
	close(pair[1]);
	if (read(pair[0], &c, 1) == 1)
		_exit(0);
	v = vcrt_open(&o, &err);
	delete_all();
	fs_remove_tree_at(AT_FDCWD, scratch_root(), &ignored);
	_exit(0);
}

static inline void stop_janitor(void)
{
	ck_assert_int_eq((int)write(janitor_pipe, "x", 1), 1);
	close_fd(&janitor_pipe);
	ck_assert_int_eq(waitpid(janitor, NULL, 0), janitor);
}

static inline void write_spec(const char *more)
{
	auto_free char *text = str_fmt(SPEC, id, more);

	scratch_file("b/config.json", text);
}

static inline void setup(void)
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
	               "\"template\":\"off\",\"runtime_dir\":\"%s/run\"}",
	               scratch_root());
	scratch_file("config.json", text);
	scratch_dir("b/rootfs/proc");
	write_spec("");
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	err = (struct vcrt_error){ 0 };
	start_janitor(root, config);
	v = vcrt_open(
		&(struct vcrt_options){ .root = root, .config = config, .binary = VCRT_PROGRAM },
		&err);
	ck_assert_msg(v != NULL, "%s", err.msg);
}

/* With this configuration from now on. */
static inline void reconfigure(const char *members)
{
	auto_free char *path = scratch_path("config.json"), *root = scratch_path("root");
	auto_free char *text = str_fmt("{\"runtime_dir\":\"%s/run\",%s}", scratch_root(), members);

	scratch_file("config.json", text);
	vcrt_close(v);
	v = vcrt_open(
		&(struct vcrt_options){ .root = root, .config = path, .binary = VCRT_PROGRAM },
		&err);
	ck_assert_msg(v != NULL, "%s", err.msg);
}

static inline size_t count(const char *rel)
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

static inline bool cgroup_exists(void)
{
	auto_free char *path = str_fmt("/sys/fs/cgroup/pids/%s", id);
	auto_free char *unified = str_fmt("/sys/fs/cgroup/%s", id);

	return fs_exists(path) || fs_exists(unified);
}

static inline void reap(void)
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

static inline void teardown(void)
{
	delete_all();
	stop_janitor();
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

static inline int create(pid_t *pid)
{
	struct vcrt_create_options o = { .id = id,
		                         .bundle = bundle,
		                         .stdio = { null, null, null } };

	return vcrt_container_create(v, &o, pid, &err);
}

static inline pid_t created(void)
{
	pid_t pid = 0;

	ck_assert_msg(create(&pid) == 0, "%s", err.msg);
	return pid;
}

static inline void start(void)
{
	ck_assert_msg(vcrt_container_start(v, id, &err) == 0, "%s", err.msg);
}

static inline void assert_status(const char *status, pid_t pid)
{
	struct vcrt_state s;

	ck_assert_msg(vcrt_container_state(v, id, &s, &err) == 0, "%s", err.msg);
	ck_assert_str_eq(s.status, status);
	ck_assert_int_eq(s.pid, pid);
	ck_assert_str_eq(s.bundle, bundle);
	vcrt_state_done(&s);
}

static inline void assert_error(int result, int code, const char *msg)
{
	ck_assert_int_eq(result, -code);
	ck_assert_str_eq(err.msg, msg);
	vcrt_error_clear(&err);
}

/* The exit status of the stand-in, which must end soon. */
static inline int wait_exit(pid_t pid)
{
	uint64_t end = loop_now_ms() + WAIT_MS;
	int status;
	pid_t r;

	while ((r = waitpid(pid, &status, WNOHANG)) == 0 && loop_now_ms() < end)
		usleep(2000);
	ck_assert_int_eq(r, pid);
	return child_exit_code(status);
}

static inline struct vcrt_sandbox *sandbox(int *n)
{
	struct vcrt_sandbox *s = NULL;

	*n = vcrt_sandbox_list(v, &s, &err);
	ck_assert_msg(*n >= 0, "%s", err.msg);
	return s;
}

static inline void pids(pid_t *monitor, pid_t *vmm)
{
	int n;
	struct vcrt_sandbox *s = sandbox(&n);

	ck_assert_int_eq(n, 1);
	*monitor = s->monitor;
	*vmm = s->vmm;
	vcrt_sandboxes_free(s, (size_t)n);
}

/* As its record tells. */
static inline void assert_vm(unsigned mib, unsigned cpus)
{
	auto_free char *rel = str_fmt("root/%s/state.json", id), *path = scratch_path(rel);
	auto_free char *text = NULL;
	auto_json struct json *j = NULL;
	const struct json *vm;
	auto_error struct error e = { 0 };

	ck_assert_msg(fs_read(path, 1 << 16, &text, NULL, &e) == 0, "%s", e.msg);
	j = json_parse(text, strlen(text), false, &e);
	vm = json_get_object(j, "vcrt");
	ck_assert_int_eq(json_get_i64(vm, "vmMemory", 0) >> 20, mib);
	ck_assert_int_eq(json_get_i64(vm, "vmCpus", 0), cpus);
}
