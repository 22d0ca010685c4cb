/* The shim's own program. The set-up message of the verb:
 *
 *   args        the container's arguments, shown as our command line
 *   tty         descriptor of the pty's slave, to be the controlling terminal; may be missing
 *   cgroupns    make a cgroup namespace, now that we are in our cgroup
 *   mntns       descriptor of the mount namespace to enter (exec), or
 *   rootfs      path on the host of what becomes our root,
 *   readonly    whether it is made read-only at the end,
 *   hooks       createContainer hooks to run before anything else is done with these (hooks.h)
 *   mounts      what is mounted in it: {type: "bind", name, path, recursive, readonly,
 *               all_readonly, dest}, {type: "overlay", name, path, data, dest} or
 *               {type: "proc"|"tmpfs", dest}
 *
 * The answer holds a second clone of the root and of every bind, for the share: "trees", an array
 * of {name, file, fd}.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/ctl.h"
#include "lib/hooks.h"
#include "lib/mountapi.h"
#include "lib/share.h"
#include "lib/standin.h"
#include "lib/vcrt.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

enum { CONTROL_FD = 3, SETUP_FD = 4 };

/* Show the container's arguments in /proc/PID/cmdline: the verb made the argument area big enough.
 */
static void set_title(int argc, char **argv, const struct json *msg)
{
	auto_strv char **args = json_get_strv(msg, "args");
	char *start = argv[0], *end = argv[argc - 1] + strlen(argv[argc - 1]);
	const char *name;

	if (!args || !*args)
		return;
	name = strrchr(args[0], '/');
	prctl(PR_SET_NAME, name && name[1] ? name + 1 : args[0]);
	memset(start, 0, (size_t)(end - start));
	for (char **a = args; *a && start < end; a++) {
		size_t room = (size_t)(end - start), n = strlen(*a);

		memcpy(start, *a, n < room ? n : room);
		start += n + 1;
	}
}

/* A clone of what the guest gets of a mount. at: the root file system, see share_overlay(). */
static int take_mount(const struct json *m, const char *at, bool *is_file, struct error *err)
{
	enum share_readonly readonly = json_get_bool(m, "all_readonly", false) ? SHARE_ALL_READONLY
	                               : json_get_bool(m, "readonly", false)   ? SHARE_READONLY
	                                                                       : SHARE_WRITABLE;

	if (str_eq(json_get_string(m, "type"), "overlay"))
		return share_overlay(json_get_string(m, "path"), json_get_string(m, "data"), at,
		                     err);
	return share_clone(json_get_string(m, "path"), json_get_bool(m, "recursive", true),
	                   readonly, is_file, err);
}

/* Clone a tree for the share: that of bind, or of the root file system. */
static int answer_tree(struct ctl_out *answer, struct json *trees, const struct json *bind,
                       const char *rootfs, struct error *err)
{
	struct json *t = json_new_object();
	bool is_file = false;
	int fd;

	json_add(trees, t);
	fd = bind ? take_mount(bind, rootfs, &is_file, err)
	          : share_clone(rootfs, true, SHARE_WRITABLE, &is_file, err);
	if (fd < 0)
		return -err->code;
	json_set(t, "name", json_new_string(bind ? json_get_string(bind, "name") : "rootfs"));
	json_set(t, "file", json_new_bool(is_file));
	if (ctl_out_fd(answer, t, "fd", fd, err) < 0) {
		close(fd);
		return -err->code;
	}
	return 0;
}

static int answer_trees(const struct json *msg, const char *rootfs, struct ctl_out *answer,
                        struct error *err)
{
	const struct json *mounts = json_get_array(msg, "mounts");
	struct json *trees = json_new_array();

	json_set(answer->json, "trees", trees);
	if (answer_tree(answer, trees, NULL, rootfs, err) < 0)
		return error_wrap(err, "root file system");
	for (size_t i = 0; mounts && i < json_len(mounts); i++) {
		const struct json *m = json_at(mounts, i);
		const char *name = json_get_string(m, "name"), *path = json_get_string(m, "path");
		const char *dest = json_get_string(m, "dest");

		if (!name || !path) /* the guest makes it */
			continue;
		if (answer_tree(answer, trees, m, rootfs, err) == 0)
			continue;
		if (err->code == ENOENT && !json_get_string(m, "data"))
			return error_set(err, ENOENT,
			                 "error mounting \"%s\" to rootfs at \"%s\": stat %s: no "
			                 "such file or directory",
			                 path, dest, path);
		return error_wrap(err, "error mounting \"%s\" to rootfs at \"%s\"", path, dest);
	}
	return 0;
}

/* Destinations are resolved in the container's root, whose links are hostile. What is missing there
 * is made by the guest later; the shim's view is a help for clients that look into it, not what the
 * container sees, so a mount that cannot be shown is left out. */
static void show_mount(int root, const struct json *m)
{
	const char *type = json_get_string(m, "type"), *dest = json_get_string(m, "dest");
	auto_error struct error err = { 0 };
	auto_close int tree = -1, at = -1;
	auto_free char *target = NULL;

	at = fs_open_in_root(root, dest, O_PATH, 0, &err);
	if (at < 0 || str_eq(type, "overlay")) /* two of the same are not allowed */
		return;
	if (str_eq(type, "bind")) {
		tree = take_mount(m, NULL, NULL, &err);
		if (tree >= 0 && mount_set_private(tree) == 0)
			move_mount(tree, "", at, "",
			           MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
		return;
	}
	target = str_fmt("/proc/self/fd/%d", at);
	mount(type, target, type, MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

static int enter_root(const struct json *msg, struct ctl_out *answer, struct error *err)
{
	const struct json *mounts = json_get_array(msg, "mounts");
	const struct json *hooks = json_get_object(msg, "hooks");
	const char *rootfs = json_get_string(msg, "rootfs");
	struct mount_attr readonly = { .attr_set = MOUNT_ATTR_RDONLY };
	auto_close int tree = -1, root = -1;

	if (!rootfs)
		return error_set(err, EPROTO, "the shim was told no root file system");
	if (hooks && hooks_run_in_standin(hooks, rootfs, err) < 0)
		return -err->code;
	if (answer_trees(msg, rootfs, answer, err) < 0)
		return -err->code;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_sys(err, "make the shim's mounts private");
	tree = share_clone(rootfs, true, SHARE_WRITABLE, NULL, err);
	if (tree < 0)
		return -err->code;
	if (move_mount(tree, "", AT_FDCWD, rootfs, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_sys(err, "attach the root file system in the shim");
	root = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return error_sys(err, "open '%s'", rootfs);
	for (size_t i = 0; mounts && i < json_len(mounts); i++)
		show_mount(root, json_at(mounts, i));
	if (fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return error_sys(err, "pivot the shim to '%s'", rootfs);
	if (json_get_bool(msg, "readonly", false) &&
	    mount_setattr(AT_FDCWD, "/", 0, &readonly, sizeof(readonly)) < 0)
		return error_sys(err, "make the shim's root read-only");
	return 0;
}

static int drop_privileges(struct error *err)
{
	cap_t none;
	int r;

	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		prctl(PR_CAPBSET_DROP, cap);
	none = cap_init();
	r = cap_set_proc(none);
	cap_free(none);
	if (r < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_sys(err, "drop the shim's privileges");
	return 0;
}

static int set_up(struct ctl_msg *msg, struct ctl_out *answer, int *tty, struct error *err)
{
	auto_close int mntns = ctl_msg_take_fd(msg, "mntns");

	*tty = ctl_msg_take_fd(msg, "tty");
	if (*tty >= 0 && ioctl(*tty, TIOCSCTTY, 0) < 0)
		return error_sys(err, "take the controlling terminal");
	if (json_get_bool(msg->json, "cgroupns", false) && unshare(CLONE_NEWCGROUP) < 0)
		return error_sys(err, "make a cgroup namespace");
	if (mntns >= 0) {
		if (setns(mntns, CLONE_NEWNS) < 0)
			return error_sys(err, "enter the container's mount namespace");
	} else if (enter_root(msg->json, answer, err) < 0) {
		return -err->code;
	}
	return drop_privileges(err);
}

/* {"ok": {trees}} or the error. */
static int send_answer(struct ctl_out *answer, const struct error *result)
{
	auto_error struct error err = { 0 };
	struct ctl_out out = *answer;
	int r = -result->code;

	if (result->code) {
		ctl_send_error(SETUP_FD, result);
	} else {
		out.json = json_new_object();
		json_set(out.json, "ok", json_copy(answer->json));
		r = ctl_send(SETUP_FD, &out, &err);
		json_free(out.json);
	}
	for (size_t i = 0; i < answer->n_fds; i++)
		close_fd(&answer->fds[i]);
	ctl_out_done(answer);
	return r;
}

int vcrt_shim_main(int argc, char **argv)
{
	auto_error struct error err = { 0 };
	struct ctl_out answer = { .json = json_new_object() };
	struct ctl_msg *msg;
	int tty = -1;

	standin_block_signals();
	fcntl(CONTROL_FD, F_SETFD, FD_CLOEXEC);
	fcntl(SETUP_FD, F_SETFD, FD_CLOEXEC);
	/* Signals wait until the verb has handed us over; it may also just end. */
	msg = ctl_recv(SETUP_FD, -1, &err);
	if (!msg)
		return 1;
	set_title(argc, argv, msg->json);
	set_up(msg, &answer, &tty, &err);
	ctl_msg_free(msg);
	if (send_answer(&answer, &err) < 0)
		return 1;
	close(SETUP_FD);
	return standin_run(CONTROL_FD, tty);
}
