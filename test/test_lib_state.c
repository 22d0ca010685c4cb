#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/state.h"
#include "lib/vcrt.h"
#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "oci/oci.h"
#include "test/scratch.h"

/* A record with every member set. */
static struct record *full(const char *id)
{
	struct record *r = record_new(id, "/bundle");

	r->oci->rootfs = str_dup("/bundle/rootfs");
	r->oci->pid = 12;
	r->oci->annotations = xcalloc(1, sizeof(*r->oci->annotations));
	r->oci->n_annotations = 1;
	r->oci->annotations[0].key = str_dup("key");
	r->oci->annotations[0].value = str_dup("va\"lue\n");
	r->sandbox = str_dup("box");
	r->sandbox_dir = str_dup("/run/box");
	r->monitor = (struct proc_ref){ 11, 111 };
	r->vmm = (struct proc_ref){ 13, 18446744073709 };
	r->shim = (struct proc_ref){ 12, 112 };
	strv_push(&r->cgroup_dirs, "/cg/one/two");
	strv_push(&r->cgroups, "/cg/one");
	strv_push(&r->cgroups, "/cg/one/two");
	r->exit_code = 42;
	return r;
}

static struct record *load(const char *id)
{
	auto_error struct error err = { 0 };
	struct record *r = record_load(scratch_root(), id, NULL, &err);

	ck_assert_msg(r != NULL, "%s", err.msg);
	return r;
}

static void make(const struct record *r, int *dirfd)
{
	auto_error struct error err = { 0 };

	*dirfd = record_make(scratch_root(), r, &err);
	ck_assert_msg(*dirfd >= 0, "%s", err.msg);
}

static void publish(int dirfd, const struct record *r)
{
	auto_error struct error err = { 0 };

	ck_assert_msg(record_publish(dirfd, r, &err) == 0, "%s", err.msg);
}

static void set_status(struct record *r, const char *status)
{
	free(r->oci->status);
	r->oci->status = str_dup(status);
}

static void assert_same(const struct record *a, const struct record *b)
{
	auto_json struct json *x = record_to_json(a), *y = record_to_json(b);
	auto_free char *s = json_print(x, false), *t = json_print(y, false);

	ck_assert_str_eq(s, t);
}

static void assert_missing(const char *id)
{
	auto_error struct error err = { 0 };

	ck_assert_ptr_null(record_load(scratch_root(), id, NULL, &err));
	ck_assert_int_eq(err.code, ENOENT);
	ck_assert_str_eq(err.msg, "container does not exist");
}

START_TEST(ids_are_checked_as_runc_does)
{
	static const char *const good[] = { "a", "A-z_0.9+", "...", "-x", "0", "a,b", ".a" };
	static const char *const bad[] = { ".",   "..",   "a/b",      "/",    "a b",  "a\n",
		                           "a:b", "a\\b", "\xc3\xa9", "a*",   "a%20", "~",
		                           "a$",  "../x", "a\tb",     "\x7f", "a\x01" };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		auto_error struct error err = { 0 };

		ck_assert_msg(record_check_id(good[i], &err) == 0, "'%s'", good[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		auto_error struct error err = { 0 };

		ck_assert_msg(record_check_id(bad[i], &err) == -EINVAL, "'%s'", bad[i]);
		ck_assert_str_eq(err.msg, "invalid container ID format");
	}
}
END_TEST

START_TEST(an_empty_id_has_a_message_of_its_own)
{
	auto_error struct error err = { 0 };

	ck_assert_int_eq(record_check_id("", &err), -EINVAL);
	ck_assert_str_eq(err.msg, "container id cannot be empty");
	error_clear(&err);
	ck_assert_int_eq(record_check_id(NULL, &err), -EINVAL);
}
END_TEST

START_TEST(an_id_has_up_to_1024_characters)
{
	auto_error struct error err = { 0 };
	char id[1026];

	memset(id, 'x', sizeof(id));
	id[1024] = '\0';
	ck_assert_int_eq(record_check_id(id, &err), 0);
	id[1024] = 'x';
	id[1025] = '\0';
	ck_assert_int_eq(record_check_id(id, &err), -EINVAL);
}
END_TEST

START_TEST(a_new_record_is_being_created_by_us)
{
	auto_record struct record *r = record_new("c", "/b");

	ck_assert_str_eq(r->oci->status, VCRT_CREATING);
	ck_assert_str_eq(r->oci->id, "c");
	ck_assert_str_eq(r->oci->bundle, "/b");
	ck_assert_int_eq(r->creator.pid, getpid());
	ck_assert_int_eq(r->exit_code, -1);
	ck_assert(proc_ref_is_alive(&r->creator));
	/* RFC 3339 with nanoseconds: 2026-01-02T03:04:05.123456789Z */
	ck_assert_uint_eq(strlen(r->oci->created), 30);
	ck_assert_int_eq(r->oci->created[10], 'T');
	ck_assert_int_eq(r->oci->created[29], 'Z');
	ck_assert_str_eq(record_status(r), VCRT_CREATING);
}
END_TEST

START_TEST(what_is_journalled_comes_back)
{
	auto_record struct record *r = full("c"), *back = NULL;
	auto_close int dirfd = -1;

	make(r, &dirfd);
	back = load("c");
	assert_same(r, back);
	ck_assert_ptr_null(back->problem);
}
END_TEST

START_TEST(later_lines_of_the_journal_override_earlier_ones)
{
	auto_error struct error err = { 0 };
	auto_record struct record *r = record_new("c", "/bundle"), *f = full("c"), *back = NULL;
	auto_close int dirfd = -1;

	make(r, &dirfd);
	ck_assert_int_eq(record_journal(dirfd, f, &err), 0);
	f->shim.pid = 99;
	ck_assert_int_eq(record_journal(dirfd, f, &err), 0);
	back = load("c");
	assert_same(f, back);
}
END_TEST

/* Else such a container could be made, but never deleted. */
START_TEST(a_journal_with_the_longest_annotation_in_each_line_is_read)
{
	auto_error struct error err = { 0 };
	auto_record struct record *f = full("c"), *r = NULL;
	auto_close int dirfd = -1;

	free(f->oci->annotations[0].value);
	f->oci->annotations[0].value = xzalloc(OCI_MAX_SIZE);
	memset(f->oci->annotations[0].value, 'x', OCI_MAX_SIZE - 1);
	make(f, &dirfd);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(record_journal(dirfd, f, &err), 0);
	r = load("c");
	ck_assert_uint_eq(strlen(r->oci->annotations[0].value), OCI_MAX_SIZE - 1);
	ck_assert_str_eq(r->sandbox_dir, "/run/box");
}
END_TEST

START_TEST(what_is_published_overrides_the_journal)
{
	auto_record struct record *r = record_new("c", "/bundle"), *f = full("c"), *back = NULL;
	auto_close int dirfd = -1;

	make(r, &dirfd);
	set_status(f, VCRT_RUNNING);
	publish(dirfd, f);
	back = load("c");
	assert_same(f, back);
	/* Again, over what is there. */
	set_status(f, VCRT_STOPPED);
	publish(dirfd, f);
	record_free(back);
	back = load("c");
	ck_assert_str_eq(back->oci->status, VCRT_STOPPED);
}
END_TEST

START_TEST(who_only_looks_needs_the_journal_without_a_published_state)
{
	auto_error struct error err = { 0 };
	auto_record struct record *r = full("c"), *journalled = NULL, *published = NULL;
	auto_close int dirfd = -1;

	make(r, &dirfd);
	journalled = record_read(scratch_root(), "c", &err);
	ck_assert_msg(journalled != NULL, "%s", err.msg);
	assert_same(journalled, r);

	publish(dirfd, r);
	scratch_file("c/vcrt.journal", "damaged\n");
	published = record_read(scratch_root(), "c", &err);
	ck_assert_msg(published != NULL, "%s", err.msg);
	ck_assert_ptr_null(published->problem);
	assert_same(published, r);
}
END_TEST

START_TEST(the_published_file_has_the_members_of_the_specification)
{
	auto_record struct record *f = full("c");
	auto_error struct error err = { 0 };
	auto_close int dirfd = -1;
	auto_free char *text = NULL;
	auto_json struct json *j = NULL;

	make(f, &dirfd);
	publish(dirfd, f);
	text = scratch_read("c/state.json");
	j = json_parse(text, strlen(text), false, &err);
	ck_assert_msg(j != NULL, "%s", err.msg);
	ck_assert_str_eq(json_get_string(j, "ociVersion"), OCI_VERSION);
	ck_assert_str_eq(json_get_string(j, "id"), "c");
	ck_assert_str_eq(json_get_string(j, "status"), "creating");
	ck_assert_int_eq(json_get_i64(j, "pid", 0), 12);
	ck_assert_str_eq(json_get_string(j, "bundle"), "/bundle");
	ck_assert_str_eq(json_get_string(json_get_object(j, "annotations"), "key"), "va\"lue\n");
}
END_TEST

START_TEST(the_directory_is_for_its_owner_only)
{
	auto_record struct record *f = full("c");
	auto_free char *dir = scratch_path("root/c"), *root = scratch_path("root");
	auto_free char *state = scratch_path("root/c/state.json");
	auto_error struct error err = { 0 };
	auto_close int dirfd = record_make(root, f, &err);
	struct stat st;

	ck_assert_msg(dirfd >= 0, "%s", err.msg);
	publish(dirfd, f);
	ck_assert_int_eq(stat(dir, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
	ck_assert_int_eq(stat(state, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(an_id_is_given_once)
{
	auto_record struct record *r = record_new("c", "/b");
	auto_error struct error err = { 0 };
	auto_close int dirfd = -1;

	make(r, &dirfd);
	ck_assert_int_eq(record_make(scratch_root(), r, &err), -EEXIST);
	ck_assert_str_eq(err.msg, "container with given ID already exists");
	/* What is there is untouched. */
	record_free(load("c"));
}
END_TEST

START_TEST(the_id_of_a_foreign_directory_is_taken_too)
{
	auto_record struct record *r = record_new("theirs", "/b");
	auto_error struct error err = { 0 };
	auto_free char *text = NULL;

	scratch_file("theirs/state.json", "{}");
	ck_assert_int_eq(record_make(scratch_root(), r, &err), -EEXIST);
	assert_missing("theirs");
	text = scratch_read("theirs/state.json");
	ck_assert_str_eq(text, "{}");
}
END_TEST

START_TEST(nothing_is_left_when_the_directory_cannot_be_made)
{
	auto_record struct record *r = record_new("c", "/b");
	auto_free char *root = scratch_path("file/root");
	auto_error struct error err = { 0 };

	scratch_file("file", "");
	ck_assert_int_eq(record_make(root, r, &err), -ENOTDIR);
	ck_assert_msg(str_starts(err.msg, "make the state directory: "), "%s", err.msg);
}
END_TEST

START_TEST(unknown_and_odd_ids_do_not_exist)
{
	auto_error struct error err = { 0 };

	assert_missing("nobody");
	scratch_file("file", "");
	assert_missing("file");
	ck_assert_ptr_null(record_load(scratch_root(), "../x", NULL, &err));
	ck_assert_int_eq(err.code, EINVAL);
}
END_TEST

START_TEST(a_link_in_place_of_the_directory_is_not_followed)
{
	auto_record struct record *r = record_new("c", "/b");
	auto_close int dirfd = -1;

	make(r, &dirfd);
	scratch_link("c", "link");
	assert_missing("link");
}
END_TEST

START_TEST(a_link_in_place_of_the_journal_is_not_written_through)
{
	auto_record struct record *r = record_new("c", "/b");
	auto_error struct error err = { 0 };
	auto_free char *path = scratch_path("c"), *text = NULL;
	auto_close int dirfd = -1;

	scratch_file("victim", "precious");
	scratch_link("../victim", "c/vcrt.journal");
	dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(record_journal(dirfd, r, &err), -ELOOP);
	text = scratch_read("victim");
	ck_assert_str_eq(text, "precious");
}
END_TEST

START_TEST(removing_takes_the_directory_away)
{
	auto_record struct record *r = record_new("c", "/b");
	auto_error struct error err = { 0 };
	auto_close int dirfd = -1;

	make(r, &dirfd);
	publish(dirfd, r);
	ck_assert_int_eq(record_remove(scratch_root(), "c", &err), 0);
	assert_missing("c");
	ck_assert_int_eq(record_remove(scratch_root(), "c", &err), 0);
}
END_TEST

START_TEST(the_list_is_sorted_and_leaves_out_what_is_not_ours)
{
	static const char *const ids[] = { "b", "a2", "a10", "Z", ".a" };
	auto_error struct error err = { 0 };
	auto_strv char **list = NULL;
	auto_free char *text = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		auto_record struct record *r = record_new(ids[i], "/b");
		auto_close int dirfd = -1;

		make(r, &dirfd);
	}
	scratch_file("runc/state.json", "{}");
	scratch_file("file", "");
	scratch_dir("empty");
	list = record_list(scratch_root(), &err);
	text = strv_join(list, " ");
	ck_assert_str_eq(text, ".a Z a10 a2 b");
}
END_TEST

START_TEST(a_root_that_does_not_exist_is_an_empty_list)
{
	auto_error struct error err = { 0 };
	auto_free char *missing = scratch_path("missing"), *file = scratch_path("file");
	auto_strv char **list = record_list(missing, &err);

	ck_assert_uint_eq(strv_len(list), 0);
	ck_assert_ptr_nonnull(list);
	scratch_file("file", "");
	ck_assert_ptr_null(record_list(file, &err));
	ck_assert_int_eq(err.code, ENOTDIR);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("state");

	tcase_add_checked_fixture(tc, scratch_setup, scratch_remove);
	tcase_add_test(tc, ids_are_checked_as_runc_does);
	tcase_add_test(tc, an_empty_id_has_a_message_of_its_own);
	tcase_add_test(tc, an_id_has_up_to_1024_characters);
	tcase_add_test(tc, a_new_record_is_being_created_by_us);
	tcase_add_test(tc, what_is_journalled_comes_back);
	tcase_add_test(tc, later_lines_of_the_journal_override_earlier_ones);
	tcase_add_test(tc, a_journal_with_the_longest_annotation_in_each_line_is_read);
	tcase_add_test(tc, what_is_published_overrides_the_journal);
	tcase_add_test(tc, who_only_looks_needs_the_journal_without_a_published_state);
	tcase_add_test(tc, the_published_file_has_the_members_of_the_specification);
	tcase_add_test(tc, the_directory_is_for_its_owner_only);
	tcase_add_test(tc, an_id_is_given_once);
	tcase_add_test(tc, the_id_of_a_foreign_directory_is_taken_too);
	tcase_add_test(tc, nothing_is_left_when_the_directory_cannot_be_made);
	tcase_add_test(tc, unknown_and_odd_ids_do_not_exist);
	tcase_add_test(tc, a_link_in_place_of_the_directory_is_not_followed);
	tcase_add_test(tc, a_link_in_place_of_the_journal_is_not_written_through);
	tcase_add_test(tc, removing_takes_the_directory_away);
	tcase_add_test(tc, the_list_is_sorted_and_leaves_out_what_is_not_ours);
	tcase_add_test(tc, a_root_that_does_not_exist_is_an_empty_list);
	return scratch_run(tc);
}
