/* Paths inside the container's root file system. Its owner may have planted links anywhere, so
 * every step is resolved by the kernel with the root as "/" and used through its descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

#define MAX_LINKS 16 /* that point to something missing */

int fs_try_in_root(int rootfd, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)flags | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	long fd;

	/* The kernel insists on no mode where it would not be used. */
	if (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))
		how.mode = mode;
	/* EAGAIN: a rename elsewhere raced with a "..", which somebody may try to keep up. */
	for (int tries = 0;; tries++) {
		fd = syscall(SYS_openat2, rootfd, path, &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN || tries == 100)
			break;
	}
	return fd < 0 ? -errno : (int)fd;
}

static int not_opened(int code, const char *path, struct error *err)
{
	errno = code;
	return error_sys(err, "open '%s'", path);
}

int fs_open_in_root(int rootfd, const char *path, int flags, mode_t mode, struct error *err)
{
	int fd = fs_try_in_root(rootfd, path, flags, mode);

	return fd < 0 ? not_opened(-fd, path, err) : fd;
}

static int make_at(int rootfd, const char *path, bool is_dir, unsigned links, struct error *err);

/* What the dangling link at dir/name points to, as a path inside the root. NULL: no link. */
static char *follow_dangling(int dir, const char *parent, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

	if (n <= 0)
		return NULL;
	target[n] = '\0';
	if (target[0] == '/')
		return str_dup(target);
	return str_fmt("%s/%s", parent, target);
}

static int create_leaf(int dir, const char *name, bool is_dir)
{
	int fd;

	if (is_dir)
		return mkdirat(dir, name, 0755);
	fd = openat(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int make_missing(int rootfd, const char *path, bool is_dir, unsigned links,
                        struct error *err)
{
	auto_free char *parent = str_dup(path), *target = NULL;
	char *slash = strrchr(parent, '/');
	const char *name = slash ? slash + 1 : path;
	auto_close int dir = -1;

	if (slash)
		*slash = '\0';
	dir = slash && parent[0] ? make_at(rootfd, parent, true, links, err)
	                         : fcntl(rootfd, F_DUPFD_CLOEXEC, 3);
	if (dir < 0)
		return dir;
	if (create_leaf(dir, name, is_dir) == 0)
		return openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (errno != EEXIST)
		return error_sys(err, "create '%s' in the root file system", path);

	/* It exists and yet could not be opened: a link to something that is missing. */
	target = follow_dangling(dir, slash ? parent : "", name);
	if (!target || links == 0)
		return error_set(err, ELOOP, "'%s' in the root file system cannot be resolved",
		                 path);
	return make_at(rootfd, target, is_dir, links - 1, err);
}

static int make_at(int rootfd, const char *path, bool is_dir, unsigned links, struct error *err)
{
	auto_free char *trimmed = str_dup(path);
	size_t len = strlen(trimmed);
	int fd;

	while (len > 1 && trimmed[len - 1] == '/')
		trimmed[--len] = '\0';
	fd = fs_try_in_root(rootfd, trimmed, O_PATH | (is_dir ? O_DIRECTORY : 0), 0);
	if (fd >= 0)
		return fd;
	if (fd != -ENOENT)
		return not_opened(-fd, trimmed, err);
	fd = make_missing(rootfd, trimmed, is_dir, links, err);
	if (fd < 0 && !err->code)
		return error_sys(err, "open '%s' in the root file system", trimmed);
	return fd;
}

int fs_make_in_root(int rootfd, const char *path, bool is_dir, struct error *err)
{
	return make_at(rootfd, path, is_dir, MAX_LINKS, err);
}
