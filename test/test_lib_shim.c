/* The stand-in as the program has it, in namespaces of its own. */
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/console.h"
#include "lib/shim.h"
#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "test/scratch.h"

#define WAIT_MS 10000
#define TITLE 256

static struct shim shim;
static struct ctl_msg *trees;
static struct error err;

static void setup(void)
{
	scratch_new();
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	scratch_dir("rootfs/proc");
	scratch_dir("rootfs/tmp");
	scratch_file("rootfs/name", "in the root");
	shim = SHIM_NONE;
	trees = NULL;
	err = (struct error){ 0 };
}

static void teardown(void)
{
	ctl_msg_free(trees);
	shim_abort(&shim);
	error_clear(&err);
	scratch_remove();
}

static void spawn(int namespaces)
{
	struct shim_namespaces ns = { .create = CLONE_NEWNS | namespaces };

	ck_assert_msg(shim_spawn(VCRT_PROGRAM, &ns, TITLE, &shim, &err) == 0, "%s", err.msg);
	ck_assert_int_gt(shim.pid, 0);
}

/* The set-up message for our root, with mounts as JSON. */
static struct ctl_out message(const char *mounts)
{
	struct ctl_out out = { .json = json_new_object() };
	auto_free char *rootfs = scratch_path("rootfs");
	char *args[] = { (char *)"/bin/sleep", (char *)"10 000", NULL };
	struct json *list = json_parse(mounts, strlen(mounts), false, &err);

	ck_assert_msg(list != NULL, "%s", err.msg);
	json_set(out.json, "args", json_new_strv(args));
	json_set(out.json, "rootfs", json_new_string(rootfs));
	json_set(out.json, "mounts", list);
	return out;
}

static void set_up(struct ctl_out out)
{
	trees = shim_setup(&shim, &out, &err);
	ctl_out_done(&out);
	ck_assert_msg(trees != NULL, "%s", err.msg);
}

static char *proc(const char *name)
{
	return str_fmt("/proc/%d/%s", (int)shim.pid, name);
}

static char *proc_text(const char *name, size_t *len)
{
	auto_free char *path = proc(name);
	char *text = NULL;

	ck_assert_msg(fs_read(path, 1 << 16, &text, len, &err) == 0, "%s", err.msg);
	return text;
}

static bool has_own(const char *ns)
{
	auto_free char *theirs = proc(ns), *ours = str_fmt("/proc/self/%s", ns);
	struct stat a, b;

	ck_assert_int_eq(stat(theirs, &a), 0);
	ck_assert_int_eq(stat(ours, &b), 0);
	return a.st_ino != b.st_ino;
}

static int wait_exit(void)
{
	uint64_t end = loop_now_ms() + WAIT_MS;
	int status;
	pid_t r;

	while ((r = waitpid(shim.pid, &status, WNOHANG)) == 0 && loop_now_ms() < end)
		usleep(2000);
	ck_assert_int_eq(r, shim.pid);
	shim.pid = 0;
	return child_exit_code(status);
}

static void send_exit(int code)
{
	struct ctl_out out = { .json = json_new_object() };

	json_set(out.json, "exit", json_new_i64(code));
	ck_assert_int_eq(ctl_send(shim.control, &out, &err), 0);
	ctl_out_done(&out);
}

static void expect_control(const char *expected)
{
	auto_ctl_msg struct ctl_msg *m = ctl_recv(shim.control, WAIT_MS, &err);
	auto_free char *text = NULL;

	ck_assert_msg(m != NULL, "%s", err.msg);
	text = json_print(m->json, false);
	ck_assert_str_eq(text, expected);
}

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
	ck_assert_msg(shim_spawn(VCRT_PROGRAM, &ns, TITLE, &shim, &err) == 0, "%s", err.msg);
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
	ck_assert_int_eq(shim_spawn(VCRT_PROGRAM, &ns, TITLE, &shim, &err), -EINVAL);
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
	ck_assert_uint_ge(len, sizeof("/bin/sleep\00010 000"));
	ck_assert_int_eq(memcmp(line, "/bin/sleep\00010 000\0", 18), 0);
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

START_TEST(a_missing_source_is_told_as_by_runc)
{
	struct ctl_out out = message("[{\"type\":\"bind\",\"dest\":\"/data\",\"name\":\"m0\","
	                             "\"path\":\"/no/such\"}]");

	spawn(0);
	ck_assert_ptr_null(shim_setup(&shim, &out, &err));
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

START_TEST(signals_become_messages)
{
	static const int signals[] = {
		SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGQUIT, SIGALRM, SIGCONT
	};

	spawn(CLONE_NEWPID);
	set_up(message("[]"));
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		auto_free char *text = str_fmt("{\"op\":\"signal\",\"signal\":%d}", signals[i]);

		ck_assert_int_eq(kill(shim.pid, signals[i]), 0);
		expect_control(text);
	}
	ck_assert_int_eq(kill(shim.pid, SIGRTMIN + 3), 0);
	expect_control("{\"op\":\"signal\",\"signal\":37}");
}
END_TEST

/* Until the program itself runs: from then on signals wait. */
static void wait_exec(void)
{
	for (int i = 0; i < 1000; i++, usleep(5000)) {
		auto_free char *comm = proc_text("comm", NULL);

		if (str_eq(comm, "vcrt\n"))
			return;
	}
	ck_abort_msg("the shim was not executed");
}

START_TEST(signals_before_the_set_up_are_not_lost)
{
	spawn(0);
	wait_exec();
	ck_assert_int_eq(kill(shim.pid, SIGTERM), 0);
	set_up(message("[]"));
	expect_control("{\"op\":\"signal\",\"signal\":15}");
}
END_TEST

START_TEST(it_exits_with_the_code_that_it_is_told)
{
	static const int codes[] = { 0, 7, 137, 255 };

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		spawn(CLONE_NEWPID);
		set_up(message("[]"));
		send_exit(codes[i]);
		ck_assert_int_eq(wait_exit(), codes[i]);
		ctl_msg_free(trees);
		trees = NULL;
		shim_done(&shim);
	}
}
END_TEST

START_TEST(other_messages_do_not_end_it)
{
	struct ctl_out out = { .json = json_new_object() };

	spawn(0);
	set_up(message("[]"));
	json_set(out.json, "ok", json_new_object());
	ck_assert_int_eq(ctl_send(shim.control, &out, &err), 0);
	ctl_out_done(&out);
	usleep(20000);
	ck_assert_int_eq(waitpid(shim.pid, NULL, WNOHANG), 0);
	send_exit(3);
	ck_assert_int_eq(wait_exit(), 3);
}
END_TEST

START_TEST(without_its_monitor_it_exits_with_137)
{
	spawn(CLONE_NEWPID);
	set_up(message("[]"));
	close_fd(&shim.control);
	ck_assert_int_eq(wait_exit(), 137);
}
END_TEST

START_TEST(without_its_verb_it_ends_before_the_set_up)
{
	spawn(CLONE_NEWPID);
	close_fd(&shim.setup);
	ck_assert_int_eq(wait_exit(), 1);
}
END_TEST

START_TEST(the_terminal_becomes_its_own_and_sizes_are_told)
{
	struct ctl_out out = message("[]");
	struct winsize ws = { .ws_row = 50, .ws_col = 132 };
	auto_close int master = -1, slave = -1;
	auto_free char *stat = NULL;
	int tty_nr = 0;

	ck_assert_int_eq(console_open(24, 80, &master, &slave, &err), 0);
	ck_assert_int_eq(ctl_out_fd(&out, NULL, "tty", slave, &err), 0);
	spawn(CLONE_NEWPID);
	set_up(out);
	expect_control("{\"op\":\"winsize\",\"height\":24,\"width\":80}");
	stat = proc_text("stat", NULL);
	ck_assert_int_eq(sscanf(strrchr(stat, ')'), ") %*c %*d %*d %*d %d", &tty_nr), 1);
	ck_assert_int_ne(tty_nr, 0);
	/* The kernel tells the foreground group of the terminal, which is it. */
	ck_assert_int_eq(ioctl(master, TIOCSWINSZ, &ws), 0);
	expect_control("{\"op\":\"winsize\",\"height\":50,\"width\":132}");
	ck_assert_int_eq(kill(shim.pid, SIGWINCH), 0);
	expect_control("{\"op\":\"signal\",\"signal\":28}");
}
END_TEST

START_TEST(a_program_that_cannot_be_started_is_told)
{
	struct shim_namespaces ns = { .create = CLONE_NEWNS };
	struct ctl_out out = message("[]");

	ck_assert_int_eq(shim_spawn("/no/such", &ns, TITLE, &shim, &err), 0);
	ck_assert_ptr_null(shim_setup(&shim, &out, &err));
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
	tcase_add_test(tc, links_in_the_root_do_not_lead_out_of_it);
	tcase_add_test(tc, a_read_only_root_is_read_only);
	tcase_add_test(tc, the_trees_for_the_share_come_back);
	tcase_add_test(tc, a_missing_source_is_told_as_by_runc);
	tcase_add_test(tc, nothing_of_ours_is_open_in_it);
	tcase_add_test(tc, it_has_no_privileges);
	tcase_add_test(tc, signals_become_messages);
	tcase_add_test(tc, signals_before_the_set_up_are_not_lost);
	tcase_add_test(tc, it_exits_with_the_code_that_it_is_told);
	tcase_add_test(tc, other_messages_do_not_end_it);
	tcase_add_test(tc, without_its_monitor_it_exits_with_137);
	tcase_add_test(tc, without_its_verb_it_ends_before_the_set_up);
	tcase_add_test(tc, the_terminal_becomes_its_own_and_sizes_are_told);
	tcase_add_test(tc, a_program_that_cannot_be_started_is_told);
	return scratch_run(tc);
}
