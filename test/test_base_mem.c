#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "test/scratch.h"

START_TEST(nothing_returns_null_for_no_bytes)
{
	auto_free void *a = xmalloc(0);
	auto_free void *b = xzalloc(0);
	auto_free void *c = xcalloc(0, 8);
	auto_free void *d = xmemdup(NULL, 0);
	auto_free void *e = xrealloc(NULL, 0);

	ck_assert(a && b && c && d && e);
}
END_TEST

START_TEST(zeroed_memory_is_zero)
{
	auto_free char *p = xzalloc(3);
	auto_free char *q = xcalloc(2, 2);

	ck_assert_int_eq(p[0] | p[1] | p[2], 0);
	ck_assert_int_eq(q[0] | q[1] | q[2] | q[3], 0);
}
END_TEST

/* Run fn in a process of its own with standard error on a pipe; returns its wait status. */
static int run_apart(void (*fn)(void), char *text, size_t size)
{
	int ends[2], status;
	ssize_t n;
	pid_t pid;

	ck_assert_int_eq(pipe(ends), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		dup2(ends[1], STDERR_FILENO);
		fn();
		_exit(77);
	}
	close(ends[1]);
	n = read(ends[0], text, size - 1);
	text[n > 0 ? n : 0] = '\0';
	close(ends[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static volatile size_t huge = SIZE_MAX / 2;

static void overflow_array(void)
{
	xreallocarray(NULL, huge, 4);
}

START_TEST(an_array_whose_size_overflows_ends_the_process)
{
	char text[64];
	int status = run_apart(overflow_array, text, sizeof(text));

	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 1);
	ck_assert_str_eq(text, "out of memory\n");
}
END_TEST

START_TEST(steal_ptr_empties_the_owner)
{
	auto_free char *owner = xmemdup("ab", 3);
	auto_free char *stolen = steal_ptr(&owner);

	ck_assert_ptr_null(owner);
	ck_assert_str_eq(stolen, "ab");
}
END_TEST

static int scoped_fd(void)
{
	auto_close int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	errno = EXDEV;
	return fd;
}

START_TEST(a_scoped_descriptor_is_closed_and_errno_survives)
{
	int fd = scoped_fd();

	ck_assert_int_eq(errno, EXDEV);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

START_TEST(close_fd_skips_minus_one_and_leaves_it_behind)
{
	int none = -1, fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	errno = 0;
	close_fd(&none);
	ck_assert_int_eq(errno, 0);
	close_fd(&fd);
	ck_assert_int_eq(fd, -1);
}
END_TEST

START_TEST(a_stolen_descriptor_stays_open)
{
	int kept;

	{
		auto_close int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		kept = steal_fd(&fd);
		ck_assert_int_eq(fd, -1);
	}
	ck_assert_int_ne(fcntl(kept, F_GETFD), -1);
	close(kept);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("mem");

	tcase_add_test(tc, nothing_returns_null_for_no_bytes);
	tcase_add_test(tc, zeroed_memory_is_zero);
	tcase_add_test(tc, an_array_whose_size_overflows_ends_the_process);
	tcase_add_test(tc, steal_ptr_empties_the_owner);
	tcase_add_test(tc, a_scoped_descriptor_is_closed_and_errno_survives);
	tcase_add_test(tc, close_fd_skips_minus_one_and_leaves_it_behind);
	tcase_add_test(tc, a_stolen_descriptor_stays_open);
	return scratch_run(tc);
}
