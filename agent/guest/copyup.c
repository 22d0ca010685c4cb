/* tmpcopyup: a new tmpfs starts as a copy of the directory that it covers. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/str.h"

#define MAX_DEPTH 64

static int copy_dir(int from, int to, unsigned depth, struct error *err);

static int copy_owner(int dir, const char *name, const struct stat *st, struct error *err)
{
	if (fchownat(dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return error_sys(err, "copy the owner of '%s'", name);
	/* After chown, which drops the set-user-ID bit. */
	if (!S_ISLNK(st->st_mode) && fchmodat(dir, name, st->st_mode & 07777, 0) < 0)
		return error_sys(err, "copy the mode of '%s'", name);
	return 0;
}

static int copy_file(int from, int to, const char *name, struct error *err)
{
	auto_close int in = -1, out = -1;
	ssize_t n;

	in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (in < 0)
		return error_sys(err, "open '%s'", name);
	out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return error_sys(err, "create '%s'", name);
	while ((n = sendfile(out, in, NULL, 1 << 20)) > 0)
		;
	return n < 0 ? error_sys(err, "copy '%s'", name) : 0;
}

static int copy_link(int from, int to, const char *name, struct error *err)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);

	if (n < 0)
		return error_sys(err, "read the link '%s'", name);
	target[n] = '\0';
	if (symlinkat(target, to, name) < 0)
		return error_sys(err, "create the link '%s'", name);
	return 0;
}

static int copy_subdir(int from, int to, const char *name, unsigned depth, struct error *err)
{
	auto_close int in = -1, out = -1;

	if (depth == 0)
		return error_set(err, ELOOP, "'%s' is nested too deep", name);
	if (mkdirat(to, name, 0700) < 0)
		return error_sys(err, "create '%s'", name);
	in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (in < 0 || out < 0)
		return error_sys(err, "open '%s'", name);
	return copy_dir(in, out, depth - 1, err);
}

static int copy_entry(int from, int to, const char *name, unsigned depth, struct error *err)
{
	struct stat st;
	int ret = 0;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_sys(err, "examine '%s'", name);
	if (S_ISDIR(st.st_mode))
		ret = copy_subdir(from, to, name, depth, err);
	else if (S_ISREG(st.st_mode))
		ret = copy_file(from, to, name, err);
	else if (S_ISLNK(st.st_mode))
		ret = copy_link(from, to, name, err);
	else if (mknodat(to, name, st.st_mode, st.st_rdev) < 0)
		ret = error_sys(err, "create '%s'", name);
	return ret < 0 ? ret : copy_owner(to, name, &st, err);
}

static int copy_dir(int from, int to, unsigned depth, struct error *err)
{
	int fd = fcntl(from, F_DUPFD_CLOEXEC, 3);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int ret = 0;

	if (!d) {
		close_fd(&fd);
		return error_sys(err, "read a directory");
	}
	while (ret == 0 && (e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			ret = copy_entry(from, to, e->d_name, depth, err);
	closedir(d);
	return ret;
}

int copy_tree(int from, int to, struct error *err)
{
	if (copy_dir(from, to, MAX_DEPTH, err) < 0)
		return error_wrap(err, "tmpcopyup");
	return 0;
}
