/* The store of templates: making, listing, removing. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/template-internal.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"

#define BUILD_PREFIX "@"
#define LOCK_TIMEOUT 500 /* ms; somebody may look for a moment whether it is held */
#define FIXED_MIB 160    /* what a guest has written when it is saved, and some more, */
#define PER_PAGE 64      /* and what its kernel has for each page of its memory, in bytes */

/* ---- looking ---- */

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct template *)a)->key, ((const struct template *)b)->key);
}

static int by_use(const void *a, const void *b)
{
	time_t first = ((const struct template *)a)->used;
	time_t second = ((const struct template *)b)->used;

	return first < second ? -1 : first > second;
}

/* A name of ours, and not a way out of the store. */
static bool is_key(const char *key)
{
	return strlen(key) == 32 && strspn(key, "0123456789abcdef") == 32;
}

int template_list(const char *store, struct template **out, struct error *err)
{
	auto_strv char **names = fs_list(store, err);
	struct template *list;
	size_t n = 0;

	*out = NULL;
	if (err->code)
		return -err->code;
	list = xcalloc(strv_len(names) + 1, sizeof(*list));
	for (char **name = names; name && *name; name++) {
		auto_error struct error why = { 0 };

		if (!is_key(*name))
			continue;
		if (template_load(store, *name, &list[n], &why) == 0)
			n++;
		else if (why.code != ENOENT)
			log_warn("%s, ignoring", why.msg);
	}
	qsort(list, n, sizeof(*list), by_key);
	*out = list;
	return (int)n;
}

void template_list_free(struct template *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		template_clear(&list[i]);
	free(list);
}

/* ---- removing ---- */

static bool is_build(const char *name)
{
	return str_starts(name, BUILD_PREFIX) && is_key(name + strlen(BUILD_PREFIX));
}

/* The store may lie where everybody can make links (/dev/shm), and not every kernel refuses to
 * follow those of others (fs.protected_symlinks): they must not choose where we write and remove.
 */
static int open_store(const char *store, struct error *err)
{
	auto_close int fd = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_free char *name = str_dup(store);
	struct stat opened, named;

	if (fd < 0)
		return error_sys(err, "open the templates in '%s'", store);
	/* With a slash at its end the name would be that of the link's target. */
	for (size_t n = strlen(name); n > 1 && name[n - 1] == '/'; n--)
		name[n - 1] = '\0';
	if (fstat(fd, &opened) < 0 || lstat(name, &named) < 0)
		return error_sys(err, "stat '%s'", store);
	/* What is no link must be what was opened: there may have been a link before. */
	if (S_ISLNK(named.st_mode) ? named.st_uid != 0 && named.st_uid != geteuid()
	                           : named.st_dev != opened.st_dev || named.st_ino != opened.st_ino)
		return error_set(err, EPERM, "'%s' is a link that another user has made", store);
	return steal_fd(&fd);
}

static int remove_dir(const char *store, const char *name, struct error *err)
{
	auto_close int dir = open_store(store, err);
	auto_free char *file = str_fmt("%s/" TEMPLATE_FILE, name);

	if (dir < 0)
		return dir;
	if (faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set(err, errno, "no template '%s'", name);
	/* First, so that nobody takes the rest for a whole one, see template_is_gone(). */
	if (unlinkat(dir, file, 0) < 0 && errno != ENOENT && errno != ENOTDIR)
		return error_sys(err, "remove the template '%s'", name);
	return fs_remove_tree_at(dir, name, err);
}

int template_remove(const char *store, const char *key, struct error *err)
{
	if (!is_key(key))
		return error_set(err, ENOENT, "no template '%s'", key);
	return remove_dir(store, key, err);
}

/* Open and lock a directory of a builder. -EBUSY: it is at work. */
static int lock_build(const char *dir, unsigned timeout_ms, struct error *err)
{
	auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat ours, there;

	/* Somebody who tidies up may have removed what we have just made. */
	if (fd < 0 && errno == ENOENT)
		return error_set(err, EBUSY, "'%s' was just removed by somebody else", dir);
	if (fd < 0)
		return error_sys(err, "open '%s'", dir);
	if (fs_lock(fd, timeout_ms) < 0)
		return error_set(err, EBUSY, "the template is being made by somebody else");
	/* It may have become a template, or have been removed, since it was opened. */
	if (fstat(fd, &ours) < 0 || stat(dir, &there) < 0 || ours.st_ino != there.st_ino)
		return error_set(err, EBUSY, "the template was just made by somebody else");
	return steal_fd(&fd);
}

static bool is_of_use(const struct template *t)
{
	return !t->problem && !template_is_stale(t);
}

/* One that was set aside is made anew after some time. */
static bool is_to_stay(const struct template *t)
{
	return !t->problem || time(NULL) - t->used < t->retry;
}

static bool is_readable(const struct template *t)
{
	return t->identity;
}

/* Is there one with that key of which this holds? What is half removed or damaged is none. */
static bool has_one(const char *store, const char *key, bool (*holds)(const struct template *t))
{
	auto_error struct error err = { 0 };
	struct template t;
	bool is;

	if (template_load(store, key, &t, &err) < 0)
		return false;
	is = holds(&t);
	template_clear(&t);
	return is;
}

/* What a builder that was killed has left. */
static void remove_left_build(const char *store, const char *name)
{
	auto_free char *dir = str_fmt("%s/%s", store, name);
	auto_error struct error err = { 0 };
	auto_close int lock = lock_build(dir, 0, &err);

	if (lock >= 0)
		remove_dir(store, name, &err);
	if (err.code && err.code != EBUSY && err.code != ENOENT)
		log_warn("%s, ignoring", err.msg);
}

int template_prune(const char *store, bool all, struct error *err)
{
	auto_close int dir = open_store(store, err);
	auto_strv char **names = NULL;

	if (dir < 0 && err->code != ENOENT)
		return dir;
	error_clear(err);
	names = dir < 0 ? NULL : fs_list(store, err);
	for (char **name = names; name && *name; name++) {
		if (is_build(*name))
			remove_left_build(store, *name);
		else if (is_key(*name) && (all || !has_one(store, *name, is_of_use)) &&
		         remove_dir(store, *name, err) < 0 && err->code != ENOENT)
			return -err->code;
		error_clear(err);
	}
	return -err->code;
}

/* Those used longest ago go until there is room for so many bytes; never the one that is kept. */
static int make_room(const char *store, const char *kept, uint64_t max, struct error *err)
{
	struct template *list;
	int n = template_list(store, &list, err);
	uint64_t sum = 0;

	if (n < 0)
		return n;
	for (int i = 0; i < n; i++)
		sum += list[i].bytes;
	qsort(list, (size_t)n, sizeof(*list), by_use);
	for (int i = 0; i < n && sum > max && !err->code; i++) {
		if (str_eq(list[i].key, kept))
			continue;
		sum -= list[i].bytes;
		template_remove(store, list[i].key, err);
	}
	template_list_free(list, (size_t)n);
	return -err->code;
}

/* ---- making ---- */

static char *build_dir(const char *store, const char *identity)
{
	auto_free char *key = template_key(identity);

	return str_fmt("%s/" BUILD_PREFIX "%s", store, key);
}

static void build_done(struct template_build *b)
{
	close_fd(&b->state);
	close_fd(&b->dirfd); /* unlocks it */
	auto_freep(&b->store);
	auto_freep(&b->key);
	auto_freep(&b->dir);
	auto_freep(&b->identity);
	auto_freep(&b->memory);
}

static int empty_build(struct template_build *b, struct error *err)
{
	auto_strv char **names = fs_list(b->dir, err);

	for (char **name = names; name && *name; name++)
		fs_remove_tree_at(b->dirfd, *name, err);
	return -err->code;
}

unsigned template_room_mib(unsigned memory_mib)
{
	return FIXED_MIB + (unsigned)((uint64_t)memory_mib * PER_PAGE / 4096);
}

int template_check_store(const char *store, struct error *err)
{
	auto_close int fd = -1;

	if (fs_mkdir_p(store, 0700, err) < 0)
		return -err->code;
	fd = open_store(store, err);
	if (fd < 0)
		return fd;
	if (fs_check_private(fd, store, err) < 0)
		return -err->code;
	if (faccessat(fd, ".", W_OK, AT_EACCESS) < 0)
		return error_sys(err, "write to '%s'", store);
	return 0;
}

int template_check_room(const char *store, unsigned memory_mib, struct error *err)
{
	unsigned needed = template_room_mib(memory_mib);
	struct statvfs st;

	if (statvfs(store, &st) < 0)
		return error_sys(err, "stat the file system of '%s'", store);
	if ((uint64_t)st.f_bavail * st.f_frsize >> 20 < needed)
		return error_set(err, ENOSPC,
		                 "there is no room for a template in '%s', which may need %u MiB",
		                 store, needed);
	return 0;
}

/* The directory, empty and locked. */
static int open_build(struct template_build *b, struct error *err)
{
	auto_close int memory = -1;
	bool is_new;

	if (template_check_store(b->store, err) < 0)
		return -err->code;
	is_new = mkdir(b->dir, 0700) == 0;
	if (!is_new && errno != EEXIST)
		return error_sys(err, "make '%s'", b->dir);
	b->dirfd = lock_build(b->dir, LOCK_TIMEOUT, err);
	if (b->dirfd < 0)
		return b->dirfd;
	if (!is_new && empty_build(b, err) < 0)
		return error_wrap(err, "remove what a builder has left");
	b->state = openat(b->dirfd, "state", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	memory = openat(b->dirfd, TEMPLATE_MEMORY, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (b->state < 0 || memory < 0)
		return error_sys(err, "make the files of a template in '%s'", b->dir);
	return 0;
}

/* The new one takes the place of what nobody can read. */
static int check_place(const struct template_build *b, struct error *err)
{
	if (has_one(b->store, b->key, is_readable))
		return error_set(err, EEXIST, "the template '%s' exists already", b->key);
	if (remove_dir(b->store, b->key, err) < 0 && err->code == ENOENT)
		error_clear(err);
	return -err->code;
}

int template_begin(struct template_build *b, const char *store, const char *identity,
                   struct error *err)
{
	*b = TEMPLATE_BUILD_NONE;
	b->store = str_dup(store);
	b->identity = str_dup(identity);
	b->key = template_key(identity);
	b->dir = build_dir(store, identity);
	b->memory = str_fmt("%s/" TEMPLATE_MEMORY, b->dir);
	if (open_build(b, err) < 0)
		build_done(b);
	else if (check_place(b, err) < 0)
		template_abort(b);
	return -err->code;
}

static int finish(struct template_build *b, const struct json *hello, uint64_t max_mib,
                  struct error *err)
{
	auto_free char *whole = str_fmt("%s/%s", b->store, b->key);
	struct template t = { .identity = b->identity, .made = time(NULL) };
	struct stat memory, state;

	if (fstatat(b->dirfd, TEMPLATE_MEMORY, &memory, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fstat(b->state, &state) < 0)
		return error_sys(err, "stat the files of the template");
	if ((uint64_t)(memory.st_blocks + state.st_blocks) * 512 > max_mib << 20)
		return error_set(err, ENOSPC,
		                 "the template has %lld MiB, more than template_max allows",
		                 (long long)(memory.st_blocks + state.st_blocks) / 2048);
	if (fchmodat(b->dirfd, TEMPLATE_MEMORY, 0400, 0) < 0 || fchmod(b->state, 0400) < 0)
		return error_sys(err, "protect the files of the template");
	t.hello = json_copy(hello);
	template_write(b->dirfd, &t, err);
	json_free(t.hello);
	if (!err->code && rename(b->dir, whole) < 0)
		error_sys(err, "publish the template '%s'", b->key);
	return -err->code;
}

int template_commit(struct template_build *b, const struct json *hello, uint64_t max_mib,
                    struct error *err)
{
	auto_error struct error why = { 0 };

	if (finish(b, hello, max_mib, err) < 0) {
		template_abort(b);
		return -err->code;
	}
	/* The template is there, whatever becomes of the others. */
	if (template_prune(b->store, false, &why) < 0 ||
	    make_room(b->store, b->key, max_mib << 20, &why) < 0)
		log_warn("make room for templates: %s, ignoring", why.msg);
	build_done(b);
	return 0;
}

void template_abort(struct template_build *b)
{
	auto_error struct error err = { 0 };

	if (b->dirfd >= 0 && remove_dir(b->store, strrchr(b->dir, '/') + 1, &err) < 0)
		log_warn("remove a template that was not finished: %s, ignoring", err.msg);
	build_done(b);
}

/* Then its lock is held. */
static bool is_being_made(const char *dir)
{
	auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd >= 0 && fs_lock(fd, 0) == -ETIMEDOUT;
}

bool template_is_wanted(const char *store, const char *identity)
{
	auto_free char *key = template_key(identity);
	auto_free char *build = build_dir(store, identity);

	return !has_one(store, key, is_to_stay) && !is_being_made(build);
}
