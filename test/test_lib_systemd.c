/* Scopes, with a systemd that is none. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/systemd.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "test/fake_systemd.h"
#include "test/scratch.h"

#define UNIT "x-one.scope"
#define PATIENCE 20000 /* ms */
#define SHORT 300      /* ms */
#define START                                                                                      \
	"StartTransientUnit " UNIT " replace Description=a test Slice=a.slice Delegate=yes "       \
	"PIDs=PID MemoryAccounting=yes CPUAccounting=yes TasksAccounting=yes "                     \
	"@Accounting=yes DefaultDependencies=no SendSIGHUP=yes TimeoutStopUSec=5 "                 \
	"CollectMode=inactive\n"
#define RESET "ResetFailedUnit " UNIT "\n"
#define STOP "StopUnit " UNIT " replace\n"

static pid_t fake;
static struct error err;
static struct systemd *s;

static void setup(void)
{
	scratch_setup();
	fake = 0;
	s = NULL;
}

static void teardown(void)
{
	systemd_free(s);
	error_clear(&err);
	if (fake > 0) {
		kill(fake, SIGKILL);
		waitpid(fake, NULL, 0);
	}
	ck_assert_int_eq(chdir("/"), 0);
	scratch_remove();
}

static void connect_to(enum fake_systemd how, unsigned timeout_ms)
{
	fake = fake_systemd_start(how);
	s = systemd_connect(timeout_ms, &err);
	ck_assert_msg(s != NULL, "%s", err.msg);
}

static int start_scope(void)
{
	auto_unit_properties struct unit_properties more = { 0 };

	unit_property_add(&more, "SendSIGHUP", 'b')->number = 1;
	unit_property_add(&more, "TimeoutStopUSec", 't')->number = 5;
	unit_property_add(&more, "CollectMode", 's')->text = str_dup("inactive");
	return systemd_start_scope(s, UNIT, "a.slice", "a test", getpid(), &more, &err);
}

/* That these calls, and no others, have arrived. Blocks are counted under either name. */
static void expect_calls(const char *calls)
{
	bool is_v2 = fs_exists("/sys/fs/cgroup/cgroup.controllers");
	auto_strv char **parts = str_split(calls, '@');
	auto_free char *expected = strv_join(parts, is_v2 ? "IO" : "BlockIO");

	scratch_expect("calls", expected);
}

START_TEST(a_scope_is_started_and_stopped)
{
	connect_to(FAKE_WELL, PATIENCE);
	ck_assert_msg(start_scope() == 0, "%s", err.msg);
	expect_calls("Subscribe\n" START);
	systemd_free(s);
	s = systemd_connect(PATIENCE, &err);
	ck_assert_msg(systemd_stop_unit(s, UNIT, &err) == 0, "%s", err.msg);
	expect_calls("Subscribe\n" START "Subscribe\n" STOP RESET);
}
END_TEST

START_TEST(what_is_left_of_a_failed_unit_is_swept_away)
{
	connect_to(FAKE_LEFTOVER, PATIENCE);
	ck_assert_msg(start_scope() == 0, "%s", err.msg);
	expect_calls("Subscribe\n" START RESET START);
}
END_TEST

START_TEST(a_unit_of_somebody_else_is_left_alone)
{
	connect_to(FAKE_TAKEN, PATIENCE);
	ck_assert_int_eq(start_scope(), -EEXIST);
	ck_assert_str_eq(err.msg, "start the unit '" UNIT "': It is there already.");
	expect_calls("Subscribe\n" START RESET START);
}
END_TEST

START_TEST(a_job_that_fails_is_an_error)
{
	connect_to(FAKE_FAILING, PATIENCE);
	ck_assert_int_eq(start_scope(), -EIO);
	ck_assert_str_eq(err.msg, "error creating systemd unit `" UNIT "`: got `failed`");
	expect_calls("Subscribe\n" START STOP RESET);
}
END_TEST

/* What has ended is not worth an error. */
START_TEST(a_stop_that_fails_is_a_warning)
{
	auto_json struct json *warnings = json_new_array();

	connect_to(FAKE_FAILING, PATIENCE);
	log_collect(warnings);
	ck_assert_msg(systemd_stop_unit(s, UNIT, &err) == 0, "%s", err.msg);
	log_collect(NULL);
	ck_assert_uint_eq(json_len(warnings), 1);
	ck_assert_str_eq(json_string(json_at(warnings, 0)),
	                 "error removing unit `" UNIT "`: got `failed`, ignoring");
}
END_TEST

START_TEST(a_job_is_not_waited_for_forever)
{
	fake = fake_systemd_start(FAKE_FORGETFUL);
	/* However busy this machine is, the time suffices for the connection. */
	for (unsigned limit = SHORT; !s && limit < PATIENCE; limit *= 2) {
		error_clear(&err);
		s = systemd_connect(limit, &err);
	}
	ck_assert_msg(s != NULL, "%s", err.msg);
	ck_assert_int_eq(start_scope(), -ETIMEDOUT);
	ck_assert_msg(strstr(err.msg, "no answer from systemd") ||
	                      str_eq(err.msg, "start the unit '" UNIT "': its job does not end"),
	              "%s", err.msg);
}
END_TEST

START_TEST(nor_is_a_systemd_that_says_nothing)
{
	fake = fake_systemd_start(FAKE_MUTE);
	ck_assert_ptr_null(systemd_connect(SHORT, &err));
	ck_assert_int_eq(err.code, ETIMEDOUT);
	ck_assert_str_eq(err.msg, "connect to the system bus: no answer");
}
END_TEST

START_TEST(without_a_systemd_there_is_an_error)
{
	scratch_unshare_mounts();
	ck_assert_int_eq(mount("none", "/run", "tmpfs", 0, NULL), 0);
	ck_assert(!systemd_is_running());
	ck_assert_ptr_null(systemd_connect(PATIENCE, &err));
	ck_assert_str_eq(err.msg, "connect to the system bus: no such file or directory");
}
END_TEST

START_TEST(properties_are_set_until_the_unit_ends)
{
	auto_unit_properties struct unit_properties p = { 0 };

	connect_to(FAKE_WELL, PATIENCE);
	ck_assert_int_eq(systemd_set_properties(s, UNIT, &p, &err), 0);
	unit_properties_add(&p, "pids.max", "max");
	unit_properties_add(&p, "cpuset.cpus", "0,8");
	ck_assert_msg(systemd_set_properties(s, UNIT, &p, &err) == 0, "%s", err.msg);
	expect_calls("SetUnitProperties " UNIT " runtime TasksMax=18446744073709551615 "
	             "AllowedCPUs=0101\n");
}
END_TEST

START_TEST(what_systemd_refuses_is_in_its_words)
{
	auto_unit_properties struct unit_properties p = { 0 };

	connect_to(FAKE_REFUSING, PATIENCE);
	unit_properties_add(&p, "pids.max", "1");
	ck_assert_int_eq(systemd_set_properties(s, UNIT, &p, &err), -EINVAL);
	ck_assert_str_eq(err.msg, "set the properties of the unit '" UNIT "': Not so.");
}
END_TEST

START_TEST(a_unit_that_is_not_there_is_stopped_already)
{
	connect_to(FAKE_REFUSING, PATIENCE);
	ck_assert_msg(systemd_stop_unit(s, UNIT, &err) == 0, "%s", err.msg);
	expect_calls("Subscribe\n" STOP RESET);
}
END_TEST

START_TEST(only_root_has_scopes)
{
	ck_assert_int_eq(seteuid(65534), 0);
	ck_assert_ptr_null(systemd_connect(PATIENCE, &err));
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(err.code, EPERM);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("systemd");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_scope_is_started_and_stopped);
	tcase_add_test(tc, what_is_left_of_a_failed_unit_is_swept_away);
	tcase_add_test(tc, a_unit_of_somebody_else_is_left_alone);
	tcase_add_test(tc, a_job_that_fails_is_an_error);
	tcase_add_test(tc, a_stop_that_fails_is_a_warning);
	tcase_add_test(tc, a_job_is_not_waited_for_forever);
	tcase_add_test(tc, nor_is_a_systemd_that_says_nothing);
	tcase_add_test(tc, without_a_systemd_there_is_an_error);
	tcase_add_test(tc, properties_are_set_until_the_unit_ends);
	tcase_add_test(tc, what_systemd_refuses_is_in_its_words);
	tcase_add_test(tc, a_unit_that_is_not_there_is_stopped_already);
	tcase_add_test(tc, only_root_has_scopes);
	return scratch_run(tc);
}
