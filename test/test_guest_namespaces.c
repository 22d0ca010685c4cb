#include <errno.h>
#include <sched.h>

#include "agent/guest/engine-internal.h"
#include "oci/oci.h"
#include "test/scratch.h"

START_TEST(ids_are_mapped_to_the_outside)
{
	struct oci_id_mapping maps[] = {
		{ .container_id = 0, .host_id = 1000, .size = 1 },
		{ .container_id = 1, .host_id = 100000, .size = 10 },
	};

	ck_assert_uint_eq(idmap_to_outside(maps, 2, 0), 1000);
	ck_assert_uint_eq(idmap_to_outside(maps, 2, 10), 100009);
	ck_assert_uint_eq(idmap_to_outside(maps, 2, 11), 11);
	ck_assert_uint_eq(idmap_to_outside(NULL, 0, 5), 5);
}
END_TEST

START_TEST(the_network_of_the_vm_is_nothing_to_make)
{
	auto_error struct error err = { 0 };
	struct oci_namespace list[] = { { .type = "network" },
		                        { .type = "mount" },
		                        { .type = "pid" } };
	struct oci_linux x = { .namespaces = list, .n_namespaces = 3 };
	struct ns_plan ns = { 0 };

	ck_assert_msg(namespaces_plan(&ns, &x, &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(ns.create, CLONE_NEWNS | CLONE_NEWPID);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("namespaces");

	tcase_add_test(tc, ids_are_mapped_to_the_outside);
	tcase_add_test(tc, the_network_of_the_vm_is_nothing_to_make);
	return scratch_run(tc);
}
