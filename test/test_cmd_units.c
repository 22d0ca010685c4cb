#include <errno.h>
#include <stdlib.h>

#include "cmd/opt.h"
#include "cmd/units.h"
#include "lib/base/error.h"
#include "test/scratch.h"

static int64_t size(const char *s)
{
	int64_t n = -7;
	int r = size_parse(s, &n);

	return r < 0 ? r : n;
}

static int64_t nsec(const char *s)
{
	int64_t n = -7;
	int r = time_parse(s, &n);

	return r < 0 ? r : n;
}

START_TEST(sizes_go_by_steps_of_1024)
{
	ck_assert_int_eq(size("0"), 0);
	ck_assert_int_eq(size("4096"), 4096);
	ck_assert_int_eq(size("50M"), 50 << 20);
	ck_assert_int_eq(size("50m"), 50 << 20);
	ck_assert_int_eq(size("10 KiB"), 10240);
	ck_assert_int_eq(size("7b"), 7);
	ck_assert_int_eq(size("1.5g"), INT64_C(3) << 29);
	ck_assert_int_eq(size("2T"), INT64_C(2) << 40);
	ck_assert_int_eq(size("3pb"), INT64_C(3) << 50);
}
END_TEST

static const char *const no_sizes[] = {
	"",    "M",       "-5",          " 10k", "10  k",
	"5x",  "1000kbb", "1.",          ".5k",  "0x10",
	"1e3", "1.2.3",   "inf",         "5k ",  "+5",
	"5kM", "5ki5",    "9999999999p", "1,5g", "9223372036854775808",
};

START_TEST(what_is_no_size_is_refused)
{
	ck_assert_int_eq(size(no_sizes[_i]), -EINVAL);
}
END_TEST

START_TEST(times_are_sums_with_units)
{
	ck_assert_int_eq(nsec("5s"), INT64_C(5000000000));
	ck_assert_int_eq(nsec("1m30s"), INT64_C(90000000000));
	ck_assert_int_eq(nsec("1.5h"), INT64_C(5400000000000));
	ck_assert_int_eq(nsec("500ms"), 500000000);
	ck_assert_int_eq(nsec("2us"), 2000);
	ck_assert_int_eq(nsec("2\302\265s"), 2000);
	ck_assert_int_eq(nsec("-1ns"), -1);
	ck_assert_int_eq(nsec("+.5us"), 500);
	ck_assert_int_eq(nsec("0"), 0);
}
END_TEST

static const char *const no_times[] = { "", "5", "s", "-", "5x", "5s5", "1e3s", "5 s", "5ss", "." };

START_TEST(what_is_no_time_is_refused)
{
	ck_assert_int_eq(nsec(no_times[_i]), -EINVAL);
}
END_TEST

START_TEST(a_time_has_a_limit)
{
	ck_assert_int_eq(nsec("9999999h"), -ERANGE);
}
END_TEST

struct values {
	int64_t count, interval;
};

static const struct opt opts[] = {
	{ "count", 0, OPT_INT, offsetof(struct values, count), NULL, "how many" },
	{ "interval", 0, OPT_TIME, offsetof(struct values, interval), "5s", "how often" },
	{ 0 },
};

static int parse(struct values *v, const char *word, struct error *err)
{
	char *argv[] = { (char *)word, NULL };
	bool help;

	*v = (struct values){ 0 };
	return opt_parse(opts, v, false, word ? 1 : 0, argv, &help, err);
}

START_TEST(options_take_numbers_and_times)
{
	auto_error struct error err = { 0 };
	struct values v;

	ck_assert_int_eq(parse(&v, NULL, &err), 0);
	ck_assert_int_eq(v.count, 0);
	ck_assert_int_eq(v.interval, INT64_C(5000000000));
	ck_assert_int_eq(parse(&v, "--count=-1", &err), 0);
	ck_assert_int_eq(v.count, -1);
	ck_assert_int_eq(parse(&v, "--interval=1ms", &err), 0);
	ck_assert_int_eq(v.interval, 1000000);
	ck_assert_int_eq(parse(&v, "--interval=5", &err), -EINVAL);
	ck_assert_str_eq(err.msg, "invalid value \"5\" for flag -interval: parse error");
	ck_assert_int_eq(parse(&v, "--count=x", &err), -EINVAL);
	ck_assert_str_eq(err.msg, "invalid value \"x\" for flag -count: parse error");
}
END_TEST

START_TEST(the_help_shows_the_usual_time)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	opt_print_help(opts, out);
	ck_assert_int_eq(fclose(out), 0);
	ck_assert_str_eq(text, "   --count value     how many\n"
	                       "   --interval value  how often (default: 5s)\n"
	                       "   --help, -h        show help\n");
	free(text);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("units");

	tcase_add_test(tc, sizes_go_by_steps_of_1024);
	tcase_add_loop_test(tc, what_is_no_size_is_refused, 0, (int)ARRAY_SIZE(no_sizes));
	tcase_add_test(tc, times_are_sums_with_units);
	tcase_add_loop_test(tc, what_is_no_time_is_refused, 0, (int)ARRAY_SIZE(no_times));
	tcase_add_test(tc, a_time_has_a_limit);
	tcase_add_test(tc, options_take_numbers_and_times);
	tcase_add_test(tc, the_help_shows_the_usual_time);
	return scratch_run(tc);
}
