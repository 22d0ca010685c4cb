#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "agent/protocol.h"
#include "lib/base/error.h"
#include "lib/base/str.h"
#include "oci/oci.h"
#include "test/scratch.h"

#define SOURCE PROTOCOL_SHM "/1f-2a"

static struct guest guest;
static struct container containers[2];

/* The agent's directories, for nobody else. */
static void setup(void)
{
	scratch_new();
	scratch_unshare_mounts();
	ck_assert_int_eq(mount("run", "/run", "tmpfs", 0, NULL), 0);
	guest = (struct guest){ 0 };
	memset(containers, 0, sizeof(containers));
}

static void teardown(void)
{
	umount2("/run", MNT_DETACH);
	scratch_remove();
}

static struct oci_spec *spec_with(const char *source)
{
	auto_error struct error err = { 0 };
	auto_free char *text =
		str_fmt("{\"ociVersion\":\"1.0.0\",\"mounts\":[{\"destination\":\"/dev/shm\","
	                "\"type\":\"tmpfs\",\"source\":\"%s\","
	                "\"options\":[\"ro\",\"nosuid\",\"mode=1777\",\"size=65536\"]}]}",
	                source);
	struct oci_spec *spec = oci_spec_parse(text, strlen(text), &err);

	ck_assert_msg(spec != NULL, "%s", err.msg);
	return spec;
}

static void add(struct container *ct)
{
	auto_error struct error err = { 0 };

	ct->spec = spec_with(SOURCE);
	ct->next = guest.containers;
	guest.containers = ct;
	ck_assert_msg(shm_use(ct->spec, &err) == 0, "%s", err.msg);
}

static void take_first(void)
{
	struct container *ct = guest.containers;

	guest.containers = ct->next;
	shm_release(&guest, ct->spec);
	oci_spec_free(ct->spec);
}

START_TEST(containers_that_name_the_same_memory_have_one_file_system)
{
	auto_error struct error err = { 0 };
	const struct oci_mount *m;
	struct statfs fs;

	add(&containers[0]);
	m = &containers[0].spec->mounts[0];
	ck_assert_str_eq(m->type, "bind");
	ck_assert_str_eq(m->options[0], "ro");
	ck_assert_str_eq(m->options[1], "nosuid");
	ck_assert_str_eq(m->options[2], "bind");
	ck_assert_ptr_null(m->options[3]);
	ck_assert_int_eq(statfs(SOURCE, &fs), 0);
	ck_assert_int_eq((int)(fs.f_blocks * (unsigned long)fs.f_bsize), 65536);
	ck_assert_int_eq(symlink("target", SOURCE "/file"), 0);
	add(&containers[1]);
	ck_assert_int_eq(faccessat(AT_FDCWD, SOURCE "/file", F_OK, AT_SYMLINK_NOFOLLOW), 0);
	take_first();
	ck_assert_int_eq(faccessat(AT_FDCWD, SOURCE "/file", F_OK, AT_SYMLINK_NOFOLLOW), 0);
	take_first();
	ck_assert_int_lt(access(SOURCE, F_OK), 0);
}
END_TEST

START_TEST(other_file_systems_are_left_as_they_are)
{
	static const char *const others[] = { "shm", PROTOCOL_SHM, PROTOCOL_SHM "/",
		                              PROTOCOL_SHM "/../x", PROTOCOL_SHM "x/1" };
	auto_error struct error err = { 0 };

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		struct oci_spec *spec = spec_with(others[i]);

		ck_assert_int_eq(shm_use(spec, &err), 0);
		ck_assert_str_eq(spec->mounts[0].type, "tmpfs");
		ck_assert_str_eq(spec->mounts[0].options[3], "size=65536");
		shm_release(&guest, spec);
		oci_spec_free(spec);
	}
	ck_assert_int_lt(access(PROTOCOL_SHM, F_OK), 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("guest_shm");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, containers_that_name_the_same_memory_have_one_file_system);
	tcase_add_test(tc, other_file_systems_are_left_as_they_are);
	return scratch_run(tc);
}
