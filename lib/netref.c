#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/netref.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "netns/netns.h"

#define MAX_MOUNTS (16u << 20) /* bytes of mountinfo */

int netref_open(struct netref *ref, pid_t pid, struct error *err)
{
	auto_free char *path = str_fmt("/proc/%d/ns/net", (int)pid);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_sys(err, "open the network namespace '%s'", path);
	ref->ino = st.st_ino;
	return steal_fd(&fd);
}

/* -1 when it is something else, or nothing. */
static int open_same(const char *path, ino_t ino)
{
	/* Not to wait for the other side of a FIFO. */
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_ino != ino)
		return -1;
	return steal_fd(&fd);
}

/* A line of mountinfo has the namespace as the root of the mount, and then where it is mounted. */
static int find_mounted(ino_t ino)
{
	auto_free char *root = str_fmt(" net:[%llu] ", (unsigned long long)ino);
	auto_error struct error err = { 0 };
	auto_free char *mounts = NULL;
	char *at;
	int fd = -1;

	if (fs_read("/proc/self/mountinfo", MAX_MOUNTS, &mounts, NULL, &err) < 0)
		return -1;
	for (at = strstr(mounts, root); at && fd < 0; at = strstr(at, root)) {
		char *point = at + strlen(root), *end = strchrnul(point, ' ');

		at = *end ? end + 1 : end;
		*end = '\0';
		fd = open_same(point, ino);
	}
	return fd;
}

int netref_clean(const struct netref *ref, struct error *err)
{
	auto_netns struct netns *ns = NULL;
	auto_close int fd = -1;

	if (!ref->ino)
		return 0;
	if (ref->path)
		fd = open_same(ref->path, ref->ino);
	if (fd < 0)
		fd = find_mounted(ref->ino);
	if (fd < 0)
		return 0;
	/* -EINVAL: a file that has the number by chance. */
	if (netns_open(fd, -1, &ns, err) < 0) {
		if (err->code == EINVAL)
			error_clear(err);
		return -err->code;
	}
	return netns_clean(ns, err);
}
