/* The shim's own program. The set-up message of the verb:
 *
 *   args        the container's arguments, shown as our command line
 *   tty         descriptor of the pty's slave, to be the controlling terminal; may be missing
 *   cgroupns    make a cgroup namespace, now that we are in our cgroup
 *   mntns       descriptor of the mount namespace to enter (exec), or
 *   root        descriptor of the mount tree that becomes our root,
 *   rootfs      its path on the host, where it is attached,
 *   readonly    whether it is made read-only at the end,
 *   mounts      what is mounted in it: {type: "bind", fd} or {type: "proc"|"tmpfs", data}, dest
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
#include "lib/mountapi.h"
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

/* Destinations are resolved in the container's root, whose links are hostile. What is missing there
 * is made by the guest later; the shim's view is a help for clients that look into it, not what the
 * container sees, so a mount that cannot be shown is left out. */
static void show_mount(int root, struct ctl_msg *msg, const struct json *m)
{
	const char *type = json_get_string(m, "type"), *dest = json_get_string(m, "dest");
	const char *data = json_get_string(m, "data");
	int64_t index = json_get_i64(m, "fd", -1);
	auto_error struct error err = { 0 };
	auto_close int tree = -1, at = -1;
	auto_free char *path = NULL;

	if (!type || !dest)
		return;
	at = fs_open_in_root(root, dest, O_PATH, 0, &err);
	if (at < 0)
		return;
	if (str_eq(type, "bind") && index >= 0) {
		tree = ctl_msg_take_fd_at(msg, (size_t)index);
		if (mount_set_private(tree) == 0)
			move_mount(tree, "", at, "",
			           MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
		return;
	}
	path = str_fmt("/proc/self/fd/%d", at);
	mount(type, path, type, MS_NOSUID | MS_NODEV | MS_NOEXEC, data);
}

static int enter_root(struct ctl_msg *msg, struct error *err)
{
	const struct json *mounts = json_get_array(msg->json, "mounts");
	const char *rootfs = json_get_string(msg->json, "rootfs");
	auto_close int tree = ctl_msg_take_fd(msg, "root"), root = -1;
	struct mount_attr readonly = { .attr_set = MOUNT_ATTR_RDONLY };

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_sys(err, "make the shim's mounts private");
	if (!rootfs || tree < 0 || mount_set_private(tree) < 0 ||
	    move_mount(tree, "", AT_FDCWD, rootfs, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_sys(err, "attach the root file system in the shim");
	root = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return error_sys(err, "open '%s'", rootfs);
	for (size_t i = 0; mounts && i < json_len(mounts); i++)
		show_mount(root, msg, json_at(mounts, i));
	if (fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return error_sys(err, "pivot the shim to '%s'", rootfs);
	if (json_get_bool(msg->json, "readonly", false) &&
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

static int set_up(struct ctl_msg *msg, int *tty, struct error *err)
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
	} else if (enter_root(msg, err) < 0) {
		return -err->code;
	}
	return drop_privileges(err);
}

static int answer(const struct error *result)
{
	auto_error struct error err = { 0 };
	struct ctl_out out = { .json = json_new_object() };
	struct json *e = json_new_object();
	int r;

	if (result->code) {
		json_set(e, "code", json_new_i64(result->code));
		json_set(e, "msg", json_new_string(result->msg));
	}
	json_set(out.json, result->code ? "error" : "ok", e);
	r = ctl_send(SETUP_FD, &out, &err);
	ctl_out_done(&out);
	return result->code ? -result->code : r;
}

int vcrt_shim_main(int argc, char **argv)
{
	auto_error struct error err = { 0 };
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
	set_up(msg, &tty, &err);
	ctl_msg_free(msg);
	if (answer(&err) < 0)
		return 1;
	close(SETUP_FD);
	return standin_run(CONTROL_FD, tty);
}
