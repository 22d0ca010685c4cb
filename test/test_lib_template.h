/* A store of templates, with files of a few bytes in place of a VMM and its guest. */
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hypervisor/hypervisor.h"
#include "lib/template.h"
#include "lib/template-internal.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static char *store, *vmm, *kernel, *initrd;
static struct hv_config cfg;
static struct json *hello;

static inline void setup(void)
{
	scratch_setup();
	store = scratch_path("store");
	scratch_file("vmm", "v");
	scratch_file("kernel", "k");
	scratch_file("initrd", "i");
	vmm = scratch_path("vmm");
	kernel = scratch_path("kernel");
	initrd = scratch_path("initrd");
	cfg = (struct hv_config){ .path = vmm,
		                  .kernel = kernel,
		                  .initrd = initrd,
		                  .memory_mib = 128,
		                  .cpus = 1,
		                  .channel_fd = -1,
		                  .log_fd = -1,
		                  .console_fd = -1,
		                  .share_fd = -1 };
	hello = json_new_object();
	json_set(hello, "vcrt", json_new_i64(1));
}

static inline void teardown(void)
{
	json_free(hello);
	auto_freep(&store);
	auto_freep(&vmm);
	auto_freep(&kernel);
	auto_freep(&initrd);
	scratch_remove();
}

static inline char *identity(void)
{
	auto_error struct error err = { 0 };
	char *id = template_identity(&hv_mock_ops, &cfg, &err);

	ck_assert_msg(id != NULL, "%s", err.msg);
	return id;
}

static inline void begin(struct template_build *b, const char *id)
{
	auto_error struct error err = { 0 };

	ck_assert_msg(template_begin(b, store, id, &err) == 0, "%s", err.msg);
}

/* What the VMM would do. */
static inline void fill(struct template_build *b, size_t kib)
{
	auto_free char *memory = xzalloc(kib << 10);
	auto_error struct error err = { 0 };

	memset(memory, 'm', kib << 10);
	ck_assert_int_eq(
		fs_write_atomic_at(AT_FDCWD, b->memory, memory, kib << 10, 0600, false, &err), 0);
	ck_assert_int_eq(write(b->state, "state", 5), 5);
}

static inline void make(const char *id, size_t kib)
{
	auto_error struct error err = { 0 };
	struct template_build b;

	begin(&b, id);
	fill(&b, kib);
	ck_assert_msg(template_commit(&b, hello, 1, &err) == 0, "%s", err.msg);
}

static inline int count(void)
{
	auto_error struct error err = { 0 };
	struct template *list;
	int n = template_list(store, &list, &err);

	ck_assert_msg(n >= 0, "%s", err.msg);
	template_list_free(list, (size_t)n);
	return n;
}

/* Everything in the store, half-made templates, too. */
static inline int entries(void)
{
	auto_free char *command = str_fmt("exit $(ls -A '%s' | wc -l)", store);

	return WEXITSTATUS(system(command));
}
