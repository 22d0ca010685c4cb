#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/namespaces.h"
#include "lib/shim.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "oci/oci.h"
#include "test/scratch.h"

static struct oci_spec *spec;

static void setup(void)
{
	scratch_new();
	spec = NULL;
}

static void teardown(void)
{
	oci_spec_free(spec);
	scratch_remove();
}

/* A specification with a namespace of this type and path, and one for the network. */
static void parse(const char *type, const char *path)
{
	auto_error struct error err = { 0 };
	auto_free char *text = str_fmt(
		"{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"},\"linux\":{\"namespaces\":["
		"{\"type\":\"%s\",\"path\":\"%s\"},{\"type\":\"%s\"}]}}",
		type, path, str_eq(type, "network") ? "pid" : "network");

	oci_spec_freep(&spec);
	spec = oci_spec_parse(text, strlen(text), &err);
	ck_assert_msg(spec != NULL, "%s", err.msg);
}

static void assert_refused(const char *type, const char *path, const char *why)
{
	auto_error struct error err = { 0 };
	auto_free char *msg = str_fmt("linux.namespaces: '%s' %s", path, why);

	parse(type, path);
	ck_assert_msg(namespaces_check(spec, &err) < 0, "%s: taken", path);
	ck_assert_str_eq(err.msg, msg);
}

START_TEST(a_path_must_be_a_namespace_of_that_type)
{
	auto_free char *fifo = scratch_path("fifo"), *file = scratch_path("file");
	auto_error struct error err = { 0 };

	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	scratch_file("file", "");
	assert_refused("ipc", fifo, "is no ipc namespace");
	assert_refused("ipc", file, "is no ipc namespace");
	assert_refused("ipc", "/proc/self/ns/uts", "is no ipc namespace");
	assert_refused("network", "/proc/self/ns/uts", "is no network namespace");
	parse("network", "/no/such");
	ck_assert_int_eq(namespaces_check(spec, &err), -ENOENT);
	ck_assert_str_eq(err.msg, "linux.namespaces: open '/no/such': No such file or directory");
}
END_TEST

START_TEST(our_own_namespace_is_inherited_as_without_an_entry)
{
	static const char *const types[][2] = { { "pid", "pid" },   { "ipc", "ipc" },
		                                { "uts", "uts" },   { "cgroup", "cgroup" },
		                                { "user", "user" }, { "time", "time" } };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		auto_free char *path = str_fmt("/proc/self/ns/%s", types[i][1]);
		auto_error struct error err = { 0 };
		struct shim_namespaces ns = { 0 };

		parse(types[i][0], path);
		ck_assert_msg(namespaces_check(spec, &err) == 0, "%s", err.msg);
		ck_assert_int_eq(namespaces_of_shim(spec, &ns, &err), 0);
		ck_assert_int_eq(ns.create, CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID);
		ck_assert_uint_eq(ns.n_join, 0);
		namespaces_localise(spec);
		ck_assert_uint_eq(spec->linux_->n_namespaces, 1);
		ck_assert_str_eq(spec->linux_->namespaces[0].type, "network");
	}
}
END_TEST

/* A child in an IPC, a network, a UTS and a user namespace of its own; ends with this process. */
static pid_t other_process(void)
{
	int pair[2];
	pid_t pid;
	char c;

	ck_assert_int_eq(pipe(pair), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		alarm(30);
		if (unshare(CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWUSER) < 0 ||
		    sethostname("given", 5) < 0 || write(pair[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(pair[1]);
	ck_assert_int_eq(read(pair[0], &c, 1), 1);
	close(pair[0]);
	return pid;
}

START_TEST(what_the_stand_in_can_have_it_joins)
{
	static const char *const types[][2] = { { "network", "net" }, { "ipc", "ipc" } };
	pid_t pid = other_process();

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		auto_free char *path = str_fmt("/proc/%d/ns/%s", (int)pid, types[i][1]);
		auto_error struct error err = { 0 };
		struct shim_namespaces ns = { 0 };
		auto_json struct json *list = NULL;

		parse(types[i][0], path);
		ck_assert_msg(namespaces_check(spec, &err) == 0, "%s", err.msg);
		ck_assert(namespace_is_joined(&spec->linux_->namespaces[0]));
		ck_assert(!namespace_is_pinned(&spec->linux_->namespaces[0]));
		ck_assert_int_eq(namespaces_of_shim(spec, &ns, &err), 0);
		ck_assert_int_eq(ns.create,
		                 CLONE_NEWNS | CLONE_NEWPID | (i == 0 ? 0 : CLONE_NEWNET));
		ck_assert_uint_eq(ns.n_join, 1);
		close(ns.join[0]);
		/* As if that process were the stand-in. */
		list = namespaces_describe(spec, pid, &err);
		ck_assert_msg(list != NULL, "%s", err.msg);
		ck_assert_uint_eq(json_len(list), 2);
		ck_assert_str_eq(json_get_string(json_at(list, 0), "type"), types[i][0]);
		ck_assert(json_get_bool(json_at(list, 0), "joined", false));
		ck_assert(!json_get_bool(json_at(list, 1), "joined", true));
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(a_given_uts_namespace_is_told_with_its_names)
{
	auto_error struct error err = { 0 };
	auto_json struct json *list = NULL;
	auto_free char *path = NULL;
	char before[65] = "", after[65] = "";
	pid_t pid = other_process();

	path = str_fmt("/proc/%d/ns/uts", (int)pid);
	parse("uts", path);
	ck_assert_int_eq(gethostname(before, sizeof(before) - 1), 0);
	list = namespaces_describe(spec, pid, &err);
	ck_assert_msg(list != NULL, "%s", err.msg);
	ck_assert_int_eq(gethostname(after, sizeof(after) - 1), 0);
	ck_assert_str_eq(before, after);
	ck_assert_str_eq(json_get_string(json_at(list, 0), "hostname"), "given");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(others_are_refused)
{
	pid_t pid = other_process();
	auto_free char *user = str_fmt("/proc/%d/ns/user", (int)pid);
	auto_error struct error err = { 0 };

	assert_refused("user", user, "is no user namespace of a sandbox");
	parse("network", "/proc/self/ns/net");
	ck_assert_int_eq(namespaces_check(spec, &err), -ENOTSUP);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(without_a_network_namespace_it_would_be_the_hosts_network)
{
	static const char text[] =
		"{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"},\"linux\":{\"namespaces\":["
		"{\"type\":\"mount\"}]}}";
	auto_error struct error err = { 0 };

	oci_spec_freep(&spec);
	spec = oci_spec_parse(text, strlen(text), &err);
	ck_assert_msg(spec != NULL, "%s", err.msg);
	ck_assert_int_eq(namespaces_check(spec, &err), -ENOTSUP);
	ck_assert_str_eq(err.msg, "linux.namespaces: no network namespace: the host's network "
	                          "cannot be used by a container in a virtual machine");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("namespaces");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_path_must_be_a_namespace_of_that_type);
	tcase_add_test(tc, our_own_namespace_is_inherited_as_without_an_entry);
	tcase_add_test(tc, what_the_stand_in_can_have_it_joins);
	tcase_add_test(tc, a_given_uts_namespace_is_told_with_its_names);
	tcase_add_test(tc, others_are_refused);
	tcase_add_test(tc, without_a_network_namespace_it_would_be_the_hosts_network);
	return scratch_run(tc);
}
