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
#define SLICE ".slice"
#define DEFAULT_SLICE "system" SLICE

/* "a-b.slice" is a child of "a.slice" (systemd.slice(5)); "-.slice" is the root. */
static char *expand_slice(const char *slice)
{
	size_t n = strlen(slice) - strlen(SLICE);
	auto_buf struct buf path = { 0 };

	if (str_eq(slice, "-" SLICE))
		return str_dup("");
	for (size_t i = 1; i <= n; i++)
		if (i == n || slice[i] == '-')
			buf_addf(&path, "/%.*s" SLICE, (int)i, slice);
	return buf_steal(&path);
}

static bool is_slice(const char *s)
{
	const size_t n = strlen(s), end = strlen(SLICE);

	if (n <= end || !str_ends(s, SLICE) || strchr(s, '/'))
		return false;
	return str_eq(s, "-" SLICE) || (s[0] != '-' && s[n - end - 1] != '-' && !strstr(s, "--"));
}

static char *systemd_path(const char *spec_path, const char *id, struct error *err)
{
	auto_strv char **parts = str_split(spec_path ? spec_path : "", ':');
	auto_free char *parents = NULL;

	if (!fs_exists("/run/systemd/system")) {
		error_set(err, ENOTSUP,
		          "systemd not running on this host, cannot use systemd cgroups manager");
		return NULL;
	}
	if (!spec_path || !*spec_path)
		return str_fmt("/" DEFAULT_SLICE "/vcrt-%s.scope", id);
	if (strv_len(parts) != 3 || strchr(spec_path, '/') || !*parts[2]) {
		error_set(err, EINVAL,
		          "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd "
		          "cgroups, got \"%s\" instead",
		          spec_path);
		return NULL;
	}
	if (*parts[0] && !is_slice(parts[0])) {
		error_set(err, EINVAL, "linux.cgroupsPath: invalid slice name: %s", parts[0]);
		return NULL;
	}
	parents = expand_slice(*parts[0] ? parts[0] : DEFAULT_SLICE);
	/* The name of a slice is that of a unit already. */
	if (str_ends(parts[2], SLICE))
		return str_fmt("%s/%s", parents, parts[2]);
	return str_fmt("%s/%s-%s.scope", parents, parts[1], parts[2]);
}

char *cgroup_path(const struct oci_spec *spec, const char *id, bool systemd, struct error *err)
{
	const char *p = spec->linux_ ? spec->linux_->cgroups_path : NULL;
	bool is_absolute = p && *p == '/';
	auto_strv char **parts = NULL;
	struct buf clean = { 0 };

	if (systemd)
		return systemd_path(p, id, err);
	/* ".." would leave the hierarchy: clean the path as runc does, from its root. */
	parts = str_split(p ? p : "", '/');
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
	if (!is_absolute)
		buf_drop(&clean, 1);
	return buf_steal(&clean);
}

/* ---- hierarchies ---- */

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

/* In version 2 a cgroup has the files of those controllers only that its parent hands down. What
 * cannot be had (cpu, while there are real-time processes) is left to the guest. */
static void hand_down(const char *parent)
{
	static const char *const names[] = { "+memory", "+cpu", "+cpuset", "+pids", "+io" };
	auto_free char *file = str_fmt("%s/cgroup.subtree_control", parent);

	for (size_t i = 0; fs_exists(file) && i < ARRAY_SIZE(names); i++) {
		auto_error struct error failed = { 0 };

		if (fs_write_value(file, names[i], &failed) < 0)
			log_debug("cgroup controller '%s': %s", names[i], failed.msg);
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

/* Of a cgroup that is not made yet, what it will be below. */
static bool is_frozen(const char *dir)
{
	auto_free char *at = str_dup(dir), *v1 = NULL, *v2 = NULL, *state = NULL;
	auto_error struct error none = { 0 };

	for (char *slash; !fs_exists(at) && (slash = strrchr(at, '/'));)
		*slash = '\0';
	v1 = str_fmt("%s/freezer.state", at);
	v2 = str_fmt("%s/cgroup.freeze", at);
	return fs_read(fs_exists(v1) ? v1 : v2, 64, &state, NULL, &none) == 0 &&
	       (*state == 'F' || *state == '1'); /* FREEZING, FROZEN */
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
	for (; missing && *missing; missing++) {
		auto_free char *parent =
			str_ndup(*missing, (size_t)(strrchr(*missing, '/') - *missing));

		if (mkdir(*missing, 0755) < 0 && errno != EEXIST)
			return error_sys(err, "make the cgroup '%s'", *missing);
		hand_down(parent);
	}
	for (; all && *all; all++)
		if (fill_cpusets(*all, err) < 0)
			return -err->code;
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
