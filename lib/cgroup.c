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
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define MAX_PROC_FILE (16u << 20)

static char *systemd_path(const char *spec_path, const char *id, struct error *err)
{
	auto_strv char **parts = str_split(spec_path ? spec_path : "", ':');

	if (!fs_exists("/run/systemd/system")) {
		error_set(err, ENOTSUP,
		          "systemd not running on this host, cannot use systemd cgroups manager");
		return NULL;
	}
	if (!spec_path || !*spec_path)
		return str_fmt("/system.slice/vcrt-%s.scope", id);
	if (strv_len(parts) != 3 || strchr(spec_path, '/') || str_eq(parts[0], "..") ||
	    !*parts[2]) {
		error_set(err, EINVAL,
		          "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd "
		          "cgroups, got \"%s\" instead",
		          spec_path);
		return NULL;
	}
	return str_fmt("/%s/%s-%s.scope", *parts[0] ? parts[0] : "system.slice", parts[1],
	               parts[2]);
}

char *cgroup_path(const struct oci_spec *spec, const char *id, bool systemd, struct error *err)
{
	const char *p = spec->linux_ ? spec->linux_->cgroups_path : NULL;
	auto_strv char **parts = NULL;
	struct buf clean = { 0 };

	if (systemd)
		return systemd_path(p, id, err);
	if (!p || !*p)
		return str_fmt("/%s", id);
	/* ".." would leave the hierarchy: clean the path as runc does, from its root. */
	parts = str_split(p, '/');
	for (char **c = parts; *c; c++) {
		if (str_eq(*c, "..")) {
			char *slash = clean.len ? strrchr(clean.data, '/') : NULL;

			clean.len = slash ? (size_t)(slash - clean.data) : 0;
			if (slash)
				*slash = '\0';
		} else if (**c && !str_eq(*c, ".")) {
			buf_addf(&clean, "/%s", *c);
		}
	}
	if (!clean.len)
		buf_addf(&clean, "/%s", id);
	return buf_steal(&clean);
}

/* Mount points of all cgroup hierarchies, from our own mount table. */
static char **hierarchies(struct error *err)
{
	auto_free char *text = NULL;
	char **points = xzalloc(sizeof(*points));
	char *save = NULL;

	if (fs_read("/proc/self/mountinfo", MAX_PROC_FILE, &text, NULL, err) < 0) {
		free(points);
		return NULL;
	}
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *type = strstr(line, " - ");
		char root[2], *point = NULL;

		/* Fields: id parent major:minor root mount-point options ... - type ... */
		if (!type || !str_starts(type + 3, "cgroup"))
			continue;
		if (sscanf(line, "%*d %*d %*s %1s %ms", root, &point) == 2 &&
		    !strv_has(points, point))
			strv_push(&points, point);
		free(point);
	}
	return points;
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

/* Each step of the path below mount that is not there yet, outermost first. */
static void plan_in(const char *mount, const char *path, char ***missing)
{
	auto_free char *dir = str_fmt("%s%s", mount, path);

	for (char *p = dir + strlen(mount) + 1;; p++) {
		char saved = *p;

		if (saved && saved != '/')
			continue;
		*p = '\0';
		if (!fs_exists(dir))
			strv_push(missing, dir);
		*p = saved;
		if (!saved)
			return;
	}
}

int cgroup_plan(const char *path, char ***all, char ***missing, struct error *err)
{
	auto_strv char **mounts = hierarchies(err);

	if (!mounts)
		return -err->code;
	for (char **m = mounts; *m; m++) {
		plan_in(*m, path, missing);
		strv_pushf(all, "%s%s", *m, path);
	}
	return 0;
}

int cgroup_make(char *const *missing, struct error *err)
{
	for (; missing && *missing; missing++) {
		auto_free char *parent =
			str_ndup(*missing, (size_t)(strrchr(*missing, '/') - *missing));

		if (mkdir(*missing, 0755) < 0 && errno != EEXIST)
			return error_sys(err, "make the cgroup '%s'", *missing);
		if (fill_cpuset(parent, *missing, err) < 0)
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

char **cgroup_find(const char *path, struct error *err)
{
	auto_strv char **mounts = hierarchies(err);
	char **dirs = xzalloc(sizeof(*dirs));

	for (char **m = mounts; m && *m; m++) {
		auto_free char *dir = str_fmt("%s%s", *m, path);

		if (fs_exists(dir))
			strv_push(&dirs, dir);
	}
	return dirs;
}
