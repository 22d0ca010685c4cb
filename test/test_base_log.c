#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "test/scratch.h"

#define TIME "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"

static int fd;

static void setup(void)
{
	fd = memfd_create("log", MFD_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	log_to_fd(fd, LOG_TEXT, false);
}

static void teardown(void)
{
	log_to_fd(STDERR_FILENO, LOG_TEXT, false);
	close_fd(&fd);
}

/* What was logged since the last time. */
static char *logged(void)
{
	auto_error struct error err = { 0 };
	char *text = NULL;

	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	ck_assert_int_eq(fs_read_fd(fd, "log", 1 << 20, &text, NULL, &err), 0);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	return text;
}

static void expect(const char *pattern)
{
	auto_free char *text = logged();
	regex_t re;

	ck_assert_int_eq(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	ck_assert_msg(regexec(&re, text, 0, NULL, 0) == 0, "'%s' does not match '%s'", text,
	              pattern);
	regfree(&re);
}

START_TEST(text_is_what_runc_writes)
{
	log_error("container does not exist");
	expect("^time=\"" TIME "\" level=error msg=\"container does not exist\"\n$");
	log_warn("a b");
	expect("^time=\"" TIME "\" level=warning msg=\"a b\"\n$");
}
END_TEST

START_TEST(text_quotes_only_when_it_must)
{
	log_error("bare-._/@^+09");
	expect(" msg=bare-\\._/@\\^\\+09\n$");
	log_error("a:b");
	expect(" msg=\"a:b\"\n$");
}
END_TEST

START_TEST(text_escapes_as_go_does)
{
	auto_free char *text = NULL;

	log_error("%s", "q\" b\\ \a\b\f\n\r\t\v \x01 \x7f \xff \xc3\xa9 \xc2\x85");
	text = logged();
	ck_assert_str_eq(strstr(text, " msg=") + 1,
	                 "msg=\"q\\\" b\\\\ \\a\\b\\f\\n\\r\\t\\v \\x01 \\x7f \\xff \xc3\xa9 "
	                 "\\u0085\"\n");
}
END_TEST

START_TEST(json_is_what_runc_writes)
{
	log_to_fd(fd, LOG_JSON, false);
	log_error("container \"%s\"\nis gone", "x");
	expect("^\\{\"level\":\"error\",\"msg\":\"container \\\\\"x\\\\\"\\\\nis gone\","
	       "\"time\":\"" TIME "\"\\}\n$");
}
END_TEST

START_TEST(json_stays_json_for_any_bytes)
{
	auto_error struct error err = { 0 };
	auto_json struct json *record = NULL;
	auto_free char *text = NULL;

	log_to_fd(fd, LOG_JSON, false);
	log_error("\xff\x01\xc0\x80<&>");
	text = logged();
	record = json_parse(text, strlen(text), false, &err);
	ck_assert_msg(record, "%s", err.msg);
	ck_assert_str_eq(json_get_string(record, "msg"),
	                 "\xef\xbf\xbd\x01\xef\xbf\xbd\xef\xbf\xbd<&>");
}
END_TEST

START_TEST(debug_is_silent_unless_asked_for)
{
	log_debug("one");
	expect("^$");
	ck_assert(!log_is_debug());
	log_to_fd(fd, LOG_TEXT, true);
	ck_assert(log_is_debug());
	log_debug("two");
	expect("level=debug msg=\"\\+[0-9]+\\.[0-9] ms: two\"\n$");
}
END_TEST

START_TEST(phases_of_all_processes_make_one_timeline)
{
	auto_json struct json *theirs = NULL, *none = NULL;
	uint64_t zero = log_now_us() - 100000; /* their ends are at least that */

	log_phase("lost", zero); /* nobody wants to know */
	ck_assert_ptr_null(log_phases_take());
	log_keep_phases();
	log_phase("before", zero - 1);
	log_phase("boot", zero + 50000);
	log_phase("early", zero + 2500);
	theirs = log_phases_take();
	none = log_phases_take();
	ck_assert_ptr_null(none);
	ck_assert_uint_eq(json_len(theirs), 3);
	log_set_zero(zero);
	log_to_fd(fd, LOG_TEXT, true);
	log_phase("wait", zero + 10000);
	log_phases_add("monitor", theirs);
	log_phases_add("monitor", NULL);
	log_phases_write("verb");
	expect("^[^\n]*timeline: monitor early +2\\.5 +[1-9][0-9]{2,}\\.[0-9]\"\n"
	       "[^\n]*timeline: verb    wait +10\\.0 +[1-9][0-9]{2,}\\.[0-9]\"\n"
	       "[^\n]*timeline: monitor boot +50\\.0 +[1-9][0-9]{2,}\\.[0-9]\"\n$");
	log_phases_write("verb"); /* they are forgotten */
	expect("^$");
}
END_TEST

START_TEST(there_are_not_more_phases_than_there_is_room)
{
	auto_json struct json *list = NULL;

	log_keep_phases();
	for (int i = 0; i <= LOG_MAX_PHASES; i++)
		log_phase("much-too-long-a-name-for-a-phase", 1);
	list = log_phases_take();
	ck_assert_uint_eq(json_len(list), LOG_MAX_PHASES);
	ck_assert_str_eq(json_get_string(json_at(list, 0), "name"), "much-too-long-a-name-fo");
}
END_TEST

START_TEST(a_file_is_created_appended_to_and_one_line_per_record)
{
	auto_error struct error err = { 0 };
	auto_free char *path = NULL;
	auto_free char *text = NULL;
	struct stat st;

	scratch_new();
	umask(022);
	path = scratch_path("log");
	ck_assert_int_eq(log_open(path, LOG_TEXT, false, &err), 0);
	ck_assert(!log_is_stderr());
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0644);
	log_error("one");
	ck_assert_int_eq(log_open(path, LOG_JSON, false, &err), 0);
	log_error("two\nlines");
	text = scratch_read("log");
	ck_assert_ptr_nonnull(strstr(text, "msg=one\n{\"level\""));
	ck_assert_str_eq(strrchr(text, '}'), "}\n");
	log_to_fd(STDERR_FILENO, LOG_TEXT, false);
	scratch_remove();
}
END_TEST

START_TEST(a_file_that_cannot_be_opened_is_an_error_and_the_log_stays)
{
	auto_error struct error err = { 0 };

	ck_assert_int_eq(log_open("/nonexistent/log", LOG_JSON, true, &err), -ENOENT);
	ck_assert_str_eq(err.msg, "open log file '/nonexistent/log': No such file or directory");
	log_error("still");
	expect("level=error msg=still\n$");
}
END_TEST

START_TEST(no_path_is_standard_error)
{
	auto_error struct error err = { 0 };
	auto_close int saved = dup(STDERR_FILENO);

	ck_assert_int_eq(log_open(NULL, LOG_TEXT, false, &err), 0);
	ck_assert(log_is_stderr());
	dup2(fd, STDERR_FILENO);
	log_error("here");
	dup2(saved, STDERR_FILENO);
	expect("msg=here\n$");
}
END_TEST

START_TEST(warnings_can_be_kept_for_another_place)
{
	auto_close int other = memfd_create("other", MFD_CLOEXEC);
	char text[200] = { 0 };

	log_hold();
	log_warn("a");
	log_error("b");
	log_warn("c");
	expect("^[^\n]* level=error msg=b\n$");
	log_release(other);
	expect("^$");
	ck_assert_int_gt(pread(other, text, sizeof(text) - 1, 0), 0);
	ck_assert_ptr_nonnull(strstr(text, "level=warning msg=a\n"));
	ck_assert_ptr_nonnull(strstr(text, "level=warning msg=c\n"));
	log_warn("d");
	expect("msg=d\n$");
	log_hold();
	log_warn("e");
	log_release(-1);
	expect("^$");
}
END_TEST

START_TEST(logging_keeps_errno)
{
	errno = EXDEV;
	log_error("x");
	ck_assert_int_eq(errno, EXDEV);
	log_to_fd(-1, LOG_TEXT, false);
	log_error("nowhere");
	ck_assert_int_eq(errno, EXDEV);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("log");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, text_is_what_runc_writes);
	tcase_add_test(tc, text_quotes_only_when_it_must);
	tcase_add_test(tc, text_escapes_as_go_does);
	tcase_add_test(tc, json_is_what_runc_writes);
	tcase_add_test(tc, json_stays_json_for_any_bytes);
	tcase_add_test(tc, debug_is_silent_unless_asked_for);
	tcase_add_test(tc, phases_of_all_processes_make_one_timeline);
	tcase_add_test(tc, there_are_not_more_phases_than_there_is_room);
	tcase_add_test(tc, a_file_is_created_appended_to_and_one_line_per_record);
	tcase_add_test(tc, a_file_that_cannot_be_opened_is_an_error_and_the_log_stays);
	tcase_add_test(tc, no_path_is_standard_error);
	tcase_add_test(tc, warnings_can_be_kept_for_another_place);
	tcase_add_test(tc, logging_keeps_errno);
	return scratch_run(tc);
}
