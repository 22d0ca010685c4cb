#include "lib/base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"

#define READ_CHUNK 4096
#define LOCK_POLL_NS 2000000

int fs_read_fd(int fd, const char *name, size_t max, char **out, size_t *len, struct error *err)
{
	auto_buf struct buf b = { 0 };
	struct stat st;
	size_t chunk = READ_CHUNK;

	/* The size is only a hint: files of proc and sys say 0 or a page. */
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= READ_CHUNK)
		chunk = (uint64_t)st.st_size < max ? (size_t)st.st_size : max;
	for (;;) {
		ssize_t n;

		/* One byte more than allowed tells a full file from a larger one. */
		if (chunk > max - b.len)
			chunk = max - b.len;
		n = read(fd, buf_space(&b, chunk + 1), chunk + 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_sys(err, "read '%s'", name);
		if (n == 0)
			break;
		b.len += (size_t)n;
		if (b.len > max)
			return error_set(err, EFBIG, "read '%s': larger than %zu bytes", name, max);
		chunk = READ_CHUNK;
	}
	if (len)
		*len = b.len;
	*out = buf_steal(&b);
	return 0;
}

int fs_read_at(int dirfd, const char *path, size_t max, char **out, size_t *len, struct error *err)
{
	auto_close int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return error_sys(err, "open '%s'", path);
	return fs_read_fd(fd, path, max, out, len, err);
}

int fs_read(const char *path, size_t max, char **out, size_t *len, struct error *err)
{
	return fs_read_at(AT_FDCWD, path, max, out, len, err);
}

int fs_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* The directory part of path with its slash, "" when there is none; owned by the caller. */
static char *dir_prefix(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? str_ndup(path, (size_t)(slash - path) + 1) : str_dup("");
}

/* Open a new file beside path. *name is its path, owned by the caller. */
static int temporary_open(int dirfd, const char *path, mode_t mode, char **name)
{
	auto_free char *dir = dir_prefix(path);

	for (;;) {
		auto_free char *tmp = NULL;
		uint64_t random;
		int fd;

		if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
			return -1;
		tmp = str_fmt("%s.vcrt-%016llx", dir, (unsigned long long)random);
		fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
		if (fd < 0 && errno == EEXIST)
			continue;
		if (fd >= 0)
			*name = steal_ptr(&tmp);
		return fd;
	}
}

static int sync_dir(int dirfd, const char *path)
{
	auto_free char *dir = dir_prefix(path);
	auto_close int fd = openat(dirfd, *dir ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -1 : fsync(fd);
}

int fs_write_atomic_at(int dirfd, const char *path, const void *data, size_t len, mode_t mode,
                       bool sync, struct error *err)
{
	auto_free char *tmp = NULL;
	auto_close int fd = temporary_open(dirfd, path, mode, &tmp);
	int r;

	if (fd < 0)
		return error_sys(err, "write '%s'", path);
	r = fs_write_all(fd, data, len);
	if (r < 0)
		errno = -r;
	else if (fchmod(fd, mode) < 0 || (sync && fsync(fd) < 0) ||
	         renameat(dirfd, tmp, dirfd, path) < 0)
		r = -errno;
	if (r < 0) {
		error_sys(err, "write '%s'", path);
		unlinkat(dirfd, tmp, 0);
		return r;
	}
	if (sync && sync_dir(dirfd, path) < 0)
		return error_sys(err, "sync the directory of '%s'", path);
	return 0;
}

int fs_write_value_at(int dirfd, const char *path, const char *value, struct error *err)
{
	size_t len = strlen(value);
	auto_close int fd = openat(dirfd, path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY);
	ssize_t n;

	if (fd < 0)
		return error_sys(err, "open '%s'", path);
	do
		n = write(fd, value, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_sys(err, "write '%s' to '%s'", value, path);
	if ((size_t)n != len)
		return error_set(err, EIO, "write '%s' to '%s': only %zd of %zu bytes accepted",
		                 value, path, n, len);
	return 0;
}

int fs_write_value(const char *path, const char *value, struct error *err)
{
	return fs_write_value_at(AT_FDCWD, path, value, err);
}

int fs_mkdir_p(const char *path, mode_t mode, struct error *err)
{
	auto_free char *part = str_dup(path);
	char *p = part;
	struct stat st;

	/* Mostly it is there, or only its last part is not. */
	if ((stat(path, &st) == 0 && S_ISDIR(st.st_mode)) || mkdir(path, mode) == 0)
		return 0;
	do {
		char c;

		p += strspn(p, "/");
		p += strcspn(p, "/");
		c = *p;
		*p = '\0';
		if (mkdir(part, mode) < 0 && errno != EEXIST) {
			/* A read-only parent says EROFS even for what exists. */
			int saved = errno;

			if (stat(part, &st) < 0) {
				errno = saved;
				return error_sys(err, "create directory '%s'", part);
			}
		}
		*p = c;
	} while (*p);
	if (stat(path, &st) < 0)
		return error_sys(err, "create directory '%s'", path);
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return error_sys(err, "create directory '%s'", path);
	}
	return 0;
}

bool fs_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

char **fs_list(const char *path, struct error *err)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char **names = NULL;

	if (!dir && errno != ENOENT)
		error_sys(err, "open the directory '%s'", path);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			strv_push(&names, entry->d_name);
	if (dir)
		closedir(dir);
	return names;
}

bool fs_is_in_memory(const char *path)
{
	auto_free char *at = str_dup(path);
	struct statfs st;

	while (statfs(at, &st) < 0) {
		char *slash = strrchr(at, '/');

		if (errno != ENOENT || !slash || slash == at)
			return false;
		*slash = '\0';
	}
	return st.f_type == TMPFS_MAGIC || st.f_type == RAMFS_MAGIC;
}

int fs_check_private(int fd, const char *path, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_sys(err, "stat '%s'", path);
	if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return error_set(err, EPERM, "other users can write to the directory '%s'", path);
	return 0;
}

int fs_lock(int fd, unsigned timeout_ms)
{
	uint64_t end = loop_now_ms() + timeout_ms;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (loop_now_ms() >= end)
			return -ETIMEDOUT;
		nanosleep(&(struct timespec){ .tv_nsec = LOCK_POLL_NS }, NULL);
	}
	return 0;
}
