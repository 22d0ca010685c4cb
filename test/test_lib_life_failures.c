/* What is left when something fails or dies. */
#include "test/test_lib_life.h"

START_TEST(the_death_of_the_vmm_stops_the_container)
{
	pid_t pid = created(), monitor, vmm;
	int code = 0;

	start();
	pids(&monitor, &vmm);
	ck_assert_int_gt(vmm, 0);
	ck_assert_int_eq(kill(vmm, SIGKILL), 0);
	ck_assert_int_eq(wait_exit(pid), 137);
	ck_assert_int_eq(vcrt_container_wait(v, id, WAIT_MS, &code, &err), 0);
	ck_assert_int_eq(code, 137);
	assert_status(VCRT_STOPPED, 0);
	ck_assert_msg(vcrt_container_delete(v, id, false, &err) == 0, "%s", err.msg);
}
END_TEST

START_TEST(the_death_of_the_monitor_stops_the_container)
{
	pid_t pid = created(), monitor, vmm;
	unsigned long long vmm_start;

	start();
	pids(&monitor, &vmm);
	vmm_start = child_start_time(vmm);
	ck_assert_int_eq(kill(monitor, SIGKILL), 0);
	ck_assert_int_eq(wait_exit(pid), 137);
	wait_exit(monitor);
	for (int i = 0; i < 1000 && child_is_alive(vmm, vmm_start); i++)
		usleep(5000);
	ck_assert(!child_is_alive(vmm, vmm_start));
	assert_status(VCRT_STOPPED, 0);
	ck_assert_msg(vcrt_container_delete(v, id, false, &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(count("run"), 0);
}
END_TEST

START_TEST(the_death_of_the_stand_in_stops_the_container)
{
	pid_t pid = created();
	int code = 0;

	start();
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(wait_exit(pid), 137);
	ck_assert_msg(vcrt_container_wait(v, id, WAIT_MS, &code, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(code, 137);
	ck_assert_msg(vcrt_container_delete(v, id, false, &err) == 0, "%s", err.msg);
}
END_TEST

START_TEST(a_failing_hook_takes_everything_back)
{
	write_spec(",\"hooks\":{\"prestart\":[{\"path\":\"/bin/false\"}]}");
	assert_error(
		create(NULL), EIO,
		"vcrt create failed: unable to start container process: error during container "
		"init: error running hook #0: error running hook: exit status 1, stdout: , "
		"stderr: ");
	ck_assert_uint_eq(count("root"), 0);
	ck_assert_uint_eq(count("run"), 0);
	ck_assert(!cgroup_exists());
}
END_TEST

START_TEST(hooks_see_the_stand_in_in_its_namespaces)
{
	auto_free char *more = str_fmt(
		",\"hooks\":{\"createRuntime\":[{\"path\":\"/bin/sh\",\"args\":[\"sh\",\"-c\","
		"\"cat >%s/create\"]}],\"poststart\":[{\"path\":\"/bin/sh\",\"args\":[\"sh\","
		"\"-c\",\"cat >%s/start\"]}],\"poststop\":[{\"path\":\"/bin/sh\",\"args\":["
		"\"sh\",\"-c\",\"cat >%s/stop\"]}]}",
		scratch_root(), scratch_root(), scratch_root());
	auto_free char *create_text = NULL, *start_text = NULL, *stop_text = NULL, *pid_text = NULL;
	pid_t pid;

	write_spec(more);
	pid = created();
	pid_text = str_fmt("\"pid\":%d,", (int)pid);
	create_text = scratch_read("create");
	ck_assert_msg(strstr(create_text, pid_text) && strstr(create_text, "\"creating\""), "%s",
	              create_text);
	start();
	start_text = scratch_read("start");
	ck_assert_msg(strstr(start_text, pid_text) && strstr(start_text, "\"running\""), "%s",
	              start_text);
	ck_assert_int_eq(vcrt_container_delete(v, id, true, &err), 0);
	stop_text = scratch_read("stop");
	ck_assert_msg(!strstr(stop_text, "pid") && strstr(stop_text, "\"stopped\""), "%s",
	              stop_text);
}
END_TEST

START_TEST(bad_bundles_are_told)
{
	struct vcrt_create_options o = { .id = id,
		                         .bundle = "/no/such",
		                         .stdio = { null, null, null } };
	auto_free char *config = scratch_path("b/config.json"), *rootfs = scratch_path("b/rootfs");
	auto_free char *proc = scratch_path("b/rootfs/proc"), *msg = NULL;

	assert_error(vcrt_container_create(v, &o, NULL, &err), ENOENT,
	             "vcrt create failed: chdir /no/such: no such file or directory");
	o.bundle = bundle;
	ck_assert_int_eq(rmdir(proc), 0);
	ck_assert_int_eq(rmdir(rootfs), 0);
	msg = str_fmt("vcrt create failed: invalid rootfs: stat %s: no such file or directory",
	              rootfs);
	assert_error(vcrt_container_create(v, &o, NULL, &err), ENOENT, msg);
	o.id = "a/b";
	assert_error(vcrt_container_create(v, &o, NULL, &err), EINVAL,
	             "vcrt create failed: invalid container ID format");
	ck_assert_int_eq(unlink(config), 0);
	assert_error(vcrt_container_create(v, &o, NULL, &err), ENOENT,
	             "vcrt create failed: JSON specification file config.json not found");
	ck_assert_uint_eq(count("root"), 0);
}
END_TEST

START_TEST(unknown_backends_are_told_and_leave_nothing)
{
	reconfigure("\"hypervisor\":\"xen\",\"agent\":\"noop\",\"accel\":\"tcg\"");
	assert_error(create(NULL), EINVAL, "vcrt create failed: unknown hypervisor 'xen'");
	reconfigure("\"hypervisor\":\"mock\",\"agent\":\"james\",\"accel\":\"tcg\"");
	ck_assert_int_lt(create(NULL), 0);
	ck_assert_msg(strstr(err.msg, "unknown agent 'james'") != NULL, "%s", err.msg);
	vcrt_error_clear(&err);
	reconfigure("\"hypervisor\":\"mock\",\"agent\":\"noop\",\"accel\":\"warp\"");
	assert_error(create(NULL), EINVAL, "vcrt create failed: unknown acceleration 'warp'");
	ck_assert_uint_eq(count("root"), 0);
	ck_assert_uint_eq(count("run"), 0);
	ck_assert(!cgroup_exists());
}
END_TEST

/* The hook holds create up half way, where monitor and stand-in exist. */
START_TEST(a_create_that_is_killed_half_way_counts_as_stopped_and_is_cleaned_up)
{
	auto_free char *go = scratch_path("go");
	struct vcrt_state s;
	pid_t creator;

	write_spec(",\"hooks\":{\"prestart\":[{\"path\":\"/bin/sh\",\"args\":[\"sh\",\"-c\","
	           "\"touch ../go; exec sleep 3\"]}]}");
	creator = fork();
	ck_assert_int_ge(creator, 0);
	if (creator == 0)
		_exit(create(NULL) == 0 ? 0 : 1);
	for (int i = 0; i < 2000 && !fs_exists(go); i++)
		usleep(5000);
	ck_assert(fs_exists(go));
	ck_assert_msg(vcrt_container_state(v, id, &s, &err) == 0, "%s", err.msg);
	ck_assert_str_eq(s.status, VCRT_CREATING);
	vcrt_state_done(&s);
	ck_assert_int_eq(kill(creator, SIGKILL), 0);
	ck_assert_int_eq(wait_exit(creator), 137);
	for (int i = 0; i < 200; i++) {
		bool stopped;

		ck_assert_msg(vcrt_container_state(v, id, &s, &err) == 0, "%s", err.msg);
		stopped = str_eq(s.status, VCRT_STOPPED);
		vcrt_state_done(&s);
		if (stopped)
			break;
		usleep(5000);
		ck_assert_msg(i < 199, "still creating a second later");
	}
	ck_assert_msg(vcrt_container_delete(v, id, true, &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(count("root"), 0);
	ck_assert_uint_eq(count("run"), 0);
	ck_assert(!cgroup_exists());
}
END_TEST

START_TEST(damaged_files_can_be_deleted_by_force)
{
	pid_t pid = created(), monitor, vmm;
	auto_free char *rel = str_fmt("root/%s/state.json", id), *msg = NULL;

	start();
	pids(&monitor, &vmm);
	ck_assert_int_eq(kill(monitor, SIGKILL), 0);
	ck_assert_int_eq(wait_exit(pid), 137);
	scratch_file(rel, "{\"ociVersion\":");
	ck_assert_int_lt(vcrt_container_delete(v, id, false, &err), 0);
	msg = str_fmt("container '%s': state.json is corrupt: ", id);
	ck_assert_msg(str_starts(err.msg, msg), "%s", err.msg);
	vcrt_error_clear(&err);
	ck_assert_msg(vcrt_container_delete(v, id, true, &err) == 0, "%s", err.msg);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("life_failures");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_death_of_the_vmm_stops_the_container);
	tcase_add_test(tc, the_death_of_the_monitor_stops_the_container);
	tcase_add_test(tc, the_death_of_the_stand_in_stops_the_container);
	tcase_add_test(tc, a_failing_hook_takes_everything_back);
	tcase_add_test(tc, hooks_see_the_stand_in_in_its_namespaces);
	tcase_add_test(tc, bad_bundles_are_told);
	tcase_add_test(tc, unknown_backends_are_told_and_leave_nothing);
	tcase_add_test(tc, a_create_that_is_killed_half_way_counts_as_stopped_and_is_cleaned_up);
	tcase_add_test(tc, damaged_files_can_be_deleted_by_force);
	return scratch_run(tc);
}
