#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/guest/notify.h"
#include "lib/base/error.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "oci/oci.h"
#include "test/scratch.h"

static struct loop *loop;
static struct oci_spec *spec;
static struct notify *notify;
static struct error err;
static char *socket_path;
static int said;
static const char document[] =
	"{\"ociVersion\":\"1.0.0\",\"process\":{\"cwd\":\"/\",\"env\":[\"A=b\"]}}";

static void on_ready(void *arg)
{
	++*(int *)arg;
}

static void setup(void)
{
	said = 0;
	scratch_new();
	loop = loop_new();
	spec = oci_spec_parse(document, strlen(document), &err);
	ck_assert_msg(spec != NULL, "%s", err.msg);
	notify = notify_new(loop, scratch_root(), "key", spec, on_ready, &said, &err);
	ck_assert_msg(notify != NULL, "%s", err.msg);
	socket_path = scratch_path("key/notify.sock");
}

static void teardown(void)
{
	notify_free(notify);
	ck_assert_int_lt(access(socket_path, F_OK), 0);
	free(socket_path);
	oci_spec_free(spec);
	loop_free(loop);
	error_clear(&err);
	scratch_remove();
}

static void say(const char *text, size_t len)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	auto_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, socket_path);
	ck_assert_int_eq((int)sendto(fd, text, len, 0, (struct sockaddr *)&addr, sizeof(addr)),
	                 (int)len);
}

START_TEST(the_document_brings_the_socket_into_the_container)
{
	struct stat st;
	const struct oci_mount *m = &spec->mounts[0];
	auto_free char *dir = scratch_path("key");

	ck_assert_uint_eq(spec->n_mounts, 1);
	ck_assert_str_eq(m->destination, "/run/notify");
	ck_assert_str_eq(m->source, dir);
	ck_assert(strv_has(m->options, "bind") && strv_has(m->options, "ro"));
	ck_assert_str_eq(spec->process->env[1], "NOTIFY_SOCKET=/run/notify/notify.sock");
	ck_assert_ptr_null(spec->process->env[2]);
	ck_assert_int_eq(stat(socket_path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0777);
}
END_TEST

static const struct {
	const char *text;
	int said;
} messages[] = {
	{ "READY=1", 1 },        { "READY=1\n", 1 }, { "STATUS=x\nREADY=1\nMAINPID=3", 1 },
	{ "READY=0", 0 },        { "READY=11", 0 },  { "XREADY=1", 0 },
	{ "STATUS=READY=1", 0 }, { "", 0 },          { "\n\n", 0 },
};

START_TEST(only_a_line_of_its_own_says_ready)
{
	say(messages[_i].text, strlen(messages[_i].text));
	ck_assert_int_eq(loop_step(loop, 1000), 0);
	ck_assert_int_eq(said, messages[_i].said);
}
END_TEST

START_TEST(what_is_too_long_or_cut_by_nul_says_nothing)
{
	char big[4200];

	memset(big, '\n', sizeof(big));
	memcpy(big, "READY=1", 7);
	say(big, sizeof(big));
	say("A\0\nREADY=1", 10);
	notify_drain(notify);
	ck_assert_int_eq(said, 0);
	say(big, 4096);
	notify_drain(notify);
	ck_assert_int_eq(said, 1);
}
END_TEST

START_TEST(all_that_has_arrived_is_drained)
{
	for (int i = 0; i < 5; i++)
		say("READY=1", 7);
	notify_drain(notify);
	ck_assert_int_eq(said, 5);
	notify_drain(notify);
	notify_drain(NULL);
	ck_assert_int_eq(said, 5);
}
END_TEST

START_TEST(a_socket_that_cannot_be_made_is_an_error)
{
	auto_free char *name = xzalloc(121);

	memset(name, 'x', 120);
	ck_assert_ptr_null(notify_new(loop, scratch_root(), name, spec, on_ready, &said, &err));
	ck_assert_int_eq(err.code, ENAMETOOLONG);
	ck_assert_msg(str_starts(err.msg, "NOTIFY_SOCKET: '") &&
	                      str_ends(err.msg, "notify.sock': path too long"),
	              "%s", err.msg);
	ck_assert_uint_eq(spec->n_mounts, 1);
	error_clear(&err);
	ck_assert_ptr_null(notify_new(loop, scratch_root(), "key", spec, on_ready, &said, &err));
	ck_assert_int_eq(err.code, EADDRINUSE);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("notify");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_document_brings_the_socket_into_the_container);
	tcase_add_loop_test(tc, only_a_line_of_its_own_says_ready, 0, (int)ARRAY_SIZE(messages));
	tcase_add_test(tc, what_is_too_long_or_cut_by_nul_says_nothing);
	tcase_add_test(tc, all_that_has_arrived_is_drained);
	tcase_add_test(tc, a_socket_that_cannot_be_made_is_an_error);
	return scratch_run(tc);
}
