#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/protocol.h"
#include "lib/ctl.h"
#include "lib/fds.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

#define MEM_MAJOR 1 /* of the character devices that are the same in each kernel */

/* ---- what a descriptor is ---- */

static struct json *new_entry(const char *type)
{
	struct json *j = json_new_object();

	json_set(j, "type", json_new_string(type));
	return j;
}

static int refuse_kind(const char *what, struct error *err)
{
	return error_set(err, ENOTSUP,
	                 "%s cannot be handed to a container in a virtual machine (pipes, "
	                 "connected and listening sockets, and devices like /dev/null can)",
	                 what);
}

static struct json *describe_pipe(int fd, struct error *err)
{
	int access = fcntl(fd, F_GETFL) & O_ACCMODE;
	struct json *j;

	if (access == O_RDWR) {
		refuse_kind("a pipe that is open for both reading and writing", err);
		return NULL;
	}
	j = new_entry("pipe");
	json_set(j, "reads", json_new_bool(access == O_RDONLY));
	return j;
}

static int socket_option(int fd, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &size) < 0 ? -1 : value;
}

static const char *kind_name(int type)
{
	return type == SOCK_STREAM ? "stream" : type == SOCK_SEQPACKET ? "seqpacket" : "dgram";
}

static struct json *describe_listener(int fd, int domain, int type, struct error *err)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	struct json *j;
	uint16_t port = 0;

	if (domain != AF_UNIX && domain != AF_INET && domain != AF_INET6) {
		refuse_kind("a listening socket that is neither a unix nor a TCP socket", err);
		return NULL;
	}
	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
		error_sys(err, "ask for a socket's address");
		return NULL;
	}
	if (domain == AF_INET)
		port = ntohs(((struct sockaddr_in *)&address)->sin_port);
	else if (domain == AF_INET6)
		port = ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
	j = new_entry("listen");
	json_set(j, "family",
	         json_new_string(domain == AF_UNIX   ? "unix"
	                         : domain == AF_INET ? "inet"
	                                             : "inet6"));
	json_set(j, "port", json_new_u64(port));
	json_set(j, "kind", json_new_string(kind_name(type)));
	return j;
}

static struct json *describe_socket(int fd, struct error *err)
{
	int domain = socket_option(fd, SO_DOMAIN), type = socket_option(fd, SO_TYPE);
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	struct ucred cred;
	socklen_t cred_size = sizeof(cred);
	struct json *j;

	if (type != SOCK_STREAM && type != SOCK_SEQPACKET && type != SOCK_DGRAM) {
		refuse_kind("a raw socket", err);
		return NULL;
	}
	if (type != SOCK_DGRAM && socket_option(fd, SO_ACCEPTCONN) == 1)
		return describe_listener(fd, domain, type, err);
	if (getpeername(fd, (struct sockaddr *)&peer, &size) < 0) {
		refuse_kind("a socket that is not connected and does not listen", err);
		return NULL;
	}
	j = new_entry("socket");
	json_set(j, "kind", json_new_string(kind_name(type)));
	if (domain == AF_UNIX && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_size) == 0 &&
	    cred.uid != (uid_t)-1) {
		json_set(j, "uid", json_new_u64(cred.uid));
		json_set(j, "gid", json_new_u64(cred.gid));
	}
	return j;
}

static struct json *describe_device(int fd, const struct stat *st, struct error *err)
{
	static const char *const names[] = {
		[3] = "null", [5] = "zero", [7] = "full", [8] = "random", [9] = "urandom"
	};
	unsigned minor_number = minor(st->st_rdev);
	int access = fcntl(fd, F_GETFL) & O_ACCMODE;
	struct json *j;

	if (major(st->st_rdev) != MEM_MAJOR || minor_number >= ARRAY_SIZE(names) ||
	    !names[minor_number]) {
		refuse_kind(isatty(fd) ? "a terminal" : "a device of the host", err);
		return NULL;
	}
	j = new_entry("device");
	json_set(j, "name", json_new_string(names[minor_number]));
	json_set(j, "read", json_new_bool(access != O_WRONLY));
	json_set(j, "write", json_new_bool(access != O_RDONLY));
	return j;
}

static struct json *describe(int fd, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		error_sys(err, "stat");
		return NULL;
	}
	if (fcntl(fd, F_GETFL) & O_PATH)
		refuse_kind("a descriptor opened with O_PATH", err);
	else if (S_ISFIFO(st.st_mode))
		return describe_pipe(fd, err);
	else if (S_ISSOCK(st.st_mode))
		return describe_socket(fd, err);
	else if (S_ISCHR(st.st_mode))
		return describe_device(fd, &st, err);
	else if (S_ISREG(st.st_mode))
		refuse_kind("a regular file", err);
	else if (S_ISDIR(st.st_mode))
		refuse_kind("a directory", err);
	else if (S_ISBLK(st.st_mode))
		refuse_kind("a block device", err);
	else
		refuse_kind("a descriptor of this kind (an eventfd, a timer, or the like)", err);
	return NULL;
}

/* ---- which ones ---- */

/* What is close-on-exec was opened by this process itself. */
static bool is_open(int fd)
{
	int flags = fcntl(fd, F_GETFD);

	return flags >= 0 && !(flags & FD_CLOEXEC);
}

/* As sd_listen_fds(3): they are meant for the process that LISTEN_PID names, and for no other. */
static size_t count_listen_fds(void)
{
	const char *count = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
	uint64_t n, to;

	if (!count || !pid || str_to_u64(count, 0, UINT32_MAX, &n) < 0 ||
	    str_to_u64(pid, 0, INT32_MAX, &to) < 0 || to != (uint64_t)getpid())
		return 0;
	return n;
}

static int add_one(struct preserved *p, struct error *err)
{
	struct json *entry;

	if (p->n == PROTOCOL_MAX_FDS)
		return error_set(err, E2BIG, "more than %d descriptors for the container",
		                 PROTOCOL_MAX_FDS);
	entry = describe(p->first + (int)p->n, err);
	if (!entry)
		return -err->code;
	json_add(p->list, entry);
	p->n++;
	return 0;
}

static int add_listen_fds(struct preserved *p, size_t n, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		int fd = p->first + (int)p->n;

		if (!is_open(fd))
			return error_set(err, EBADF, "LISTEN_FDS: descriptor %d is not open", fd);
		if (add_one(p, err) < 0)
			return error_wrap(err, "LISTEN_FDS: descriptor %d", fd);
	}
	p->n_listen = n;
	return 0;
}

int preserved_find_only(struct preserved *p, unsigned preserve_fds, struct error *err)
{
	if (!p->list)
		p->list = json_new_array();
	for (unsigned i = 0; i < preserve_fds; i++) {
		int fd = p->first + (int)p->n;

		if (!is_open(fd))
			return error_set(err, ENOENT,
			                 "unable to stat preserved-fd %u (of %u): stat "
			                 "/proc/self/fd/%d: no such file or directory",
			                 i, preserve_fds, fd);
		if (add_one(p, err) < 0)
			return error_wrap(err, "preserved-fd %u (of %u), descriptor %d", i,
			                  preserve_fds, fd);
	}
	return 0;
}

int preserved_find(struct preserved *p, unsigned preserve_fds, struct error *err)
{
	p->list = json_new_array();
	if (add_listen_fds(p, count_listen_fds(), err) < 0)
		return -err->code;
	return preserved_find_only(p, preserve_fds, err);
}

void preserved_set_env(const struct preserved *p, char ***env)
{
	auto_free char *count = str_fmt("LISTEN_FDS=%zu", p->n_listen);

	if (p->n_listen == 0)
		return;
	strv_push(env, count);
	strv_push(env, "LISTEN_PID=1");
}

int preserved_add(const struct preserved *p, struct ctl_out *request, struct error *err)
{
	struct json *list = json_new_array();

	json_set(request->json, "fds", list);
	for (size_t i = 0; i < p->n; i++) {
		struct json *entry = json_copy(json_at(p->list, i));

		json_add(list, entry);
		if (ctl_out_fd(request, entry, "fd", p->first + (int)i, err) < 0)
			return -err->code;
	}
	return 0;
}

void preserved_close(struct preserved *p)
{
	for (size_t i = 0; i < p->n; i++)
		close(p->first + (int)i);
	p->n = 0;
}

void preserved_done(struct preserved *p)
{
	json_free(p->list);
	*p = PRESERVED_NONE;
}
