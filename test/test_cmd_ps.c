/* cmd/ps-columns.c: the options of ps, and the table that they make. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ps-columns.h"
#include "lib/base/error.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/vcrt.h"
#include "test/scratch.h"

static const struct vcrt_process shell = {
	.pid = 87,
	.ppid = 1,
	.uid = "root",
	.stime = "11:22",
	.tty = "?",
	.time = "01:02:03",
	.cmd = "sh -c true",
	.c = 4,
	.stat = "Ss",
	.comm = "sh",
	.vsz = 2268,
	.rss = 1376,
	.cpu = 45,
	.memory = 1,
};

/* What the options, in one line, make of the process above; owned by the caller. */
static char *table(const char *line, struct error *err)
{
	auto_strv char **options = *line ? str_split(line, ' ') : xcalloc(1, sizeof(char *));
	struct ps_table t = { 0 };
	char *text = NULL;
	size_t len;
	FILE *f;

	if (ps_table_parse(&t, options, err) == 0) {
		f = open_memstream(&text, &len);
		ck_assert_ptr_nonnull(f);
		ps_table_print(&t, &shell, 1, f);
		fclose(f);
	}
	ps_table_done(&t);
	return text;
}

static void ck_table(const char *line, const char *expected)
{
	auto_error struct error err = { 0 };
	auto_free char *text = table(line, &err);

	ck_assert_msg(text != NULL, "%s: %s", line, err.msg);
	ck_assert_str_eq(text, expected);
}

static void ck_refused(const char *line, const char *message)
{
	auto_error struct error err = { 0 };
	auto_free char *text = table(line, &err);

	ck_assert_ptr_null(text);
	ck_assert_int_eq(err.code, EINVAL);
	ck_assert_str_eq(err.msg, message);
}

START_TEST(the_columns_are_laid_out_as_by_procps)
{
	static const char full[] = "UID        PID  PPID  C STIME TTY          TIME CMD\n"
				   "root        87     1  4 11:22 ?        01:02:03 sh -c true\n";

	ck_table("", full);
	ck_table("-ef", full);
	ck_table("-e -f", full);
	ck_table("-e", "  PID TTY          TIME CMD\n"
	               "   87 ?        01:02:03 sh\n");
	ck_table("-e -x", "  PID TTY      STAT   TIME COMMAND\n"
	                  "   87 ?        Ss    62:03 sh -c true\n");
	ck_table("aux", "USER       PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n"
	                "root        87  4.5  0.1   2268  1376 ?        Ss   11:22  62:03 sh -c "
	                "true\n");
}
END_TEST

START_TEST(columns_are_chosen_by_name)
{
	ck_table("-o pid,args", "  PID COMMAND\n   87 sh -c true\n");
	ck_table("-opid,comm", "  PID COMMAND\n   87 sh\n");
	ck_table("-e -o pid,ppid -o stat,s", "  PID  PPID STAT S\n   87     1 Ss   S\n");
	ck_table("-o pid,uid,user", "  PID   UID USER\n   87     0 root\n");
	ck_table("-o comm=NAME -o pid", "NAME              PID\nsh                 87\n");
}
END_TEST

START_TEST(without_the_pid_there_is_no_telling_whose_line_it_is)
{
	ck_refused("-o args", "couldn't find PID field in ps output");
	ck_refused("-o pid=X", "couldn't find PID field in ps output");
}
END_TEST

START_TEST(what_is_not_known_is_named)
{
	ck_refused("-l", "ps option '-l' is not supported: the processes run in a virtual machine");
	ck_refused("-o", "ps option '-o' is not supported: the processes run in a virtual machine");
	ck_refused("-o pid,label",
	           "ps column 'label' is not known for processes in a virtual machine");
	ck_refused("-u root", "ps option '-u' is not supported: the processes run in a virtual "
	                      "machine");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("ps");

	tcase_add_test(tc, the_columns_are_laid_out_as_by_procps);
	tcase_add_test(tc, columns_are_chosen_by_name);
	tcase_add_test(tc, without_the_pid_there_is_no_telling_whose_line_it_is);
	tcase_add_test(tc, what_is_not_known_is_named);
	return scratch_run(tc);
}
