#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "lib/caps.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "test/scratch.h"

/* One in each half of what the kernel is told. */
#define KEPT (CAP_BIT(CAP_KILL) | CAP_BIT(CAP_SYSLOG))

static void assert_line(const char *status, const char *key, unsigned long long value)
{
	char line[64];

	snprintf(line, sizeof(line), "\n%s:\t%016llx\n", key, value);
	ck_assert_msg(strstr(status, line) != NULL, "no '%s' in %s", line + 1, status);
}

START_TEST(what_is_not_kept_is_gone_for_good)
{
	auto_error struct error err = { 0 };
	auto_free char *status = NULL;

	ck_assert_msg(caps_bound(KEPT, &err) == 0, "%s", err.msg);
	ck_assert_msg(caps_limit(KEPT, &err) == 0, "%s", err.msg);
	ck_assert_msg(fs_read("/proc/self/status", 65536, &status, NULL, &err) >= 0, "%s", err.msg);
	assert_line(status, "CapInh", 0);
	assert_line(status, "CapPrm", KEPT);
	assert_line(status, "CapEff", KEPT);
	assert_line(status, "CapBnd", KEPT);
	ck_assert_int_eq(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
}
END_TEST

START_TEST(what_is_not_there_cannot_be_had)
{
	auto_error struct error err = { 0 };

	ck_assert_msg(caps_limit(0, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(caps_limit(KEPT, &err), -EPERM);
	ck_assert_str_eq(err.msg, "limit the capabilities: Operation not permitted");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("caps");

	tcase_add_test(tc, what_is_not_kept_is_gone_for_good);
	tcase_add_test(tc, what_is_not_there_cannot_be_had);
	return scratch_run(tc);
}
