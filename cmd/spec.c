#include "cmd/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "lib/base/fs.h"

struct spec_values {
	const char *bundle;
	bool rootless;
};

static const struct opt spec_opts[] = {
	{ "bundle", 'b', OPT_STRING, offsetof(struct spec_values, bundle), NULL,
	  "directory to write to; by default the current one" },
	{ "rootless", 0, OPT_BOOL, offsetof(struct spec_values, rootless), NULL,
	  "for a user without privileges: with a user namespace" },
	{ 0 },
};

static int spec_run(const struct globals *g, const void *values, int argc, char **argv,
                    struct error *err)
{
	const struct spec_values *o = values;
	const char *dir = cmd_given(o->bundle) ? o->bundle : ".";
	const struct spec_owner owner = { .uid = geteuid(), .gid = getegid() };
	auto_free char *text = spec_document(o->rootless ? &owner : NULL, err);
	auto_close int dirfd = -1;

	(void)g;
	(void)argc;
	(void)argv;
	if (!text)
		return -err->code;
	dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return error_sys(err, "open '%s'", dir);
	if (faccessat(dirfd, "config.json", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return error_set(err, EEXIST, "File config.json exists. Remove it first");
	return fs_write_atomic_at(dirfd, "config.json", text, strlen(text), 0644, false, err);
}

const struct command cmd_spec = {
	.name = "spec",
	.help = "write a config.json to start from",
	.description = "The container that it describes runs \"sh\" on a terminal in the directory "
		       "\"rootfs\".\n"
		       "It is meant to be edited.\n\n"
		       "EXAMPLE:\n"
		       "       # mkdir -p bundle/rootfs && cd bundle\n"
		       "       # docker export $(docker create busybox) | tar -C rootfs -x\n"
		       "       # vcrt spec\n"
		       "       # vcrt run container1",
	.opts = spec_opts,
	.values_size = sizeof(struct spec_values),
	.run = spec_run,
};
