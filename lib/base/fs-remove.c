#include "lib/base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/base/str.h"

/* Each open level costs a descriptor and a buffer; what lies deeper is moved to the top of the
 * tree and comes by again in the next pass. */
#define REMOVE_MAX_DEPTH 16

struct removal {
	const char *path; /* of the whole tree, for messages */
	int top;
	unsigned long long moved;
	struct error *err;
};

static int remove_entry(struct removal *rm, int dir, const char *name, unsigned depth);

/* A directory that is neither a link nor, as a bind mount on the same device would be, a mount
 * point. */
static int open_here(int dir, const char *name)
{
	auto_close int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct statx st;

	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &st) < 0)
		return -1;
	if (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) {
		errno = EBUSY;
		return -1;
	}
	return steal_fd(&fd);
}

static int remove_failed(struct removal *rm, const char *name)
{
	if (errno == EBUSY)
		return error_set(rm->err, EBUSY, "remove '%s': '%s' is a mount point", rm->path,
		                 name);
	return error_sys(rm->err, "remove '%s' in '%s'", name, rm->path);
}

/* One pass over the entries of fd (taken). Returns 1 when it got any further, 0 when there was
 * nothing to do. */
static int empty_dir(struct removal *rm, int fd, const char *name, unsigned depth)
{
	DIR *d = fdopendir(fd);
	int count = 0;

	if (!d) {
		remove_failed(rm, name);
		close_fd(&fd);
		return -rm->err->code;
	}
	for (;;) {
		struct dirent *e;
		int r;

		errno = 0;
		e = readdir(d);
		if (!e)
			break;
		if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
			continue;
		r = remove_entry(rm, dirfd(d), e->d_name, depth);
		if (r < 0) {
			count = r;
			break;
		}
		count = 1;
	}
	if (count >= 0 && errno != 0 && errno != ENOENT)
		count = remove_failed(rm, name);
	closedir(d);
	return count;
}

static int move_to_top(struct removal *rm, int dir, const char *name)
{
	for (;;) {
		auto_free char *to = str_fmt(".vcrt-deep-%llu", rm->moved++);

		if (renameat2(dir, name, rm->top, to, RENAME_NOREPLACE) == 0 || errno == ENOENT)
			return 0;
		if (errno != EEXIST)
			return remove_failed(rm, name);
	}
}

static int remove_dir(struct removal *rm, int dir, const char *name, unsigned depth)
{
	int n;

	do {
		int fd;

		if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return 0;
		if (errno != ENOTEMPTY && errno != EEXIST)
			return remove_failed(rm, name);
		if (depth == REMOVE_MAX_DEPTH)
			return move_to_top(rm, dir, name);
		fd = open_here(dir, name);
		if (fd < 0 && errno == ENOENT)
			return 0; /* somebody else removes it, too */
		if (fd < 0)
			return remove_failed(rm, name);
		if (depth == 0)
			rm->top = fd;
		n = empty_dir(rm, fd, name, depth + 1);
	} while (n > 0);
	if (n == 0 && unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return remove_failed(rm, name);
	return n;
}

static int remove_entry(struct removal *rm, int dir, const char *name, unsigned depth)
{
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return remove_failed(rm, name);
	return remove_dir(rm, dir, name, depth);
}

int fs_remove_tree_at(int dirfd, const char *path, struct error *err)
{
	struct removal rm = { .path = path, .top = -1, .err = err };
	auto_free char *parent = NULL;
	auto_close int dir = -1;
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	if (!*name || str_eq(name, ".") || str_eq(name, ".."))
		return error_set(err, EINVAL, "remove '%s': not the name of an entry", path);
	parent = slash ? str_ndup(path, (size_t)(slash - path) + 1) : str_dup(".");
	dir = openat(dirfd, parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 && errno == ENOENT)
		return 0;
	if (dir < 0)
		return error_sys(err, "remove '%s'", path);
	return remove_entry(&rm, dir, name, 0);
}
