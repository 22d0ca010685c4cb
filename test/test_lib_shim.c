/* How the stand-in is set up. */
#include "test/test_lib_shim.h"

START_TEST(it_lives_in_new_namespaces_as_their_first_process)
{
	auto_free char *status = NULL;

	spawn(CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS);
	set_up(message("[]"));
	ck_assert(has_own("ns/mnt"));
	ck_assert(has_own("ns/pid"));
	ck_assert(has_own("ns/net"));
	ck_assert(has_own("ns/ipc"));
	ck_assert(has_own("ns/uts"));
	ck_assert(!has_own("ns/cgroup"));
	status = proc_text("status", NULL);
	ck_assert_ptr_nonnull(strstr(status, "\t1\n"));
	ck_assert_int_eq(getsid(shim.pid), shim.pid);
	ck_assert_int_eq(getpgid(shim.pid), shim.pid);
}
END_TEST

START_TEST(namespaces_that_are_not_asked_for_are_ours)
{
	spawn(0);
	set_up(message("[]"));
	ck_assert(has_own("ns/mnt"));
	ck_assert(!has_own("ns/pid"));
	ck_assert(!has_own("ns/net"));
}
END_TEST

START_TEST(a_cgroup_namespace_is_made_on_request)
{
	struct ctl_out out = message("[]");

	json_set(out.json, "cgroupns", json_new_bool(true));
	spawn(0);
	set_up(out);
	ck_assert(has_own("ns/cgroup"));
}
END_TEST

START_TEST(a_given_network_namespace_is_joined)
{
	struct shim_namespaces ns = { .create = CLONE_NEWNS | CLONE_NEWPID, .n_join = 1 };
	auto_free char *theirs = NULL;
	struct stat a, b;

	/* Ours, after we have left the one that the shim would get by itself. */
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	ns.join[0] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	ck_assert_msg(shim_spawn(VCRT_PROGRAM, &ns, title_args, &shim, &err) == 0, "%s", err.msg);
	set_up(message("[]"));
	theirs = proc("ns/net");
	ck_assert_int_eq(stat(theirs, &a), 0);
	ck_assert_int_eq(fstat(ns.join[0], &b), 0);
	ck_assert_uint_eq(a.st_ino, b.st_ino);
	ck_assert(has_own("ns/pid"));
	/* It is our child, though another process stood between. */
	send_exit(5);
	ck_assert_int_eq(wait_exit(), 5);
	close(ns.join[0]);
}
END_TEST

START_TEST(what_is_no_namespace_cannot_be_joined)
{
	struct shim_namespaces ns = { .create = CLONE_NEWNS, .n_join = 1 };

	ns.join[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(shim_spawn(VCRT_PROGRAM, &ns, title_args, &shim, &err), -EINVAL);
	ck_assert_str_eq(err.msg, "start the shim: join a namespace: Invalid argument");
	ck_assert_int_eq(shim.control, -1);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	close(ns.join[0]);
}
END_TEST

START_TEST(its_command_line_shows_the_containers_arguments)
{
	auto_free char *line = NULL, *comm = NULL;
	size_t len = 0;

	spawn(CLONE_NEWPID);
	set_up(message("[]"));
	line = proc_text("cmdline", &len);
	ck_assert_str_eq(line, "/bin/sleep 10 000");
	ck_assert_uint_le(len, sizeof("/bin/sleep 10 000"));
	comm = proc_text("comm", NULL);
	ck_assert_str_eq(comm, "sleep\n");
}
END_TEST

START_TEST(arguments_that_are_too_long_are_cut)
{
	struct ctl_out out = message("[]");
	auto_free char *big = xmalloc(10001), *line = NULL;
	char *args[] = { big, big, NULL };
	size_t len = 0;

	memset(big, 'x', 10000);
	big[10000] = '\0';
	json_set(out.json, "args", json_new_strv(args));
	spawn(0);
	set_up(out);
	line = proc_text("cmdline", &len);
	ck_assert_uint_le(strlen(line), TITLE + sizeof("vcrt shim") + 1);
	ck_assert_uint_ge(strlen(line), TITLE);
}
END_TEST

START_TEST(its_root_is_the_containers)
{
	auto_free char *file = NULL, *text = NULL, *mountinfo = NULL, *cwd = NULL;
	char target[64] = { 0 };

	spawn(CLONE_NEWPID);
	set_up(message("[]"));
	file = proc("root/name");
	ck_assert_int_eq(fs_read(file, 100, &text, NULL, &err), 0);
	ck_assert_str_eq(text, "in the root");
	cwd = proc("cwd");
	ck_assert_int_gt((int)readlink(cwd, target, sizeof(target) - 1), 0);
	ck_assert_str_eq(target, "/");
	/* Nothing of the host is mounted there. */
	mountinfo = proc_text("mountinfo", NULL);
	ck_assert_ptr_null(strstr(mountinfo, " /sys"));
	ck_assert_ptr_eq(strchr(mountinfo, '\n'), strrchr(mountinfo, '\n'));
}
END_TEST

START_TEST(binds_and_guest_file_systems_are_shown_in_it)
{
	auto_free char *mounts = NULL, *file = NULL, *text = NULL, *self = NULL, *inner = NULL;

	scratch_file("volume/inner", "of the volume");
	mounts = str_fmt("[{\"type\":\"proc\",\"dest\":\"/proc\"},"
	                 "{\"type\":\"bind\",\"dest\":\"/tmp\",\"name\":\"m0\",\"path\":"
	                 "\"%s/volume\",\"recursive\":true,\"readonly\":true},"
	                 "{\"type\":\"tmpfs\",\"dest\":\"/missing\"}]",
	                 scratch_root());
	spawn(CLONE_NEWPID);
	set_up(message(mounts));
	inner = proc("root/tmp/inner");
	ck_assert_int_eq(fs_read(inner, 100, &text, NULL, &err), 0);
	ck_assert_str_eq(text, "of the volume");
	ck_assert_int_eq(open(inner, O_WRONLY), -1);
	ck_assert_int_eq(errno, EROFS);
	/* In its pid namespace it is 1. */
	self = proc("root/proc/1/comm");
	ck_assert(fs_exists(self));
	file = scratch_path("rootfs/missing");
	ck_assert(!fs_exists(file));
}
END_TEST

START_TEST(what_only_the_guest_has_is_read_only)
{
	auto_free char *mounts = NULL, *file = NULL, *inner = NULL, *below = NULL, *text = NULL;

	scratch_file("volume/inner", "of the volume");
	mounts = str_fmt("[{\"type\":\"tmpfs\",\"dest\":\"/tmp\"},"
	                 "{\"type\":\"bind\",\"dest\":\"/tmp/a/b\",\"name\":\"m0\",\"path\":"
	                 "\"%s/volume\"},"
	                 "{\"type\":\"bind\",\"dest\":\"/missing/c\",\"name\":\"m1\",\"path\":"
	                 "\"%s/volume\"}]",
	                 scratch_root(), scratch_root());
	spawn(CLONE_NEWPID);
	set_up(message(mounts));
	file = proc("root/tmp/file");
	ck_assert_int_eq(open(file, O_WRONLY | O_CREAT, 0600), -1);
	ck_assert_int_eq(errno, EROFS);
	/* What is mounted below it is the host's all the same; no place is made in the root. */
	inner = proc("root/tmp/a/b/inner");
	ck_assert_int_eq(fs_read(inner, 100, &text, NULL, &err), 0);
	ck_assert_str_eq(text, "of the volume");
	below = scratch_path("rootfs/missing");
	ck_assert(!fs_exists(below));
}
END_TEST

START_TEST(mounts_are_shown_once_the_guest_has_made_their_places)
{
	struct ctl_out out;
	auto_free char *mounts = NULL, *inner = NULL, *text = NULL;

	scratch_file("volume/inner", "of the volume");
	mounts = str_fmt("[{\"type\":\"bind\",\"dest\":\"/made\",\"name\":\"m0\",\"path\":"
	                 "\"%s/volume\"}]",
	                 scratch_root());
	spawn(CLONE_NEWPID);
	out = message(mounts);
	trees = shim_setup(&shim, &out, 0, NULL, &err);
	ctl_out_done(&out);
	ck_assert_msg(trees != NULL, "%s", err.msg);
	scratch_dir("rootfs/made");
	ck_assert_msg(shim_finish(&shim, &err) == 0, "%s", err.msg);
	inner = proc("root/made/inner");
	ck_assert_int_eq(fs_read(inner, 100, &text, NULL, &err), 0);
	ck_assert_str_eq(text, "of the volume");
}
END_TEST

START_TEST(without_the_verb_it_gives_up_its_privileges_and_goes_on)
{
	struct ctl_out out = message("[]");
	auto_free char *status = NULL;

	spawn(0);
	trees = shim_setup(&shim, &out, 0, NULL, &err);
	ctl_out_done(&out);
	ck_assert_msg(trees != NULL, "%s", err.msg);
	close_fd(&shim.setup);
	/* It answers from here on, as the monitor's. */
	ck_assert_int_eq(kill(shim.pid, SIGTERM), 0);
	expect_control("{\"op\":\"signal\",\"signal\":15}");
	status = proc_text("status", NULL);
	ck_assert_ptr_nonnull(strstr(status, "CapPrm:\t0000000000000000\n"));
	send_exit(5);
	ck_assert_int_eq(wait_exit(), 5);
}
END_TEST

START_TEST(links_in_the_root_do_not_lead_out_of_it)
{
	auto_free char *mounts = NULL, *outside = NULL;

	scratch_dir("outside");
	scratch_file("volume/inner", "x");
	scratch_link(scratch_root(), "rootfs/evil");
	mounts = str_fmt("[{\"type\":\"bind\",\"dest\":\"/evil/outside\",\"name\":\"m0\",\"path\":"
	                 "\"%s/volume\"}]",
	                 scratch_root());
	spawn(CLONE_NEWPID);
	set_up(message(mounts));
	outside = scratch_path("outside/inner");
	ck_assert(!fs_exists(outside));
}
END_TEST

START_TEST(a_read_only_root_is_read_only)
{
	struct ctl_out out = message("[]");
	auto_free char *file = NULL;

	json_set(out.json, "readonly", json_new_bool(true));
	spawn(0);
	set_up(out);
	file = proc("root/new");
	ck_assert_int_eq(open(file, O_WRONLY | O_CREAT, 0600), -1);
	ck_assert_int_eq(errno, EROFS);
}
END_TEST

START_TEST(the_trees_for_the_share_come_back)
{
	auto_free char *mounts = NULL, *text = NULL, *list = NULL;
	const struct json *t;
	auto_close int root = -1, file = -1;

	scratch_file("file", "one file");
	mounts = str_fmt("[{\"type\":\"tmpfs\",\"dest\":\"/tmp\"},{\"type\":\"bind\",\"dest\":"
	                 "\"/name\",\"name\":\"m1\",\"path\":\"%s/file\",\"readonly\":true}]",
	                 scratch_root());
	spawn(0);
	set_up(message(mounts));
	t = json_get_array(json_get_object(trees->json, "ok"), "trees");
	list = json_print(t, false);
	ck_assert_str_eq(list, "[{\"name\":\"rootfs\",\"file\":false,\"fd\":0},"
	                       "{\"name\":\"m1\",\"file\":true,\"fd\":1}]");
	root = ctl_msg_take_fd_at(trees, 0);
	file = ctl_msg_take_fd_at(trees, 1);
	ck_assert_int_eq(fs_read_at(root, "name", 100, &text, NULL, &err), 0);
	ck_assert_str_eq(text, "in the root");
	ck_assert_int_ge(faccessat(file, "", F_OK, AT_EMPTY_PATH), 0);
}
END_TEST

static int wait_no_time(int fd, int timeout_ms, struct error *e)
{
	(void)timeout_ms;
	return fd >= 0 ? 0 : error_set(e, EBADF, "no descriptor");
}

START_TEST(an_answer_that_is_late_after_the_wait_is_taken_all_the_same)
{
	struct ctl_out out = message("[]");

	spawn(CLONE_NEWNS);
	trees = shim_setup(&shim, &out, 0, wait_no_time, &err);
	ctl_out_done(&out);
	ck_assert_msg(trees != NULL, "%s", err.msg);
}
END_TEST

static int give_up(int fd, int timeout_ms, struct error *e)
{
	return error_set(e, ECANCELED, "%s", fd >= 0 && timeout_ms > 5000 ? "enough" : "odd");
}

START_TEST(whoever_waits_may_give_up)
{
	struct ctl_out out = message("[]");

	spawn(CLONE_NEWNS);
	ck_assert_ptr_null(shim_setup(&shim, &out, 5, give_up, &err));
	ctl_out_done(&out);
	ck_assert_str_eq(err.msg, "enough");
}
END_TEST

START_TEST(a_missing_source_is_told_as_by_runc)
{
	struct ctl_out out = message("[{\"type\":\"bind\",\"dest\":\"/data\",\"name\":\"m0\","
	                             "\"path\":\"/no/such\"}]");

	spawn(0);
	ck_assert_ptr_null(shim_setup(&shim, &out, 0, NULL, &err));
	ctl_out_done(&out);
	ck_assert_int_eq(err.code, ENOENT);
	ck_assert_str_eq(err.msg, "error mounting \"/no/such\" to rootfs at \"/data\": stat "
	                          "/no/such: no such file or directory");
	ck_assert_int_eq(wait_exit(), 1);
}
END_TEST

START_TEST(nothing_of_ours_is_open_in_it)
{
	auto_free char *dir = NULL, *names = NULL;
	int leak = open("/dev/null", O_RDWR), pipes[2];
	auto_buf struct buf b = { 0 };
	struct dirent *e;
	DIR *d;

	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_eq(dup2(leak, 100), 100);
	spawn(CLONE_NEWPID);
	set_up(message("[]"));
	/* Once it answers, what it needed for the set-up is closed, too. */
	ck_assert_int_eq(kill(shim.pid, SIGTERM), 0);
	expect_control("{\"op\":\"signal\",\"signal\":15}");
	dir = proc("fd");
	d = opendir(dir);
	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d))) {
		char target[256] = { 0 };

		if (e->d_name[0] == '.')
			continue;
		ck_assert_int_gt((int)readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1),
		                 0);
		if (!str_eq(target, "/dev/null") && !str_eq(target, "/null"))
			buf_addf(&b, "%.6s ", target);
	}
	closedir(d);
	/* Its connection to the monitor and where it gets its signals. */
	names = buf_steal(&b);
	ck_assert_msg(str_eq(names, "socket anon_i ") || str_eq(names, "anon_i socket "), "%s",
	              names);
	close(leak);
	close(100);
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

START_TEST(it_has_no_privileges)
{
	auto_free char *status = NULL;

	spawn(0);
	set_up(message("[]"));
	status = proc_text("status", NULL);
	ck_assert_ptr_nonnull(strstr(status, "CapPrm:\t0000000000000000\n"));
	ck_assert_ptr_nonnull(strstr(status, "CapEff:\t0000000000000000\n"));
	ck_assert_ptr_nonnull(strstr(status, "CapBnd:\t0000000000000000\n"));
	ck_assert_ptr_nonnull(strstr(status, "NoNewPrivs:\t1\n"));
}
END_TEST

START_TEST(a_program_that_cannot_be_started_is_told)
{
	struct shim_namespaces ns = { .create = CLONE_NEWNS };
	struct ctl_out out = message("[]");

	ck_assert_int_eq(shim_spawn("/no/such", &ns, title_args, &shim, &err), 0);
	ck_assert_ptr_null(shim_setup(&shim, &out, 0, NULL, &err));
	ctl_out_done(&out);
	ck_assert_int_eq(err.code, ENOENT);
	ck_assert_str_eq(err.msg, "start the shim: /no/such: No such file or directory");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("shim");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, it_lives_in_new_namespaces_as_their_first_process);
	tcase_add_test(tc, namespaces_that_are_not_asked_for_are_ours);
	tcase_add_test(tc, a_cgroup_namespace_is_made_on_request);
	tcase_add_test(tc, a_given_network_namespace_is_joined);
	tcase_add_test(tc, what_is_no_namespace_cannot_be_joined);
	tcase_add_test(tc, its_command_line_shows_the_containers_arguments);
	tcase_add_test(tc, arguments_that_are_too_long_are_cut);
	tcase_add_test(tc, its_root_is_the_containers);
	tcase_add_test(tc, binds_and_guest_file_systems_are_shown_in_it);
	tcase_add_test(tc, what_only_the_guest_has_is_read_only);
	tcase_add_test(tc, mounts_are_shown_once_the_guest_has_made_their_places);
	tcase_add_test(tc, without_the_verb_it_gives_up_its_privileges_and_goes_on);
	tcase_add_test(tc, links_in_the_root_do_not_lead_out_of_it);
	tcase_add_test(tc, a_read_only_root_is_read_only);
	tcase_add_test(tc, the_trees_for_the_share_come_back);
	tcase_add_test(tc, an_answer_that_is_late_after_the_wait_is_taken_all_the_same);
	tcase_add_test(tc, whoever_waits_may_give_up);
	tcase_add_test(tc, a_missing_source_is_told_as_by_runc);
	tcase_add_test(tc, nothing_of_ours_is_open_in_it);
	tcase_add_test(tc, it_has_no_privileges);
	tcase_add_test(tc, a_program_that_cannot_be_started_is_told);
	return scratch_run(tc);
}
