#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "lib/cgroup.h"
#include "lib/systemd.h"
#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define SLICE ".slice"
#define ROOT_SLICE "-" SLICE
#define DEFAULT_SLICE "system" SLICE

/* "a-b.slice" is a child of "a.slice" (systemd.slice(5)); "-.slice" is the root. */
static char *expand_slice(const char *slice)
{
	size_t n = strlen(slice) - strlen(SLICE);
	auto_buf struct buf path = { 0 };

	if (str_eq(slice, ROOT_SLICE))
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
	return str_eq(s, ROOT_SLICE) || (s[0] != '-' && s[n - end - 1] != '-' && !strstr(s, "--"));
}

static char *systemd_path(const char *spec_path, const char *id, struct error *err)
{
	auto_strv char **parts = str_split(spec_path ? spec_path : "", ':');
	auto_free char *parents = NULL;

	if (!systemd_is_running()) {
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
	if (str_ends(parts[2], SLICE)) {
		error_set(err, EINVAL, "linux.cgroupsPath: the slice '%s' cannot have processes",
		          parts[2]);
		return NULL;
	}
	if (*parts[0] && !is_slice(parts[0])) {
		error_set(err, EINVAL, "linux.cgroupsPath: invalid slice name: %s", parts[0]);
		return NULL;
	}
	parents = expand_slice(*parts[0] ? parts[0] : DEFAULT_SLICE);
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

char *cgroup_start_scope(const char *path, const char *id, const struct oci_spec *spec, pid_t pid,
                         struct error *err)
{
	auto_unit_properties struct unit_properties more = { 0 };
	auto_systemd struct systemd *s = NULL;
	auto_free char *description = str_fmt("vcrt container %s", id);
	auto_free char *slice = str_ndup(path, (size_t)(strrchr(path, '/') - path));
	const char *unit = strrchr(path, '/') + 1, *last = strrchr(slice, '/');

	if (unit_properties_annotated(&more, spec, err) < 0)
		return NULL;
	s = systemd_connect(SYSTEMD_TIMEOUT, err);
	if (!s || systemd_start_scope(s, unit, last ? last + 1 : ROOT_SLICE, description, pid,
	                              &more, err) < 0)
		return NULL;
	return str_dup(unit);
}

void cgroup_stop_scope(const char *unit)
{
	auto_systemd struct systemd *s = NULL;
	auto_error struct error err = { 0 };

	if (!unit)
		return;
	s = systemd_connect(SYSTEMD_TIMEOUT, &err);
	if (!s || systemd_stop_unit(s, unit, &err) < 0)
		log_warn("%s, ignoring", err.msg);
}
