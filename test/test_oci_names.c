#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/base/error.h"
#include "lib/base/str.h"
#include "oci/oci.h"
#include "test/scratch.h"

START_TEST(knows_signals_in_every_spelling)
{
	static const struct {
		const char *text;
		int number;
	} rows[] = {
		{ "9", 9 },           { "KILL", 9 },
		{ "SIGKILL", 9 },     { "kill", 9 },
		{ "sIgKiLl", 9 },     { "1", 1 },
		{ "64", 64 },         { "RTMIN", 34 },
		{ "SIGRTMIN+3", 37 }, { "rtmax-1", 63 },
		{ "RTMAX", 64 },      { "RTMIN+0", 34 },
		{ "RTMIN+30", 64 },   { "SIGPOLL", SIGIO },
		{ "CLD", SIGCHLD },   { "SIGIOT", SIGABRT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_error struct error err = { 0 };

		ck_assert_msg(oci_signal_parse(rows[i].text, &err) == rows[i].number, "%s: %s",
		              rows[i].text, err.msg ? err.msg : "another number");
	}
}
END_TEST

START_TEST(names_signals_as_the_system_does)
{
	auto_error struct error err = { 0 };

	for (int i = 1; i < 32; i++) {
		/* libc prefers the other name of that one. */
		auto_free char *name = str_fmt("SIG%s", i == SIGIO ? "IO" : sigabbrev_np(i));

		ck_assert_str_eq(oci_signal_name(i), name);
		ck_assert_int_eq(oci_signal_parse(name, &err), i);
	}
	ck_assert_ptr_null(oci_signal_name(0));
	ck_assert_ptr_null(oci_signal_name(-1));
	ck_assert_ptr_null(oci_signal_name(32));
}
END_TEST

START_TEST(refuses_other_signals_with_the_words_of_runc)
{
	static const char *const bad[] = {
		"BADSIG", "",      "0",          "65",       "-1",      "SIG",     "SIG9",  "+9",
		"9 ",     " KILL", "SIGSIGKILL", "RTMIN+31", "RTMIN-1", "RTMAX+1", "RTMIN+"
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		auto_error struct error err = { 0 };
		auto_free char *msg = str_fmt("unknown signal \"%s\"", bad[i]);

		ck_assert_int_eq(oci_signal_parse(bad[i], &err), -EINVAL);
		ck_assert_str_eq(err.msg, msg);
	}
}
END_TEST

START_TEST(knows_namespaces)
{
	static const int flags[] = { CLONE_NEWNS,  CLONE_NEWPID,  CLONE_NEWNET,    CLONE_NEWUTS,
		                     CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWCGROUP, CLONE_NEWTIME };
	static const char *const names[] = { "mount", "pid",  "network", "uts",
		                             "ipc",   "user", "cgroup",  "time" };

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		ck_assert_int_eq(oci_namespace_flag(names[i]), flags[i]);
		ck_assert(strv_has((char *const *)oci_namespace_types, names[i]));
	}
	ck_assert_uint_eq(strv_len((char *const *)oci_namespace_types), ARRAY_SIZE(flags));
	ck_assert_int_eq(oci_namespace_flag("net"), 0);
}
END_TEST

START_TEST(knows_resource_limits)
{
	ck_assert_int_eq(oci_rlimit_number("RLIMIT_NOFILE"), RLIMIT_NOFILE);
	ck_assert_int_eq(oci_rlimit_number("RLIMIT_CPU"), 0);
	ck_assert_int_eq(oci_rlimit_number("RLIMIT_RTTIME"), RLIMIT_RTTIME);
	ck_assert_int_eq(oci_rlimit_number("NOFILE"), -1);
	ck_assert_int_eq(oci_rlimit_number(""), -1);
}
END_TEST

START_TEST(knows_capabilities)
{
	ck_assert_int_eq(oci_cap_number("CAP_CHOWN"), CAP_CHOWN);
	ck_assert_int_eq(oci_cap_number("CAP_SYS_ADMIN"), CAP_SYS_ADMIN);
	ck_assert_int_eq(oci_cap_number("CAP_SETFCAP"), CAP_SETFCAP);
	ck_assert_int_eq(oci_cap_number("CAP_CHECKPOINT_RESTORE"), CAP_LAST_CAP);
	ck_assert_int_eq(oci_cap_number("KILL"), -1);
	ck_assert_str_eq(oci_cap_name(CAP_BPF), "CAP_BPF");
	ck_assert_ptr_null(oci_cap_name(-1));
	ck_assert_ptr_null(oci_cap_name(CAP_LAST_CAP + 1));
	ck_assert_ptr_null(oci_cap_name(CAP_LAST_CAP + 2));
	ck_assert_uint_eq(strv_len((char *const *)oci_cap_names), CAP_LAST_CAP + 1);
}
END_TEST

static char *ranges_of(const char *list)
{
	auto_buf struct buf b = { 0 };
	unsigned first, last;
	int r;

	while ((r = oci_next_cpus(&list, &first, &last)) == 1)
		buf_addf(&b, "%u-%u;", first, last);
	buf_addf(&b, "%d", r);
	return buf_steal(&b);
}

START_TEST(reads_lists_of_cpus)
{
	static const struct {
		const char *list, *ranges;
	} rows[] = {
		{ "", "0" },
		{ "0", "0-0;0" },
		{ "0-3, 7 ,1023", "0-3;7-7;1023-1023;0" },
		{ " ,, 2,", "2-2;0" },
		{ "3-1", "-22" },
		{ "1024", "-22" },
		{ "99999999999999999999", "-22" },
		{ "0,a", "0-0;-22" },
		{ "1 2", "-22" },
		{ "1-", "-22" },
		{ "-1", "-22" },
		{ "1-2-3", "-22" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *ranges = ranges_of(rows[i].list);

		ck_assert_str_eq(ranges, rows[i].ranges);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("names");

	tcase_add_test(tc, knows_signals_in_every_spelling);
	tcase_add_test(tc, names_signals_as_the_system_does);
	tcase_add_test(tc, refuses_other_signals_with_the_words_of_runc);
	tcase_add_test(tc, knows_namespaces);
	tcase_add_test(tc, knows_resource_limits);
	tcase_add_test(tc, knows_capabilities);
	tcase_add_test(tc, reads_lists_of_cpus);
	return scratch_run(tc);
}
