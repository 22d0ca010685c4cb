#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "agent/guest/boot.h"
#include "agent/guest/modules.h"
#include "agent/guest/sandbox.h"
#include "agent/protocol.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

#define MAX_ENTROPY 512 /* bytes */
#define NSEC_PER_SEC 1000000000

/* cache=mmap: names, attributes and file contents are asked of the host each time, so that both
 * sides see each other's changes at once, and still files can be mapped, shared and writable, too,
 * which cache=none does not allow. access=client: a connection for each user, so that a file made
 * by user 1000 of a container belongs to user 1000 on the host. msize: as fast as half a megabyte
 * (measured under TCG: 100 MB/s, 8 KiB give 15), while every request takes two buffers of that
 * size from the kernel, each in one piece. */
#define SHARE_OPTIONS "trans=virtio,version=9p2000.L,msize=131072,cache=mmap,access=client"

/* virtio-fs makes a file system of its own of each mount of the host below the share. */
static bool has_submounts;

/* Bytes from the host count as entropy: a VM that was restored from a template needs fresh ones. */
static int add_entropy(const char *hex, struct error *err)
{
	auto_free struct rand_pool_info *info = NULL;
	auto_close int fd = -1;
	size_t len = strlen(hex) / 2;

	if (strlen(hex) % 2 != 0 || len == 0 || len > MAX_ENTROPY)
		return error_set(err, EINVAL, "odd length of \"entropy\"");
	info = xzalloc(sizeof(*info) + len);
	if (str_unhex(hex, info->buf, len) < 0)
		return error_set(err, EINVAL, "\"entropy\" is not hexadecimal");
	info->entropy_count = (int)len * 8;
	info->buf_size = (int)len;
	fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, RNDADDENTROPY, info) < 0)
		return error_sys(err, "add entropy");
	return 0;
}

int sandbox_set_time(const struct json *request, struct error *err)
{
	const struct json *now = json_get_object(request, "time");
	struct timespec ts = {
		.tv_sec = json_get_i64(now, "sec", -1),
		.tv_nsec = json_get_i64(now, "nsec", -1),
	};

	if (!now)
		return 0;
	if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= NSEC_PER_SEC)
		return error_set(err, EINVAL, "odd \"time\"");
	if (clock_settime(CLOCK_REALTIME, &ts) < 0)
		return error_sys(err, "set the clock");
	return 0;
}

/* How both sides see each other's changes is up to the server on the host. */
static int mount_virtiofs(const char *tag, struct error *err)
{
	if (modules_load("virtiofs", err) < 0)
		return -err->code;
	if (mount(tag, PROTOCOL_SHARE, "virtiofs", 0, NULL) < 0)
		return error_sys(err, "mount the share '%s'", tag);
	has_submounts = true;
	return 0;
}

static int mount_share(const char *type, const char *tag, struct error *err)
{
	if (fs_mkdir_p(PROTOCOL_SHARE, 0700, err) < 0)
		return -err->code;
	if (str_eq(type, "virtiofs"))
		return mount_virtiofs(tag, err);
	if (type && !str_eq(type, "9p"))
		return error_set(err, EINVAL, "unknown type of share '%s'", type);
	if (mount(tag, PROTOCOL_SHARE, "9p", 0, SHARE_OPTIONS) < 0)
		return error_sys(err, "mount the share '%s'", tag);
	return 0;
}

int sandbox_setup(const struct json *request, struct error *err)
{
	const char *hostname = json_get_string(request, "hostname");
	const char *type = json_get_string(request, "share_type");
	const char *tag = json_get_string(request, "share_tag");
	const char *entropy = json_get_string(request, "entropy");

	if (entropy && add_entropy(entropy, err) < 0)
		return -err->code;
	if (sandbox_set_time(request, err) < 0)
		return -err->code;
	if (hostname && sethostname(hostname, strlen(hostname)) < 0)
		return error_sys(err, "set the host name '%s'", hostname);
	if (tag && mount_share(type, tag, err) < 0)
		return -err->code;
	return 0;
}

int sandbox_warm(struct error *err)
{
	static const char *const modules[] = { "virtio_net", "virtio_blk", "overlay", "tun" };

	if (modules_load_list("late", err) < 0)
		return -err->code;
	for (size_t i = 0; i < ARRAY_SIZE(modules); i++)
		if (modules_load(modules[i], err) < 0)
			return -err->code;
	return fs_mkdir_p(PROTOCOL_SHARE, 0700, err);
}

bool sandbox_has_submounts(void)
{
	return has_submounts;
}

void sandbox_sync(int *share, bool has_several)
{
	if (has_several) {
		sync();
		return;
	}
	if (*share < 0)
		*share = open(PROTOCOL_SHARE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*share >= 0)
		syncfs(*share);
}
