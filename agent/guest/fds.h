/* What a process in the guest gets beyond its standard streams: the "fds" of protocol.h. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct error;
struct fds;
struct json;
struct loop;
struct mux;

/* Decode list (NULL: none) and make the descriptors; bytes may come from now on. NULL and err when
 * one cannot be made; -EPROTO in err->code: what the list says is no language of ours, its streams
 * are unknown then. */
struct fds *fds_new(struct loop *loop, struct mux *m, const struct json *list, struct error *err);
/* The process's ends, in order; they stay here. */
const int *fds_theirs(const struct fds *f, size_t *n);
/* The process exists: its ends are closed here. */
void fds_attach(struct fds *f);
/* A connection to the listening socket that the process has as number. The streams are in use
 * afterwards, when this was no failure. Its other end is, for the process, that user. -EAGAIN: its
 * queue is full. */
struct fds_peer {
	uid_t uid;
	gid_t gid;
};
int fds_connect(struct fds *f, int64_t number, uint32_t to, uint32_t from, struct fds_peer peer,
                struct error *err);
/* The process is gone: send what has arrived from it, then the ends. */
void fds_finish(struct fds *f);
/* Streams that are still open are ended. NULL is fine. */
void fds_free(struct fds *f);

/* Shared with others who decode requests: a stream number, 0 when it is missing. -EPROTO. */
int fds_decode_stream(const struct json *object, const char *key, uint32_t *stream);
/* The "uid" and "gid" of an object, root when they are missing. -EPROTO. */
int fds_decode_peer(const struct json *object, struct fds_peer *peer);
