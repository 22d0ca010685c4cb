/* A config.json to start from: the same as runc's, whose values everybody knows. */
#include "cmd/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "oci/oci.h"

#define CAPS "[\"CAP_AUDIT_WRITE\", \"CAP_KILL\", \"CAP_NET_BIND_SERVICE\"]"

/* %s: version, and what differs between root and rootless: options of /dev/pts, /sys, linux. */
static const char document[] =
	"{\"ociVersion\": \"%s\","
	" \"process\": {"
	"  \"terminal\": true,"
	"  \"user\": {\"uid\": 0, \"gid\": 0},"
	"  \"args\": [\"sh\"],"
	"  \"env\": ["
	"   \"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\","
	"   \"TERM=xterm\"],"
	"  \"cwd\": \"/\","
	"  \"capabilities\": {\"bounding\": " CAPS ", \"effective\": " CAPS ","
	"   \"permitted\": " CAPS ", \"ambient\": " CAPS "},"
	"  \"rlimits\": [{\"type\": \"RLIMIT_NOFILE\", \"hard\": 1024, \"soft\": 1024}],"
	"  \"noNewPrivileges\": true},"
	" \"root\": {\"path\": \"rootfs\", \"readonly\": true},"
	" \"hostname\": \"vcrt\","
	" \"mounts\": ["
	"  {\"destination\": \"/proc\", \"type\": \"proc\", \"source\": \"proc\"},"
	"  {\"destination\": \"/dev\", \"type\": \"tmpfs\", \"source\": \"tmpfs\","
	"   \"options\": [\"nosuid\", \"strictatime\", \"mode=755\", \"size=65536k\"]},"
	"  {\"destination\": \"/dev/pts\", \"type\": \"devpts\", \"source\": \"devpts\","
	"   \"options\": [\"nosuid\", \"noexec\", \"newinstance\", \"ptmxmode=0666\","
	"    \"mode=0620\"%s]},"
	"  {\"destination\": \"/dev/shm\", \"type\": \"tmpfs\", \"source\": \"shm\","
	"   \"options\": [\"nosuid\", \"noexec\", \"nodev\", \"mode=1777\", \"size=65536k\"]},"
	"  {\"destination\": \"/dev/mqueue\", \"type\": \"mqueue\", \"source\": \"mqueue\","
	"   \"options\": [\"nosuid\", \"noexec\", \"nodev\"]},"
	"  %s,"
	"  {\"destination\": \"/sys/fs/cgroup\", \"type\": \"cgroup\", \"source\": \"cgroup\","
	"   \"options\": [\"nosuid\", \"noexec\", \"nodev\", \"relatime\", \"ro\"]}],"
	" \"linux\": {"
	"  %s,"
	"  \"maskedPaths\": [\"/proc/acpi\", \"/proc/asound\", \"/proc/kcore\", \"/proc/keys\","
	"   \"/proc/latency_stats\", \"/proc/timer_list\", \"/proc/timer_stats\","
	"   \"/proc/sched_debug\", \"/sys/firmware\", \"/proc/scsi\"],"
	"  \"readonlyPaths\": [\"/proc/bus\", \"/proc/fs\", \"/proc/irq\", \"/proc/sys\","
	"   \"/proc/sysrq-trigger\"]}}";

static const char sys_root[] =
	"{\"destination\": \"/sys\", \"type\": \"sysfs\", \"source\": \"sysfs\","
	" \"options\": [\"nosuid\", \"noexec\", \"nodev\", \"ro\"]}";
static const char sys_rootless[] =
	"{\"destination\": \"/sys\", \"type\": \"none\", \"source\": \"/sys\","
	" \"options\": [\"rbind\", \"nosuid\", \"noexec\", \"nodev\", \"ro\"]}";

/* The cgroup namespace is there because the guest always has cgroup v2. */
static const char linux_root[] =
	"\"resources\": {\"devices\": [{\"allow\": false, \"access\": \"rwm\"}]},"
	" \"namespaces\": [{\"type\": \"pid\"}, {\"type\": \"network\"}, {\"type\": \"ipc\"},"
	"  {\"type\": \"uts\"}, {\"type\": \"mount\"}, {\"type\": \"cgroup\"}]";
static const char linux_rootless[] =
	"\"uidMappings\": [{\"containerID\": 0, \"hostID\": %u, \"size\": 1}],"
	" \"gidMappings\": [{\"containerID\": 0, \"hostID\": %u, \"size\": 1}],"
	" \"namespaces\": [{\"type\": \"pid\"}, {\"type\": \"ipc\"}, {\"type\": \"uts\"},"
	"  {\"type\": \"mount\"}, {\"type\": \"user\"}, {\"type\": \"cgroup\"}]";

char *spec_document(const struct spec_owner *rootless, struct error *err)
{
	auto_free char *linux_part = rootless
	                                     ? str_fmt(linux_rootless, rootless->uid, rootless->gid)
	                                     : str_dup(linux_root);
	auto_free char *text = str_fmt(document, OCI_VERSION, rootless ? "" : ", \"gid=5\"",
	                               rootless ? sys_rootless : sys_root, linux_part);
	auto_json struct json *j = json_parse(text, strlen(text), false, err);

	return j ? json_print(j, true) : NULL;
}

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
