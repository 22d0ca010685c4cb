/* What is read after a crash, or when somebody has changed the files. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/state.h"
#include "lib/vcrt.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "oci/oci.h"
#include "test/scratch.h"

#define LINE(pid)                                                                                  \
	"{\"ociVersion\":\"1.0.2\",\"id\":\"c\",\"status\":\"creating\",\"pid\":0,"                \
	"\"bundle\":\"/b\",\"vcrt\":{\"shim\":{\"pid\":" #pid ",\"start\":5}}}"

static struct record *load(struct error *err)
{
	return record_load(scratch_root(), "c", NULL, err);
}

static struct record *load_lines(const char *journal)
{
	auto_error struct error err = { 0 };
	struct record *r;

	scratch_file("c/vcrt.journal", journal);
	r = load(&err);
	ck_assert_msg(r != NULL, "%s", err.msg);
	return r;
}

/* A child that waits to be killed. */
static pid_t start_child(void)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		alarm(30);
		pause();
		_exit(0);
	}
	return pid;
}

static void end_child(pid_t pid)
{
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static void set_status(struct record *r, const char *status)
{
	free(r->oci->status);
	r->oci->status = str_dup(status);
}

START_TEST(a_torn_last_line_is_left_out)
{
	auto_record struct record *r = load_lines(LINE(7) "\n" LINE(8));

	ck_assert_int_eq(r->shim.pid, 7);
}
END_TEST

START_TEST(every_way_to_tear_the_last_line_is_survived)
{
	static const char text[] = LINE(7) "\n" LINE(8) "\n";
	size_t first = strlen(LINE(7)) + 1;

	for (size_t len = first; len <= sizeof(text) - 1; len++) {
		auto_free char *torn = str_ndup(text, len);
		auto_record struct record *r = load_lines(torn);

		ck_assert_int_eq(r->shim.pid, len < sizeof(text) - 1 ? 7 : 8);
	}
}
END_TEST

START_TEST(lines_that_say_nothing_are_left_out)
{
	auto_record struct record *r =
		load_lines(LINE(7) "\n\n{}\nnull\n{\"vcrt\":{}}\n\x80\xff\n" LINE(9) "\n");

	ck_assert_int_eq(r->shim.pid, 9);
}
END_TEST

START_TEST(a_journal_without_a_whole_line_is_a_problem_that_delete_can_handle)
{
	static const char *const journals[] = { "\n", "not json\n", "{}\n{\"ociVer" };

	for (size_t i = 0; i < ARRAY_SIZE(journals); i++) {
		auto_record struct record *r = load_lines(journals[i]);

		ck_assert_str_eq(r->oci->id, "c");
		ck_assert_msg(r->problem && strstr(r->problem, "journal"), "'%s'", journals[i]);
		ck_assert_str_eq(record_status(r), VCRT_STOPPED);
	}
}
END_TEST

START_TEST(a_create_that_was_killed_in_its_first_line_is_half_made)
{
	static const char *const journals[] = { "", "{\"ociVer", LINE(7) };

	for (size_t i = 0; i < ARRAY_SIZE(journals); i++) {
		auto_record struct record *r = load_lines(journals[i]);

		ck_assert_str_eq(r->oci->id, "c");
		ck_assert_ptr_null(r->problem);
		ck_assert_str_eq(record_status(r), VCRT_STOPPED);
		ck_assert_int_eq(r->shim.pid, 0);
	}
}
END_TEST

START_TEST(a_corrupt_state_leaves_what_the_journal_knows)
{
	static const char *const states[] = {
		"",     "{",          "[]",        "{}", "{\"vcrt\":{}}", "{\"vcrt\":1}",
		"\xff", "{\"a\":1}{", LINE(8) "x",
	};

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		auto_record struct record *r = NULL;

		scratch_file("c/state.json", states[i]);
		r = load_lines(LINE(7) "\n");
		ck_assert_msg(r->problem && str_starts(r->problem, "state.json is corrupt: "),
		              "'%s': %s", states[i], r->problem ? r->problem : "no problem");
		ck_assert_int_eq(r->shim.pid, 7);
	}
}
END_TEST

START_TEST(a_whole_state_is_enough)
{
	auto_record struct record *r = NULL;

	scratch_file("c/state.json", LINE(8));
	r = load_lines("torn");
	ck_assert_msg(!r->problem, "%s", r->problem);
	ck_assert_int_eq(r->shim.pid, 8);
}
END_TEST

START_TEST(journal_and_state_may_both_be_damaged)
{
	auto_record struct record *r = NULL;

	scratch_file("c/state.json", "{");
	r = load_lines("torn");
	ck_assert_msg(str_starts(r->problem, "state.json is corrupt: "), "%s", r->problem);
}
END_TEST

START_TEST(a_state_that_is_no_file_is_a_problem)
{
	auto_record struct record *r = NULL;

	scratch_dir("c/state.json");
	r = load_lines(LINE(7) "\n");
	ck_assert_msg(r->problem && str_starts(r->problem, "read state.json: "), "%s",
	              r->problem ? r->problem : "no problem");
}
END_TEST

START_TEST(a_state_of_another_container_is_not_taken_over)
{
	auto_record struct record *r = NULL;

	scratch_file("c/state.json",
	             "{\"ociVersion\":\"1.0.2\",\"id\":\"../../etc\",\"status\":\"stopped\","
	             "\"pid\":0,\"bundle\":\"/b\",\"vcrt\":{}}");
	r = load_lines(LINE(7) "\n");
	ck_assert_str_eq(r->problem, "state.json is corrupt: it is the state of '../../etc'");
	ck_assert_str_eq(r->oci->id, "c");
}
END_TEST

START_TEST(odd_members_never_name_a_process)
{
	static const char *const refs[] = {
		"{\"pid\":-1,\"start\":1}",
		"{\"pid\":7,\"start\":-5}",
		"{\"pid\":0,\"start\":0}",
		"{\"pid\":\"1\",\"start\":1}",
		"{\"pid\":1}",
		"{\"pid\":1.5,\"start\":0}",
		"{\"pid\":4294967297,\"start\":0}",
		"[1,2]",
		"1",
	};

	for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
		auto_error struct error err = { 0 };
		auto_record struct record *r = record_new("c", "/b");
		auto_free char *text =
			str_fmt("{\"ociVersion\":\"1.0.2\",\"id\":\"c\",\"status\":\"running\","
		                "\"pid\":0,\"bundle\":\"/b\",\"vcrt\":{\"monitor\":%s}}",
		                refs[i]);
		auto_json struct json *j = json_parse(text, strlen(text), false, &err);

		ck_assert_msg(j && record_merge(r, j, &err) == 0, "%s: %s", refs[i], err.msg);
		ck_assert_msg(r->monitor.pid == 0, "%s", refs[i]);
		ck_assert(!proc_ref_is_alive(&r->monitor));
	}
}
END_TEST

START_TEST(a_document_of_another_runtime_is_not_merged)
{
	auto_error struct error err = { 0 };
	auto_record struct record *r = record_new("c", "/b");
	auto_json struct json *j = json_parse("{\"id\":\"x\"}", 10, false, &err);

	ck_assert_int_eq(record_merge(r, j, &err), -EINVAL);
	ck_assert_str_eq(err.msg, "not a state of vcrt");
	ck_assert_str_eq(r->oci->id, "c");
}
END_TEST

START_TEST(the_status_holds_while_the_monitor_lives)
{
	static const char *const statuses[] = { VCRT_CREATED, VCRT_RUNNING, VCRT_PAUSED,
		                                VCRT_STOPPED };
	auto_record struct record *r = record_new("c", "/b");
	pid_t pid = start_child();

	r->creator.pid = 0;
	r->monitor = proc_ref_of(pid);
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		set_status(r, statuses[i]);
		ck_assert_str_eq(record_status(r), statuses[i]);
	}
	end_child(pid);
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		set_status(r, statuses[i]);
		ck_assert_str_eq(record_status(r), VCRT_STOPPED);
	}
}
END_TEST

START_TEST(a_half_made_container_lives_with_its_creator)
{
	auto_record struct record *r = record_new("c", "/b");
	pid_t pid = start_child();

	r->creator = proc_ref_of(pid);
	ck_assert_str_eq(record_status(r), VCRT_CREATING);
	set_status(r, VCRT_RUNNING); /* without a monitor: impossible, or over */
	ck_assert_str_eq(record_status(r), VCRT_STOPPED);
	set_status(r, VCRT_CREATING);
	end_child(pid);
	ck_assert_str_eq(record_status(r), VCRT_STOPPED);
	/* The monitor may go on for others. */
	r->monitor = proc_ref_of(getpid());
	ck_assert_str_eq(record_status(r), VCRT_STOPPED);
}
END_TEST

START_TEST(a_pid_that_was_given_again_is_somebody_else)
{
	struct proc_ref mine = proc_ref_of(getpid()), other = mine;

	ck_assert(proc_ref_is_alive(&mine));
	other.start++;
	ck_assert(!proc_ref_is_alive(&other));
	ck_assert(!proc_ref_is_alive(&(struct proc_ref){ 0 }));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("state_crash");

	tcase_add_checked_fixture(tc, scratch_setup, scratch_remove);
	tcase_add_test(tc, a_torn_last_line_is_left_out);
	tcase_add_test(tc, every_way_to_tear_the_last_line_is_survived);
	tcase_add_test(tc, lines_that_say_nothing_are_left_out);
	tcase_add_test(tc, a_journal_without_a_whole_line_is_a_problem_that_delete_can_handle);
	tcase_add_test(tc, a_create_that_was_killed_in_its_first_line_is_half_made);
	tcase_add_test(tc, a_corrupt_state_leaves_what_the_journal_knows);
	tcase_add_test(tc, a_whole_state_is_enough);
	tcase_add_test(tc, journal_and_state_may_both_be_damaged);
	tcase_add_test(tc, a_state_that_is_no_file_is_a_problem);
	tcase_add_test(tc, a_state_of_another_container_is_not_taken_over);
	tcase_add_test(tc, odd_members_never_name_a_process);
	tcase_add_test(tc, a_document_of_another_runtime_is_not_merged);
	tcase_add_test(tc, the_status_holds_while_the_monitor_lives);
	tcase_add_test(tc, a_half_made_container_lives_with_its_creator);
	tcase_add_test(tc, a_pid_that_was_given_again_is_somebody_else);
	return scratch_run(tc);
}
