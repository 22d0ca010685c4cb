#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/opt.h"
#include "lib/base/error.h"
#include "lib/base/str.h"
#include "test/scratch.h"

struct values {
	bool all;
	const char *file, *format;
	unsigned count;
	char **env;
};

static const struct opt opts[] = {
	{ "all", 'a', OPT_BOOL, offsetof(struct values, all), NULL, "take all" },
	{ "file", 'f', OPT_STRING, offsetof(struct values, file), NULL, "a file" },
	{ "format", 0, OPT_STRING, offsetof(struct values, format), "table", "the format" },
	{ "count", 0, OPT_UINT, offsetof(struct values, count), NULL, "how many" },
	{ "env", 'e', OPT_LIST, offsetof(struct values, env), NULL, "a variable" },
	{ 0 },
};

/* One parser run over a line of words; "" is written as a lone "~". */
struct run {
	struct values v;
	struct error err;
	char **words; /* owns them */
	char **argv;  /* the parser reorders this one */
	int n;
	bool help;
};

#define auto_run auto_(run_done)

static void run_done(struct run *r)
{
	opt_done(opts, &r->v);
	error_clear(&r->err);
	strv_free(r->words);
	free(r->argv);
}

static struct run parse(const char *line, bool stop_early)
{
	struct run r = { .words = str_split(line, ' ') };
	size_t i, n = strv_len(r.words);

	r.argv = xcalloc(n + 1, sizeof(*r.argv));
	for (i = 0; i < n; i++) {
		if (str_eq(r.words[i], "~"))
			r.words[i][0] = '\0';
		r.argv[i] = r.words[i];
	}
	r.n = opt_parse(opts, &r.v, stop_early, *line ? (int)n : 0, r.argv, &r.help, &r.err);
	return r;
}

#define ck_fails(line, message)                                                                    \
	do {                                                                                       \
		auto_run struct run r_ = parse(line, false);                                       \
		ck_assert_int_eq(r_.n, -EINVAL);                                                   \
		ck_assert_str_eq(r_.err.msg, message);                                             \
	} while (0)

START_TEST(values_come_after_a_space_or_an_equals_sign)
{
	auto_run struct run a = parse("--file one id", false);
	auto_run struct run b = parse("--file=two id", false);
	auto_run struct run c = parse("-f=a=b --format=", false);

	ck_assert_str_eq(a.v.file, "one");
	ck_assert_int_eq(a.n, 1);
	ck_assert_str_eq(a.argv[0], "id");
	ck_assert_str_eq(b.v.file, "two");
	ck_assert_str_eq(c.v.file, "a=b");
	ck_assert_str_eq(c.v.format, "");
	ck_assert_int_eq(c.n, 0);
}
END_TEST

START_TEST(one_dash_is_as_good_as_two)
{
	auto_run struct run r = parse("-all -file x --f y", false);

	ck_assert(r.v.all);
	ck_assert_str_eq(r.v.file, "y");
}
END_TEST

START_TEST(a_value_may_look_like_an_option)
{
	auto_run struct run r = parse("--file --all", false);

	ck_assert_str_eq(r.v.file, "--all");
	ck_assert(!r.v.all);
}
END_TEST

START_TEST(what_is_not_given_keeps_its_initial_value)
{
	auto_run struct run r = parse("", false);

	ck_assert_int_eq(r.n, 0);
	ck_assert_str_eq(r.v.format, "table");
	ck_assert_ptr_null(r.v.file);
	ck_assert(!r.v.all);
	ck_assert_ptr_null(r.v.env);
}
END_TEST

START_TEST(switches_take_a_value_only_after_an_equals_sign)
{
	auto_run struct run off = parse("--all --all=false", false);
	auto_run struct run on = parse("--all=T", false);
	auto_run struct run arg = parse("--all false", false);

	ck_assert(!off.v.all);
	ck_assert(on.v.all);
	ck_assert(arg.v.all);
	ck_assert_int_eq(arg.n, 1);
	ck_assert_str_eq(arg.argv[0], "false");
	ck_fails("--all=maybe", "invalid boolean value \"maybe\" for -all: parse error");
	ck_fails("-a=", "invalid boolean value \"\" for -a: parse error");
}
END_TEST

START_TEST(the_last_of_two_counts_and_lists_collect)
{
	auto_run struct run r = parse("--file 1 -e A=1 --file 2 --env=B=2,3", false);

	ck_assert_str_eq(r.v.file, "2");
	ck_assert_uint_eq(strv_len(r.v.env), 2);
	ck_assert_str_eq(r.v.env[0], "A=1");
	ck_assert_str_eq(r.v.env[1], "B=2,3");
	opt_done(opts, &r.v);
	ck_assert_ptr_null(r.v.env);
}
END_TEST

START_TEST(numbers_are_checked)
{
	auto_run struct run r = parse("--count 65535", false);

	ck_assert_uint_eq(r.v.count, 65535);
	ck_fails("--count x", "invalid value \"x\" for flag -count: parse error");
	ck_fails("--count ~", "invalid value \"\" for flag -count: parse error");
	ck_fails("--count=-1", "invalid value \"-1\" for flag -count: parse error");
	ck_fails("--count 65536", "invalid value \"65536\" for flag -count: value out of range");
}
END_TEST

START_TEST(mistakes_are_named)
{
	ck_fails("--bogus", "flag provided but not defined: -bogus");
	ck_fails("--bogus=1 --all", "flag provided but not defined: -bogus");
	ck_fails("-af", "flag provided but not defined: -af");
	ck_fails("-eA=1", "flag provided but not defined: -eA");
	ck_fails("--file", "flag needs an argument: -file");
	ck_fails("id -f", "flag needs an argument: -f");
	ck_fails("---all", "bad flag syntax: ---all");
	ck_fails("--=x", "bad flag syntax: --=x");
	ck_fails("-=x", "bad flag syntax: -=x");
}
END_TEST

START_TEST(known_options_count_behind_the_arguments)
{
	auto_run struct run r = parse("id --all KILL --file=x", false);

	ck_assert_int_eq(r.n, 2);
	ck_assert_str_eq(r.argv[0], "id");
	ck_assert_str_eq(r.argv[1], "KILL");
	ck_assert_ptr_null(r.argv[2]);
	ck_assert(r.v.all);
	ck_assert_str_eq(r.v.file, "x");
}
END_TEST

START_TEST(unknown_ones_behind_the_arguments_are_arguments)
{
	auto_run struct run r = parse("id -9 ---x", false);

	ck_assert_int_eq(r.n, 3);
	ck_assert_str_eq(r.argv[1], "-9");
	ck_assert_str_eq(r.argv[2], "---x");
}
END_TEST

START_TEST(a_command_keeps_its_own_options)
{
	auto_run struct run r = parse("--all id ls --all -x -- --file", true);

	ck_assert_int_eq(r.n, 6);
	ck_assert_str_eq(r.argv[0], "id");
	ck_assert_str_eq(r.argv[2], "--all");
	ck_assert_str_eq(r.argv[4], "--");
	ck_assert_str_eq(r.argv[5], "--file");
	ck_assert_ptr_null(r.argv[6]);
	ck_assert_ptr_null(r.v.file);
}
END_TEST

START_TEST(two_dashes_end_the_options)
{
	auto_run struct run r = parse("--all -- --file -- x", false);

	ck_assert(r.v.all);
	ck_assert_int_eq(r.n, 3);
	ck_assert_str_eq(r.argv[0], "--file");
	ck_assert_str_eq(r.argv[1], "--");
	ck_assert_str_eq(r.argv[2], "x");
}
END_TEST

START_TEST(a_dash_and_an_empty_word_are_arguments)
{
	auto_run struct run r = parse("- ~", false);

	ck_assert_int_eq(r.n, 2);
	ck_assert_str_eq(r.argv[0], "-");
	ck_assert_str_eq(r.argv[1], "");
}
END_TEST

START_TEST(help_is_known_everywhere)
{
	auto_run struct run a = parse("--help --all", false);
	auto_run struct run b = parse("id --help", false);
	auto_run struct run c = parse("id --help", true);
	auto_run struct run off = parse("--help=false", false);
	struct run none = { 0 };
	char word[] = "--help", *argv[] = { word, NULL };

	ck_assert(a.help);
	ck_assert(a.v.all);
	ck_assert(!off.help);
	ck_fails("--help --bogus", "flag provided but not defined: -bogus");
	ck_fails("--help=maybe", "invalid boolean value \"maybe\" for -help: parse error");
	ck_assert(b.help);
	ck_assert(!c.help);
	ck_assert_int_eq(opt_parse(NULL, NULL, false, 1, argv, &none.help, &none.err), 0);
	ck_assert(none.help);
}
END_TEST

START_TEST(the_help_text_is_aligned_and_leaves_out_hidden_options)
{
	auto_free char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	opt_print_help(opts, out);
	ck_assert_int_eq(fclose(out), 0);
	ck_assert_str_eq(text, "   --all, -a               take all\n"
	                       "   --file value, -f value  a file\n"
	                       "   --format value          the format (default: \"table\")\n"
	                       "   --count value           how many\n"
	                       "   --env value, -e value   a variable\n"
	                       "   --help, -h              show help\n");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("opt");

	tcase_add_test(tc, values_come_after_a_space_or_an_equals_sign);
	tcase_add_test(tc, one_dash_is_as_good_as_two);
	tcase_add_test(tc, a_value_may_look_like_an_option);
	tcase_add_test(tc, what_is_not_given_keeps_its_initial_value);
	tcase_add_test(tc, switches_take_a_value_only_after_an_equals_sign);
	tcase_add_test(tc, the_last_of_two_counts_and_lists_collect);
	tcase_add_test(tc, numbers_are_checked);
	tcase_add_test(tc, mistakes_are_named);
	tcase_add_test(tc, known_options_count_behind_the_arguments);
	tcase_add_test(tc, unknown_ones_behind_the_arguments_are_arguments);
	tcase_add_test(tc, a_command_keeps_its_own_options);
	tcase_add_test(tc, two_dashes_end_the_options);
	tcase_add_test(tc, a_dash_and_an_empty_word_are_arguments);
	tcase_add_test(tc, help_is_known_everywhere);
	tcase_add_test(tc, the_help_text_is_aligned_and_leaves_out_hidden_options);
	return scratch_run(tc);
}
