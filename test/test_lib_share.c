/* Each test works in a process and mount namespaces of its own. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/share.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "test/scratch.h"

static struct error err;

static void setup(void)
{
	scratch_new();
	scratch_unshare_mounts();
	scratch_file("dir/file", "content");
	scratch_dir("dir/sub");
	scratch_dir("stage");
	err = (struct error){ 0 };
}

static void teardown(void)
{
	auto_free char *sub = scratch_path("dir/sub");

	umount2(sub, MNT_DETACH);
	error_clear(&err);
	scratch_remove();
}

static void mount_sub(void)
{
	auto_free char *sub = scratch_path("dir/sub");

	ck_assert_int_eq(mount("none", sub, "tmpfs", 0, NULL), 0);
	scratch_file("dir/sub/inner", "below");
}

static int clone_of(const char *rel, bool recursive, enum share_readonly readonly, bool *is_file)
{
	auto_free char *path = scratch_path(rel);
	int fd = share_clone(path, recursive, readonly, is_file, &err);

	ck_assert_msg(fd >= 0, "%s", err.msg);
	return fd;
}

static char *text_at(int dirfd, const char *path)
{
	char *text = NULL;

	ck_assert_msg(fs_read_at(dirfd, path, 1000, &text, NULL, &err) == 0, "%s", err.msg);
	return text;
}

START_TEST(a_clone_shows_what_the_path_shows)
{
	bool is_file = true;
	auto_close int dir = clone_of("dir", true, SHARE_WRITABLE, &is_file);
	auto_close int file = -1;
	auto_free char *text = text_at(dir, "file"), *later = NULL;

	ck_assert(!is_file);
	ck_assert_str_eq(text, "content");
	file = clone_of("dir/file", true, false, &is_file);
	ck_assert(is_file);
	/* The same file, not a copy. */
	scratch_file("dir/file", "changed");
	later = text_at(dir, "file");
	ck_assert_str_eq(later, "changed");
	ck_assert_int_ne(fcntl(dir, F_GETFD) & FD_CLOEXEC, 0);
}
END_TEST

START_TEST(a_link_is_followed)
{
	bool is_file = false;
	auto_close int fd = -1;

	scratch_link("dir/file", "link");
	fd = clone_of("link", true, SHARE_WRITABLE, &is_file);
	ck_assert(is_file);
}
END_TEST

START_TEST(only_a_recursive_clone_holds_what_is_mounted_below)
{
	auto_close int all = -1, one = -1;
	auto_free char *text = NULL;

	mount_sub();
	all = clone_of("dir", true, SHARE_WRITABLE, NULL);
	text = text_at(all, "sub/inner");
	ck_assert_str_eq(text, "below");
	one = clone_of("dir", false, SHARE_WRITABLE, NULL);
	ck_assert_int_eq(faccessat(one, "sub/inner", F_OK, 0), -1);
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(a_read_only_bind_leaves_what_is_mounted_below_alone)
{
	auto_close int fd = -1, inner = -1;

	mount_sub();
	fd = clone_of("dir", true, SHARE_READONLY, NULL);
	ck_assert_int_eq(openat(fd, "file", O_WRONLY), -1);
	ck_assert_int_eq(errno, EROFS);
	inner = openat(fd, "sub/inner", O_WRONLY);
	ck_assert_int_ge(inner, 0);
}
END_TEST

START_TEST(a_read_only_clone_is_read_only_all_of_it)
{
	auto_close int fd = -1;
	auto_free char *path = NULL;

	mount_sub();
	fd = clone_of("dir", true, SHARE_ALL_READONLY, NULL);
	ck_assert_int_eq(openat(fd, "file", O_WRONLY), -1);
	ck_assert_int_eq(errno, EROFS);
	ck_assert_int_eq(openat(fd, "new", O_WRONLY | O_CREAT, 0600), -1);
	ck_assert_int_eq(errno, EROFS);
	ck_assert_int_eq(openat(fd, "sub/inner", O_WRONLY), -1);
	ck_assert_int_eq(errno, EROFS);
	ck_assert_int_eq(unlinkat(fd, "file", 0), -1);
	/* The original is not. */
	scratch_file("dir/file", "still writable");
	path = scratch_path("dir/sub/inner");
	ck_assert_int_eq(truncate(path, 0), 0);
}
END_TEST

START_TEST(a_path_that_is_not_there_is_named)
{
	ck_assert_int_eq(share_clone("/no/such", true, SHARE_WRITABLE, NULL, &err), -ENOENT);
	ck_assert_str_eq(err.msg, "open the mount '/no/such': No such file or directory");
}
END_TEST

static void enter(void)
{
	auto_free char *stage = scratch_path("stage"), *kernel = scratch_path("kernel");
	struct share_view view = {
		.stage = stage, .vmm = "/bin/sh", .kernel = kernel, .initrd = "/no/such"
	};

	scratch_file("kernel", "a kernel");
	ck_assert_msg(share_enter(&view, &err) == 0, "%s", err.msg);
}

/* Run in a child what changes the root; it returns 0 when all is well, else a line number. */
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

/* Assertions of the test library write to where the root was: these need nothing. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return __LINE__ % 255 ?: 255;                                              \
	} while (0)

static int sees_little(void)
{
	auto_free char *kernel = scratch_path("kernel"), *dir = scratch_path("dir");
	auto_free char *text = NULL;

	enter();
	CHECK(fs_exists("/bin/sh"));
	CHECK(fs_exists("/proc/self/fd"));
	CHECK(fs_exists("/dev/null"));
	CHECK(fs_exists(SHARE_DIR));
	CHECK(fs_read(kernel, 100, &text, NULL, &err) == 0 && str_eq(text, "a kernel"));
	CHECK(!fs_exists(dir));
	CHECK(!fs_exists("/etc/passwd"));
	CHECK(!fs_exists("/root"));
	CHECK(!fs_exists("/sys/kernel"));
	/* What is not ours to change. */
	CHECK(open(kernel, O_WRONLY) < 0 && errno == EROFS);
	CHECK(mkdir("/usr/vcrt-test", 0700) < 0 && errno == EROFS);
	CHECK(system("/bin/sh -c 'exit 7'") == 7 << 8);
	return 0;
}

START_TEST(the_monitor_sees_only_what_it_needs)
{
	in_child(sees_little);
}
END_TEST

START_TEST(the_hosts_mounts_are_as_before)
{
	auto_free char *before = NULL, *after = NULL, *share = NULL;

	ck_assert_int_eq(fs_read("/proc/self/mounts", 1 << 20, &before, NULL, &err), 0);
	in_child(sees_little);
	ck_assert_int_eq(fs_read("/proc/self/mounts", 1 << 20, &after, NULL, &err), 0);
	ck_assert_str_eq(before, after);
	share = scratch_path("stage/share");
	ck_assert(!fs_exists(share));
}
END_TEST

static int adds_and_removes(void)
{
	auto_close int dir = clone_of("dir", true, SHARE_WRITABLE, NULL);
	auto_close int file = clone_of("dir/file", true, true, NULL);
	auto_free char *text = NULL, *mounts = NULL;

	enter();
	CHECK(share_add("k1", "rootfs", dir, false, &err) == 0);
	CHECK(share_add("k1", "m0", file, true, &err) == 0);
	CHECK(fs_read(SHARE_DIR "/k1/rootfs/sub/inner", 100, &text, NULL, &err) == 0);
	CHECK(str_eq(text, "below"));
	CHECK(open(SHARE_DIR "/k1/m0", O_WRONLY) < 0 && errno == EROFS);
	CHECK(access(SHARE_DIR "/k1/m0", R_OK) == 0);
	share_remove("k1");
	CHECK(!fs_exists(SHARE_DIR "/k1"));
	CHECK(fs_read("/proc/self/mounts", 1 << 20, &mounts, NULL, &err) == 0);
	CHECK(!strstr(mounts, "/k1"));
	/* What does not exist is removed already. */
	share_remove("k1");
	share_remove("k");
	return 0;
}

START_TEST(trees_are_attached_and_dropped)
{
	auto_free char *inner = NULL;

	mount_sub();
	in_child(adds_and_removes);
	/* Nothing of the host was removed with them. */
	inner = scratch_read("dir/sub/inner");
	ck_assert_str_eq(inner, "below");
}
END_TEST

static int removes_one_key(void)
{
	auto_close int a = clone_of("dir", true, SHARE_WRITABLE, NULL);
	auto_close int b = clone_of("dir", true, SHARE_WRITABLE, NULL);

	enter();
	CHECK(share_add("k1", "rootfs", a, false, &err) == 0);
	CHECK(share_add("k12", "rootfs", b, false, &err) == 0);
	share_remove("k1");
	CHECK(!fs_exists(SHARE_DIR "/k1"));
	CHECK(fs_exists(SHARE_DIR "/k12/rootfs/file"));
	return 0;
}

START_TEST(only_the_key_itself_is_dropped)
{
	in_child(removes_one_key);
}
END_TEST

static int hides_share(void)
{
	auto_close int dir = clone_of("dir", true, SHARE_WRITABLE, NULL);

	enter();
	CHECK(share_add("k1", "rootfs", dir, false, &err) == 0);
	CHECK(unshare(CLONE_NEWNS) == 0 && share_prepare_vmm(false, &err) == 0);
	CHECK(fs_exists(SHARE_DIR));
	CHECK(!fs_exists(SHARE_DIR "/k1"));
	CHECK(fs_exists("/proc/self/fd") && !fs_exists("/proc/sys"));
	return 0;
}

START_TEST(a_vmm_that_does_not_serve_the_share_does_not_see_it)
{
	in_child(hides_share);
}
END_TEST

static int serves_share(void)
{
	enter();
	CHECK(unshare(CLONE_NEWNS) == 0 && share_prepare_server(&err) == 0);
	CHECK(fs_exists("/proc/self/fd") && fs_exists("/proc/sys/fs/file-max"));
	CHECK(open("/proc/sys/fs/file-max", O_WRONLY) < 0 && errno == EROFS);
	return 0;
}

START_TEST(the_server_reads_proc_but_cannot_write_there)
{
	in_child(serves_share);
}
END_TEST

/* A device that is made there is of no use: neither VMM nor server can reach the host with it. */
static int refuses_devices(void)
{
	enter();
	CHECK(mknod("/null", S_IFCHR | 0600, makedev(1, 3)) == 0);
	CHECK(open("/null", O_WRONLY) < 0 && errno == EACCES);
	CHECK(mknod(SHARE_DIR "/null", S_IFCHR | 0600, makedev(1, 3)) == 0);
	CHECK(open(SHARE_DIR "/null", O_WRONLY) < 0 && errno == EACCES);
	CHECK(open("/dev/null", O_WRONLY) >= 0);
	return 0;
}

START_TEST(only_the_devices_that_are_shown_can_be_opened)
{
	in_child(refuses_devices);
}
END_TEST

/* The VMM's process: has the mounts that come and loses those that go. */
static int vmm(int ready, int go)
{
	char c;

	CHECK(unshare(CLONE_NEWNS) == 0 && share_prepare_vmm(true, &err) == 0);
	CHECK(write(ready, "x", 1) == 1);
	CHECK(read(go, &c, 1) == 1);
	CHECK(fs_exists(SHARE_DIR "/k1/rootfs/file"));
	/* And what it mounts itself is seen by nobody else. */
	CHECK(mount("none", SHARE_DIR "/k1", "tmpfs", 0, NULL) == 0);
	CHECK(umount2(SHARE_DIR "/k1", MNT_DETACH) == 0);
	CHECK(mount("none", "/dev", "tmpfs", 0, NULL) == 0);
	CHECK(write(ready, "x", 1) == 1);
	CHECK(read(go, &c, 1) == 1);
	CHECK(!fs_exists(SHARE_DIR "/k1"));
	return 0;
}

static int follows(void)
{
	auto_close int dir = clone_of("dir", true, SHARE_WRITABLE, NULL);
	int ready[2], go[2], status;
	pid_t pid;
	char c;

	enter();
	CHECK(pipe(ready) == 0 && pipe(go) == 0);
	pid = fork();
	if (pid == 0)
		_exit(vmm(ready[1], go[0]));
	close(ready[1]);
	CHECK(read(ready[0], &c, 1) == 1);
	CHECK(share_add("k1", "rootfs", dir, false, &err) == 0);
	CHECK(write(go[1], "x", 1) == 1);
	CHECK(read(ready[0], &c, 1) == 1);
	CHECK(fs_exists("/dev/null"));
	share_remove("k1");
	CHECK(write(go[1], "x", 1) == 1);
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

START_TEST(the_vmm_follows_what_is_added_and_removed)
{
	in_child(follows);
}
END_TEST

static int releases_the_host(void)
{
	auto_free char *sub = scratch_path("dir/sub");
	auto_close int tree = clone_of("dir/sub", true, false, NULL);
	auto_close int host = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);

	enter();
	CHECK(share_add("k1", "rootfs", tree, false, &err) == 0);
	close_fd(&tree);
	share_remove("k1");
	CHECK(setns(host, CLONE_NEWNS) == 0);
	CHECK(umount2(sub, 0) == 0);
	return 0;
}

START_TEST(after_the_removal_the_host_can_unmount)
{
	mount_sub();
	in_child(releases_the_host);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("share");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_clone_shows_what_the_path_shows);
	tcase_add_test(tc, a_link_is_followed);
	tcase_add_test(tc, only_a_recursive_clone_holds_what_is_mounted_below);
	tcase_add_test(tc, a_read_only_bind_leaves_what_is_mounted_below_alone);
	tcase_add_test(tc, a_read_only_clone_is_read_only_all_of_it);
	tcase_add_test(tc, a_path_that_is_not_there_is_named);
	tcase_add_test(tc, the_monitor_sees_only_what_it_needs);
	tcase_add_test(tc, the_hosts_mounts_are_as_before);
	tcase_add_test(tc, trees_are_attached_and_dropped);
	tcase_add_test(tc, only_the_key_itself_is_dropped);
	tcase_add_test(tc, the_vmm_follows_what_is_added_and_removed);
	tcase_add_test(tc, after_the_removal_the_host_can_unmount);
	tcase_add_test(tc, a_vmm_that_does_not_serve_the_share_does_not_see_it);
	tcase_add_test(tc, the_server_reads_proc_but_cannot_write_there);
	tcase_add_test(tc, only_the_devices_that_are_shown_can_be_opened);
	return scratch_run(tc);
}
