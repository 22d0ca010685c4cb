/* What an init does before there is anything to serve (boot.h). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/guest/boot.h"
#include "agent/guest/network.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/str.h"

#define MAX_LIST (64 * 1024)
/* Left open for the agent and, where config.json sets none, for containers. */
#define NOFILE_SOFT 65536
#define NOFILE_HARD 1048576
/* The most that process.rlimits may ask for: what systemd gives to a host. */
#define NR_OPEN "1073741816"

struct boot_mount {
	const char *target, *type, *data;
	unsigned long flags;
};

/* Needed to find and open the channel. */
static const struct boot_mount first_mounts[] = {
	{ "/dev", "devtmpfs", "mode=755", MS_NOSUID },
	{ "/proc", "proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
	{ "/sys", "sysfs", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
};

static const struct boot_mount other_mounts[] = {
	{ "/dev/pts", "devpts", "gid=5,mode=620,ptmxmode=666", MS_NOSUID | MS_NOEXEC },
	{ "/dev/shm", "tmpfs", "mode=1777", MS_NOSUID | MS_NODEV },
	{ "/run", "tmpfs", "mode=755", MS_NOSUID | MS_NODEV },
	{ "/sys/fs/cgroup", "cgroup2", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
};

static int mount_all(const struct boot_mount *m, size_t n, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		if (mkdir(m[i].target, 0755) < 0 && errno != EEXIST)
			return error_sys(err, "make directory '%s'", m[i].target);
		if (mount(m[i].type, m[i].target, m[i].type, m[i].flags, m[i].data) < 0)
			return error_sys(err, "mount %s on '%s'", m[i].type, m[i].target);
	}
	return 0;
}

/* pivot_root(2) refuses to leave the initramfs, which has no parent mount. A bind mount of the same
 * files, moved over it, has one; nothing is copied. */
static int make_root_pivotable(struct error *err)
{
	if (mkdir("/root", 0700) < 0 && errno != EEXIST)
		return error_sys(err, "make directory '/root'");
	if (mount("/", "/root", NULL, MS_BIND, NULL) < 0 || chdir("/root") < 0 ||
	    mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return error_sys(err, "move the root file system");
	return 0;
}

int boot_mounts(struct error *err)
{
	if (make_root_pivotable(err) < 0)
		return -err->code;
	return mount_all(first_mounts, ARRAY_SIZE(first_mounts), err);
}

/* Every controller that the kernel has, for the children of the root group. In one write: each one
 * waits for an RCU grace period. */
static int enable_controllers(struct error *err)
{
	auto_free char *text = NULL;
	auto_strv char **names = NULL;
	auto_buf struct buf words = { 0 };

	if (fs_read("/sys/fs/cgroup/cgroup.controllers", MAX_LIST, &text, NULL, err) < 0)
		return -err->code;
	text[strcspn(text, "\n")] = '\0';
	names = str_split(text, ' ');
	for (size_t i = 0; names[i]; i++)
		buf_addf(&words, "%s+%s", i > 0 ? " " : "", names[i]);
	if (*text && fs_write_value("/sys/fs/cgroup/cgroup.subtree_control", words.data, err) < 0)
		return error_wrap(err, "enable the cgroup controllers '%s'", text);
	return 0;
}

int boot_finish(struct error *err)
{
	struct rlimit files = { .rlim_cur = NOFILE_SOFT, .rlim_max = NOFILE_HARD };

	if (mount_all(other_mounts, ARRAY_SIZE(other_mounts), err) < 0)
		return -err->code;
	if (enable_controllers(err) < 0 || network_loopback_up(err) < 0)
		return -err->code;
	if (fs_write_value("/proc/sys/fs/nr_open", NR_OPEN, err) < 0)
		return -err->code;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		return error_sys(err, "raise the limit of open files");
	umask(022);
	return 0;
}

bool boot_is_debug(void)
{
	auto_error struct error err = { 0 };
	auto_free char *text = NULL;
	auto_strv char **words = NULL;

	if (fs_read("/proc/cmdline", MAX_LIST, &text, NULL, &err) < 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	words = str_split(text, ' ');
	return strv_has(words, "vcrt.debug");
}

void boot_power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}
