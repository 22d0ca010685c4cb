/* A container's cgroup (version 2): one directory below the root of the hierarchy. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/str.h"

#define FILE_MAX (1 << 20)
#define MAX_DEPTH 256    /* of cgroups with processes */
#define REMOVE_STEPS 256 /* cgroups removed before others have their turn */

static int read_words(int dir, const char *file, char ***words, struct error *err)
{
	auto_free char *text = NULL;

	if (fs_read_at(dir, file, FILE_MAX, &text, NULL, err) < 0)
		return -err->code;
	text[strcspn(text, "\n")] = '\0';
	*words = str_split(text, ' ');
	return 0;
}

/* Some cannot be had (cpu, while there are real-time processes), which must not cost the others.
 * The limit that needs it will be found missing. */
static void enable_one_by_one(int dir, char *const *words)
{
	for (size_t i = 0; words[i]; i++) {
		auto_error struct error failed = { 0 };

		if (fs_write_value_at(dir, "cgroup.subtree_control", words[i], &failed) < 0)
			log_debug("cgroup controller '%s': %s", words[i], failed.msg);
	}
}

/* Hand every controller of a cgroup to its children. */
static int enable_controllers(int dir, struct error *err)
{
	auto_strv char **names = NULL, **enabled = NULL, **missing = NULL;
	auto_error struct error failed = { 0 };
	auto_free char *all = NULL;

	if (read_words(dir, "cgroup.controllers", &names, err) < 0 ||
	    read_words(dir, "cgroup.subtree_control", &enabled, err) < 0)
		return -err->code;
	for (size_t i = 0; names[i]; i++)
		if (names[i][0] && !strv_has(enabled, names[i]))
			strv_pushf(&missing, "+%s", names[i]);
	if (!missing)
		return 0;
	all = strv_join(missing, " ");
	if (fs_write_value_at(dir, "cgroup.subtree_control", all, &failed) < 0)
		enable_one_by_one(dir, missing);
	return 0;
}

static int open_part(int dir, const char *name, bool create, struct error *err)
{
	int fd;

	if (create && mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
		return error_sys(err, "create the cgroup '%s'", name);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? error_sys(err, "open the cgroup '%s'", name) : fd;
}

/* Walk down from start (taken). create: make what is missing and enable controllers on the way. */
static int walk_down(int start, const char *path, bool create, struct error *err)
{
	auto_strv char **parts = str_split(path, '/');
	auto_close int dir = start;

	for (size_t i = 0; parts[i]; i++) {
		int next;

		if (!parts[i][0] || str_eq(parts[i], "."))
			continue;
		if (str_eq(parts[i], ".."))
			return error_set(err, EINVAL, "%s: '%s' has a '..'",
			                 create ? "linux.cgroupsPath" : "cgroup", path);
		if (create && enable_controllers(dir, err) < 0)
			return -err->code;
		next = open_part(dir, parts[i], create, err);
		if (next < 0)
			return next;
		close_fd(&dir);
		dir = next;
	}
	return steal_fd(&dir);
}

static int open_path(const char *root, const char *path, bool create, struct error *err)
{
	int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return error_sys(err, "open '%s'", root);
	return walk_down(dir, path, create, err);
}

int cgroup_open_below(const struct cgroup *cg, const char *path, struct error *err)
{
	int dir = openat(cg->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return error_sys(err, "open the container's cgroup");
	return walk_down(dir, path, false, err);
}

int cgroup_create(struct cgroup *cg, const char *root, const char *path, struct error *err)
{
	int fd = open_path(root, path, true, err);

	if (fd < 0)
		return fd;
	*cg = (struct cgroup){ .path = str_fmt("%s%s", path[0] == '/' ? "" : "/", path), .fd = fd };
	if (cgroup_is_populated(cg)) {
		cgroup_done(cg);
		return error_set(err, EBUSY, "linux.cgroupsPath: the cgroup '%s' is in use", path);
	}
	return 0;
}

void cgroup_done(struct cgroup *cg)
{
	free(cg->path);
	cg->path = NULL;
	close_fd(&cg->fd);
}

/* Opens the directory once more: dir keeps its place. */
static DIR *list(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d)
		close_fd(&fd);
	return d;
}

/* The next cgroup in the directory, NULL: no more. */
static const char *next_child(DIR *d)
{
	struct dirent *e;

	while ((e = readdir(d)))
		if (e->d_type == DT_DIR && !str_eq(e->d_name, ".") && !str_eq(e->d_name, ".."))
			return e->d_name;
	return NULL;
}

static int open_dir(int dir, const char *name)
{
	return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Returns false when there is none. */
static bool first_child(int dir, char name[NAME_MAX + 1])
{
	DIR *d = list(dir);
	const char *child = d ? next_child(d) : NULL;

	if (child)
		snprintf(name, NAME_MAX + 1, "%s", child);
	if (d)
		closedir(d);
	return child;
}

/* Cgroups that the container made, as many and as deep as it liked: some at a time, from below,
 * without recursion. */
static void remove_below(const struct cgroup *cg)
{
	auto_close int at = open_dir(cg->fd, ".");
	unsigned depth = 0, left = REMOVE_STEPS;
	bool is_back = false; /* from one that has nothing below it any more */
	char name[NAME_MAX + 1];

	while (at >= 0 && left > 0) {
		bool has_child = first_child(at, name);
		int next;

		if (has_child && unlinkat(at, name, AT_REMOVEDIR) == 0) {
			is_back = false;
			left--;
			continue;
		}
		if (has_child ? is_back : depth == 0)
			return;
		next = open_dir(at, has_child ? name : "..");
		close_fd(&at);
		at = next;
		depth += has_child ? 1 : -1u;
		is_back = !has_child;
	}
}

int cgroup_remove(struct cgroup *cg, const char *root)
{
	auto_free char *path = str_fmt("%s%s", root, cg->path);

	if (cgroup_is_populated(cg))
		return -EBUSY;
	remove_below(cg);
	if (rmdir(path) < 0 && errno != ENOENT)
		return -errno;
	cgroup_done(cg);
	return 0;
}

int cgroup_kill(const struct cgroup *cg, struct error *err)
{
	return fs_write_value_at(cg->fd, "cgroup.kill", "1", err);
}

uint64_t cgroup_stat(const struct cgroup *cg, const char *file, const char *key)
{
	auto_error struct error ignored = { 0 };
	auto_free char *text = NULL;

	if (fs_read_at(cg->fd, file, FILE_MAX, &text, NULL, &ignored) < 0)
		return 0;
	return cgroup_stat_of(text, key);
}

uint64_t cgroup_stat_of(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (strncmp(line, key, len) == 0 && line[len] == ' ')
			return strtoull(line + len + 1, NULL, 10);
	return 0;
}

bool cgroup_is_populated(const struct cgroup *cg)
{
	return cgroup_stat(cg, "cgroup.events", "populated") != 0;
}

int cgroup_freeze(const struct cgroup *cg, bool frozen, struct error *err)
{
	return fs_write_value_at(cg->fd, "cgroup.freeze", frozen ? "1" : "0", err);
}

bool cgroup_is_frozen(const struct cgroup *cg)
{
	return cgroup_stat(cg, "cgroup.events", "frozen") != 0;
}

struct pids {
	pid_t *v;
	size_t n;
};

static int collect(int dir, struct pids *p, struct error *err)
{
	auto_free char *text = NULL;
	char *end;

	if (fs_read_at(dir, "cgroup.procs", FILE_MAX, &text, NULL, err) < 0)
		return err->code == EOPNOTSUPP ? 0 : -err->code; /* a threaded cgroup */
	for (char *s = text; *s; s = end) {
		long pid = strtol(s, &end, 10);

		if (end == s)
			break;
		while (*end == '\n')
			end++;
		p->v = xreallocarray(p->v, p->n + 1, sizeof(*p->v));
		p->v[p->n++] = (pid_t)pid;
	}
	return 0;
}

static int collect_tree(int dir, unsigned depth, struct pids *p, struct error *err)
{
	DIR *d = list(dir);
	const char *child;
	int ret = d ? collect(dir, p, err) : error_sys(err, "read a cgroup");

	while (ret == 0 && (child = next_child(d))) {
		auto_close int sub = open_dir(dir, child);

		if (depth == 0)
			ret = error_set(err, ELOOP, "cgroups are nested too deep");
		else if (sub >= 0)
			ret = collect_tree(sub, depth - 1, p, err);
	}
	if (d)
		closedir(d);
	return ret;
}

pid_t *cgroup_pids(const struct cgroup *cg, size_t *n, struct error *err)
{
	struct pids p = { .v = xmalloc(sizeof(pid_t)) };

	if (collect_tree(cg->fd, MAX_DEPTH, &p, err) < 0) {
		free(p.v);
		return NULL;
	}
	*n = p.n;
	return p.v;
}

int cgroup_open_of(const struct cgroup *cg, const char *root, pid_t pid, struct error *err)
{
	auto_free char *text = NULL;
	char file[40];
	char *line;

	snprintf(file, sizeof(file), "/proc/%d/cgroup", (int)pid);
	if (fs_read(file, FILE_MAX, &text, NULL, err) < 0)
		return -err->code;
	line = str_starts(text, "0::") ? text : strstr(text, "\n0::");
	if (!line)
		return error_set(err, ENOENT, "process %d is in no cgroup of version 2", (int)pid);
	line += strcspn(line, ":") + 2;
	line[strcspn(line, "\n")] = '\0';
	/* Whoever may write to the whole hierarchy may have moved it out of the container's. */
	if (!str_starts(line, cg->path) || line[strlen(cg->path)] != '/')
		return error_set(err, EACCES, "the container's process has left its cgroup '%s'",
		                 cg->path);
	return open_path(root, line, false, err);
}
