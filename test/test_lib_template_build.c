/* Making templates through the public functions, with a VMM and an agent that are not real. */
#include <sys/resource.h>

#include "hypervisor/mock.h"
#include "lib/template.h"
#include "test/test_lib_life.h"

/* With more members of the configuration. Files that it names are in the scratch directory, which
 * there is only after setup(). */
static void open_with(const char *more)
{
	static const char *const files[] = { "vmm_path", "kernel", "initrd", "vmm_preload" };
	struct vcrt_options o = { .binary = VCRT_PROGRAM };
	auto_free char *root = scratch_path("root"), *path = scratch_path("templates.json");
	auto_free char *config = NULL, *all = str_dup("");

	vcrt_close(v);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		auto_free char *file = scratch_path(files[i]), *longer = NULL;

		scratch_file(files[i], "x");
		longer = str_fmt("%s,\"%s\":\"%s\"", all, files[i], file);
		free(all);
		all = steal_ptr(&longer);
	}
	config = str_fmt("{\"hypervisor\":\"mock\",\"agent\":\"noop\",\"accel\":\"tcg\","
	                 "\"runtime_dir\":\"%s/run\",\"template\":\"manual\","
	                 "\"memory_max\":2048,"
	                 "\"template_dir\":\"%s/store\"%s%s}",
	                 scratch_root(), scratch_root(), all, more);
	scratch_file("templates.json", config);
	o.root = root;
	o.config = path;
	v = vcrt_open(&o, &err);
	ck_assert_msg(v != NULL, "%s", err.msg);
}

static void setup_templates(void)
{
	setup();
	open_with("");
}

START_TEST(one_is_made_once)
{
	auto_free char *key = NULL, *again = NULL;
	struct vcrt_template *list = NULL;

	ck_assert_msg(vcrt_template_create(v, &key, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(vcrt_template_create(v, &again, &err), -EEXIST);
	vcrt_error_clear(&err);
	ck_assert_int_eq(vcrt_template_list(v, &list, &err), 1);
	ck_assert_str_eq(list[0].key, key);
	ck_assert_ptr_null(list[0].problem);
	vcrt_templates_free(list, 1);
	ck_assert_uint_eq(count("store"), 1);
}
END_TEST

/* Files of the monitor can have no bytes: the state cannot be written. */
START_TEST(what_cannot_be_saved_is_told_and_leaves_nothing)
{
	struct rlimit before, none;
	char *key = NULL;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	ck_assert_int_eq(vcrt_template_create(v, &key, &err), -EFBIG);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	ck_assert_str_eq(err.msg,
	                 "create a template: write the state of the mock VMM: File too large");
	vcrt_error_clear(&err);
	ck_assert_ptr_null(key);
	ck_assert_uint_eq(count("store"), 0);
}
END_TEST

START_TEST(a_container_starts_as_a_clone)
{
	auto_free char *key = NULL;
	pid_t pid;

	ck_assert_msg(vcrt_template_create(v, &key, &err) == 0, "%s", err.msg);
	pid = created();
	start();
	assert_status(VCRT_RUNNING, pid);
}
END_TEST

/* A template whose directory has lost a file; its problem, when a container was created then. */
static char *problem_without(const char *file)
{
	auto_free char *key = NULL, *path = NULL, *problem = NULL;
	struct vcrt_template *list = NULL;

	ck_assert_msg(vcrt_template_create(v, &key, &err) == 0, "%s", err.msg);
	path = str_fmt("%s/store/%s/%s", scratch_root(), key, file);
	ck_assert_int_eq(unlink(path), 0);
	created();
	ck_assert_int_eq(vcrt_template_list(v, &list, &err), 1);
	problem = str_dup(list[0].problem);
	vcrt_templates_free(list, 1);
	return steal_ptr(&problem);
}

START_TEST(one_without_its_memory_is_set_aside)
{
	auto_free char *problem = problem_without("memory");

	ck_assert_msg(problem && str_starts(problem, "its memory '"), "%s", problem);
}
END_TEST

START_TEST(one_without_its_state_is_set_aside)
{
	auto_free char *problem = problem_without("state");

	ck_assert_msg(problem && str_starts(problem, "open the state of the template"), "%s",
	              problem);
}
END_TEST

/* The host may have been too busy: then it is not made to boot VMs for an hour. */
START_TEST(one_that_is_too_slow_is_set_aside_for_a_minute)
{
	auto_free char *key = NULL, *state = NULL, *file = NULL, *text = NULL;

	open_with(",\"boot_timeout\":3");
	ck_assert_msg(vcrt_template_create(v, &key, &err) == 0, "%s", err.msg);
	state = str_fmt("store/%s/state", key);
	scratch_file(state, HV_MOCK_NEVER);
	created();
	file = str_fmt("store/%s/template.json", key);
	text = scratch_read(file);
	ck_assert_msg(
		strstr(text, "\"problem\":\"the guest's agent did not answer within 3 seconds\"") &&
			strstr(text, "\"retry\":60"),
		"%s", text);
}
END_TEST

/* With a template whose VMs are restored late, a container is created that needs more memory. Its
 * request comes while the VM is being restored. Returns the template's problem. */
static char *problem_of_late(const char *state)
{
	static const char limit[] = "\"resources\":{\"memory\":{\"limit\":536870912}},";
	auto_free char *spec = scratch_read("b/config.json"), *longer = NULL;
	auto_free char *key = NULL, *rel = NULL, *problem = NULL;
	struct vcrt_template *list = NULL;
	char *at = strstr(spec, "\"cgroupsPath\"");

	longer = str_fmt("%.*s%s%s", (int)(at - spec), spec, limit, at);
	scratch_file("b/config.json", longer);
	ck_assert_msg(vcrt_template_create(v, &key, &err) == 0, "%s", err.msg);
	rel = str_fmt("store/%s/state", key);
	scratch_file(rel, state);
	created();
	assert_vm(768, 1);
	start();
	ck_assert_int_eq(vcrt_template_list(v, &list, &err), 1);
	problem = str_dup(list[0].problem);
	vcrt_templates_free(list, 1);
	return steal_ptr(&problem);
}

START_TEST(a_clone_grows_when_it_runs_and_not_before)
{
	auto_free char *problem = problem_of_late(HV_MOCK_LATE);

	ck_assert_msg(!problem, "%s", problem);
}
END_TEST

START_TEST(a_larger_container_boots_when_the_clone_cannot_be_restored)
{
	auto_free char *problem = problem_of_late(HV_MOCK_LATE_DAMAGED);

	ck_assert_str_eq(problem, "restore the VM: the state of the mock VMM is damaged");
}
END_TEST

/* Whenever a template goes, a container that is just being created boots. */
START_TEST(one_may_be_removed_at_any_moment)
{
	auto_free char *stop = scratch_path("stop");
	pid_t tidier = fork();
	char *key = NULL;
	int status;

	ck_assert_int_ge(tidier, 0);
	while (tidier == 0 && !fs_exists(stop)) {
		if (vcrt_template_create(v, &key, &err) == 0)
			free(key);
		usleep((useconds_t)(rand() % 30000));
		if (vcrt_template_prune(v, true, &err) < 0)
			_exit(1);
	}
	if (tidier == 0)
		_exit(0);
	for (int i = 0; i < 20; i++) {
		pid_t pid = created();

		ck_assert_msg(vcrt_container_delete(v, id, true, &err) == 0, "%s", err.msg);
		wait_exit(pid);
	}
	scratch_file("stop", "");
	ck_assert_int_eq(waitpid(tidier, &status, 0), tidier);
	ck_assert_int_eq(status, 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("template_build");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup_templates, teardown);
	tcase_add_test(tc, one_is_made_once);
	tcase_add_test(tc, what_cannot_be_saved_is_told_and_leaves_nothing);
	tcase_add_test(tc, a_container_starts_as_a_clone);
	tcase_add_test(tc, one_without_its_memory_is_set_aside);
	tcase_add_test(tc, one_without_its_state_is_set_aside);
	tcase_add_test(tc, one_that_is_too_slow_is_set_aside_for_a_minute);
	tcase_add_test(tc, a_clone_grows_when_it_runs_and_not_before);
	tcase_add_test(tc, a_larger_container_boots_when_the_clone_cannot_be_restored);
	tcase_add_test(tc, one_may_be_removed_at_any_moment);
	return scratch_run(tc);
}
