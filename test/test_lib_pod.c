/* Several containers in one sandbox, through the public functions. */
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "lib/base/json.h"
#include "test/test_lib_life.h"

#define MANY 20

/* How clients name the pod of a container. */
static const struct client {
	const char *type, *sandbox;
} cri = { "io.kubernetes.cri.container-type", "io.kubernetes.cri.sandbox-id" },
  crio = { "io.kubernetes.cri-o.ContainerType", "io.kubernetes.cri-o.SandboxID" };

static char *first;   /* id of the pod's first container */
static pid_t standin; /* its process */

static void pod_setup(void)
{
	setup();
	standin = created();
	first = str_dup(id);
}

static void pod_teardown(void)
{
	free(first);
	teardown();
}

/* From now on the verbs are about FIRST-NAME, created from a document with more members. */
static void use(const char *name, const char *more)
{
	free(id);
	id = *name ? str_fmt("%s-%s", first, name) : str_dup(first);
	write_spec(more);
}

/* Members of the document of a container of the pod. */
static char *annotations(const struct client *c)
{
	return str_fmt(",\"annotations\":{\"%s\":\"container\",\"%s\":\"%s\"}", c->type, c->sandbox,
	               first);
}

static void use_pod(const char *name, const struct client *c)
{
	auto_free char *more = annotations(c);

	use(name, more);
}

/* The document has this entry in the place of a new namespace of its type. */
static void use_namespace(const char *name, const char *type, const char *path)
{
	auto_free char *more = str_fmt("{\"type\":\"%s\",\"path\":\"%s\"}", type, path);
	auto_free char *plain = str_fmt("{\"type\":\"%s\"}", type);
	auto_free char *spec = NULL, *text = NULL, *file = scratch_path("b/config.json");
	auto_error struct error e = { 0 };
	const char *at;

	use(name, "");
	ck_assert_int_eq(fs_read(file, 1 << 16, &spec, NULL, &e), 0);
	at = strstr(spec, plain);
	ck_assert(at != NULL);
	text = str_fmt("%.*s%s%s", (int)(at - spec), spec, more, at + strlen(plain));
	scratch_file("b/config.json", text);
}

/* There is one sandbox, with so many containers. */
static void assert_one_sandbox(size_t containers)
{
	int n;
	struct vcrt_sandbox *s = sandbox(&n);
	size_t found = 0;

	ck_assert_int_eq(n, 1);
	while (s->containers[found])
		found++;
	ck_assert_uint_eq(found, containers);
	ck_assert_uint_eq(count("run"), 1);
	vcrt_sandboxes_free(s, (size_t)n);
}

static void remove_it(bool force)
{
	ck_assert_msg(vcrt_container_delete(v, id, force, &err) == 0, "%s", err.msg);
	ck_assert(!cgroup_exists());
}

START_TEST(annotations_lead_into_the_pods_sandbox)
{
	pid_t b, c;

	use_pod("b", &cri);
	b = created();
	use_pod("c", &crio);
	c = created();
	assert_one_sandbox(3);
	start();
	assert_status(VCRT_RUNNING, c);
	use("b", "");
	assert_status(VCRT_CREATED, b);
	ck_assert_int_eq(vcrt_container_kill(v, id, SIGKILL, false, &err), 0);
	ck_assert_int_eq(wait_exit(b), 137);
	assert_status(VCRT_STOPPED, 0);
	assert_error(vcrt_container_kill(v, id, SIGKILL, false, &err), ESRCH,
	             "container not running");
	remove_it(false);
	use("c", "");
	assert_status(VCRT_RUNNING, c);
	assert_one_sandbox(2);
}
END_TEST

START_TEST(the_first_one_may_be_deleted_first)
{
	pid_t b, monitor, vmm;
	auto_free char *cgroup = NULL;

	use_pod("b", &cri);
	b = created();
	pids(&monitor, &vmm);
	use("", "");
	remove_it(true);
	ck_assert_int_eq(wait_exit(standin), 137);
	use("b", "");
	assert_status(VCRT_CREATED, b);
	ck_assert_int_eq(kill(vmm, 0), 0);
	cgroup = str_fmt("/proc/%d/cgroup", (int)vmm);
	ck_assert(fs_exists(cgroup));
	remove_it(true);
	ck_assert_int_eq(wait_exit(b), 137);
	ck_assert_uint_eq(count("run"), 0);
	ck_assert_uint_eq(count("root"), 0);
}
END_TEST

START_TEST(the_last_one_that_lives_ends_the_vm_the_last_delete_takes_the_directory)
{
	pid_t b, monitor, vmm;

	use_pod("b", &cri);
	b = created();
	pids(&monitor, &vmm);
	ck_assert_int_eq(vcrt_container_kill(v, first, SIGKILL, false, &err), 0);
	ck_assert_int_eq(wait_exit(standin), 137);
	ck_assert_int_eq(kill(monitor, 0), 0);
	ck_assert_int_eq(vcrt_container_kill(v, id, SIGKILL, false, &err), 0);
	ck_assert_int_eq(wait_exit(b), 137);
	wait_exit(monitor);
	ck_assert_uint_eq(count("run"), 1);
	remove_it(false);
	ck_assert_uint_eq(count("run"), 1);
	use("", "");
	remove_it(false);
	ck_assert_uint_eq(count("run"), 0);
}
END_TEST

START_TEST(paths_lead_into_the_sandbox_whose_namespace_they_name)
{
	static const char *const types[][2] = {
		{ "network", "net" }, { "ipc", "ipc" }, { "uts", "uts" }, { "pid", "pid" }
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		auto_free char *ours = str_fmt("/proc/%d/ns/%s", (int)standin, types[i][1]);
		auto_free char *theirs = NULL;
		struct stat a, b;
		pid_t pid;

		use_namespace(types[i][0], types[i][0], ours);
		pid = created();
		theirs = str_fmt("/proc/%d/ns/%s", (int)pid, types[i][1]);
		ck_assert_int_eq(stat(ours, &a), 0);
		ck_assert_int_eq(stat(theirs, &b), 0);
		ck_assert_uint_eq(a.st_ino, b.st_ino);
		assert_one_sandbox(i + 2);
	}
}
END_TEST

START_TEST(who_names_two_sandboxes_is_refused)
{
	auto_free char *file = scratch_path("b/config.json"), *more = annotations(&cri);
	auto_free char *ipc = NULL, *spec = NULL, *text = NULL;
	auto_error struct error e = { 0 };

	use("other", "");
	ipc = str_fmt("/proc/%d/ns/ipc", (int)created());
	/* The path says one, the annotation the other. */
	use_namespace("b", "ipc", ipc);
	ck_assert_int_eq(fs_read(file, 1 << 16, &spec, NULL, &e), 0);
	text = str_fmt("%.*s%s}", (int)strlen(spec) - 1, spec, more);
	scratch_file("b/config.json", text);
	ck_assert_int_eq(create(NULL), -EINVAL);
	ck_assert_msg(strstr(err.msg, "belongs to the virtual machine of sandbox 'vcrt-life-"),
	              "%s", err.msg);
	vcrt_error_clear(&err);
	ck_assert_uint_eq(count("root"), 2);
	ck_assert(!cgroup_exists());
}
END_TEST

START_TEST(a_name_from_another_root_is_not_believed)
{
	auto_free char *root = scratch_path("other"), *config = scratch_path("config.json");
	struct vcrt_options o = { .root = root, .config = config, .binary = VCRT_PROGRAM };
	struct vcrt *ours = v;
	pid_t pid;

	use_pod("b", &cri);
	v = vcrt_open(&o, &err);
	pid = created();
	ck_assert_uint_eq(count("run"), 2);
	remove_it(true);
	ck_assert_int_eq(wait_exit(pid), 137);
	vcrt_close(v);
	v = ours;
	assert_one_sandbox(1);
}
END_TEST

START_TEST(a_path_leads_there_from_any_root_but_not_with_an_id_that_is_taken)
{
	auto_free char *net = str_fmt("/proc/%d/ns/net", (int)standin);
	auto_free char *root = scratch_path("other"), *config = scratch_path("config.json");
	struct vcrt_options o = { .root = root, .config = config, .binary = VCRT_PROGRAM };
	struct vcrt *ours = v;
	pid_t pid;

	use_namespace("", "network", net);
	v = vcrt_open(&o, &err);
	ck_assert_int_eq(create(NULL), -EEXIST);
	ck_assert_msg(strstr(err.msg, "has a container with the id"), "%s", err.msg);
	vcrt_error_clear(&err);
	use_namespace("b", "network", net);
	pid = created();
	ck_assert_uint_eq(count("run"), 1);
	assert_status(VCRT_CREATED, pid);
	remove_it(true);
	ck_assert_int_eq(wait_exit(pid), 137);
	vcrt_close(v);
	v = ours;
	use("", "");
	assert_status(VCRT_CREATED, standin);
}
END_TEST

START_TEST(with_the_monitor_all_end)
{
	pid_t b, monitor, vmm;

	use_pod("b", &cri);
	b = created();
	pids(&monitor, &vmm);
	ck_assert_int_eq(kill(monitor, SIGKILL), 0);
	ck_assert_int_eq(wait_exit(b), 137);
	ck_assert_int_eq(wait_exit(standin), 137);
	wait_exit(monitor);
	remove_it(true);
	use("", "");
	assert_status(VCRT_STOPPED, 0);
	remove_it(true);
	ck_assert_uint_eq(count("run"), 0);
}
END_TEST

START_TEST(many_containers_come_and_go)
{
	pid_t pid[MANY];

	for (int i = 0; i < MANY; i++) {
		auto_free char *name = str_fmt("%d", i);

		use_pod(name, &cri);
		pid[i] = created();
	}
	assert_one_sandbox(MANY + 1);
	for (int i = 0; i < MANY; i++) {
		auto_free char *name = str_fmt("%d", i);

		use(name, "");
		remove_it(true);
		ck_assert_int_eq(wait_exit(pid[i]), 137);
	}
	assert_one_sandbox(1);
}
END_TEST

START_TEST(a_create_that_fails_leaves_the_others_alone)
{
	auto_free char *pod = annotations(&cri);
	auto_free char *more =
		str_fmt(",\"hooks\":{\"prestart\":[{\"path\":\"/bin/false\"}]}%s", pod);

	use("b", more);
	ck_assert_int_lt(create(NULL), 0);
	vcrt_error_clear(&err);
	ck_assert(!cgroup_exists());
	ck_assert_uint_eq(count("root"), 1);
	use("", "");
	assert_status(VCRT_CREATED, standin);
	assert_one_sandbox(1);
}
END_TEST

/* Does the card of the only sandbox name a namespace? */
static bool card_has(const char *type, const char *path)
{
	int n;
	struct vcrt_sandbox *s = sandbox(&n);
	auto_free char *name = str_fmt("run/%s/sandbox.json", s[0].id), *card = scratch_read(name);
	auto_json struct json *j = json_parse(card, strlen(card), false, NULL);
	const struct json *list = json_get_array(j, "namespaces");
	bool has = false;
	struct stat st;

	ck_assert_int_eq(n, 1);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert(list != NULL);
	for (size_t i = 0; i < json_len(list); i++)
		has |= str_eq(json_get_string(json_at(list, i), "type"), type) &&
		       json_get_i64(json_at(list, i), "ino", 0) == (int64_t)st.st_ino;
	vcrt_sandboxes_free(s, (size_t)n);
	return has;
}

/* A file for a new IPC namespace, which nobody is in; seen by this process and its children. */
static char *pin_ipc(void)
{
	char *file = scratch_path("pinned");

	scratch_unshare_mounts();
	scratch_file("pinned", "");
	ck_assert_int_eq(unshare(CLONE_NEWIPC), 0);
	ck_assert_int_eq(mount("/proc/self/ns/ipc", file, NULL, MS_BIND, NULL), 0);
	ck_assert_int_eq(unshare(CLONE_NEWIPC), 0);
	return file;
}

/* Later the kernel may give their numbers to namespaces of somebody else. */
START_TEST(a_sandbox_is_not_found_by_namespaces_of_what_has_ended)
{
	auto_free char *own = NULL, *pinned = pin_ipc();
	auto_free char *kept = scratch_path("kept");
	pid_t b, c;

	remove_it(true);
	use_namespace("", "ipc", pinned);
	standin = created();
	use_pod("b", &cri);
	b = created();
	own = str_fmt("/proc/%d/ns/ipc", (int)b);
	scratch_file("kept", "");
	ck_assert_int_eq(mount(own, kept, NULL, MS_BIND, NULL), 0);
	use_pod("c", &cri);
	c = created();
	ck_assert(card_has("ipc", pinned));
	ck_assert(card_has("ipc", kept));
	ck_assert_int_eq(vcrt_container_kill(v, first, SIGKILL, false, &err), 0);
	ck_assert_int_eq(wait_exit(standin), 137);
	ck_assert(!card_has("ipc", pinned));
	use("b", "");
	ck_assert_int_eq(vcrt_container_kill(v, id, SIGKILL, false, &err), 0);
	ck_assert_int_eq(wait_exit(b), 137);
	ck_assert(!card_has("ipc", kept));
	use("c", "");
	assert_status(VCRT_CREATED, c);
	ck_assert_int_eq(umount(pinned), 0);
	ck_assert_int_eq(umount(kept), 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("pod");

	tcase_add_checked_fixture(tc, pod_setup, pod_teardown);
	tcase_add_test(tc, annotations_lead_into_the_pods_sandbox);
	tcase_add_test(tc, the_first_one_may_be_deleted_first);
	tcase_add_test(tc, the_last_one_that_lives_ends_the_vm_the_last_delete_takes_the_directory);
	tcase_add_test(tc, paths_lead_into_the_sandbox_whose_namespace_they_name);
	tcase_add_test(tc, who_names_two_sandboxes_is_refused);
	tcase_add_test(tc, a_name_from_another_root_is_not_believed);
	tcase_add_test(tc, a_path_leads_there_from_any_root_but_not_with_an_id_that_is_taken);
	tcase_add_test(tc, with_the_monitor_all_end);
	tcase_add_test(tc, many_containers_come_and_go);
	tcase_add_test(tc, a_create_that_fails_leaves_the_others_alone);
	tcase_add_test(tc, a_sandbox_is_not_found_by_namespaces_of_what_has_ended);
	return scratch_run(tc);
}
