/* Each case runs in a child of its own: it closes nearly everything. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/fs.h"
#include "lib/base/mem.h"
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

/* Run in a child whose close_range and, if said so, openat fail as if they were not there. */
static bool holds(int first, const int *keep, size_t n, bool no_close_range, bool no_openat)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		unsigned first_nr = no_close_range ? SYS_close_range : UINT32_MAX;
		unsigned second_nr = no_openat ? SYS_openat : UINT32_MAX;
		struct sock_filter code[] = {
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, first_nr, 1, 0),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, second_nr, 0, 1),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		};
		struct sock_fprog filter = { ARRAY_SIZE(code), code };
		int null = open("/dev/null", O_RDONLY);

		if (null != 3)
			dup2(null, 3);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
			_exit(2);
		_exit(closes_all_but(first, keep, n) ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_ne(WEXITSTATUS(status), 2);
	return WEXITSTATUS(status) == 0;
}

static const int keep[] = { 3, 4, 7, 7, 100, TOP };

START_TEST(closes_everything_from_first)
{
	ck_assert(holds(3, NULL, 0, false, false));
	ck_assert(holds(50, NULL, 0, false, false));
}
END_TEST

START_TEST(keeps_what_it_is_told)
{
	ck_assert(holds(3, keep, ARRAY_SIZE(keep), false, false));
	ck_assert(holds(50, keep, ARRAY_SIZE(keep), false, false));
}
END_TEST

START_TEST(works_without_close_range_and_proc)
{
	ck_assert(holds(3, NULL, 0, true, true));
	ck_assert(holds(3, keep, ARRAY_SIZE(keep), true, true));
}
END_TEST

START_TEST(works_without_close_range)
{
	ck_assert(holds(3, NULL, 0, true, false));
	ck_assert(holds(3, keep, ARRAY_SIZE(keep), true, false));
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
