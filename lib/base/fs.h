/* Files and directories. Paths may be relative to a directory descriptor (AT_FDCWD works). Every
 * descriptor is close-on-exec. All return 0 (or what is said) or -errno with err filled. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct error;

/* Read a whole file of at most max bytes (EFBIG beyond). *out is owned by the caller, NUL
 * terminated, *len (may be NULL) does not count the NUL. */
int fs_read_at(int dirfd, const char *path, size_t max, char **out, size_t *len, struct error *err);
int fs_read(const char *path, size_t max, char **out, size_t *len, struct error *err);
int fs_read_fd(int fd, const char *name, size_t max, char **out, size_t *len, struct error *err);

/* Replace the file in one step: temporary file in the same directory, write, optional fsync,
 * rename. Nothing is left behind on failure. */
int fs_write_atomic_at(int dirfd, const char *path, const void *data, size_t len, mode_t mode,
                       bool sync, struct error *err);

/* Write to an existing file (for cgroup, proc and sys files): one write(2), no creation. */
int fs_write_value_at(int dirfd, const char *path, const char *value, struct error *err);
int fs_write_value(const char *path, const char *value, struct error *err);

/* Write everything to a descriptor, carrying on after EINTR and short writes. */
int fs_write_all(int fd, const void *data, size_t len);

int fs_mkdir_p(const char *path, mode_t mode, struct error *err);

/* Remove a tree without following links and without crossing into another mount. A path that does
 * not exist is success. */
int fs_remove_tree_at(int dirfd, const char *path, struct error *err);

bool fs_exists(const char *path);

/* Names in a directory but for those that begin with a dot: NULL-terminated, owned by the caller,
 * in no order. None when there is no such directory. */
char **fs_list(const char *path, struct error *err);

/* Do files made in this directory, which need not exist yet, lie in memory (tmpfs, ramfs)? */
bool fs_is_in_memory(const char *path);

/* Can only we, and root, change what is in the directory fd? -EPERM: others can; path is for the
 * message. */
int fs_check_private(int fd, const char *path, struct error *err);

/* Lock a file or directory against others who do (flock(2)), until fd is closed. 0 or -errno;
 * -ETIMEDOUT: somebody holds it for that long. */
int fs_lock(int fd, unsigned timeout_ms);

/* Open something below root as if root were "/": no link, "..", or magic link leads out of it
 * (openat2 RESOLVE_IN_ROOT). flags as for open(2). Returns a descriptor or -errno. */
int fs_open_in_root(int rootfd, const char *path, int flags, mode_t mode, struct error *err);
/* The same without a message, for what may well be missing. */
int fs_try_in_root(int rootfd, const char *path, int flags, mode_t mode);
/* The same for a directory or file that is made if it is missing (0755, 0644), with the directories
 * above it and where a dangling link points to. Returns an O_PATH descriptor. */
int fs_make_in_root(int rootfd, const char *path, bool is_dir, struct error *err);

/* Close every descriptor from first up that is not in keep[] (n of them, in any order). Takes no
 * memory: for use after fork. */
void fs_close_from(int first, const int *keep, size_t n);

/* Let this process open as many files as its hard limit allows. */
void fs_raise_limit(void);
