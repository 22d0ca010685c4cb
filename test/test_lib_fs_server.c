/* Each server runs below a monitor's root in a process and mount namespace of its own. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/config.h"
#include "lib/fs-server.h"
#include "lib/share.h"
#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static struct config *config;
static struct error err;

static void use(const char *shared_fs, const char *path)
{
	auto_free char *text =
		str_fmt("{\"shared_fs\":\"%s\",\"virtiofsd_path\":\"%s\"}", shared_fs, path);

	config_freep(&config);
	config = config_parse(text, "test", &err);
	ck_assert_msg(config != NULL, "%s", err.msg);
}

static void setup(void)
{
	scratch_new();
	scratch_unshare_mounts();
	scratch_dir("stage");
	use("virtiofs", "/usr/lib/qemu/virtiofsd");
}

static void teardown(void)
{
	config_freep(&config);
	error_clear(&err);
	scratch_remove();
}

START_TEST(the_server_in_c_is_told_to_keep_nothing_for_long)
{
	auto_strv char **v = fs_server_args(config, true);
	auto_free char *all = strv_join(v, " ");

	ck_assert_str_eq(all,
	                 "/usr/lib/qemu/virtiofsd --fd=3 --rlimit-nofile=0 -f -o source=/share,"
	                 "sandbox=chroot,cache=auto,timeout=0,no_readdirplus,xattr,"
	                 "announce_submounts,log_level=warn");
}
END_TEST

START_TEST(the_server_in_rust_has_options_of_its_own)
{
	auto_strv char **v = fs_server_args(config, false);
	auto_free char *all = strv_join(v, " ");

	ck_assert_str_eq(all, "/usr/lib/qemu/virtiofsd --fd=3 --rlimit-nofile=0 "
	                      "--shared-dir=/share --sandbox=chroot --cache=auto --xattr "
	                      "--announce-submounts --log-level=warn");
}
END_TEST

START_TEST(a_missing_program_matters_only_when_it_is_wanted)
{
	use("9p", "/no/such");
	ck_assert(!fs_server_is_wanted(config));
	ck_assert_int_eq(fs_server_check(config, &err), 0);
	use("virtiofs", "/no/such");
	ck_assert(fs_server_is_wanted(config));
	ck_assert_int_eq(fs_server_check(config, &err), -ENOENT);
	ck_assert_str_eq(err.msg, "virtiofsd is missing: '/no/such'");
}
END_TEST

/* A program in the scratch directory that is run as virtiofsd. */
static void script(const char *text)
{
	auto_free char *path = scratch_path("virtiofsd");

	scratch_file("virtiofsd", text);
	ck_assert_int_eq(chmod(path, 0755), 0);
	use("virtiofs", path);
}

/* Assertions of the test library write to where the root was: these need nothing. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return __LINE__ % 255 ?: 255;                                              \
	} while (0)

static void in_child(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(fn());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "signal %d", WTERMSIG(status));
	ck_assert_msg(status == 0, "the check in line %d (modulo 255) failed", WEXITSTATUS(status));
}

/* In the monitor's root: start; returns the VMM's end. */
static int start(struct fs_server *s)
{
	auto_free char *stage = scratch_path("stage");
	auto_close int dir = open(scratch_root(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct share_view view = { .stage = stage, .fs_server = config->virtiofsd_path };

	*s = (struct fs_server){ .pidfd = -1, .log = -1 };
	if (share_enter(&view, &err) < 0)
		return -1;
	return fs_server_start(s, config, dir, &err);
}

static bool status_has(pid_t pid, const char *line)
{
	auto_free char *path = str_fmt("/proc/%d/status", (int)pid), *text = NULL;

	return fs_read(path, 1 << 16, &text, NULL, &err) == 0 && strstr(text, line);
}

static int starts_and_stops(void)
{
	auto_close int vmm = -1;
	struct fs_server s;
	pid_t pid;

	vmm = start(&s);
	CHECK(vmm >= 0);
	pid = s.ref.pid;
	CHECK(pid > 0 && s.pidfd >= 0 && proc_ref_is_alive(&s.ref));
	CHECK(!fs_server_has_failed(&s, 0, &err));
	CHECK(!fs_exists("/virtiofsd.sock"));
	/* Until it has done its own part: chown, DAC override, fowner, fsetid, set ids, mknod,
	 * setfcap. */
	for (int i = 0; i < 500 && !status_has(pid, "\nCapPrm:\t00000000880000db\n"); i++)
		poll(NULL, 0, 10);
	CHECK(status_has(pid, "\nCapPrm:\t00000000880000db\n"));
	CHECK(status_has(pid, "\nCapBnd:\t0000000000000000\n"));
	CHECK(status_has(pid, "\nNoNewPrivs:\t1\n"));
	fs_server_stop(&s);
	CHECK(!proc_ref_is_alive(&s.ref));
	CHECK(s.pidfd == -1 && s.log == -1);
	fs_server_stop(&s);
	return 0;
}

START_TEST(the_real_server_runs_with_little_and_is_stopped)
{
	in_child(starts_and_stops);
}
END_TEST

static int ends_with_connection(void)
{
	struct fs_server s;
	int vmm = start(&s);
	struct pollfd p = { .events = POLLIN };

	CHECK(vmm >= 0);
	close(vmm);
	p.fd = s.pidfd;
	CHECK(poll(&p, 1, 5000) == 1);
	CHECK(!fs_server_has_failed(&s, 0, &err));
	fs_server_stop(&s);
	return 0;
}

START_TEST(an_end_because_the_vmm_has_gone_is_no_failure)
{
	in_child(ends_with_connection);
}
END_TEST

static int exits(void)
{
	auto_close int vmm = -1;
	struct fs_server s;

	vmm = start(&s);
	CHECK(vmm >= 0);
	CHECK(fs_server_has_failed(&s, 5000, &err));
	CHECK(err.code == EIO &&
	      str_eq(err.msg, "the file server virtiofsd exited with status 3: no luck; at all"));
	fs_server_stop(&s);
	return 0;
}

START_TEST(a_failure_quotes_the_log)
{
	script("#!/bin/sh\n[ $1 = --version ] && echo virtiofsd 1.2 && exit\n"
	       "echo no luck >&2; echo at all >&2; exit 3\n");
	in_child(exits);
}
END_TEST

static int is_killed(void)
{
	auto_close int vmm = -1;
	struct fs_server s;

	vmm = start(&s);
	CHECK(vmm >= 0);
	CHECK(kill(s.ref.pid, SIGKILL) == 0);
	CHECK(fs_server_has_failed(&s, 5000, &err));
	CHECK(str_eq(err.msg, "the file server virtiofsd was killed by signal 9"));
	fs_server_stop(&s);
	return 0;
}

START_TEST(a_signal_is_a_failure)
{
	script("#!/bin/sh\n[ $1 = --version ] && echo virtiofsd 1.2 && exit\nexec sleep 1000\n");
	in_child(is_killed);
}
END_TEST

static int is_refused(void)
{
	auto_free char *expected = str_fmt("'%s' is not virtiofsd", config->virtiofsd_path);
	struct fs_server s;

	CHECK(start(&s) == -EINVAL);
	CHECK(str_eq(err.msg, expected));
	fs_server_stop(&s);
	return 0;
}

START_TEST(another_program_is_refused)
{
	script("#!/bin/sh\necho other 1.2\n");
	in_child(is_refused);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("fs-server");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_server_in_c_is_told_to_keep_nothing_for_long);
	tcase_add_test(tc, the_server_in_rust_has_options_of_its_own);
	tcase_add_test(tc, a_missing_program_matters_only_when_it_is_wanted);
	tcase_add_test(tc, the_real_server_runs_with_little_and_is_stopped);
	tcase_add_test(tc, an_end_because_the_vmm_has_gone_is_no_failure);
	tcase_add_test(tc, a_failure_quotes_the_log);
	tcase_add_test(tc, a_signal_is_a_failure);
	tcase_add_test(tc, another_program_is_refused);
	return scratch_run(tc);
}
