/* The port appears when the driver has talked to the VMM, a moment after its module was loaded. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "agent/guest/channel.h"
#include "agent/protocol.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"

#define PORTS "/sys/class/virtio-ports"
#define MAX_NAME 256
#define WAIT_MS 30000
#define STEP_US 500

/* Is that the port? Its name may come later than its directory. */
static bool is_port(const char *entry)
{
	auto_error struct error err = { 0 };
	auto_free char *path = str_fmt(PORTS "/%s/name", entry);
	auto_free char *name = NULL;

	if (fs_read(path, MAX_NAME, &name, NULL, &err) < 0)
		return false;
	name[strcspn(name, "\n")] = '\0';
	return str_eq(name, PROTOCOL_PORT_NAME);
}

/* Its device node, owned by the caller, or NULL. */
static char *find_port(void)
{
	DIR *dir = opendir(PORTS);
	struct dirent *entry;
	char *node = NULL;

	while (dir && !node && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.' && is_port(entry->d_name))
			node = str_fmt("/dev/%s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return node;
}

/* Until the host's end is open the port polls as hung up, and reading gives an end of file. */
static bool is_connected(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return poll(&p, 1, 0) == 1 && !(p.revents & POLLHUP);
}

int channel_open(struct error *err)
{
	auto_close int fd = -1;
	uint64_t deadline = loop_now_ms() + WAIT_MS;

	for (;;) {
		if (fd < 0) {
			auto_free char *node = find_port();

			if (node)
				fd = open(node, O_RDWR | O_NONBLOCK | O_CLOEXEC);
			if (node && fd < 0 && errno != ENOENT)
				return error_sys(err, "open '%s'", node);
		}
		if (fd >= 0 && is_connected(fd))
			return steal_fd(&fd);
		if (loop_now_ms() > deadline)
			return error_set(err, ETIMEDOUT, "no port '%s' with a host behind it",
			                 PROTOCOL_PORT_NAME);
		usleep(STEP_US);
	}
}
