#include "agent/guest/engine-internal.h"
#include "test/scratch.h"

START_TEST(home_comes_from_the_line_of_the_user)
{
	const char *passwd = "root:x:0:0:root:/root:/bin/sh\n"
			     "broken\n"
			     "x:y:nine:0::/x:\n"
			     "rel:x:7:7::home:/bin/sh\n"
			     "me:x:1000:1000::/home/me:/bin/sh";
	auto_free char *root = users_home(passwd, 0), *me = users_home(passwd, 1000);

	ck_assert_str_eq(root, "/root");
	ck_assert_str_eq(me, "/home/me");
	ck_assert_ptr_null(users_home(passwd, 7));
	ck_assert_ptr_null(users_home(passwd, 9));
	ck_assert_ptr_null(users_home("", 0));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("users");

	tcase_add_test(tc, home_comes_from_the_line_of_the_user);
	return scratch_run(tc);
}
