/* Each case runs in a child of its own: it closes nearly everything. */
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "test/deny.h"
#include "test/scratch.h"

#define TOP 200

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) != -1;
}

/* Descriptor 3 is open. Whether of 3 to TOP exactly keep[] is open after closing from first. */
static bool closes_all_but(int first, const int *keep, size_t n)
{
	for (int fd = 4; fd <= TOP; fd++)
		if (dup2(3, fd) < 0)
			return false;
	fs_close_from(first, keep, n);
	for (int fd = 3; fd <= TOP; fd++) {
		bool wanted = fd < first;

		for (size_t i = 0; i < n; i++)
			wanted |= fd == keep[i];
		if (is_open(fd) != wanted)
			return false;
	}
	return true;
}

/* Run in a child that lacks n_denied system calls. */
static bool holds(int first, const int *keep, size_t n, const unsigned *denied, size_t n_denied)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		int null = open("/dev/null", O_RDONLY);

		if (null != 3)
			dup2(null, 3);
		deny_syscalls(denied, n_denied);
		_exit(closes_all_but(first, keep, n) ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status) == 0;
}

static const unsigned denied[] = { SYS_close_range, SYS_openat };
static const int keep[] = { 100, 7, 3, 4, 7, TOP };

START_TEST(closes_everything_from_first)
{
	ck_assert(holds(3, NULL, 0, NULL, 0));
	ck_assert(holds(50, NULL, 0, NULL, 0));
}
END_TEST

START_TEST(keeps_what_it_is_told)
{
	ck_assert(holds(3, keep, ARRAY_SIZE(keep), NULL, 0));
	ck_assert(holds(50, keep, ARRAY_SIZE(keep), NULL, 0));
}
END_TEST

START_TEST(works_without_close_range_and_proc)
{
	ck_assert(holds(3, NULL, 0, denied, 2));
	ck_assert(holds(3, keep, ARRAY_SIZE(keep), denied, 2));
}
END_TEST

START_TEST(works_without_close_range)
{
	ck_assert(holds(3, NULL, 0, denied, 1));
	ck_assert(holds(3, keep, ARRAY_SIZE(keep), denied, 1));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("fs-close");

	tcase_add_test(tc, closes_everything_from_first);
	tcase_add_test(tc, keeps_what_it_is_told);
	tcase_add_test(tc, works_without_close_range);
	tcase_add_test(tc, works_without_close_range_and_proc);
	return scratch_run(tc);
}
