#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/hooks.h"
#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "oci/oci.h"
#include "test/scratch.h"

static struct oci_state *state;
static struct oci_hook hooks[4];
static size_t n_hooks;

static void setup(void)
{
	scratch_new();
	state = xzalloc(sizeof(*state));
	state->oci_version = str_dup("1.0.2");
	state->id = str_dup("box");
	state->status = str_dup("creating");
	state->pid = 123;
	state->bundle = str_dup(scratch_root());
	state->rootfs = str_dup("/r");
	state->created = str_dup("2026-01-02T03:04:05.000000000Z");
	state->owner = str_dup("");
	n_hooks = 0;
}

static void forget_hooks(void)
{
	for (size_t i = 0; i < n_hooks; i++) {
		free(hooks[i].path);
		strv_free(hooks[i].args);
		strv_free(hooks[i].env);
	}
	memset(hooks, 0, sizeof(hooks));
	n_hooks = 0;
}

static void teardown(void)
{
	oci_state_free(state);
	forget_hooks();
	scratch_remove();
}

static struct oci_hook *add(const char *path)
{
	struct oci_hook *h = &hooks[n_hooks++];

	h->path = str_dup(path);
	return h;
}

/* A hook that runs this script, in the bundle. */
static struct oci_hook *add_script(const char *script)
{
	struct oci_hook *h = add("/bin/sh");

	strv_push(&h->args, "hook");
	strv_push(&h->args, "-c");
	strv_push(&h->args, script);
	return h;
}

static void run(void)
{
	auto_error struct error err = { 0 };

	ck_assert_msg(hooks_run(hooks, n_hooks, state, &err) == 0, "%s", err.msg);
}

static void assert_fails(int code, const char *msg)
{
	auto_error struct error err = { 0 };

	ck_assert_int_eq(hooks_run(hooks, n_hooks, state, &err), -code);
	ck_assert_str_eq(err.msg, msg);
}

START_TEST(no_hooks_are_fine)
{
	auto_error struct error err = { 0 };

	ck_assert_int_eq(hooks_run(NULL, 0, state, &err), 0);
	hooks_run_poststop(NULL, state);
}
END_TEST

START_TEST(a_hook_reads_the_state_on_its_input)
{
	auto_free char *text = NULL, *should = NULL;

	state->annotations = xcalloc(1, sizeof(*state->annotations));
	state->n_annotations = 1;
	state->annotations[0].key = str_dup("a");
	state->annotations[0].value = str_dup("b");
	add_script("cat >state");
	run();
	text = scratch_read("state");
	should = str_fmt("{\"ociVersion\":\"1.0.2\",\"id\":\"box\",\"pid\":123,"
	                 "\"status\":\"creating\",\"bundle\":\"%s\",\"annotations\":{\"a\":\"b\"}}",
	                 scratch_root());
	ck_assert_str_eq(text, should);
}
END_TEST

START_TEST(without_a_process_there_is_no_pid)
{
	auto_free char *text = NULL;

	state->pid = 0;
	add_script("cat >state");
	run();
	text = scratch_read("state");
	ck_assert_ptr_null(strstr(text, "pid"));
}
END_TEST

START_TEST(a_hook_may_leave_its_input_unread)
{
	auto_free char *big = xmalloc((1u << 20) + 1), *size = NULL;

	memset(big, 'x', 1u << 20);
	big[1u << 20] = '\0';
	free(state->id);
	state->id = str_dup(big);
	add_script("exit 0");
	add_script("wc -c >size");
	run();
	size = scratch_read("size");
	ck_assert_int_gt(atoi(size), 1 << 20);
}
END_TEST

START_TEST(a_hook_runs_in_the_bundle_with_its_arguments)
{
	auto_free char *text = NULL, *should = NULL;
	struct oci_hook *h = add_script("exec >out; echo \"$0|$1|$2\"; pwd");

	strv_push(&h->args, "zero");
	strv_push(&h->args, "one");
	strv_push(&h->args, "two words");
	run();
	text = scratch_read("out");
	should = str_fmt("zero|one|two words\n%s\n", scratch_root());
	ck_assert_str_eq(text, should);
}
END_TEST

START_TEST(the_first_argument_is_the_name_of_the_hook)
{
	auto_free char *text = NULL;

	add_script("tr '\\0' '\\n' </proc/$$/cmdline >out");
	run();
	text = scratch_read("out");
	ck_assert_msg(str_starts(text, "hook\n-c\n"), "%s", text);
}
END_TEST

START_TEST(without_arguments_the_path_is_the_name)
{
	auto_free char *script = scratch_path("script"), *text = NULL;

	scratch_file("script", "#!/bin/sh\necho \"$0 $#\" >out\n");
	ck_assert_int_eq(chmod(script, 0755), 0);
	add(script);
	run();
	text = scratch_read("out");
	ck_assert_msg(str_ends(text, "/script 0\n"), "%s", text);
}
END_TEST

START_TEST(a_hook_with_an_environment_has_only_that)
{
	auto_free char *text = NULL;
	struct oci_hook *h = add("/usr/bin/env");

	ck_assert_int_eq(setenv("VCRT_TEST_OURS", "1", 1), 0);
	strv_push(&h->args, "env");
	strv_push(&h->args, "sh");
	strv_push(&h->args, "-c");
	strv_push(&h->args, "env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= | sort >out");
	strv_push(&h->env, "B=2");
	strv_push(&h->env, "PATH=/usr/bin:/bin");
	strv_push(&h->env, "A=1");
	run();
	text = scratch_read("out");
	ck_assert_str_eq(text, "A=1\nB=2\nPATH=/usr/bin:/bin\n");
}
END_TEST

START_TEST(a_hook_without_an_environment_has_ours)
{
	auto_free char *text = NULL;

	ck_assert_int_eq(setenv("VCRT_TEST_OURS", "yes", 1), 0);
	add_script("echo $VCRT_TEST_OURS >out");
	run();
	text = scratch_read("out");
	ck_assert_str_eq(text, "yes\n");
}
END_TEST

START_TEST(a_hook_gets_no_descriptor_of_ours)
{
	auto_free char *text = NULL;
	int fd = open("/dev/null", O_RDWR); /* not close-on-exec */

	add_script("ls /proc/self/fd | tr '\\n' ' ' >out");
	run();
	close(fd);
	text = scratch_read("out");
	/* 3 is the directory that ls reads. */
	ck_assert_str_eq(text, "0 1 2 3 ");
}
END_TEST

START_TEST(hooks_run_in_order_until_one_fails)
{
	auto_free char *text = NULL;

	add_script("echo one >>out");
	add_script("echo two >>out; exit 1");
	add_script("echo three >>out");
	assert_fails(EIO, "error running hook #1: error running hook: exit status 1, stdout: , "
	                  "stderr: ");
	text = scratch_read("out");
	ck_assert_str_eq(text, "one\ntwo\n");
}
END_TEST

/* The texts below are runc's. */

START_TEST(a_failure_quotes_the_output)
{
	add_script("echo out; echo bad >&2; exit 3");
	assert_fails(EIO, "error running hook #0: error running hook: exit status 3, stdout: out\n"
	                  ", stderr: bad\n");
}
END_TEST

START_TEST(death_by_a_signal_is_told)
{
	add_script("kill -9 $$");
	assert_fails(EIO, "error running hook #0: error running hook: signal: killed, stdout: , "
	                  "stderr: ");
	forget_hooks();
	add_script("kill -31 $$");
	assert_fails(EIO, "error running hook #0: error running hook: signal: bad system call, "
	                  "stdout: , stderr: ");
	forget_hooks();
	add_script("kill -11 $$");
	assert_fails(EIO, "error running hook #0: error running hook: signal: segmentation fault, "
	                  "stdout: , stderr: ");
}
END_TEST

START_TEST(a_hook_that_cannot_be_executed_is_told)
{
	add("/no/such");
	assert_fails(ENOENT,
	             "error running hook #0: fork/exec /no/such: no such file or directory");
	forget_hooks();
	add("/etc/passwd");
	assert_fails(EACCES, "error running hook #0: fork/exec /etc/passwd: permission denied");
}
END_TEST

START_TEST(a_hook_has_a_time_limit)
{
	struct oci_hook *h = add_script("exec sleep 20");
	uint64_t start = loop_now_ms();

	h->has_timeout = true;
	h->timeout = 1;
	assert_fails(ETIMEDOUT, "error running hook #0: hook ran past specified timeout of 1.0s");
	ck_assert_uint_lt(loop_now_ms() - start, 10000);
}
END_TEST

static bool is_alive(const char *pid_file)
{
	auto_free char *text = scratch_read(pid_file);

	return child_start_time(atoi(text)) != 0;
}

START_TEST(with_it_all_that_it_has_started_is_ended)
{
	struct oci_hook *h = add_script("sleep 60 & echo $! >child\n"
	                                "setsid sh -c 'sleep 60 & echo $! >session; wait' &\n"
	                                "(sleep 60 & echo $! >orphan)\n"
	                                "wait");

	h->has_timeout = true;
	h->timeout = 2;
	assert_fails(ETIMEDOUT, "error running hook #0: hook ran past specified timeout of 2.0s");
	ck_assert(!is_alive("child"));
	ck_assert(!is_alive("session"));
	ck_assert(!is_alive("orphan"));
}
END_TEST

START_TEST(what_a_hook_leaves_running_goes_on)
{
	auto_free char *text = NULL;

	add_script("sleep 60 </dev/null >/dev/null 2>&1 & echo $! >daemon");
	run();
	ck_assert(is_alive("daemon"));
	text = scratch_read("daemon");
	ck_assert_int_eq(kill(atoi(text), SIGKILL), 0);
}
END_TEST

START_TEST(a_very_long_limit_is_no_short_one)
{
	struct oci_hook *h = add_script("sleep 0.2");

	h->has_timeout = true;
	h->timeout = 4294968; /* its milliseconds do not fit into 32 bits */
	run();
	h->timeout = INT64_MAX;
	run();
}
END_TEST

START_TEST(all_poststop_hooks_run_and_failures_are_logged)
{
	auto_free char *out = NULL, *log = NULL, *path = NULL;
	auto_error struct error err = { 0 };

	scratch_file("log", "");
	path = scratch_path("log");
	ck_assert_int_eq(log_open(path, LOG_TEXT, false, &err), 0);
	add_script("echo one >>out; exit 1");
	add("/no/such");
	add_script("echo three >>out");
	hooks_run_poststop(&(struct oci_hooks){ .poststop = hooks, .n_poststop = n_hooks }, state);
	out = scratch_read("out");
	log = scratch_read("log");
	ck_assert_str_eq(out, "one\nthree\n");
	ck_assert_ptr_nonnull(strstr(log, "poststop hook: error running hook #0: error running "
	                                  "hook: exit status 1"));
	ck_assert_ptr_nonnull(strstr(log, "poststop hook: error running hook #1: fork/exec "
	                                  "/no/such: no such file or directory, ignoring"));
}
END_TEST

/* A configuration with two hooks of the host among those for the container. */
static struct oci_spec *spec_with_hooks(void)
{
	auto_error struct error err = { 0 };
	static const char text[] =
		"{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"},\"process\":{\"cwd\":\"/\","
		"\"args\":[\"a\"],\"env\":[\"A=1\",\"PATH=/usr/bin:/bin\"]},\"hooks\":{"
		"\"createContainer\":[{\"path\":\"/bin/sh\",\"args\":[\"sh\",\"-c\","
		"\"cat >state; pwd >>out; echo $A >>out\"],\"timeout\":5},{\"path\":\"/none\"},"
		"{\"path\":\"/bin/sh\",\"args\":[\"sh\",\"-c\",\"echo $A >>out\"],"
		"\"env\":[\"A=own\"],\"timeout\":6}],"
		"\"startContainer\":[{\"path\":\"/bin/sh\",\"timeout\":7}]}}";
	struct oci_spec *spec = oci_spec_parse(text, strlen(text), &err);

	ck_assert_msg(spec != NULL, "%s", err.msg);
	return spec;
}

START_TEST(hooks_of_the_stand_in_are_those_that_the_host_has)
{
	auto_oci_spec struct oci_spec *spec = spec_with_hooks();
	auto_json struct json *told = hooks_of_standin(spec, state);
	auto_free char *out = NULL, *text = NULL, *should = NULL, *pid = NULL;
	auto_error struct error err = { 0 };

	ck_assert_int_eq(hooks_run_in_standin(told, scratch_root(), &err), 0);
	out = scratch_read("out");
	should = str_fmt("%s\n1\nown\n", scratch_root());
	ck_assert_str_eq(out, should);
	text = scratch_read("state");
	pid = str_fmt("\"pid\":%d,\"status\":\"creating\"", (int)getpid());
	ck_assert_msg(strstr(text, pid) != NULL, "%s", text);
	ck_assert_uint_eq(hooks_standin_seconds(spec), 11);
}
END_TEST

START_TEST(without_such_hooks_the_stand_in_is_told_nothing)
{
	auto_oci_spec struct oci_spec *spec = spec_with_hooks();
	size_t n = spec->hooks->n_create_container;

	spec->hooks->n_create_container = 0;
	ck_assert_ptr_null(hooks_of_standin(spec, state));
	ck_assert_uint_eq(hooks_standin_seconds(spec), 0);
	ck_assert_uint_eq(hooks_guest_seconds(spec), 7);
	spec->hooks->n_create_container = n; /* they are freed with it */
}
END_TEST

START_TEST(a_failure_in_the_stand_in_has_the_words_of_runc)
{
	auto_oci_spec struct oci_spec *spec = spec_with_hooks();
	auto_json struct json *told = hooks_of_standin(spec, state);
	auto_error struct error err = { 0 };

	ck_assert_int_eq(hooks_run_in_standin(told, "/none", &err), -ENOENT);
	ck_assert_str_eq(err.msg,
	                 "unable to start container process: error during container init: error "
	                 "running hook #0: fork/exec /bin/sh: no such file or directory");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("hooks");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, no_hooks_are_fine);
	tcase_add_test(tc, a_hook_reads_the_state_on_its_input);
	tcase_add_test(tc, without_a_process_there_is_no_pid);
	tcase_add_test(tc, a_hook_may_leave_its_input_unread);
	tcase_add_test(tc, a_hook_runs_in_the_bundle_with_its_arguments);
	tcase_add_test(tc, the_first_argument_is_the_name_of_the_hook);
	tcase_add_test(tc, without_arguments_the_path_is_the_name);
	tcase_add_test(tc, a_hook_with_an_environment_has_only_that);
	tcase_add_test(tc, a_hook_without_an_environment_has_ours);
	tcase_add_test(tc, a_hook_gets_no_descriptor_of_ours);
	tcase_add_test(tc, hooks_run_in_order_until_one_fails);
	tcase_add_test(tc, a_failure_quotes_the_output);
	tcase_add_test(tc, death_by_a_signal_is_told);
	tcase_add_test(tc, a_hook_that_cannot_be_executed_is_told);
	tcase_add_test(tc, a_hook_has_a_time_limit);
	tcase_add_test(tc, with_it_all_that_it_has_started_is_ended);
	tcase_add_test(tc, what_a_hook_leaves_running_goes_on);
	tcase_add_test(tc, a_very_long_limit_is_no_short_one);
	tcase_add_test(tc, hooks_of_the_stand_in_are_those_that_the_host_has);
	tcase_add_test(tc, without_such_hooks_the_stand_in_is_told_nothing);
	tcase_add_test(tc, a_failure_in_the_stand_in_has_the_words_of_runc);
	tcase_add_test(tc, all_poststop_hooks_run_and_failures_are_logged);
	return scratch_run(tc);
}
