/* A scratch tree stands for a cgroup of the guest: "c" in it, with the files that a controller
 * would bring, which a test makes itself. */
#pragma once

#include <fcntl.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static struct cgroup cg;
static struct error err;

static void setup_cgroup(void)
{
	auto_free char *dir = NULL;

	scratch_setup();
	scratch_dir("c");
	dir = scratch_path("c");
	cg = (struct cgroup){ .path = str_dup("/c"), .fd = open(dir, O_RDONLY | O_DIRECTORY) };
	ck_assert_int_ge(cg.fd, 0);
}

static void teardown(void)
{
	cgroup_done(&cg);
	error_clear(&err);
	scratch_remove();
}
