#include "test/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"

#define READ_MAX (1 << 20)

static char *root;

const char *scratch_new(void)
{
	const char *tmp = getenv("TMPDIR");

	ck_assert_msg(!root, "scratch_new() called twice");
	root = str_fmt("%s/vcrt-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	ck_assert_msg(mkdtemp(root), "make '%s'", root);
	return root;
}

void scratch_setup(void)
{
	scratch_new();
}

const char *scratch_root(void)
{
	ck_assert_msg(root, "scratch_new() not called");
	return root;
}

void scratch_remove(void)
{
	auto_error struct error err = { 0 };
	int r = fs_remove_tree_at(AT_FDCWD, scratch_root(), &err);

	ck_assert_msg(r == 0, "%s", err.msg);
	free(root);
	root = NULL;
}

char *scratch_path(const char *rel)
{
	return str_fmt("%s/%s", scratch_root(), rel);
}

void scratch_dir(const char *rel)
{
	auto_error struct error err = { 0 };
	auto_free char *path = scratch_path(rel);

	ck_assert_msg(fs_mkdir_p(path, 0755, &err) == 0, "%s", err.msg);
}

/* The path, its directory made. */
static char *path_in_dir(const char *rel)
{
	const char *slash = strrchr(rel, '/');
	auto_free char *dir = slash ? str_ndup(rel, (size_t)(slash - rel)) : str_dup("");

	scratch_dir(dir);
	return scratch_path(rel);
}

void scratch_file(const char *rel, const char *content)
{
	auto_free char *path = path_in_dir(rel);
	auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	ck_assert_msg(fd >= 0, "create '%s'", path);
	ck_assert_int_eq(fs_write_all(fd, content, strlen(content)), 0);
}

void scratch_link(const char *target, const char *rel)
{
	auto_free char *path = path_in_dir(rel);

	ck_assert_msg(symlink(target, path) == 0, "link '%s'", path);
}

char *scratch_read(const char *rel)
{
	auto_error struct error err = { 0 };
	auto_free char *path = scratch_path(rel);
	char *text = NULL;

	ck_assert_msg(fs_read(path, READ_MAX, &text, NULL, &err) == 0, "%s", err.msg);
	return text;
}

void scratch_expect(const char *rel, const char *content)
{
	auto_free char *text = scratch_read(rel);

	ck_assert_msg(str_eq(text, content), "%s: '%s' in place of '%s'", rel, text, content);
}

void scratch_unshare_mounts(void)
{
	/* Root's containers may lack user namespaces, others need one. */
	int kinds = geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER;

	ck_assert_msg(unshare(kinds) == 0, "make a mount namespace: %s", strerror(errno));
	ck_assert_int_eq(mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL), 0);
}

int scratch_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = -3; /* ".", ".." and that of the directory */

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

int scratch_run(TCase *tc)
{
	Suite *suite = suite_create("");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
