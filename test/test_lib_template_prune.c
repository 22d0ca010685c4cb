/* What is in the store of templates and not used: stale, set aside, damaged or not ours. */
#include <errno.h>
#include <sys/stat.h>

#include "test/test_lib_template.h"

START_TEST(one_that_was_set_aside_is_listed_but_not_used_until_it_is_pruned)
{
	auto_error struct error err = { 0 };
	auto_free char *id = identity();
	auto_template struct template *t = NULL, *again = NULL;
	struct template_build b;
	struct template *list;

	make(id, 4);
	t = template_find(store, id);
	template_set_aside(t, "it smells", 3600);
	again = template_find(store, id);
	ck_assert_ptr_null(again);
	ck_assert_int_eq(template_begin(&b, store, id, &err), -EEXIST);
	error_clear(&err);
	ck_assert_int_eq(template_list(store, &list, &err), 1);
	ck_assert_str_eq(list[0].problem, "it smells");
	template_list_free(list, 1);
	ck_assert_msg(template_prune(store, false, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(entries(), 0);
}
END_TEST

START_TEST(stale_ones_go_when_a_new_one_comes)
{
	auto_free char *old = identity(), *new = NULL;
	auto_template struct template *t = NULL;

	make(old, 4);
	t = template_find(store, old);
	ck_assert(!template_is_stale(t));
	scratch_file("kernel", "a new kernel");
	ck_assert(template_is_stale(t));
	new = identity();
	make(new, 4);
	ck_assert_int_eq(count(), 1);
	ck_assert_ptr_null(template_find(store, old));
}
END_TEST

START_TEST(one_of_another_version_is_stale)
{
	auto_free char *now = identity();
	auto_free char *other = str_fmt("vcrt 0.0.0 protocol 1%s", strchr(now, '\n'));
	struct template t = { .identity = other };

	ck_assert(template_is_stale(&t));
	t.identity = now;
	ck_assert(!template_is_stale(&t));
}
END_TEST

/* An identity of its own, of no file, used at that time. */
static char *make_used(unsigned n, size_t kib, time_t when)
{
	struct timespec times[2] = { { .tv_sec = when }, { .tv_sec = when } };
	auto_template struct template *t = NULL;
	auto_free char *file = NULL;
	char *id;

	cfg.memory_mib = n;
	id = identity();
	make(id, kib);
	t = template_find(store, id);
	ck_assert_ptr_nonnull(t);
	file = str_fmt("%s/template.json", t->dir);
	ck_assert_int_eq(utimensat(AT_FDCWD, file, times, 0), 0);
	return id;
}

START_TEST(beyond_the_limit_those_used_longest_ago_go)
{
	auto_error struct error err = { 0 };
	auto_free char *a = make_used(101, 300, 3000), *b = make_used(102, 300, 1000);
	auto_free char *c = make_used(103, 300, 2000), *big = NULL;
	auto_template struct template *t = NULL;
	struct template_build build;

	ck_assert_int_eq(count(), 3);
	cfg.memory_mib = 104;
	big = identity();
	make(big, 600); /* 1 MiB has room for one of the others */
	ck_assert_int_eq(count(), 2);
	t = template_find(store, a);
	ck_assert_ptr_nonnull(t);
	ck_assert_ptr_null(template_find(store, b));
	ck_assert_ptr_null(template_find(store, c));

	/* One that is too large by itself does not drive out the others. */
	cfg.memory_mib = 105;
	auto_free char *huge = identity();
	begin(&build, huge);
	fill(&build, 1025);
	ck_assert_int_eq(template_commit(&build, hello, 1, &err), -ENOSPC);
	ck_assert_int_eq(entries(), 2);
}
END_TEST

START_TEST(removing_takes_keys_only)
{
	auto_error struct error err = { 0 };
	auto_free char *id = identity();
	struct template *list;

	make(id, 4);
	ck_assert_int_eq(template_remove(store, "../kernel", &err), -ENOENT);
	ck_assert_int_eq(template_remove(store, "", &err), -ENOENT);
	ck_assert_int_eq(template_remove(store, "0123456789abcdef0123456789abcdef", &err), -ENOENT);
	error_clear(&err);
	ck_assert_int_eq(template_list(store, &list, &err), 1);
	ck_assert_msg(template_remove(store, list[0].key, &err) == 0, "%s", err.msg);
	template_list_free(list, 1);
	ck_assert_int_eq(entries(), 0);
	ck_assert(fs_exists(kernel));
}
END_TEST

START_TEST(tidying_up_leaves_alone_what_is_not_ours)
{
	auto_error struct error err = { 0 };

	scratch_dir("store");
	scratch_dir("store/@home");
	scratch_dir("store/@0123456789abcdef0123456789abcdef0");
	scratch_dir("store/@0123456789abcdef0123456789abcdef");
	ck_assert_msg(template_prune(store, true, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(entries(), 2);
}
END_TEST

START_TEST(a_store_that_is_a_link_must_be_a_link_of_ours)
{
	auto_error struct error err = { 0 };
	auto_free char *link = scratch_path("link"), *slash = str_fmt("%s/", link);
	auto_free char *id = identity(), *key = template_key(id);

	make(id, 4);
	scratch_link("store", "link");
	ck_assert_msg(template_check_store(link, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(lchown(link, 1000, 1000), 0);
	ck_assert_int_eq(template_check_store(link, &err), -EPERM);
	ck_assert(str_ends(err.msg, "is a link that another user has made"));
	error_clear(&err);
	ck_assert_int_eq(template_check_store(slash, &err), -EPERM);
	error_clear(&err);
	ck_assert_int_eq(template_prune(link, true, &err), -EPERM);
	error_clear(&err);
	ck_assert_int_eq(template_remove(link, key, &err), -EPERM);
	ck_assert_int_eq(count(), 1);
}
END_TEST

/* Whatever is there with the name of a template, but cannot be read. */
START_TEST(what_is_left_of_one_is_no_obstacle)
{
	auto_error struct error err = { 0 };
	auto_free char *id = identity(), *file = NULL;
	auto_template struct template *t = NULL, *again = NULL;

	make(id, 4);
	t = template_find(store, id);
	file = str_fmt("%s/template.json", t->dir);
	ck_assert(!template_is_wanted(store, id));
	ck_assert_int_eq(truncate(file, 10), 0);
	ck_assert(template_is_wanted(store, id));
	ck_assert_int_eq(unlink(file), 0);
	ck_assert(template_is_wanted(store, id));
	ck_assert(template_is_gone(t));
	make(id, 4);
	ck_assert(!template_is_wanted(store, id));
	again = template_find(store, id);
	ck_assert_ptr_nonnull(again);
	ck_assert(template_is_gone(t) && !template_is_gone(again));
	ck_assert_msg(template_remove(store, t->key, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(entries(), 0);
}
END_TEST

START_TEST(damaged_ones_are_passed_over_and_pruned)
{
	auto_error struct error err = { 0 };
	auto_free char *id = identity(), *file = NULL;
	auto_template struct template *t = NULL;

	make(id, 4);
	t = template_find(store, id);
	file = str_fmt("%s/template.json", t->dir);
	ck_assert_int_eq(truncate(file, 10), 0);
	ck_assert_ptr_null(template_find(store, id));
	ck_assert_int_eq(count(), 0);
	ck_assert_msg(template_prune(store, false, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(entries(), 0);
}
END_TEST

START_TEST(without_a_store_there_is_nothing)
{
	auto_error struct error err = { 0 };

	ck_assert_int_eq(count(), 0);
	ck_assert_int_eq(template_prune(store, true, &err), 0);
	ck_assert_ptr_null(template_find(store, "x"));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("template-prune");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, one_that_was_set_aside_is_listed_but_not_used_until_it_is_pruned);
	tcase_add_test(tc, stale_ones_go_when_a_new_one_comes);
	tcase_add_test(tc, one_of_another_version_is_stale);
	tcase_add_test(tc, beyond_the_limit_those_used_longest_ago_go);
	tcase_add_test(tc, removing_takes_keys_only);
	tcase_add_test(tc, tidying_up_leaves_alone_what_is_not_ours);
	tcase_add_test(tc, a_store_that_is_a_link_must_be_a_link_of_ours);
	tcase_add_test(tc, what_is_left_of_one_is_no_obstacle);
	tcase_add_test(tc, damaged_ones_are_passed_over_and_pruned);
	tcase_add_test(tc, without_a_store_there_is_nothing);
	return scratch_run(tc);
}
