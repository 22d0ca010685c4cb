#include "cmd/columns.h"
#include "lib/base/mem.h"
#include "test/scratch.h"

static char *print(const struct columns *c)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	columns_print(c, out);
	ck_assert_int_eq(fclose(out), 0);
	return text;
}

START_TEST(columns_are_as_wide_as_their_widest_cell)
{
	struct columns c = { .n = 3, .min_width = 4, .padding = 2 };
	const char *const head[] = { "ID", "N", "LAST" }, *const row[] = { "long", "1", "x y" };
	auto_free char *text = NULL;

	columns_add(&c, head);
	columns_add(&c, row);
	text = print(&c);
	ck_assert_str_eq(text, "ID    N   LAST\n"
	                       "long  1   x y\n");
	columns_done(&c);
}
END_TEST

START_TEST(characters_count_and_missing_cells_are_empty)
{
	struct columns c = { .n = 2, .padding = 1 };
	const char *const a[] = { "\xc3\xa9\xc3\xa9", "x" }, *const b[] = { NULL, "y" };
	auto_free char *text = NULL;

	columns_add(&c, a);
	columns_add(&c, b);
	text = print(&c);
	ck_assert_str_eq(text, "\xc3\xa9\xc3\xa9 x\n   y\n");
	columns_done(&c);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("columns");

	tcase_add_test(tc, columns_are_as_wide_as_their_widest_cell);
	tcase_add_test(tc, characters_count_and_missing_cells_are_empty);
	return scratch_run(tc);
}
