/* How a template gets into the store and is found, and what keeps it out. */
#include <errno.h>
#include <sys/stat.h>

#include "lib/config.h"
#include "test/test_lib_template.h"

START_TEST(what_was_made_is_found_with_all_of_it)
{
	auto_error struct error err = { 0 };
	auto_free char *id = identity(), *memory = NULL;
	auto_template struct template *t = NULL;
	char state[8] = "";
	struct stat st;
	int fd;

	ck_assert_ptr_null(template_find(store, id));
	make(id, 8);
	t = template_find(store, id);
	ck_assert_ptr_nonnull(t);
	ck_assert_str_eq(t->identity, id);
	ck_assert(json_equal(t->hello, hello));
	ck_assert_uint_ge(t->bytes, 8 << 10);
	ck_assert_int_le(t->made, time(NULL));
	memory = template_memory(t);
	ck_assert_int_eq(stat(memory, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0400);
	fd = template_open_state(t, &err);
	ck_assert_int_eq(read(fd, state, sizeof(state)), 5);
	ck_assert_str_eq(state, "state");
	close(fd);
	ck_assert_int_eq(entries(), 1);
}
END_TEST

START_TEST(another_vm_or_another_file_is_another_identity)
{
	auto_free char *first = identity(), *larger = NULL, *rebuilt = NULL;
	auto_error struct error err = { 0 };

	cfg.memory_mib = 256;
	larger = identity();
	ck_assert_str_ne(first, larger);
	cfg.memory_mib = 128;
	scratch_file("initrd", "another");
	rebuilt = identity();
	ck_assert_str_ne(first, rebuilt);
	ck_assert_int_eq(unlink(kernel), 0);
	ck_assert_ptr_null(template_identity(&hv_mock_ops, &cfg, &err));
	ck_assert_int_eq(err.code, ENOENT);
}
END_TEST

START_TEST(a_half_made_one_is_never_found_and_only_one_builder_is_at_work)
{
	auto_error struct error err = { 0 };
	auto_free char *id = identity();
	struct template_build b, other;

	begin(&b, id);
	fill(&b, 4);
	ck_assert_ptr_null(template_find(store, id));
	ck_assert_int_eq(count(), 0);
	ck_assert_int_eq(template_begin(&other, store, id, &err), -EBUSY);
	/* Somebody who tidies up leaves it alone, too. */
	ck_assert_int_eq(template_prune(store, true, &err), 0);
	error_clear(&err);
	ck_assert_msg(template_commit(&b, hello, 1, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(count(), 1);
	ck_assert_int_eq(template_begin(&other, store, id, &err), -EEXIST);
	ck_assert_int_eq(entries(), 1);
}
END_TEST

/* A builder that is killed at work. */
static void leave_half(const char *id)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct template_build b;

		begin(&b, id);
		fill(&b, 4);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(what_a_killed_builder_leaves_is_used_by_the_next_and_pruned)
{
	auto_error struct error err = { 0 };
	auto_free char *id = identity();

	leave_half(id);
	ck_assert_int_eq(entries(), 1);
	ck_assert_ptr_null(template_find(store, id));
	make(id, 4);
	ck_assert_int_eq(entries(), 1);
	ck_assert_int_eq(count(), 1);

	leave_half("another");
	ck_assert_int_eq(entries(), 2);
	ck_assert_msg(template_prune(store, false, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(entries(), 1);
	ck_assert_int_eq(count(), 1);
}
END_TEST

START_TEST(an_aborted_one_leaves_nothing)
{
	auto_free char *id = identity();
	struct template_build b;

	begin(&b, id);
	fill(&b, 4);
	template_abort(&b);
	ck_assert_int_eq(entries(), 0);
	make(id, 4);
}
END_TEST

START_TEST(one_is_wanted_while_there_is_none_and_nobody_makes_it)
{
	auto_error struct error err = { 0 };
	auto_free char *id = identity();
	struct template_build b;

	ck_assert(template_is_wanted(store, id));
	begin(&b, id);
	fill(&b, 4);
	ck_assert(!template_is_wanted(store, id));
	template_abort(&b);
	ck_assert(template_is_wanted(store, id));
	leave_half(id);
	ck_assert(template_is_wanted(store, id));
	make(id, 4);
	ck_assert(!template_is_wanted(store, id));
}
END_TEST

/* If it was set aside for so long, so long ago. In seconds. */
static bool is_wanted_after(const char *id, unsigned aside, time_t ago)
{
	const struct timespec then = { .tv_sec = time(NULL) - ago };
	const struct timespec times[2] = { then, then };
	auto_error struct error err = { 0 };
	auto_template struct template *t = NULL;
	auto_free char *file = NULL;
	bool is;

	make(id, 4);
	t = template_find(store, id);
	template_set_aside(t, "it smells", aside);
	file = str_fmt("%s/template.json", t->dir);
	ck_assert_int_eq(utimensat(AT_FDCWD, file, times, 0), 0);
	is = template_is_wanted(store, id);
	ck_assert_msg(template_remove(store, t->key, &err) == 0, "%s", err.msg);
	return is;
}

START_TEST(one_that_was_set_aside_is_made_anew_when_its_time_is_over)
{
	auto_free char *id = identity();

	ck_assert(!is_wanted_after(id, 3600, 0));
	ck_assert(!is_wanted_after(id, 3600, 3000));
	ck_assert(is_wanted_after(id, 3600, 4000));
	ck_assert(!is_wanted_after(id, 60, 10));
	ck_assert(is_wanted_after(id, 60, 70));
}
END_TEST

/* Nor is that one in the way of the next. */
START_TEST(one_that_was_set_aside_is_replaced)
{
	auto_error struct error err = { 0 };
	auto_free char *id = identity();
	auto_template struct template *t = NULL;

	make(id, 4);
	t = template_find(store, id);
	template_set_aside(t, "it smells", 0);
	ck_assert(template_is_wanted(store, id));
	ck_assert_msg(template_prune(store, false, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(entries(), 0);
	make(id, 4);
}
END_TEST

static int note_count(void)
{
	auto_free char *command = str_fmt("exit $(ls -A '%s' | grep -c ^@)", scratch_root());

	return WEXITSTATUS(system(command));
}

START_TEST(what_has_failed_is_noted_for_some_time_or_until_somebody_tidies_up)
{
	auto_error struct error err = { 0 };
	auto_free char *run = scratch_path("run"), *key = template_key("one"), *why = NULL;
	struct config c = { .runtime_dir = run };
	auto_free char *note = str_fmt("%s/../@template-%s", run, key);
	struct timespec times[2] = { { .tv_sec = time(NULL) - 3600 },
		                     { .tv_sec = time(NULL) - 3600 } };

	scratch_dir("run");
	ck_assert_ptr_null(template_last_failure(&c, "one"));
	template_note_failure(&c, "one", "first");
	template_note_failure(&c, "one", "second");
	why = template_last_failure(&c, "one");
	ck_assert_str_eq(why, "second");
	ck_assert_ptr_null(template_last_failure(&c, "two"));
	ck_assert_int_eq(utimensat(AT_FDCWD, note, times, 0), 0);
	ck_assert_ptr_null(template_last_failure(&c, "one"));
	times[1].tv_sec += 10800; /* the clock was wrong */
	ck_assert_int_eq(utimensat(AT_FDCWD, note, times, 0), 0);
	ck_assert_ptr_null(template_last_failure(&c, "one"));
	template_note_failure(&c, "two", "third");
	ck_assert_int_eq(note_count(), 2);
	ck_assert_msg(template_forget_failures(&c, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(note_count(), 0);
}
END_TEST

START_TEST(a_store_that_is_full_or_that_others_can_write_to_is_not_used)
{
	auto_error struct error err = { 0 };
	auto_free char *id = identity(), *key = template_key(id);
	auto_free char *dir = str_fmt("%s/%s", store, key);
	struct template_build b;

	ck_assert_int_eq(template_check_room("/", 1u << 30, &err), -ENOSPC);
	error_clear(&err);
	make(id, 4);
	ck_assert_int_eq(chmod(dir, 0777), 0);
	ck_assert_ptr_null(template_find(store, id));
	ck_assert_int_eq(chmod(store, 0777), 0);
	ck_assert_int_eq(template_begin(&b, store, "another", &err), -EPERM);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("template");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_was_made_is_found_with_all_of_it);
	tcase_add_test(tc, another_vm_or_another_file_is_another_identity);
	tcase_add_test(tc, a_half_made_one_is_never_found_and_only_one_builder_is_at_work);
	tcase_add_test(tc, what_a_killed_builder_leaves_is_used_by_the_next_and_pruned);
	tcase_add_test(tc, an_aborted_one_leaves_nothing);
	tcase_add_test(tc, one_is_wanted_while_there_is_none_and_nobody_makes_it);
	tcase_add_test(tc, one_that_was_set_aside_is_made_anew_when_its_time_is_over);
	tcase_add_test(tc, one_that_was_set_aside_is_replaced);
	tcase_add_test(tc, what_has_failed_is_noted_for_some_time_or_until_somebody_tidies_up);
	tcase_add_test(tc, a_store_that_is_full_or_that_others_can_write_to_is_not_used);
	return scratch_run(tc);
}
