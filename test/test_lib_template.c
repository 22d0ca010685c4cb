/* The store of templates, with files of a few bytes. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hypervisor/hypervisor.h"
#include "lib/config.h"
#include "lib/template.h"
#include "lib/template-internal.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static char *store, *vmm, *kernel, *initrd;
static struct hv_config cfg;
static struct json *hello;

static void setup(void)
{
	scratch_setup();
	store = scratch_path("store");
	scratch_file("vmm", "v");
	scratch_file("kernel", "k");
	scratch_file("initrd", "i");
	vmm = scratch_path("vmm");
	kernel = scratch_path("kernel");
	initrd = scratch_path("initrd");
	cfg = (struct hv_config){ .path = vmm,
		                  .kernel = kernel,
		                  .initrd = initrd,
		                  .memory_mib = 128,
		                  .cpus = 1,
		                  .channel_fd = -1,
		                  .log_fd = -1,
		                  .console_fd = -1,
		                  .share_fd = -1 };
	hello = json_new_object();
	json_set(hello, "vcrt", json_new_i64(1));
}

static void teardown(void)
{
	json_free(hello);
	auto_freep(&store);
	auto_freep(&vmm);
	auto_freep(&kernel);
	auto_freep(&initrd);
	scratch_remove();
}

static char *identity(void)
{
	auto_error struct error err = { 0 };
	char *id = template_identity(&hv_mock_ops, &cfg, &err);

	ck_assert_msg(id != NULL, "%s", err.msg);
	return id;
}

static void begin(struct template_build *b, const char *id)
{
	auto_error struct error err = { 0 };

	ck_assert_msg(template_begin(b, store, id, &err) == 0, "%s", err.msg);
}

/* What the VMM would do. */
static void fill(struct template_build *b, size_t kib)
{
	auto_free char *memory = xzalloc(kib << 10);
	auto_error struct error err = { 0 };

	memset(memory, 'm', kib << 10);
	ck_assert_int_eq(
		fs_write_atomic_at(AT_FDCWD, b->memory, memory, kib << 10, 0600, false, &err), 0);
	ck_assert_int_eq(write(b->state, "state", 5), 5);
}

static void make(const char *id, size_t kib)
{
	auto_error struct error err = { 0 };
	struct template_build b;

	begin(&b, id);
	fill(&b, kib);
	ck_assert_msg(template_commit(&b, hello, 1, &err) == 0, "%s", err.msg);
}

static int count(void)
{
	auto_error struct error err = { 0 };
	struct template *list;
	int n = template_list(store, &list, &err);

	ck_assert_msg(n >= 0, "%s", err.msg);
	template_list_free(list, (size_t)n);
	return n;
}

/* Everything in the store, half-made templates, too. */
static int entries(void)
{
	auto_free char *command = str_fmt("exit $(ls -A '%s' | wc -l)", store);

	return WEXITSTATUS(system(command));
}

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
	auto_free char *id = identity(), *file = NULL;
	const struct timespec earlier[2] = { { .tv_sec = time(NULL) - 7200 },
		                             { .tv_sec = time(NULL) - 7200 } };
	auto_template struct template *t = NULL;
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

	/* One that was set aside is made anew some time later. */
	t = template_find(store, id);
	template_set_aside(t, "it smells");
	ck_assert(!template_is_wanted(store, id));
	file = str_fmt("%s/template.json", t->dir);
	ck_assert_int_eq(utimensat(AT_FDCWD, file, earlier, 0), 0);
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

START_TEST(one_that_was_set_aside_is_listed_but_not_used_until_it_is_pruned)
{
	auto_error struct error err = { 0 };
	auto_free char *id = identity();
	auto_template struct template *t = NULL, *again = NULL;
	struct template_build b;
	struct template *list;

	make(id, 4);
	t = template_find(store, id);
	template_set_aside(t, "it smells");
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
	TCase *tc = tcase_create("template");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_was_made_is_found_with_all_of_it);
	tcase_add_test(tc, another_vm_or_another_file_is_another_identity);
	tcase_add_test(tc, a_half_made_one_is_never_found_and_only_one_builder_is_at_work);
	tcase_add_test(tc, what_a_killed_builder_leaves_is_used_by_the_next_and_pruned);
	tcase_add_test(tc, an_aborted_one_leaves_nothing);
	tcase_add_test(tc, one_is_wanted_while_there_is_none_and_nobody_makes_it);
	tcase_add_test(tc, what_has_failed_is_noted_for_some_time_or_until_somebody_tidies_up);
	tcase_add_test(tc, a_store_that_is_full_or_that_others_can_write_to_is_not_used);
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
