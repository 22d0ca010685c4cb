/* Called between fork and exec: nothing here allocates. */
#include "lib/base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/mem.h"

/* "12" -> 12; -1 for "." and "..". */
static int fd_number(const char *name)
{
	int n = 0;

	for (; *name >= '0' && *name <= '9' && n < INT_MAX / 10 - 1; name++)
		n = n * 10 + (*name - '0');
	return *name ? -1 : n;
}

/* Through /proc/self/fd, for kernels and system call filters without close_range. */
static int close_listed(unsigned low, unsigned high)
{
	auto_close int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_Alignas(struct dirent64) char entries[1024];

	if (dir < 0)
		return -1;
	for (;;) {
		long n = syscall(SYS_getdents64, dir, entries, sizeof(entries));

		if (n <= 0)
			return (int)n;
		for (long at = 0; at < n;) {
			struct dirent64 *e = (struct dirent64 *)(entries + at);
			int fd = fd_number(e->d_name);

			if (fd >= 0 && fd != dir && (unsigned)fd >= low && (unsigned)fd <= high)
				close(fd);
			at += e->d_reclen;
		}
	}
}

/* Without /proc: every number the limit allows. */
static void close_counted(unsigned low, unsigned high)
{
	struct rlimit limit = { 0 };

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur <= high)
		high = (unsigned)limit.rlim_cur;
	for (unsigned fd = low; fd <= high && fd <= INT_MAX; fd++)
		close((int)fd);
}

static void close_between(unsigned low, unsigned high)
{
	if (syscall(SYS_close_range, low, high, 0) == 0)
		return;
	if (close_listed(low, high) < 0)
		close_counted(low, high);
}

/* The lowest of keep[] that is not below first; UINT_MAX: none. */
static unsigned lowest(const int *keep, size_t n, unsigned first)
{
	unsigned found = UINT_MAX;

	for (size_t i = 0; i < n; i++)
		if (keep[i] >= 0 && (unsigned)keep[i] >= first && (unsigned)keep[i] < found)
			found = (unsigned)keep[i];
	return found;
}

void fs_close_from(int first, const int *keep, size_t n)
{
	unsigned low = (unsigned)first, kept;

	while ((kept = lowest(keep, n, low)) != UINT_MAX) {
		if (kept > low)
			close_between(low, kept - 1);
		low = kept + 1;
	}
	close_between(low, UINT_MAX);
}

void fs_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}
