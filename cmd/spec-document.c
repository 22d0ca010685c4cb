/* A config.json to start from: the same as runc's, whose values everybody knows. */
#include "cmd/spec.h"

#include <string.h>

#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
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
