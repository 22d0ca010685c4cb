/* A cgroup of a test's own in every hierarchy of this host, and a process to put there. */
#pragma once

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cgroup.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static char *name; /* of a cgroup that nobody else uses: "/vcrt-test-PID" */
static char **all, **made;
static pid_t child;

static inline void setup(void)
{
	name = str_fmt("/vcrt-test-%d", (int)getpid());
	all = made = NULL;
	child = 0;
}

static inline void end_child(void)
{
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	child = 0;
}

static inline void teardown(void)
{
	auto_error struct error err = { 0 };

	end_child();
	ck_assert_msg(cgroup_remove(made, 2000, &err) == 0, "%s", err.msg);
	strv_free(all);
	strv_free(made);
	free(name);
}

static inline void start_child(void)
{
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		alarm(30);
		pause();
		_exit(0);
	}
}

static inline int make_all(const char *path, char ***dirs, char ***own, struct error *err)
{
	int r = cgroup_plan(path, dirs, own, err);

	return r < 0 ? r : cgroup_make(*dirs, *own, err);
}

static inline void make(const char *path)
{
	auto_error struct error err = { 0 };

	ck_assert_msg(make_all(path, &all, &made, &err) == 0, "%s", err.msg);
	ck_assert_msg(strv_len(all) > 0, "this host has no cgroups");
}
