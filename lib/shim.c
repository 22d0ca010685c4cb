/* The shim's own program. The set-up message of the verb:
 *
 *   args        the container's arguments, shown as our command line
 *   tty         descriptor of the pty's slave, to be the controlling terminal; may be missing
 *   cgroupns    make a cgroup namespace, now that we are in our cgroup
 *   mntns       descriptor of the mount namespace to enter (exec), or
 *   rootfs      path on the host of what becomes our root,
 *   readonly    whether it is made read-only at the end,
 *   hooks       createContainer hooks to run before anything else is done with these (hooks.h)
 *   mounts      what is mounted in it (shim-view.h)
 *
 * The answer holds "trees" for the share (shim-view.h). With a root a second message, of no
 * content, says that the guest has made the container; until then the shim keeps its privileges.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/caps.h"
#include "lib/ctl.h"
#include "lib/hooks.h"
#include "lib/shim-view.h"
#include "lib/standin.h"
#include "lib/vcrt.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

enum { CONTROL_FD = 3, SETUP_FD = 4 };

/* Show the container's arguments in /proc/PID/cmdline: the verb made the argument area big enough.
 * Where its last byte is not NUL, the kernel shows the text up to the first NUL (proc(5)), and not
 * what is left of the area. */
static void set_title(int argc, char **argv, const struct json *msg)
{
	auto_strv char **args = json_get_strv(msg, "args");
	auto_free char *title = strv_join(args, " ");
	char *start = argv[0], *end = argv[argc - 1] + strlen(argv[argc - 1]);
	const char *name;

	if (!args || !*args)
		return;
	name = strrchr(args[0], '/');
	prctl(PR_SET_NAME, name && name[1] ? name + 1 : args[0]);
	memset(start, 0, (size_t)(end - start));
	strncpy(start, title, (size_t)(end - start) - 1);
	*end = '.';
}

static int drop_privileges(struct error *err)
{
	if (caps_bound(0, err) < 0 || caps_limit(0, err) < 0)
		return error_wrap(err, "drop the shim's privileges");
	return 0;
}

static int enter_root(const struct json *msg, struct shim_view *view, struct ctl_out *answer,
                      struct error *err)
{
	const struct json *hooks = json_get_object(msg, "hooks");
	const char *rootfs = json_get_string(msg, "rootfs");

	if (!rootfs)
		return error_set(err, EPROTO, "the shim was told no root file system");
	if (hooks && hooks_run_in_standin(hooks, rootfs, err) < 0)
		return -err->code;
	view->mounts = json_get_array(msg, "mounts");
	view->is_readonly = json_get_bool(msg, "readonly", false);
	if (shim_view_take(view, rootfs, answer, err) < 0)
		return -err->code;
	return shim_view_enter(view, rootfs, err);
}

static int set_up(struct ctl_msg *msg, struct shim_view *view, struct ctl_out *answer, int *tty,
                  struct error *err)
{
	auto_close int mntns = ctl_msg_take_fd(msg, "mntns");

	*tty = ctl_msg_take_fd(msg, "tty");
	if (*tty >= 0 && ioctl(*tty, TIOCSCTTY, 0) < 0)
		return error_sys(err, "take the controlling terminal");
	if (json_get_bool(msg->json, "cgroupns", false) && unshare(CLONE_NEWCGROUP) < 0)
		return error_sys(err, "make a cgroup namespace");
	if (mntns < 0)
		return enter_root(msg->json, view, answer, err);
	if (setns(mntns, CLONE_NEWNS) < 0)
		return error_sys(err, "enter the container's mount namespace");
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

/* Without the message the verb has failed or is gone, which is the monitor's to say. */
static int finish(struct shim_view *view)
{
	auto_error struct error err = { 0 }, ignored = { 0 };
	auto_ctl_msg struct ctl_msg *msg = ctl_recv(SETUP_FD, -1, &ignored);
	struct ctl_out answer = { .json = json_new_object() };

	if (msg)
		shim_view_show(view, &err);
	shim_view_done(view);
	if (!err.code)
		drop_privileges(&err);
	if (!msg) {
		ctl_out_done(&answer);
		return -err.code;
	}
	return send_answer(&answer, &err);
}

int vcrt_shim_main(int argc, char **argv)
{
	auto_error struct error err = { 0 };
	auto_ctl_msg struct ctl_msg *msg = NULL;
	struct shim_view view = SHIM_VIEW_NONE;
	struct ctl_out answer = { .json = json_new_object() };
	int tty = -1;

	standin_block_signals();
	fcntl(CONTROL_FD, F_SETFD, FD_CLOEXEC);
	fcntl(SETUP_FD, F_SETFD, FD_CLOEXEC);
	/* Signals wait until the verb has handed us over; it may also just end. */
	msg = ctl_recv(SETUP_FD, -1, &err);
	if (!msg)
		return 1;
	set_title(argc, argv, msg->json);
	set_up(msg, &view, &answer, &tty, &err);
	if (send_answer(&answer, &err) < 0 || (view.root >= 0 && finish(&view) < 0))
		return 1;
	ctl_msg_freep(&msg);
	close(SETUP_FD);
	return standin_run(CONTROL_FD, tty);
}
