/* The mounts of config.json: what the stand-in takes from the host for them, and how the guest's
 * document names it. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "agent/protocol.h"
#include "lib/verbs.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define SHM "/dev/shm"
#define MAX_PROC_FILE (16u << 20)

static void set(char **member, char *value)
{
	free(*member);
	*member = value;
}

/* ---- the host's mount table ---- */

struct host_mount {
	char *point;
	char **flags; /* as option words */
};

struct host_mounts {
	struct host_mount *v;
	size_t n;
};

static void host_mounts_done(struct host_mounts *h)
{
	for (size_t i = 0; i < h->n; i++) {
		free(h->v[i].point);
		strv_free(h->v[i].flags);
	}
	free(h->v);
}

/* Characters that would end a field of the table are written as \ooo there. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		unsigned c;

		if (*s == '\\' && sscanf(s + 1, "%3o", &c) == 1 && strspn(s + 1, "01234567") >= 3) {
			*to++ = (char)c;
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

static char **flags_of(const char *options)
{
	static const char *const kept[] = { "ro",      "nosuid",     "nodev",       "noexec",
		                            "noatime", "nodiratime", "nosymfollow", NULL };
	auto_strv char **words = str_split(options, ',');
	char **flags = NULL;

	for (char **w = words; *w; w++)
		if (strv_has((char *const *)kept, *w))
			strv_push(&flags, *w);
	return flags;
}

static int host_mounts_read(struct host_mounts *h, struct error *err)
{
	auto_free char *text = NULL;
	auto_strv char **lines = NULL;

	if (fs_read("/proc/self/mountinfo", MAX_PROC_FILE, &text, NULL, err) < 0)
		return -err->code;
	lines = str_split(text, '\n');
	h->v = xcalloc(strv_len(lines) + 1, sizeof(*h->v));
	for (char **line = lines; *line; line++) {
		auto_free char *point = NULL, *options = NULL;

		/* Fields: id parent major:minor root mount-point options ... */
		if (sscanf(*line, "%*d %*d %*s %*s %ms %ms", &point, &options) != 2)
			continue;
		unescape(point);
		h->v[h->n].flags = flags_of(options);
		h->v[h->n++].point = steal_ptr(&point);
	}
	return 0;
}

/* path is in dir, and not dir itself; what follows, without a slash, or NULL. */
static const char *below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (len == 1) /* "/" */
		return path[1] ? path + 1 : NULL;
	return strncmp(path, dir, len) == 0 && path[len] == '/' ? path + len + 1 : NULL;
}

/* The mount that path lies in; of several on one another the topmost. */
static const struct host_mount *mount_of(const struct host_mounts *h, const char *path)
{
	const struct host_mount *best = NULL;

	for (size_t i = 0; i < h->n; i++)
		if ((str_eq(h->v[i].point, path) || below(path, h->v[i].point)) &&
		    (!best || strlen(h->v[i].point) >= strlen(best->point)))
			best = &h->v[i];
	return best;
}

/* ---- mounts below mounts ---- */

static int compare_points(const void *a, const void *b)
{
	const struct host_mount *const *x = a, *const *y = b;

	return strcmp((*x)->point, (*y)->point);
}

/* What is mounted below dir, parents first; *n of them, the array is the caller's. Without those
 * that root cannot reach: deleted, covered by others, of a user's FUSE server. */
static const struct host_mount **submounts_of(const struct host_mounts *h, const char *dir,
                                              size_t *n)
{
	const struct host_mount **v = xcalloc(h->n + 1, sizeof(*v));
	struct stat st;
	size_t kept = 0;

	*n = 0;
	for (size_t i = 0; i < h->n; i++)
		if (below(h->v[i].point, dir))
			v[(*n)++] = &h->v[i];
	if (*n)
		qsort(v, *n, sizeof(*v), compare_points);
	for (size_t i = 0; i < *n; i++)
		if ((kept == 0 || !str_eq(v[kept - 1]->point, v[i]->point)) &&
		    lstat(v[i]->point, &st) == 0)
			v[kept++] = v[i];
	*n = kept;
	return v;
}

static bool is_recursive(const char *word)
{
	static const char *const words[] = {
		"ratime",     "rdev",         "rdiratime", "rexec",        "rnoatime",
		"rnodev",     "rnodiratime",  "rnoexec",   "rnorelatime",  "rnostrictatime",
		"rnosuid",    "rnosymfollow", "rprivate",  "rrelatime",    "rro",
		"rrw",        "rshared",      "rslave",    "rstrictatime", "rsuid",
		"rsymfollow", "runbindable",  NULL
	};

	return strv_has((char *const *)words, word);
}

/* The share is one mount in the guest. So that "ro" and its like mean a mount and not what is below
 * it, and that the container finds the mounts it would find elsewhere, each mount of the host below
 * a source becomes a mount of the guest, with the attributes that it has on the host.
 * dir: on the host; source: the same in the share; options: of the bind, NULL for the root. */
static void add_submounts(struct oci_spec *guest, const struct host_mounts *h, const char *dir,
                          const char *source, const char *dest, char *const *options)
{
	size_t n;
	auto_free const struct host_mount **v = submounts_of(h, dir, &n);

	for (size_t i = 0; i < n; i++) {
		struct oci_mount *m = oci_spec_add_mount(guest);
		const char *rest = below(v[i]->point, dir);

		m->type = str_dup("bind");
		m->source = str_fmt("%s/%s", source, rest);
		m->destination = str_fmt("%s/%s", dest, rest);
		m->options = strv_dup(v[i]->flags);
		strv_push(&m->options, "bind");
		strv_push(&m->options, "private"); /* not as what it lies on, if that is shared */
		for (char *const *o = options; o && *o; o++)
			if (is_recursive(*o))
				strv_push(&m->options, *o);
	}
}

/* ---- single mounts ---- */

static bool is_bind(const struct oci_mount *m)
{
	if (strv_has(m->options, "remount")) /* of what is there: it has no source */
		return false;
	return str_eq(m->type, "bind") || strv_has(m->options, "bind") ||
	       strv_has(m->options, "rbind");
}

static bool is_overlay(const struct oci_mount *m)
{
	return str_eq(m->type, "overlay") && !strv_has(m->options, "remount");
}

static char *path_in(const char *bundle, const char *path)
{
	return path && *path == '/' ? str_dup(path) : str_fmt("%s/%s", bundle, path ? path : "");
}

/* Of two options that undo each other the last one counts. */
static bool option_is_on(const struct oci_mount *m, const char *on, const char *off)
{
	bool is_on = false;

	for (char **o = m->options; o && *o; o++) {
		if (str_eq(*o, on))
			is_on = true;
		else if (str_eq(*o, off))
			is_on = false;
	}
	return is_on;
}

/* Shared memory must be mapped by several processes of the guest, which the share cannot offer: it
 * is the guest's own, as large as the caller made it, and the same one for all containers of a VM
 * for which the caller has made one. */
static void localise_shm(struct oci_mount *m, const char *source)
{
	struct statfs fs;
	struct stat st;
	unsigned long long size = 64ull << 20;
	bool readonly = option_is_on(m, "ro", "rw");

	if (statfs(source, &fs) == 0 && fs.f_blocks)
		size = (unsigned long long)fs.f_blocks * (unsigned long long)fs.f_bsize;
	set(&m->type, str_dup("tmpfs"));
	set(&m->source, stat(source, &st) < 0
	                        ? str_dup("shm")
	                        : str_fmt(PROTOCOL_SHM "/%llx-%llx", (unsigned long long)st.st_dev,
	                                  (unsigned long long)st.st_ino));
	strv_free(m->options);
	m->options = NULL;
	if (readonly)
		strv_push(&m->options, "ro");
	strv_push(&m->options, "nosuid");
	strv_push(&m->options, "noexec");
	strv_push(&m->options, "nodev");
	strv_push(&m->options, "mode=1777");
	strv_pushf(&m->options, "size=%llu", size);
}

static bool takes_submounts(const struct oci_mount *m)
{
	return strv_has(m->options, "rbind") || !strv_has(m->options, "bind");
}

/* What the stand-in has to take (shim.c); it goes to the guest under the same name. */
static struct json *taken(const struct oci_mount *m, const char *name, const char *path)
{
	struct json *j = json_new_object();
	bool readonly = option_is_on(m, "ro", "rw") && !option_is_on(m, "rrw", "rro");

	json_set(j, "type", json_new_string(is_overlay(m) ? "overlay" : "bind"));
	json_set(j, "dest", json_new_string(m->destination));
	json_set(j, "name", json_new_string(name));
	json_set(j, "path", json_new_string(path));
	json_set(j, "recursive", json_new_bool(takes_submounts(m)));
	json_set(j, "readonly", json_new_bool(readonly));
	json_set(j, "all_readonly", json_new_bool(option_is_on(m, "rro", "rrw")));
	return j;
}

static struct json *other_of(const struct oci_mount *m)
{
	struct json *j = json_new_object();

	json_set(j, "type", json_new_string(m->type));
	json_set(j, "dest", json_new_string(m->destination));
	return j;
}

/* An overlay is made of directories of the host, so the host makes it. What the option table does
 * not have is the file system's. */
static void take_overlay(struct oci_mount *m, const char *name, struct json *mounts)
{
	struct json *j = taken(m, name, m->source ? m->source : "overlay");
	auto_strv char **data = NULL, **words = steal_ptr(&m->options);
	auto_free char *joined = NULL;

	for (char **o = words; o && *o; o++)
		strv_push(strv_has((char *const *)oci_mount_options, *o) ? &m->options : &data, *o);
	strv_push(&m->options, "bind");
	joined = strv_join(data, ",");
	json_set(j, "data", json_new_string(joined ? joined : ""));
	json_add(mounts, j);
}

static int check_source(const struct oci_mount *m, const char *source, struct error *err)
{
	struct stat st;

	if (stat(source, &st) < 0 || !(S_ISSOCK(st.st_mode) || S_ISFIFO(st.st_mode)))
		return 0;
	return error_set(err, ENOTSUP,
	                 "error mounting \"%s\" to rootfs at \"%s\": a %s of the host cannot be "
	                 "reached from a virtual machine",
	                 source, m->destination, S_ISSOCK(st.st_mode) ? "socket" : "FIFO");
}

/* A native bind mount has the flags of the mount that it is made from; options come after them. */
static void inherit_flags(struct oci_mount *m, const struct host_mount *from)
{
	char **options = from ? strv_dup(from->flags) : NULL;

	for (char **o = m->options; o && *o; o++)
		strv_push(&options, *o);
	strv_free(m->options);
	m->options = options;
}

/* ---- all of them ---- */

struct share {
	struct oci_spec *guest;
	struct host_mounts host;
	const struct guest_place *place;
	struct json *mounts;
};

/* m is the last element of the guest's mounts, and may move. */
static int share_bind(struct share *s, struct oci_mount *m, const char *name, struct error *err)
{
	auto_free char *source = path_in(s->place->bundle, m->source);
	auto_free char *real = realpath(source, NULL);
	auto_free char *in_share = str_fmt("%s/%s/%s", PROTOCOL_SHARE, s->place->key, name);
	auto_free char *dest = str_dup(m->destination);
	auto_strv char **options = NULL;
	bool is_tree = takes_submounts(m);

	if (str_eq(m->destination, SHM) || str_eq(m->destination, SHM "/")) {
		localise_shm(m, source);
		json_add(s->mounts, other_of(m));
		return 0;
	}
	if (check_source(m, source, err) < 0)
		return -err->code;
	json_add(s->mounts, taken(m, name, source));
	options = strv_dup(m->options);
	set(&m->source, str_dup(in_share));
	set(&m->type, str_dup("bind"));
	if (!real)
		return 0;
	inherit_flags(m, mount_of(&s->host, real));
	if (is_tree)
		add_submounts(s->guest, &s->host, real, in_share, dest, options);
	return 0;
}

static int share_mount(struct share *s, struct oci_mount *m, size_t i, struct error *err)
{
	auto_free char *name = str_fmt("m%zu", i);

	if (*m->destination != '/') {
		log_warn("mounts: the destination '%s' is not absolute, it is taken from '/'",
		         m->destination);
		set(&m->destination, str_fmt("/%s", m->destination));
	}
	if (is_bind(m))
		return share_bind(s, m, name, err);
	if (is_overlay(m)) {
		take_overlay(m, name, s->mounts);
		set(&m->source, str_fmt("%s/%s/%s", PROTOCOL_SHARE, s->place->key, name));
		set(&m->type, str_dup("bind"));
	} else if (str_eq(m->type, "proc") || str_eq(m->type, "tmpfs")) {
		json_add(s->mounts, other_of(m));
	}
	return 0;
}

int guest_mounts(struct oci_spec *guest, const struct guest_place *place, struct json *mounts,
                 struct error *err)
{
	struct share s = { .guest = guest, .place = place, .mounts = mounts };
	auto_free char *root = path_in(place->bundle, guest->root->path);
	auto_free char *real = realpath(root, NULL);
	auto_free struct oci_mount *old = guest->mounts;
	size_t n = guest->n_mounts;

	set(&guest->root->path, str_fmt("%s/%s/rootfs", PROTOCOL_SHARE, place->key));
	if (host_mounts_read(&s.host, err) < 0)
		return -err->code;
	guest->mounts = NULL;
	guest->n_mounts = 0;
	if (real)
		add_submounts(guest, &s.host, real, guest->root->path, "", NULL);
	/* All are moved, also after a failure: they have one owner. */
	for (size_t i = 0; i < n; i++) {
		struct oci_mount *m = oci_spec_add_mount(guest);

		*m = old[i];
		if (!err->code)
			share_mount(&s, m, i, err);
	}
	host_mounts_done(&s.host);
	return -err->code;
}
