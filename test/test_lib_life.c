/* A container's life through the public functions. */
#include "test/test_lib_life.h"

START_TEST(a_container_lives_from_create_to_delete)
{
	pid_t pid = created();
	int code = -1;

	assert_status(VCRT_CREATED, pid);
	start();
	assert_status(VCRT_RUNNING, pid);
	ck_assert(cgroup_exists());
	ck_assert_msg(vcrt_container_kill(v, id, SIGTERM, false, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(wait_exit(pid), 143);
	assert_status(VCRT_STOPPED, 0);
	ck_assert_int_eq(vcrt_container_wait(v, id, 0, &code, &err), 0);
	ck_assert_int_eq(code, 143);
	ck_assert_msg(vcrt_container_delete(v, id, false, &err) == 0, "%s", err.msg);
	assert_error(vcrt_container_state(v, id, &(struct vcrt_state){ 0 }, &err), ENOENT,
	             "container does not exist");
	ck_assert_uint_eq(count("root"), 0);
	ck_assert_uint_eq(count("run"), 0);
	ck_assert(!cgroup_exists());
}
END_TEST

START_TEST(verbs_that_do_not_fit_the_state_are_refused_as_by_runc)
{
	auto_free char *running =
		str_fmt("cannot delete container %s that is not stopped: running", id);
	pid_t pid;

	assert_error(vcrt_container_start(v, id, &err), ENOENT, "container does not exist");
	assert_error(vcrt_container_kill(v, id, 9, false, &err), ENOENT,
	             "container does not exist");
	assert_error(vcrt_container_delete(v, id, false, &err), ENOENT, "container does not exist");
	pid = created();
	assert_error(create(NULL), EEXIST,
	             "vcrt create failed: container with given ID already exists");
	start();
	ck_assert_int_lt(vcrt_container_start(v, id, &err), 0);
	ck_assert_str_eq(err.msg, "cannot start an already running container");
	vcrt_error_clear(&err);
	assert_error(vcrt_container_delete(v, id, false, &err), EBUSY, running);
	ck_assert_int_lt(vcrt_container_resume(v, id, &err), 0);
	ck_assert_str_eq(err.msg, "container not paused");
	vcrt_error_clear(&err);
	ck_assert_int_eq(vcrt_container_kill(v, id, SIGKILL, false, &err), 0);
	ck_assert_int_eq(wait_exit(pid), 137);
	assert_error(vcrt_container_kill(v, id, 9, false, &err), ESRCH, "container not running");
	ck_assert_int_eq(vcrt_container_kill(v, id, 9, true, &err), 0);
	assert_error(vcrt_container_start(v, id, &err), ESRCH,
	             "cannot start a container that has stopped");
	assert_error(vcrt_container_pause(v, id, &err), ESRCH, "container not running");
}
END_TEST

START_TEST(a_created_container_can_be_deleted_without_force)
{
	pid_t pid = created();

	ck_assert_msg(vcrt_container_delete(v, id, false, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(wait_exit(pid), 137);
	ck_assert_uint_eq(count("root"), 0);
}
END_TEST

START_TEST(a_running_container_is_deleted_by_force)
{
	pid_t pid = created();

	start();
	ck_assert_msg(vcrt_container_delete(v, id, true, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(wait_exit(pid), 137);
	ck_assert_msg(vcrt_container_delete(v, id, true, &err) == 0, "%s", err.msg);
}
END_TEST

START_TEST(pausing_shows_in_the_state)
{
	pid_t pid = created();

	start();
	ck_assert_msg(vcrt_container_pause(v, id, &err) == 0, "%s", err.msg);
	assert_status(VCRT_PAUSED, pid);
	ck_assert_int_lt(vcrt_container_pause(v, id, &err), 0);
	vcrt_error_clear(&err);
	ck_assert_msg(vcrt_container_resume(v, id, &err) == 0, "%s", err.msg);
	assert_status(VCRT_RUNNING, pid);
}
END_TEST

START_TEST(signals_to_the_stand_in_reach_the_container)
{
	pid_t pid = created();

	start();
	ck_assert_int_eq(kill(pid, SIGUSR1), 0);
	assert_status(VCRT_RUNNING, pid);
	ck_assert_int_eq(kill(pid, SIGTERM), 0);
	ck_assert_int_eq(wait_exit(pid), 143);
}
END_TEST

START_TEST(waiting_has_a_limit)
{
	uint64_t begin;
	int code = 7;

	created();
	begin = loop_now_ms();
	ck_assert_int_eq(vcrt_container_wait(v, id, 100, &code, &err), -ETIMEDOUT);
	ck_assert_msg(str_ends(err.msg, "' is still created"), "%s", err.msg);
	ck_assert_uint_lt(loop_now_ms() - begin, 3000);
	ck_assert_int_eq(code, 7);
}
END_TEST

START_TEST(a_sandbox_can_be_listed_watched_and_stopped)
{
	struct pollfd p = { .events = POLLIN };
	pid_t pid = created();
	struct vcrt_sandbox *s;
	int n, code = 0;

	start();
	s = sandbox(&n);
	ck_assert_int_eq(n, 1);
	ck_assert_str_eq(s->status, VCRT_RUNNING);
	ck_assert_str_eq(s->hypervisor, "mock");
	ck_assert_str_eq(s->containers[0], id);
	p.fd = vcrt_sandbox_monitor(v, s->id, &err);
	ck_assert_msg(p.fd >= 0, "%s", err.msg);
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	ck_assert_msg(vcrt_sandbox_stop(v, s->id, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(poll(&p, 1, WAIT_MS), 1);
	close(p.fd);
	ck_assert_int_eq(wait_exit(pid), 137);
	ck_assert_int_eq(vcrt_container_wait(v, id, WAIT_MS, &code, &err), 0);
	assert_status(VCRT_STOPPED, 0);
	vcrt_sandboxes_free(s, (size_t)n);
}
END_TEST

START_TEST(the_list_shows_what_is_there)
{
	auto_free char *foreign = scratch_path("root/foreign/state.json");
	auto_free char *dir = scratch_path("root/foreign");
	auto_free char *empty = NULL, *full = NULL;
	struct vcrt_state *list = NULL;

	ck_assert_int_eq(vcrt_container_list(v, &list, &err), 0);
	vcrt_list_free(list, 0);
	ck_assert_int_eq(vcrt_container_list_json(v, &empty, &err), 0);
	ck_assert_str_eq(empty, "null");
	created();
	scratch_file("root/foreign/state.json", "{}");
	ck_assert_int_eq(vcrt_container_list(v, &list, &err), 1);
	ck_assert_str_eq(list[0].id, id);
	ck_assert_str_eq(list[0].owner, "root");
	vcrt_list_free(list, 1);
	ck_assert_int_eq(vcrt_container_list_json(v, &full, &err), 0);
	ck_assert_msg(str_starts(full, "[{\"ociVersion\":\"1.3.0\",\"id\":\""), "%s", full);
	ck_assert_int_eq(unlink(foreign), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(the_pid_file_holds_the_stand_in)
{
	auto_free char *path = scratch_path("pid"), *text = NULL, *should = NULL;
	struct vcrt_create_options o = {
		.id = id, .bundle = bundle, .stdio = { null, null, null }, .pid_file = path
	};
	pid_t pid;

	ck_assert_msg(vcrt_container_create(v, &o, &pid, &err) == 0, "%s", err.msg);
	text = scratch_read("pid");
	should = str_fmt("%d", (int)pid);
	ck_assert_str_eq(text, should);
}
END_TEST

START_TEST(run_waits_and_gives_the_exit_code)
{
	struct vcrt_run_options o = {
		.create = { .id = id, .bundle = bundle, .stdio = { null, null, null } }
	};
	pid_t killer = fork();
	int code = -1;

	if (killer == 0) {
		for (int i = 0; i < 2000; i++, usleep(5000)) {
			struct vcrt_state s = { 0 };

			if (vcrt_container_state(v, id, &s, &err) == 0 &&
			    str_eq(s.status, VCRT_RUNNING) &&
			    vcrt_container_kill(v, id, SIGTERM, false, &err) == 0)
				_exit(0);
			vcrt_state_done(&s);
			vcrt_error_clear(&err);
		}
		_exit(1);
	}
	ck_assert_msg(vcrt_container_run(v, &o, &code, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(code, 143);
	ck_assert_uint_eq(count("root"), 0);
}
END_TEST

START_TEST(a_vm_has_the_size_that_its_container_needs_and_grows_with_an_update)
{
	reconfigure("\"hypervisor\":\"mock\",\"agent\":\"noop\",\"accel\":\"tcg\",\"cpus_max\":3,"
	            "\"memory_max\":2048,\"template\":\"off\"");
	created();
	assert_vm(512, 1);
	ck_assert_msg(vcrt_container_update(v, id,
	                                    "{\"memory\":{\"limit\":536870912},"
	                                    "\"cpu\":{\"quota\":150000,\"period\":100000}}",
	                                    &err) == 0,
	              "%s", err.msg);
	assert_vm(768, 2);
	ck_assert_int_eq(vcrt_container_update(v, id, "{\"memory\":{\"limit\":1048576}}", &err), 0);
	assert_vm(768, 2);
	ck_assert_int_eq(vcrt_container_update(v, id, "{\"memory\":{\"limit\":10737418240}}", &err),
	                 0);
	assert_vm(2048, 2);
	ck_assert_int_eq(vcrt_container_update(v, id, "{\"cpu\":{\"quota\":1000000}}", &err), 0);
	assert_vm(2048, 3);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("life");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_container_lives_from_create_to_delete);
	tcase_add_test(tc, verbs_that_do_not_fit_the_state_are_refused_as_by_runc);
	tcase_add_test(tc, a_created_container_can_be_deleted_without_force);
	tcase_add_test(tc, a_running_container_is_deleted_by_force);
	tcase_add_test(tc, pausing_shows_in_the_state);
	tcase_add_test(tc, signals_to_the_stand_in_reach_the_container);
	tcase_add_test(tc, waiting_has_a_limit);
	tcase_add_test(tc, a_sandbox_can_be_listed_watched_and_stopped);
	tcase_add_test(tc, the_list_shows_what_is_there);
	tcase_add_test(tc, the_pid_file_holds_the_stand_in);
	tcase_add_test(tc, a_vm_has_the_size_that_its_container_needs_and_grows_with_an_update);
	tcase_add_test(tc, run_waits_and_gives_the_exit_code);
	return scratch_run(tc);
}
