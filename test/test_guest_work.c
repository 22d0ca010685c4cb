#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/guest/work.h"
#include "lib/base/error.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static struct loop *loop;
static struct work *work;
static struct error failed;
static char *result;
static size_t result_len;
static int calls;

static void setup(void)
{
	loop = loop_new();
	work = NULL;
	result = NULL;
	calls = 0;
}

static void teardown(void)
{
	work_cancel(&work);
	while (waitpid(-1, NULL, 0) > 0)
		;
	loop_free(loop);
	error_clear(&failed);
	free(result);
}

static void on_done(void *arg, const char *data, size_t len, const struct error *err)
{
	(void)arg;
	calls++;
	work = NULL;
	if (err->code) {
		ck_assert_ptr_null(data);
		error_set(&failed, err->code, "%s", err->msg);
		return;
	}
	result = xzalloc(len + 1);
	memcpy(result, data, len);
	result_len = len;
}

static void run(work_fn fn, void *in, int keep, unsigned limit_ms)
{
	const struct work_plan plan = { .what = "work",
		                        .fn = fn,
		                        .in = in,
		                        .keep = keep,
		                        .limit_ms = limit_ms,
		                        .done = on_done };
	auto_error struct error err = { 0 };

	work = work_start(loop, &plan, &err);
	ck_assert_msg(work != NULL, "%s", err.msg);
	for (int i = 0; i < 3000 && !calls; i++)
		ck_assert_int_eq(loop_step(loop, 10), 0);
	ck_assert_int_eq(calls, 1);
}

static int repeat(void *in, struct buf *out, struct error *err)
{
	(void)err;
	for (int i = 0; i < 100000; i++)
		buf_adds(out, in);
	return 0;
}

START_TEST(the_result_comes_whole)
{
	char text[] = "word";

	run(repeat, text, -1, 20000);
	ck_assert_uint_eq(result_len, 400000);
	ck_assert_uint_eq(strlen(result), result_len);
}
END_TEST

static int refuse(void *in, struct buf *out, struct error *err)
{
	(void)in;
	buf_adds(out, "half a result");
	return error_set(err, ENOTTY, "no such thing as '%s'", "x");
}

START_TEST(a_failure_comes_with_code_and_message)
{
	run(refuse, NULL, -1, 20000);
	ck_assert_int_eq(failed.code, ENOTTY);
	ck_assert_str_eq(failed.msg, "no such thing as 'x'");
}
END_TEST

static int hang(void *in, struct buf *out, struct error *err)
{
	(void)in;
	(void)out;
	(void)err;
	pause();
	return 0;
}

START_TEST(a_child_that_hangs_is_killed)
{
	run(hang, NULL, -1, 50);
	ck_assert_int_eq(failed.code, ETIMEDOUT);
	ck_assert_str_eq(failed.msg, "work: not done within 0 seconds");
}
END_TEST

static int die(void *in, struct buf *out, struct error *err)
{
	(void)in;
	(void)out;
	(void)err;
	raise(SIGKILL);
	return 0;
}

START_TEST(a_child_that_dies_is_a_failure)
{
	run(die, NULL, -1, 20000);
	ck_assert_int_eq(failed.code, EIO);
	ck_assert_str_eq(failed.msg, "work: the helper process died");
}
END_TEST

static int flood(void *in, struct buf *out, struct error *err)
{
	(void)in;
	(void)err;
	memset(buf_space(out, 5 << 20), 'x', 5 << 20);
	out->len += 5 << 20;
	return 0;
}

START_TEST(too_long_a_result_is_a_failure)
{
	run(flood, NULL, -1, 20000);
	ck_assert_int_eq(failed.code, EMSGSIZE);
}
END_TEST

/* Which of two descriptors are open. */
static int look(void *in, struct buf *out, struct error *err)
{
	const int *fd = in;

	(void)err;
	for (int i = 0; i < 2; i++)
		buf_addf(out, "%d ", fcntl(fd[i], F_GETFD) >= 0);
	return 0;
}

START_TEST(a_child_keeps_one_descriptor_only)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	run(look, ends, ends[1], 20000);
	ck_assert_str_eq(result, "0 1 ");
	close(ends[0]);
	close(ends[1]);
}
END_TEST

START_TEST(work_that_is_cancelled_says_nothing)
{
	const struct work_plan plan = {
		.what = "work", .fn = hang, .keep = -1, .limit_ms = 20, .done = on_done
	};
	auto_error struct error err = { 0 };

	work = work_start(loop, &plan, &err);
	work_cancel(&work);
	ck_assert_ptr_null(work);
	ck_assert_int_gt(waitpid(-1, NULL, 0), 0); /* it does not hang any more */
	for (int i = 0; i < 10; i++)
		loop_step(loop, 5);
	ck_assert_int_eq(calls, 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("work");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_result_comes_whole);
	tcase_add_test(tc, a_failure_comes_with_code_and_message);
	tcase_add_test(tc, a_child_that_hangs_is_killed);
	tcase_add_test(tc, a_child_that_dies_is_a_failure);
	tcase_add_test(tc, too_long_a_result_is_a_failure);
	tcase_add_test(tc, a_child_keeps_one_descriptor_only);
	tcase_add_test(tc, work_that_is_cancelled_says_nothing);
	return scratch_run(tc);
}
