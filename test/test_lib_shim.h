/* The stand-in as the program has it, in namespaces of its own. */
#pragma once

#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/console.h"
#include "lib/shim.h"
#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "test/scratch.h"

#define WAIT_MS 10000
#define TITLE 256

/* Arguments of the container, of so many bytes. */
static char title[TITLE];
static char *const title_args[] = { title, NULL };

static struct shim shim;
static struct ctl_msg *trees;
static struct error err;

static inline void setup(void)
{
	scratch_new();
	memset(title, 'x', TITLE - 1);
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	scratch_dir("rootfs/proc");
	scratch_dir("rootfs/tmp");
	scratch_file("rootfs/name", "in the root");
	shim = SHIM_NONE;
	trees = NULL;
	err = (struct error){ 0 };
}

static inline void teardown(void)
{
	ctl_msg_free(trees);
	shim_abort(&shim);
	error_clear(&err);
	scratch_remove();
}

static inline void spawn(int namespaces)
{
	struct shim_namespaces ns = { .create = CLONE_NEWNS | namespaces };

	ck_assert_msg(shim_spawn(VCRT_PROGRAM, &ns, title_args, &shim, &err) == 0, "%s", err.msg);
	ck_assert_int_gt(shim.pid, 0);
}

/* The set-up message for our root, with mounts as JSON. */
static inline struct ctl_out message(const char *mounts)
{
	struct ctl_out out = { .json = json_new_object() };
	auto_free char *rootfs = scratch_path("rootfs");
	char *args[] = { (char *)"/bin/sleep", (char *)"10 000", NULL };
	struct json *list = json_parse(mounts, strlen(mounts), false, &err);

	ck_assert_msg(list != NULL, "%s", err.msg);
	json_set(out.json, "args", json_new_strv(args));
	json_set(out.json, "rootfs", json_new_string(rootfs));
	json_set(out.json, "mounts", list);
	return out;
}

static inline void set_up(struct ctl_out out)
{
	trees = shim_setup(&shim, &out, 0, NULL, &err);
	ctl_out_done(&out);
	ck_assert_msg(trees != NULL, "%s", err.msg);
	ck_assert_msg(shim_finish(&shim, &err) == 0, "%s", err.msg);
}

static inline char *proc(const char *name)
{
	return str_fmt("/proc/%d/%s", (int)shim.pid, name);
}

/* noinline: gcc 12 takes the text for a dangling pointer otherwise. */
static __attribute__((noinline, unused)) char *proc_text(const char *name, size_t *len)
{
	auto_free char *path = proc(name);
	auto_free char *text = NULL;

	ck_assert_msg(fs_read(path, 1 << 16, &text, len, &err) == 0, "%s", err.msg);
	return steal_ptr(&text);
}

static inline bool has_own(const char *ns)
{
	auto_free char *theirs = proc(ns), *ours = str_fmt("/proc/self/%s", ns);
	struct stat a, b;

	ck_assert_int_eq(stat(theirs, &a), 0);
	ck_assert_int_eq(stat(ours, &b), 0);
	return a.st_ino != b.st_ino;
}

static inline int wait_exit(void)
{
	uint64_t end = loop_now_ms() + WAIT_MS;
	int status;
	pid_t r;

	while ((r = waitpid(shim.pid, &status, WNOHANG)) == 0 && loop_now_ms() < end)
		usleep(2000);
	ck_assert_int_eq(r, shim.pid);
	shim.pid = 0;
	return child_exit_code(status);
}

static inline void send_exit(int code)
{
	struct ctl_out out = { .json = json_new_object() };

	json_set(out.json, "exit", json_new_i64(code));
	ck_assert_int_eq(ctl_send(shim.control, &out, &err), 0);
	ctl_out_done(&out);
}

static inline void expect_control(const char *expected)
{
	auto_ctl_msg struct ctl_msg *m = ctl_recv(shim.control, WAIT_MS, &err);
	auto_free char *text = NULL;

	ck_assert_msg(m != NULL, "%s", err.msg);
	text = json_print(m->json, false);
	ck_assert_str_eq(text, expected);
}
