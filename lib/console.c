#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/console.h"
#include "lib/handover.h"
#include "lib/base/error.h"
#include "lib/base/mem.h"

#define CONSOLE_NAME "/dev/ptmx" /* what runc sends along with the descriptor */

int console_make_raw(int fd, struct termios *saved, struct error *err)
{
	struct termios raw;

	if (tcgetattr(fd, saved) < 0)
		return error_sys(err, "read the terminal's settings");
	raw = *saved;
	cfmakeraw(&raw);
	if (tcsetattr(fd, TCSANOW, &raw) < 0)
		return error_sys(err, "make the terminal raw");
	return 0;
}

int console_open(unsigned short height, unsigned short width, int *master, int *slave,
                 struct error *err)
{
	struct winsize ws = { .ws_row = height, .ws_col = width };
	auto_close int m = -1, s = -1;
	struct termios saved;

	m = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (m < 0)
		return error_sys(err, "open '/dev/ptmx'");
	if (unlockpt(m) < 0)
		return error_sys(err, "unlock a pty");
	s = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s < 0)
		return error_sys(err, "open a pty's slave");
	if (console_make_raw(s, &saved, err) < 0)
		return -err->code;
	if ((height || width) && ioctl(s, TIOCSWINSZ, &ws) < 0)
		return error_sys(err, "set a pty's size");
	*master = steal_fd(&m);
	*slave = steal_fd(&s);
	return 0;
}

int console_send(const char *socket_path, int master, struct error *err)
{
	auto_close int fd = handover_connect(SOCK_STREAM, socket_path, "console socket", err);

	if (fd < 0)
		return fd;
	if (handover_send(fd, CONSOLE_NAME, master, err) < 0)
		return error_wrap(err, "console socket '%s'", socket_path);
	return 0;
}

int console_find(const int stdio[3], struct error *err)
{
	int fd = -1;

	for (int i = 3; i-- > 0;) {
		if (isatty(stdio[i])) {
			fd = fcntl(stdio[i], F_DUPFD_CLOEXEC, 3);
			return fd < 0 ? error_sys(err, "duplicate a descriptor") : fd;
		}
	}
	fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return error_sys(err, "the process wants a terminal, but none of standard input, "
		                      "output and error is one: open '/dev/tty'");
	return fd;
}

bool console_size(int fd, unsigned short *height, unsigned short *width)
{
	struct winsize ws;

	if (ioctl(fd, TIOCGWINSZ, &ws) < 0 || (!ws.ws_row && !ws.ws_col))
		return false;
	*height = ws.ws_row;
	*width = ws.ws_col;
	return true;
}
