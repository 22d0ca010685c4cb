#include <errno.h>
#include <linux/mount.h>
#include <sys/mount.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static struct mount_options o;
static struct error err;

static void parse(const char *words)
{
	auto_strv char **options = str_split(words, ' ');

	ck_assert_msg(mount_options_parse(options, &o, &err) == 0, "%s", err.msg);
}

static void teardown(void)
{
	mount_options_done(&o);
	error_clear(&err);
}

START_TEST(no_options_are_no_flags)
{
	uint64_t set, clear;

	ck_assert_int_eq(mount_options_parse(NULL, &o, &err), 0);
	mount_options_attr(&o, &set, &clear);
	ck_assert_uint_eq(o.flags | set | clear | o.rec_set | o.rec_clear, 0);
	ck_assert_ptr_null(o.data);
}
END_TEST

START_TEST(words_of_the_kernel_become_flags_and_the_rest_is_data)
{
	parse("nosuid noexec nodev mode=755 size=64k newinstance");
	ck_assert_uint_eq(o.flags, MS_NOSUID | MS_NOEXEC | MS_NODEV);
	ck_assert_uint_eq(strv_len(o.data), 3);
	ck_assert_str_eq(o.data[0], "mode=755");
	ck_assert_str_eq(o.data[2], "newinstance");
}
END_TEST

START_TEST(data_joined_by_commas_is_taken_apart)
{
	parse("mode=1777,size=64k");
	ck_assert_uint_eq(strv_len(o.data), 2);
	ck_assert_str_eq(o.data[1], "size=64k");
}
END_TEST

START_TEST(the_last_of_two_opposite_words_counts)
{
	uint64_t set, clear;

	parse("ro rw nosuid suid dev nodev");
	mount_options_attr(&o, &set, &clear);
	ck_assert_uint_eq(set, MOUNT_ATTR_NODEV);
	ck_assert_uint_eq(clear, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID);
}
END_TEST

START_TEST(only_one_kind_of_access_time_is_asked_for)
{
	uint64_t set, clear;

	parse("noatime strictatime");
	mount_options_attr(&o, &set, &clear);
	ck_assert_uint_eq(set, MOUNT_ATTR_STRICTATIME);
	ck_assert_uint_eq(clear, MOUNT_ATTR__ATIME);
}
END_TEST

START_TEST(relatime_clears_the_others)
{
	uint64_t set, clear;

	parse("relatime");
	mount_options_attr(&o, &set, &clear);
	ck_assert_uint_eq(set, 0);
	ck_assert_uint_eq(clear, MOUNT_ATTR__ATIME);
}
END_TEST

START_TEST(bind_and_rbind_differ_in_recursion)
{
	parse("bind");
	ck_assert_uint_eq(o.flags, MS_BIND);
	mount_options_done(&o);
	parse("rbind");
	ck_assert_uint_eq(o.flags, MS_BIND | MS_REC);
}
END_TEST

START_TEST(recursive_words_are_kept_apart_from_plain_ones)
{
	parse("rro rnosuid rexec rnoatime ro");
	ck_assert_uint_eq(o.flags, MS_RDONLY);
	ck_assert_uint_eq(o.rec_set, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOATIME);
	ck_assert_uint_eq(o.rec_clear, MOUNT_ATTR_NOEXEC | MOUNT_ATTR__ATIME);
}
END_TEST

START_TEST(recursive_relatime_is_no_bit_but_clears_the_field)
{
	parse("rnoatime rrelatime");
	ck_assert_uint_eq(o.rec_set, 0);
	ck_assert_uint_eq(o.rec_clear, MOUNT_ATTR__ATIME);
}
END_TEST

START_TEST(propagation_keeps_its_order)
{
	parse("rslave shared");
	ck_assert_uint_eq(o.n_propagation, 2);
	ck_assert_uint_eq(o.propagation[0], MS_SLAVE | MS_REC);
	ck_assert_uint_eq(o.propagation[1], MS_SHARED);
}
END_TEST

START_TEST(more_propagation_than_makes_sense_is_refused)
{
	auto_strv char **options = str_split("shared slave shared slave shared", ' ');

	ck_assert_int_eq(mount_options_parse(options, &o, &err), -EINVAL);
	ck_assert_str_eq(err.msg, "too many propagation options");
}
END_TEST

START_TEST(id_mapped_mounts_are_refused_by_name)
{
	auto_strv char **options = str_split("bind ridmap", ' ');

	ck_assert_int_eq(mount_options_parse(options, &o, &err), -ENOTSUP);
	ck_assert_str_eq(err.msg, "the option 'ridmap' is not supported");
}
END_TEST

START_TEST(tmpcopyup_and_defaults_are_no_data)
{
	parse("defaults tmpcopyup");
	ck_assert(o.copy_up);
	ck_assert_ptr_null(o.data);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("mount_options");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, no_options_are_no_flags);
	tcase_add_test(tc, words_of_the_kernel_become_flags_and_the_rest_is_data);
	tcase_add_test(tc, data_joined_by_commas_is_taken_apart);
	tcase_add_test(tc, the_last_of_two_opposite_words_counts);
	tcase_add_test(tc, only_one_kind_of_access_time_is_asked_for);
	tcase_add_test(tc, relatime_clears_the_others);
	tcase_add_test(tc, bind_and_rbind_differ_in_recursion);
	tcase_add_test(tc, recursive_words_are_kept_apart_from_plain_ones);
	tcase_add_test(tc, recursive_relatime_is_no_bit_but_clears_the_field);
	tcase_add_test(tc, propagation_keeps_its_order);
	tcase_add_test(tc, more_propagation_than_makes_sense_is_refused);
	tcase_add_test(tc, id_mapped_mounts_are_refused_by_name);
	tcase_add_test(tc, tmpcopyup_and_defaults_are_no_data);
	return scratch_run(tc);
}
