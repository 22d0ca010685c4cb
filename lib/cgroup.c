#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/cgroup.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define MAX_PROC_FILE (16u << 20)
#define MAX_MOVES 10
struct hierarchy {
	char *root, *mount, *options; /* of a line of mountinfo; options: the controllers */
	bool is_v2;
};

static void hierarchy_done(struct hierarchy *h)
{
	free(h->root);
	free(h->mount);
	free(h->options);
	*h = (struct hierarchy){ 0 };
}

/* mountinfo: id parent major:minor root mount-point options ... - type source super-options. A
 * hierarchy may be mounted several times, in containers for example: the first one counts. */
static bool read_hierarchy(const char *line, struct hierarchy *h, char ***seen)
{
	auto_free char *device = NULL;
	const char *type = strstr(line, " - cgroup");

	*h = (struct hierarchy){ 0 };
	if (!type || sscanf(line, "%*d %*d %ms %ms %ms", &device, &h->root, &h->mount) != 3 ||
	    sscanf(type, " - %*s %*s %ms", &h->options) != 1 || strv_has(*seen, device)) {
		hierarchy_done(h);
		return false;
	}
	h->is_v2 = str_starts(type, " - cgroup2 ");
	strv_push(seen, device);
	return true;
}

static bool is_of(const struct hierarchy *h, const char *controllers)
{
	auto_strv char **options = str_split(h->options, ',');
	auto_strv char **names = str_split(controllers, ',');

	return h->is_v2 ? !*controllers : *controllers && strv_has(options, names[0]);
}

/* Our own cgroup in a hierarchy, as a path below its mount point. cgroups: /proc/self/cgroup, with
 * lines of the form "number:controllers:path". */
static char *own_cgroup(const struct hierarchy *h, const char *cgroups)
{
	auto_strv char **lines = str_split(cgroups, '\n');
	size_t n = str_eq(h->root, "/") ? 0 : strlen(h->root);

	for (char **line = lines; *line; line++) {
		char *controllers = strchr(*line, ':');
		char *path = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = '\0';
		if (!is_of(h, controllers + 1))
			continue;
		/* Of a mount that shows a part of the hierarchy, what is in it. */
		if (strncmp(path, h->root, n) == 0 && (!path[n] || path[n] == '/'))
			return str_dup(path + n);
	}
	return str_dup("");
}

/* Where a path is in a hierarchy. A relative one is below the caller's own cgroup, as with runc.
 * Alone, version 2 lets no cgroup with processes have children with controllers: there it is
 * beside the caller's own. */
static char *resolve(const struct hierarchy *h, const char *path, const char *cgroups, bool alone)
{
	auto_free char *own = NULL;
	char *slash;

	if (*path == '/')
		return str_fmt("%s%s", h->mount, path);
	own = own_cgroup(h, cgroups);
	slash = strrchr(own, '/');
	if (slash && (alone || !slash[1]))
		*slash = '\0';
	return str_fmt("%s%s/%s", h->mount, own, path);
}

/* The directory of a path in each hierarchy of our mount table. */
static char **directories(const char *path, struct error *err)
{
	auto_free char *mounts = NULL, *cgroups = NULL;
	auto_strv char **lines = NULL, **seen = NULL;
	char **dirs = xzalloc(sizeof(*dirs));
	bool alone;

	if (fs_read("/proc/self/mountinfo", MAX_PROC_FILE, &mounts, NULL, err) < 0 ||
	    fs_read("/proc/self/cgroup", MAX_PROC_FILE, &cgroups, NULL, err) < 0) {
		strv_free(dirs);
		return NULL;
	}
	alone = str_starts(cgroups, "0::");
	lines = str_split(mounts, '\n');
	for (char **line = lines; *line; line++) {
		struct hierarchy h;

		if (!read_hierarchy(*line, &h, &seen))
			continue;
		strv_take(&dirs, resolve(&h, path, cgroups, alone));
		hierarchy_done(&h);
	}
	return dirs;
}

/* A fresh v1 cpuset is empty and takes no process: inherit from the parent. */
static int fill_cpuset(const char *parent, const char *dir, struct error *err)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
	auto_free char *v1 = str_fmt("%s/cgroup.clone_children", dir);

	if (!fs_exists(v1))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		auto_free char *from = str_fmt("%s/%s", parent, files[i]);
		auto_free char *to = str_fmt("%s/%s", dir, files[i]);
		auto_free char *value = NULL, *present = NULL;

		if (fs_read(to, 4096, &present, NULL, err) < 0 || present[0] > ' ') {
			error_clear(err);
			continue;
		}
		if (fs_read(from, 4096, &value, NULL, err) < 0)
			return -err->code;
		if (value[0] > ' ' && fs_write_value(to, value, err) < 0)
			return error_wrap(err, "inherit the cpuset");
	}
	return 0;
}

/* A parent that somebody else made may be empty, too. */
static int fill_cpusets(const char *dir, struct error *err)
{
	for (const char *end = strchr(dir + 1, '/'); end; end = strchr(end + 1, '/')) {
		const char *next = strchr(end + 1, '/');
		auto_free char *parent = str_ndup(dir, (size_t)(end - dir));
		auto_free char *step = next ? str_ndup(dir, (size_t)(next - dir)) : str_dup(dir);

		if (fill_cpuset(parent, step, err) < 0)
			return -err->code;
	}
	return 0;
}

static char **words_of(const char *dir, const char *name)
{
	auto_free char *file = str_fmt("%s/%s", dir, name), *text = NULL;
	auto_error struct error none = { 0 };

	if (fs_read(file, 4096, &text, NULL, &none) < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return str_split(text, ' ');
}

/* In version 2 a cgroup has the files of those controllers only that its parent hands down, which
 * has them from its own. What cannot be had (cpu, while there are real-time processes; anything, of
 * a parent with processes) is left to the guest. */
static void hand_down(const char *parent)
{
	static const char *const wanted[] = { "memory", "cpu", "cpuset", "pids", "io" };
	auto_strv char **has = words_of(parent, "cgroup.controllers");
	auto_strv char **gives = words_of(parent, "cgroup.subtree_control");
	auto_free char *file = str_fmt("%s/cgroup.subtree_control", parent);

	for (size_t i = 0; gives && i < ARRAY_SIZE(wanted); i++) {
		auto_error struct error failed = { 0 };
		auto_free char *order = str_fmt("+%s", wanted[i]);

		if (!strv_has(has, wanted[i]) || strv_has(gives, wanted[i]))
			continue;
		if (fs_write_value(file, order, &failed) < 0)
			log_debug("cgroup controller '%s': %s", wanted[i], failed.msg);
	}
}

/* Somebody else may have made a parent, without handing down anything. */
static void hand_down_to(const char *dir)
{
	for (const char *end = strchr(dir + 1, '/'); end; end = strchr(end + 1, '/')) {
		auto_free char *parent = str_ndup(dir, (size_t)(end - dir));

		hand_down(parent);
	}
}

/* Each step of a directory that is not there yet, outermost first. */
static void add_missing(const char *dir, char ***missing)
{
	for (const char *end = dir; end; end = strchr(end + 1, '/')) {
		auto_free char *step = str_ndup(dir, (size_t)(end - dir));

		if (*step && !fs_exists(step))
			strv_push(missing, step);
	}
	if (!fs_exists(dir))
		strv_push(missing, dir);
}

int cgroup_plan(const char *path, char ***all, char ***missing, struct error *err)
{
	*all = directories(path, err);
	for (char **dir = *all; dir && *dir; dir++)
		add_missing(*dir, missing);
	return -err->code;
}

const char *cgroup_unified(char *const *all)
{
	for (; all && *all; all++) {
		auto_free char *tasks = str_fmt("%s/tasks", *all);

		if (!fs_exists(tasks))
			return *all;
	}
	return NULL;
}

static size_t count_processes(const char *dir)
{
	auto_free char *file = str_fmt("%s/cgroup.procs", dir), *text = NULL;
	auto_error struct error none = { 0 };
	size_t n = 0;

	if (fs_read(file, MAX_PROC_FILE, &text, NULL, &none) == 0)
		for (const char *p = text; (p = strchr(p, '\n')); p++)
			n++;
	return n;
}

/* Of a cgroup that is not made yet, what it will be below. In version 2 a file says what was asked
 * of its own cgroup, and what was asked of any above holds, too; in version 1 what the one
 * controller that can freeze says holds for all. */
static bool is_frozen(const char *dir)
{
	auto_free char *at = str_dup(dir);

	for (char *slash; (slash = strrchr(at, '/')); *slash = '\0') {
		auto_strv char **v1 = NULL, **v2 = NULL;

		if (!fs_exists(at))
			continue;
		v2 = words_of(at, "cgroup.freeze");
		if (v2 && str_eq(v2[0], "1"))
			return true;
		v1 = v2 ? NULL : words_of(at, "freezer.state");
		if (!v2)
			return v1 && !str_eq(v1[0], "THAWED");
	}
	return false;
}

int cgroup_check(char *const *all, struct error *err)
{
	size_t n = 0;

	for (; all && *all; all++) {
		size_t here = count_processes(*all);

		if (is_frozen(*all))
			return error_set(err, EBUSY, "container's cgroup unexpectedly frozen");
		n = here > n ? here : n;
	}
	if (n > 0)
		log_warn("container's cgroup is not empty: %zu process(es) found", n);
	return 0;
}

int cgroup_make(char *const *all, char *const *missing, struct error *err)
{
	const char *unified;

	for (; missing && *missing; missing++)
		if (mkdir(*missing, 0755) < 0 && errno != EEXIST)
			return error_sys(err, "make the cgroup '%s'", *missing);
	unified = cgroup_unified(all);
	for (; all && *all; all++) {
		auto_free char *cpuset = str_fmt("%s/cpuset.cpus", *all);

		if (*all == unified)
			hand_down_to(*all);
		else if (fs_exists(cpuset) && fill_cpusets(*all, err) < 0)
			return -err->code;
	}
	return 0;
}

int cgroup_attach(char *const *all, pid_t pid, struct error *err)
{
	auto_free char *number = str_fmt("%d", (int)pid);

	for (; all && *all; all++) {
		auto_free char *procs = str_fmt("%s/cgroup.procs", *all);

		if (fs_write_value(procs, number, err) < 0)
			return error_wrap(err, "join the cgroup '%s'", *all);
	}
	return 0;
}

/* Are we in that cgroup of version 2? If what is mounted is not the root, which alone has no type,
 * the names cannot be compared: then we may be, but are not sure. */
static bool is_inside(const char *dir)
{
	auto_free char *text = NULL, *own = NULL, *type = NULL;
	auto_error struct error none = { 0 };
	const char *line;

	if (fs_read("/proc/self/cgroup", MAX_PROC_FILE, &text, NULL, &none) < 0)
		return false;
	line = str_starts(text, "0::") ? text : strstr(text, "\n0::");
	line = line ? strchr(line, '/') : NULL;
	if (!line)
		return false;
	own = str_ndup(line, strcspn(line, "\n"));
	if (!str_ends(dir, own))
		return false;
	type = str_fmt("%.*s/cgroup.type", (int)(strlen(dir) - strlen(own)), dir);
	return !fs_exists(type);
}

int cgroup_enter(char *const *all, struct error *err)
{
	const char *unified = cgroup_unified(all);

	for (; all && *all; all++) {
		bool is_v2 = *all == unified;
		auto_free char *file = str_fmt("%s/%s", *all, is_v2 ? "cgroup.procs" : "tasks");

		if (is_v2 && is_inside(*all))
			continue;
		/* A thread that moves itself alone is the case without the wait. */
		if (fs_write_value(file, "0", err) < 0)
			return error_wrap(err, "join the cgroup '%s'", *all);
	}
	return 0;
}

/* Processes that start others meanwhile leave those behind: again, until there are none. */
static int move_all(const char *from, const char *to, struct error *err)
{
	auto_free char *source = str_fmt("%s/cgroup.procs", from);
	auto_free char *target = str_fmt("%s/cgroup.procs", to);

	for (int i = 0; i < MAX_MOVES && fs_exists(target); i++) {
		auto_free char *text = NULL;
		auto_strv char **pids = NULL;
		auto_error struct error failed = { 0 };

		if (fs_read(source, MAX_PROC_FILE, &text, NULL, &failed) < 0 || !*text)
			return 0;
		pids = str_split(text, '\n');
		for (char **pid = pids; *pid; pid++) {
			if (**pid && fs_write_value(target, *pid, &failed) < 0 &&
			    failed.code != ESRCH)
				return error_set(err, failed.code, "leave the cgroup '%s': %s",
				                 from, failed.msg);
			error_clear(&failed);
		}
	}
	return 0;
}

int cgroup_move(char *const *from, char *const *to, struct error *err)
{
	for (; from && to && *from && *to; from++, to++)
		if (!str_eq(*from, *to) && move_all(*from, *to, err) < 0)
			return -err->code;
	return 0;
}

void cgroup_leave(void)
{
	auto_error struct error err = { 0 };
	auto_strv char **dirs = directories("/", &err);

	for (char **dir = dirs; dir && *dir; dir++)
		if (cgroup_attach((char *[]){ *dir, NULL }, getpid(), &err) < 0) {
			log_debug("leave the cgroup: %s", err.msg);
			error_clear(&err);
		}
}

static bool has_children(const char *dir)
{
	struct stat st;

	return stat(dir, &st) == 0 && st.st_nlink > 2;
}

int cgroup_remove(char *const *made, unsigned timeout_ms, struct error *err)
{
	uint64_t end = loop_now_ms() + timeout_ms;

	for (size_t i = strv_len(made); i-- > 0;) {
		while (rmdir(made[i]) < 0 && errno != ENOENT) {
			if (errno != EBUSY)
				return error_sys(err, "remove the cgroup '%s'", made[i]);
			/* A parent that others have come to use stays; our leaf must go. */
			if (has_children(made[i]) || loop_now_ms() >= end)
				break;
			nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
		}
	}
	return 0;
}
