#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "agent/protocol.h"
#include "lib/verbs.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "oci/oci.h"
#include "test/scratch.h"

static const struct guest_place place = {
	.bundle = "/bundle", .key = "key", .cgroup = "c/g", .cpus = 2
};
static struct oci_spec *spec;
static struct json *mounts, *guest;

static void setup(void)
{
	spec = NULL;
	guest = NULL;
	mounts = json_new_array();
}

static void teardown(void)
{
	oci_spec_free(spec);
	json_free(mounts);
	json_free(guest);
}

static void parse(const char *members)
{
	auto_error struct error err = { 0 };
	auto_free char *text =
		str_fmt("{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\",\"readonly\":true}%s}",
	                members);

	spec = oci_spec_parse(text, strlen(text), &err);
	ck_assert_msg(spec != NULL, "%s", err.msg);
}

/* Make the guest's document from a specification with these members. */
static void make(const char *members)
{
	auto_error struct error err = { 0 };

	parse(members);
	guest = guest_spec(spec, &place, mounts, &err);
	ck_assert_msg(guest != NULL, "%s", err.msg);
}

static void assert_json(const struct json *j, const char *expected)
{
	auto_free char *text = json_print(j, false);

	ck_assert_str_eq(text, expected);
}

START_TEST(the_cgroup_is_below_the_guests_root)
{
	make(",\"linux\":{\"cgroupsPath\":\"x:y:z\"}");
	ck_assert_str_eq(json_get_string(json_get_object(guest, "linux"), "cgroupsPath"), "/c/g");
}
END_TEST

START_TEST(the_root_is_in_the_share)
{
	make("");
	assert_json(json_get(guest, "root"),
	            "{\"path\":\"/run/vcrt/share/key/rootfs\",\"readonly\":true}");
	assert_json(mounts, "[]");
	/* The caller's document is as it was. */
	ck_assert_str_eq(spec->root->path, "r");
}
END_TEST

START_TEST(sources_of_binds_become_paths_in_the_share)
{
	make(",\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
	     "{\"destination\":\"/data\",\"type\":\"bind\",\"source\":\"/host/data\","
	     "\"options\":[\"rbind\",\"ro\"]},"
	     "{\"destination\":\"/etc/hosts\",\"source\":\"/host/hosts\",\"options\":[\"bind\"]}]");
	assert_json(json_get(guest, "mounts"),
	            "[{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
	            "{\"destination\":\"/data\",\"type\":\"bind\","
	            "\"source\":\"/run/vcrt/share/key/m1\",\"options\":[\"rbind\",\"ro\"]},"
	            "{\"destination\":\"/etc/hosts\",\"type\":\"bind\","
	            "\"source\":\"/run/vcrt/share/key/m2\",\"options\":[\"bind\"]}]");
	assert_json(mounts, "[{\"type\":\"proc\",\"dest\":\"/proc\"},"
	                    "{\"type\":\"bind\",\"dest\":\"/data\",\"name\":\"m1\","
	                    "\"path\":\"/host/data\",\"recursive\":true,\"readonly\":true,"
	                    "\"all_readonly\":false},"
	                    "{\"type\":\"bind\",\"dest\":\"/etc/hosts\",\"name\":\"m2\","
	                    "\"path\":\"/host/hosts\",\"recursive\":false,\"readonly\":false,"
	                    "\"all_readonly\":false}]");
}
END_TEST

START_TEST(a_relative_source_is_in_the_bundle)
{
	make(",\"mounts\":[{\"destination\":\"/data\",\"type\":\"bind\",\"source\":\"sub/dir\"}]");
	ck_assert_str_eq(json_get_string(json_at(mounts, 0), "path"), "/bundle/sub/dir");
}
END_TEST

START_TEST(what_the_guest_mounts_itself_stays)
{
	static const char list[] =
		"[{\"destination\":\"/tmp\",\"type\":\"tmpfs\",\"source\":\"tmpfs\","
		"\"options\":[\"size=1m\"]},{\"destination\":\"/sys\",\"type\":\"sysfs\","
		"\"source\":\"sysfs\"},{\"destination\":\"/dev/mqueue\",\"type\":\"mqueue\","
		"\"source\":\"mqueue\"}]";
	auto_free char *members = str_fmt(",\"mounts\":%s", list);

	make(members);
	assert_json(json_get(guest, "mounts"), list);
	/* The stand-in shows what it can have, too. */
	assert_json(mounts, "[{\"type\":\"tmpfs\",\"dest\":\"/tmp\"}]");
}
END_TEST

START_TEST(shared_memory_is_the_guests_own_and_as_large)
{
	auto_free char *members = NULL, *expected = NULL;
	struct stat st;

	scratch_new();
	scratch_unshare_mounts();
	ck_assert_int_eq(mount("shm", scratch_root(), "tmpfs", 0, "size=4m"), 0);
	members = str_fmt(",\"mounts\":[{\"destination\":\"/dev/shm\",\"type\":\"bind\","
	                  "\"source\":\"%s\",\"options\":[\"rbind\",\"ro\"]}]",
	                  scratch_root());
	make(members);
	ck_assert_int_eq(stat(scratch_root(), &st), 0);
	expected =
		str_fmt("[{\"destination\":\"/dev/shm\",\"type\":\"tmpfs\","
	                "\"source\":\"%s/%llx-%llx\",\"options\":[\"ro\",\"nosuid\",\"noexec\","
	                "\"nodev\",\"mode=1777\",\"size=4194304\"]}]",
	                PROTOCOL_SHM, (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	assert_json(json_get(guest, "mounts"), expected);
	assert_json(mounts, "[{\"type\":\"tmpfs\",\"dest\":\"/dev/shm\"}]");
	umount2(scratch_root(), MNT_DETACH);
	scratch_remove();
}
END_TEST

START_TEST(shared_memory_of_an_odd_source_has_the_usual_size)
{
	make(",\"mounts\":[{\"destination\":\"/dev/shm\",\"type\":\"bind\","
	     "\"source\":\"/no/such\"}]");
	ck_assert_ptr_nonnull(strstr(
		json_string(json_at(json_get(json_at(json_get(guest, "mounts"), 0), "options"), 4)),
		"size=67108864"));
}
END_TEST

START_TEST(a_remount_has_no_source_to_share)
{
	static const char list[] =
		"[{\"destination\":\"/data\",\"type\":\"none\",\"source\":\"none\","
		"\"options\":[\"bind\",\"remount\",\"ro\"]}]";
	auto_free char *members = str_fmt(",\"mounts\":%s", list);

	make(members);
	assert_json(json_get(guest, "mounts"), list);
	assert_json(mounts, "[]");
}
END_TEST

static void scratch_mount(const char *rel, unsigned long flags)
{
	auto_free char *path = scratch_path(rel);

	if (*rel)
		scratch_dir(rel);
	ck_assert_int_eq(mount("none", path, "tmpfs", flags, NULL), 0);
}

/* A scratch directory with mounts in it: "a b" is noexec, "a b/deep" is nodev. */
static void mount_scratch(void)
{
	scratch_new();
	scratch_unshare_mounts();
	scratch_mount("", 0);
	scratch_mount("a b", MS_NOEXEC);
	scratch_mount("a b/deep", MS_NODEV);
}

static void unmount_scratch(void)
{
	umount2(scratch_root(), MNT_DETACH);
	scratch_remove();
}

static void make_bind(const char *options)
{
	auto_free char *members =
		str_fmt(",\"mounts\":[{\"destination\":\"/d\",\"type\":\"none\",\"source\":"
	                "\"%s\",\"options\":[%s]}]",
	                scratch_root(), options);

	make(members);
}

START_TEST(mounts_below_a_source_are_mounts_of_the_guest)
{
	mount_scratch();
	make_bind("\"rbind\",\"ro\",\"rnosuid\",\"rslave\"");
	assert_json(
		json_get(guest, "mounts"),
		"[{\"destination\":\"/d\",\"type\":\"bind\",\"source\":"
		"\"/run/vcrt/share/key/m0\",\"options\":[\"rbind\",\"ro\",\"rnosuid\","
		"\"rslave\"]},"
		"{\"destination\":\"/d/a b\",\"type\":\"bind\",\"source\":"
		"\"/run/vcrt/share/key/m0/a b\",\"options\":[\"noexec\",\"bind\",\"private\","
		"\"rnosuid\",\"rslave\"]},"
		"{\"destination\":\"/d/a b/deep\",\"type\":\"bind\",\"source\":"
		"\"/run/vcrt/share/key/m0/a b/deep\",\"options\":[\"nodev\",\"bind\",\"private\","
		"\"rnosuid\",\"rslave\"]}]");
	unmount_scratch();
}
END_TEST

START_TEST(a_plain_bind_has_nothing_that_is_mounted_below)
{
	mount_scratch();
	make_bind("\"bind\"");
	ck_assert_uint_eq(json_len(json_get_array(guest, "mounts")), 1);
	unmount_scratch();
}
END_TEST

START_TEST(a_bind_has_the_flags_of_the_mount_it_is_made_from)
{
	auto_free char *members = NULL;

	mount_scratch();
	members = str_fmt(",\"mounts\":[{\"destination\":\"/d\",\"type\":\"bind\","
	                  "\"source\":\"%s/a b/deep\",\"options\":[\"bind\",\"dev\"]}]",
	                  scratch_root());
	make(members);
	assert_json(json_get(json_at(json_get_array(guest, "mounts"), 0), "options"),
	            "[\"nodev\",\"bind\",\"dev\"]");
	unmount_scratch();
}
END_TEST

START_TEST(mounts_in_the_root_come_before_those_of_the_configuration)
{
	auto_error struct error err = { 0 };

	mount_scratch();
	parse(",\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\"}]");
	free(spec->root->path);
	spec->root->path = str_dup(scratch_root());
	guest = guest_spec(spec, &place, mounts, &err);
	ck_assert_msg(guest != NULL, "%s", err.msg);
	assert_json(
		json_get(guest, "mounts"),
		"[{\"destination\":\"/a b\",\"type\":\"bind\",\"source\":"
		"\"/run/vcrt/share/key/rootfs/a b\",\"options\":[\"noexec\",\"bind\",\"private\"]},"
		"{\"destination\":\"/a b/deep\",\"type\":\"bind\",\"source\":"
		"\"/run/vcrt/share/key/rootfs/a "
		"b/deep\",\"options\":[\"nodev\",\"bind\",\"private\"]},"
		"{\"destination\":\"/proc\",\"type\":\"proc\"}]");
	unmount_scratch();
}
END_TEST

START_TEST(an_overlay_is_made_on_the_host)
{
	make(",\"mounts\":[{\"destination\":\"/o\",\"type\":\"overlay\",\"source\":\"ov\","
	     "\"options\":[\"lowerdir=/a:/b\",\"nosuid\",\"upperdir=/u\",\"workdir=/w\","
	     "\"volatile\",\"rprivate\"]}]");
	assert_json(json_get(guest, "mounts"),
	            "[{\"destination\":\"/o\",\"type\":\"bind\",\"source\":"
	            "\"/run/vcrt/share/key/m0\",\"options\":[\"nosuid\",\"rprivate\",\"bind\"]}]");
	assert_json(mounts,
	            "[{\"type\":\"overlay\",\"dest\":\"/o\",\"name\":\"m0\",\"path\":\"ov\","
	            "\"recursive\":true,\"readonly\":false,\"all_readonly\":false,\"data\":"
	            "\"lowerdir=/a:/b,upperdir=/u,workdir=/w,volatile\"}]");
}
END_TEST

START_TEST(sockets_and_fifos_of_the_host_are_refused)
{
	auto_error struct error err = { 0 };
	auto_free char *members = NULL, *msg = NULL, *fifo = NULL;

	scratch_new();
	fifo = scratch_path("pipe");
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	members = str_fmt(",\"mounts\":[{\"destination\":\"/p\",\"type\":\"bind\",\"source\":"
	                  "\"%s/pipe\",\"options\":[\"bind\"]}]",
	                  scratch_root());
	msg = str_fmt(
		"error mounting \"%s/pipe\" to rootfs at \"/p\": a FIFO of the host cannot be "
		"reached from a virtual machine",
		scratch_root());
	parse(members);
	ck_assert_ptr_null(guest_spec(spec, &place, mounts, &err));
	ck_assert_str_eq(err.msg, msg);
	scratch_remove();
}
END_TEST

START_TEST(a_relative_destination_is_taken_from_the_root)
{
	make(",\"mounts\":[{\"destination\":\"x/y\",\"type\":\"ramfs\"}]");
	assert_json(json_get(guest, "mounts"), "[{\"destination\":\"/x/y\",\"type\":\"ramfs\"}]");
}
END_TEST

START_TEST(paths_of_namespaces_stay_on_the_host)
{
	make(",\"linux\":{\"namespaces\":[{\"type\":\"network\",\"path\":\"/run/netns/x\"},"
	     "{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"mount\",\"path\":\"\"},"
	     "{\"type\":\"ipc\",\"path\":\"/proc/self/ns/ipc\"}]}");
	assert_json(json_get(json_get_object(guest, "linux"), "namespaces"),
	            "[{\"type\":\"network\"},{\"type\":\"pid\"},{\"type\":\"network\"},"
	            "{\"type\":\"mount\"}]");
}
END_TEST

START_TEST(only_hooks_of_the_container_go_to_the_guest)
{
	make(",\"hooks\":{\"prestart\":[{\"path\":\"/1\"}],\"createRuntime\":[{\"path\":\"/2\"}],"
	     "\"createContainer\":[{\"path\":\"/3\",\"args\":[\"a\"]}],"
	     "\"startContainer\":[{\"path\":\"/4\",\"timeout\":3}],"
	     "\"poststart\":[{\"path\":\"/5\"}],\"poststop\":[{\"path\":\"/6\"}]}");
	assert_json(json_get(guest, "hooks"),
	            "{\"createContainer\":[{\"path\":\"/3\",\"args\":[\"a\"]}],"
	            "\"startContainer\":[{\"path\":\"/4\",\"timeout\":3}]}");
	ck_assert_uint_eq(spec->hooks->n_prestart, 1);
}
END_TEST

START_TEST(interfaces_that_are_moved_are_nothing_for_the_guest)
{
	make(",\"linux\":{\"netDevices\":{\"eth0\":{},\"eth1\":{\"name\":\"lan\"}},"
	     "\"namespaces\":[{\"type\":\"mount\"}]}");
	ck_assert_ptr_null(json_get(json_get_object(guest, "linux"), "netDevices"));
	ck_assert_uint_eq(spec->linux_->n_net_devices, 2);
}
END_TEST

START_TEST(the_vm_object_stays_on_the_host)
{
	make(",\"vm\":{\"kernel\":{\"path\":\"/k\"}},\"annotations\":{\"a\":\"b\"},"
	     "\"hostname\":\"h\"");
	ck_assert_ptr_null(json_get(guest, "vm"));
	ck_assert_str_eq(json_get_string(guest, "hostname"), "h");
	ck_assert_ptr_nonnull(json_get(guest, "annotations"));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("guest_spec");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_root_is_in_the_share);
	tcase_add_test(tc, the_cgroup_is_below_the_guests_root);
	tcase_add_test(tc, sources_of_binds_become_paths_in_the_share);
	tcase_add_test(tc, a_relative_source_is_in_the_bundle);
	tcase_add_test(tc, what_the_guest_mounts_itself_stays);
	tcase_add_test(tc, shared_memory_is_the_guests_own_and_as_large);
	tcase_add_test(tc, shared_memory_of_an_odd_source_has_the_usual_size);
	tcase_add_test(tc, a_relative_destination_is_taken_from_the_root);
	tcase_add_test(tc, sockets_and_fifos_of_the_host_are_refused);
	tcase_add_test(tc, an_overlay_is_made_on_the_host);
	tcase_add_test(tc, mounts_in_the_root_come_before_those_of_the_configuration);
	tcase_add_test(tc, a_bind_has_the_flags_of_the_mount_it_is_made_from);
	tcase_add_test(tc, a_plain_bind_has_nothing_that_is_mounted_below);
	tcase_add_test(tc, mounts_below_a_source_are_mounts_of_the_guest);
	tcase_add_test(tc, a_remount_has_no_source_to_share);
	tcase_add_test(tc, paths_of_namespaces_stay_on_the_host);
	tcase_add_test(tc, only_hooks_of_the_container_go_to_the_guest);
	tcase_add_test(tc, interfaces_that_are_moved_are_nothing_for_the_guest);
	tcase_add_test(tc, the_vm_object_stays_on_the_host);
	return scratch_run(tc);
}
