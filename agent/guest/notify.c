#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/guest/notify.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "oci/oci.h"

/* Where runc has it: programs may rely on that. */
#define NOTIFY_DIR "/run/notify"
#define NOTIFY_NAME "notify.sock"

#define MAX_MESSAGE 4096 /* bytes; a service manager takes no longer ones either */
#define MAX_AT_ONCE 1000 /* messages, of a container that does not stop to send them */

struct notify {
	char *dir, *path;
	int fd;
	bool is_bound; /* else the file, if there is one, is not ours */
	struct loop_source *source;
	void (*ready)(void *arg);
	void *arg;
};

/* One assignment on each line. */
static bool says_ready(char *message)
{
	char *rest = message, *line;

	while ((line = strsep(&rest, "\n")))
		if (str_eq(line, "READY=1"))
			return true;
	return false;
}

/* Descriptors that come along (a BARRIER) are closed by the kernel, which is the answer to them. */
static bool take(struct notify *n)
{
	char message[MAX_MESSAGE + 1];
	ssize_t len = recv(n->fd, message, MAX_MESSAGE, MSG_DONTWAIT | MSG_TRUNC);

	if (len < 0)
		return errno == EINTR;
	if (len > MAX_MESSAGE)
		return true; /* a part of it may say something else */
	message[len] = '\0';
	if (says_ready(message))
		n->ready(n->arg);
	return true;
}

static void on_message(int fd, uint32_t events, void *arg)
{
	(void)fd;
	(void)events;
	take(arg);
}

/* Anybody in the container may write to it: as with a native runtime, where only the mount says
 * who has it. */
static int open_socket(struct notify *n, struct error *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (strlen(n->path) >= sizeof(addr.sun_path))
		return error_set(err, ENAMETOOLONG, "path too long");
	strcpy(addr.sun_path, n->path);
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (n->fd < 0 || bind(n->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return error_sys(err, "make the socket");
	n->is_bound = true;
	return chmod(n->path, 0777) < 0 ? error_sys(err, "give the socket to all") : 0;
}

static void add_to_spec(const struct notify *n, struct oci_spec *spec)
{
	static const char *const options[] = { "bind", "nosuid", "noexec", "nodev", "ro" };
	struct oci_mount *m = oci_spec_add_mount(spec);

	m->destination = str_dup(NOTIFY_DIR);
	m->type = str_dup("bind");
	m->source = str_dup(n->dir);
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		strv_push(&m->options, options[i]);
	strv_push(&spec->process->env, "NOTIFY_SOCKET=" NOTIFY_DIR "/" NOTIFY_NAME);
}

struct notify *notify_new(struct loop *loop, const char *root, const char *name,
                          struct oci_spec *spec, void (*ready)(void *arg), void *arg,
                          struct error *err)
{
	struct notify *n = xzalloc(sizeof(*n));

	n->fd = -1;
	n->ready = ready;
	n->arg = arg;
	n->dir = str_fmt("%s/%s", root, name);
	n->path = str_fmt("%s/" NOTIFY_NAME, n->dir);
	if (fs_mkdir_p(n->dir, 0755, err) < 0 || open_socket(n, err) < 0) {
		error_wrap(err, "NOTIFY_SOCKET: '%s'", n->path);
		notify_free(n);
		return NULL;
	}
	n->source = loop_add_fd(loop, n->fd, EPOLLIN, on_message, n);
	add_to_spec(n, spec);
	return n;
}

void notify_drain(struct notify *n)
{
	for (int i = 0; n && i < MAX_AT_ONCE && take(n); i++)
		;
}

void notify_free(struct notify *n)
{
	if (!n)
		return;
	loop_remove(&n->source);
	if (n->is_bound)
		unlink(n->path);
	close_fd(&n->fd);
	rmdir(n->dir);
	free(n->dir);
	free(n->path);
	free(n);
}
