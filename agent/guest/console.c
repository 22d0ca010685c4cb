/* The terminal of a container process: a pair from the container's own devpts. */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/fs.h"
#include "oci/oci.h"

static int open_master(struct error *err)
{
	static const char *const names[] = { "/dev/pts/ptmx", "/dev/ptmx" };
	int lock = 0;

	/* The first is always of the container's own instance; the second may be what a /dev of
	 * the caller's has instead. A file that only has the name fails the ioctl. */
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		auto_close int fd = open(names[i], O_RDWR | O_NOCTTY | O_CLOEXEC);

		if (fd >= 0 && ioctl(fd, TIOCSPTLCK, &lock) == 0)
			return steal_fd(&fd);
	}
	return error_sys(err, "process.terminal: open a terminal on '/dev/ptmx'");
}

static void set_size(int fd, const struct launch *l)
{
	const struct oci_console_size *cs = l->process->console_size;
	struct winsize size = { .ws_row = l->io.height, .ws_col = l->io.width };

	if (size.ws_row == 0 && size.ws_col == 0 && cs) {
		size.ws_row = (unsigned short)cs->height;
		size.ws_col = (unsigned short)cs->width;
	}
	if (size.ws_row || size.ws_col)
		ioctl(fd, TIOCSWINSZ, &size);
}

static int bind_console(int slave, struct error *err)
{
	auto_close int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	auto_close int target = -1;

	if (root < 0)
		return error_sys(err, "open '/'");
	target = fs_make_in_root(root, "/dev/console", false, err);
	if (target < 0)
		return target;
	return mount_bind_fd(slave, target, false, "/dev/console", err);
}

int console_open(struct launch *l, bool on_dev_console, struct error *err)
{
	auto_close int master = open_master(err);
	auto_close int slave = -1;

	if (master < 0)
		return master;
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return error_sys(err, "process.terminal: open the terminal");
	set_size(master, l);
	if (fchown(slave, l->process->user.uid, (gid_t)-1) < 0)
		return error_sys(err, "process.terminal: give the terminal to user %u",
		                 l->process->user.uid);
	if (on_dev_console && bind_console(slave, err) < 0)
		return error_wrap(err, "process.terminal");
	if (ioctl(slave, TIOCSCTTY, 0) < 0)
		return error_sys(err, "process.terminal: make it the controlling terminal");
	for (int i = 0; i < 3; i++)
		if (dup3(slave, l->stdio[i], O_CLOEXEC) < 0)
			return error_sys(err, "process.terminal: standard streams");
	l->master = steal_fd(&master);
	return 0;
}
