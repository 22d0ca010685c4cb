#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/duplex.h"
#include "agent/guest/fds.h"
#include "agent/protocol.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

/* What the program may still change by a listen() of its own. */
#define BACKLOG 64
#define FIRST_FD 3

struct entry {
	const char *type;  /* of types[] */
	uint32_t to, from; /* streams to and from the process, 0: none, or attached */
	int sock_kind, family;
	uint16_t port;
	struct fds_peer peer;
	const char *device;
	int access;
	int theirs, ours;
	struct sockaddr_storage address; /* of a listening socket */
	socklen_t address_size;
	struct pump *pump;
	struct duplex *duplex;
};

struct fds {
	struct loop *loop;
	struct mux *mux;
	size_t n;
	struct entry *v;
	int *theirs;
	struct duplex_list connections;
};

struct name {
	const char *name;
	int value;
};

static const struct name kinds[] = {
	{ "stream", SOCK_STREAM }, { "seqpacket", SOCK_SEQPACKET }, { "dgram", SOCK_DGRAM }, { 0 }
};
static const struct name families[] = {
	{ "unix", AF_UNIX }, { "inet", AF_INET }, { "inet6", AF_INET6 }, { 0 }
};

/* ---- decoding ---- */

int fds_decode_stream(const struct json *object, const char *key, uint32_t *stream)
{
	int64_t number = json_get_i64(object, key, 0);

	*stream = 0;
	if (!json_get(object, key))
		return 0;
	if (number < 1 || number > UINT32_MAX)
		return -EPROTO;
	*stream = (uint32_t)number;
	return 0;
}

int fds_decode_peer(const struct json *object, struct fds_peer *peer)
{
	int64_t uid = json_get_i64(object, "uid", 0), gid = json_get_i64(object, "gid", 0);

	if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
		return -EPROTO;
	peer->uid = (uid_t)uid;
	peer->gid = (gid_t)gid;
	return 0;
}

static int find_name(const struct json *object, const char *key, const struct name *names)
{
	const char *text = json_get_string(object, key);

	for (; text && names->name; names++)
		if (str_eq(names->name, text))
			return names->value;
	return -EPROTO;
}

static int decode_pipe(const struct json *j, struct entry *e)
{
	(void)j;
	return !e->to != !e->from ? 0 : -EPROTO;
}

static int decode_socket(const struct json *j, struct entry *e)
{
	e->sock_kind = find_name(j, "kind", kinds);
	if (e->sock_kind < 0 || !e->to || !e->from || e->to == e->from)
		return -EPROTO;
	return fds_decode_peer(j, &e->peer);
}

static int decode_listen(const struct json *j, struct entry *e)
{
	int64_t port = json_get_i64(j, "port", 0);

	e->sock_kind = find_name(j, "kind", kinds);
	e->family = find_name(j, "family", families);
	e->port = (uint16_t)port;
	if (e->sock_kind < 0 || e->family < 0 || e->sock_kind == SOCK_DGRAM || e->to || e->from ||
	    (e->family != AF_UNIX && e->sock_kind != SOCK_STREAM) || port < 0 || port > UINT16_MAX)
		return -EPROTO;
	return 0;
}

static int decode_device(const struct json *j, struct entry *e)
{
	static const char *const devices[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random",
		                               "/dev/urandom" };
	const char *name = json_get_string(j, "name");
	bool reads = json_get_bool(j, "read", false), writes = json_get_bool(j, "write", false);

	e->access = reads && writes ? O_RDWR : writes ? O_WRONLY : O_RDONLY;
	for (size_t i = 0; name && i < ARRAY_SIZE(devices); i++)
		if (str_eq(devices[i] + strlen("/dev/"), name))
			e->device = devices[i];
	return e->device && !e->to && !e->from ? 0 : -EPROTO;
}

/* ---- making ---- */

static int make_pipe(struct entry *e)
{
	int ends[2], own = e->to ? 1 : 0;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	e->ours = ends[own];
	e->theirs = ends[!own];
	return 0;
}

/* The peer of a unix socket is who made or connected it: a server must not take whoever wants
 * something of it for root. There is one thread. */
static int become(struct fds_peer peer, struct fds_peer *before)
{
	*before = (struct fds_peer){ .uid = geteuid(), .gid = getegid() };
	if ((peer.gid != before->gid && setegid(peer.gid) < 0) ||
	    (peer.uid != before->uid && seteuid(peer.uid) < 0))
		return -errno;
	return 0;
}

static void become_again(struct fds_peer before)
{
	if (seteuid(before.uid) < 0 || setegid(before.gid) < 0)
		abort(); /* the saved user is still this one: there is no reason to fail */
}

static int make_socket(struct entry *e)
{
	struct fds_peer before;
	int ends[2], r = become(e->peer, &before);

	if (r == 0 && socketpair(AF_UNIX, e->sock_kind | SOCK_CLOEXEC, 0, ends) < 0)
		r = -errno;
	become_again(before);
	if (r < 0)
		return r;
	e->ours = ends[0];
	e->theirs = ends[1];
	return 0;
}

/* On the loopback, with the port that the caller's socket has if nobody else has it here: programs
 * look at it. */
static socklen_t fill_address(struct entry *e, uint16_t port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&e->address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&e->address;

	memset(&e->address, 0, sizeof(e->address));
	e->address.ss_family = (sa_family_t)e->family;
	if (e->family == AF_INET) {
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		in->sin_port = htons(port);
		return sizeof(*in);
	}
	if (e->family == AF_INET6) {
		in6->sin6_addr = in6addr_loopback;
		in6->sin6_port = htons(port);
		return sizeof(*in6);
	}
	return sizeof(sa_family_t); /* the kernel finds an abstract name */
}

static int make_listener(struct entry *e)
{
	auto_close int fd = socket(e->family, e->sock_kind | SOCK_CLOEXEC, 0);
	socklen_t size = fill_address(e, e->port);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&e->address, size) < 0) {
		size = fill_address(e, 0);
		if (bind(fd, (struct sockaddr *)&e->address, size) < 0)
			return -errno;
	}
	e->address_size = sizeof(e->address);
	if (listen(fd, BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *)&e->address, &e->address_size) < 0)
		return -errno;
	e->theirs = steal_fd(&fd);
	return 0;
}

static int make_device(struct entry *e)
{
	e->theirs = open(e->device, e->access | O_CLOEXEC | O_NOCTTY);
	return e->theirs < 0 ? -errno : 0;
}

static const struct {
	const char *name;
	int (*decode)(const struct json *j, struct entry *e);
	int (*make)(struct entry *e);
} types[] = {
	{ "pipe", decode_pipe, make_pipe },
	{ "socket", decode_socket, make_socket },
	{ "listen", decode_listen, make_listener },
	{ "device", decode_device, make_device },
};

static int decode_entry(const struct json *j, struct entry *e)
{
	const char *type = json_type(j) == JSON_OBJECT ? json_get_string(j, "type") : NULL;

	if (!type || fds_decode_stream(j, "in", &e->to) < 0 ||
	    fds_decode_stream(j, "out", &e->from) < 0)
		return -EPROTO;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (!str_eq(types[i].name, type))
			continue;
		e->type = types[i].name;
		return types[i].decode(j, e);
	}
	return -EPROTO;
}

static int make_entry(struct entry *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (types[i].name == e->type)
			return types[i].make(e);
	return -EPROTO;
}

static int decode_list(struct fds *f, const struct json *list)
{
	int r = 0;

	if (json_type(list) != JSON_ARRAY || json_len(list) > PROTOCOL_MAX_FDS)
		return -EPROTO;
	f->v = xcalloc(json_len(list), sizeof(*f->v));
	f->theirs = xcalloc(json_len(list), sizeof(*f->theirs));
	for (f->n = 0; r == 0 && f->n < json_len(list); f->n++) {
		f->v[f->n].theirs = f->v[f->n].ours = -1;
		r = decode_entry(json_at(list, f->n), &f->v[f->n]);
	}
	return r;
}

/* What cannot be decoded has no streams: nobody knows which ones it means. */
static void forget_streams(struct fds *f)
{
	for (size_t i = 0; i < f->n; i++)
		f->v[i].to = f->v[i].from = 0;
}

const int *fds_theirs(const struct fds *f, size_t *n)
{
	*n = f->n;
	return f->theirs;
}

/* ---- running ---- */

static unsigned flags_of(const struct entry *e)
{
	return DUPLEX_PRIVATE | (e->sock_kind == SOCK_STREAM ? 0 : DUPLEX_RECORDS);
}

static void attach(struct fds *f, struct entry *e)
{
	int fd = steal_fd(&e->ours);

	if (e->to && e->from)
		e->duplex =
			duplex_new(f->loop, f->mux, e->to, e->from, fd, flags_of(e), NULL, NULL);
	else if (e->to)
		e->pump = pump_to_fd(f->loop, f->mux, e->to, fd, NULL, NULL);
	else
		e->pump = pump_from_fd(f->loop, f->mux, e->from, fd, NULL, NULL);
	if (!e->duplex && !e->pump)
		mux_fail(f->mux, EPROTO, "the peer broke the protocol: a stream is not free");
	e->to = e->from = 0;
}

struct fds *fds_new(struct loop *loop, struct mux *m, const struct json *list, struct error *err)
{
	struct fds *f = xzalloc(sizeof(*f));
	int r;

	f->loop = loop;
	f->mux = m;
	if (list && decode_list(f, list) < 0) {
		error_set(err, EPROTO, "odd \"fds\" in a request");
		forget_streams(f);
	}
	for (size_t i = 0; err->code == 0 && i < f->n; i++) {
		r = make_entry(&f->v[i]);
		f->theirs[i] = f->v[i].theirs;
		if (r < 0)
			error_set(err, r == -EPROTO ? EIO : -r, "make descriptor %zu: %s",
			          i + FIRST_FD, strerror(-r));
	}
	if (err->code != 0) {
		fds_free(f);
		return NULL;
	}
	/* Frames may come from now on, long before there is a process. */
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i].ours >= 0)
			attach(f, &f->v[i]);
	return f;
}

void fds_attach(struct fds *f)
{
	for (size_t i = 0; i < f->n; i++)
		close_fd(&f->v[i].theirs);
}

/* Without waiting: TCP goes on by itself. */
static int connect_as(int fd, const struct entry *e, struct fds_peer peer)
{
	struct fds_peer before;
	int r = become(peer, &before);

	if (r == 0 && connect(fd, (const struct sockaddr *)&e->address, e->address_size) < 0 &&
	    errno != EINPROGRESS)
		r = -errno;
	become_again(before);
	return r;
}

int fds_connect(struct fds *f, int64_t number, uint32_t to, uint32_t from, struct fds_peer peer,
                struct error *err)
{
	const struct entry *e;
	auto_close int fd = -1;
	struct duplex *d;
	int r;

	if (number < FIRST_FD || (size_t)number - FIRST_FD >= f->n ||
	    f->v[number - FIRST_FD].address_size == 0)
		return error_set(err, EINVAL, "descriptor %lld is no listening socket",
		                 (long long)number);
	duplex_list_sweep(&f->connections);
	e = &f->v[number - FIRST_FD];
	fd = socket(e->family, e->sock_kind | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = fd < 0 ? -errno : connect_as(fd, e, peer);
	if (r < 0)
		return error_set(err, -r, "connect to descriptor %lld: %s", (long long)number,
		                 strerror(-r));
	d = duplex_new(f->loop, f->mux, to, from, steal_fd(&fd), flags_of(e), NULL, NULL);
	if (!d)
		return mux_fail(f->mux, EPROTO,
		                "the peer broke the protocol: a stream is not free");
	duplex_list_add(&f->connections, d);
	return 0;
}

void fds_finish(struct fds *f)
{
	for (size_t i = 0; i < f->n; i++) {
		struct entry *e = &f->v[i];

		if (e->duplex)
			duplex_finish(e->duplex);
		else if (e->pump)
			pump_finish(e->pump);
	}
	duplex_list_finish(&f->connections);
}

static void entry_done(struct fds *f, struct entry *e)
{
	pump_free(e->pump);
	duplex_free(e->duplex);
	if (e->to)
		mux_refuse_stream(f->mux, e->to, true);
	if (e->from)
		mux_refuse_stream(f->mux, e->from, false);
	close_fd(&e->theirs);
	close_fd(&e->ours);
}

void fds_free(struct fds *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->n; i++)
		entry_done(f, &f->v[i]);
	duplex_list_free(&f->connections);
	free(f->theirs);
	free(f->v);
	free(f);
}
