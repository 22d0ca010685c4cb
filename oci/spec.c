#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "lib/base/str.h"
#include "oci/table-internal.h"

const char *const oci_hook_names[] = {
	"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
	NULL
};

static const char *const statuses[] = {
	"creating", "created", "running", "paused", "stopped", NULL
};
static const struct oci_rule rule_status = { .what = "status", .names = statuses };

static const struct oci_field oci_root_fields[] = {
	F_STR(oci_root, path, "path", .required = true, .rule = &oci_rule_not_empty),
	F_BOOL(oci_root, readonly, "readonly"),
};
static OCI_TYPE(oci_root);

static int check_mount(const void *obj, const struct oci_at *at, struct error *err)
{
	const struct oci_mount *m = obj;

	if (!m->n_uid_mappings != !m->n_gid_mappings)
		return oci_fail(at, m->n_uid_mappings ? "uidMappings" : "gidMappings", err,
		                "needs both uidMappings and gidMappings");
	return 0;
}

/* config.md: a relative destination is deprecated, but must be taken as relative to "/". */
static const struct oci_field oci_mount_fields[] = {
	F_STR(oci_mount, destination, "destination", .required = true, .rule = &oci_rule_not_empty),
	F_STR(oci_mount, type, "type"),
	F_STR(oci_mount, source, "source"),
	F_STRV(oci_mount, options, "options"),
	F_ARRAY(oci_mount, uid_mappings, "uidMappings", oci_id_mapping),
	F_ARRAY(oci_mount, gid_mappings, "gidMappings", oci_id_mapping),
};
OCI_TYPE(oci_mount, .check = check_mount);

static int check_hook(const void *obj, const struct oci_at *at, struct error *err)
{
	const struct oci_hook *h = obj;

	if (h->has_timeout && h->timeout <= 0)
		return oci_fail(at, "timeout", err, "%" PRId64 " is not greater than 0",
		                h->timeout);
	return 0;
}

static const struct oci_field oci_hook_fields[] = {
	F_STR(oci_hook, path, "path", .required = true, .rule = &oci_rule_absolute),
	F_STRV(oci_hook, args, "args"),
	F_STRV(oci_hook, env, "env"),
	F_I64(oci_hook, timeout, "timeout"),
};
OCI_TYPE(oci_hook, .check = check_hook);

static const struct oci_field oci_hooks_fields[] = {
	F_ARRAY(oci_hooks, prestart, "prestart", oci_hook),
	F_ARRAY(oci_hooks, create_runtime, "createRuntime", oci_hook),
	F_ARRAY(oci_hooks, create_container, "createContainer", oci_hook),
	F_ARRAY(oci_hooks, start_container, "startContainer", oci_hook),
	F_ARRAY(oci_hooks, poststart, "poststart", oci_hook),
	F_ARRAY(oci_hooks, poststop, "poststop", oci_hook),
};
OCI_TYPE(oci_hooks);

/* A number of SemVer: digits without a leading zero. Returns what follows, NULL if it is none. */
static const char *skip_number(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n == 0 || (n > 1 && *s == '0') ? NULL : s + n;
}

/* Dot-separated identifiers up to one of the characters in end; numbers of a pre-release have no
 * leading zero. */
static const char *skip_identifiers(const char *s, const char *end, bool is_prerelease)
{
	for (;; s++) {
		size_t n = 0, digits = strspn(s, "0123456789");

		while (isalnum((unsigned char)s[n]) || s[n] == '-')
			n++;
		if (n == 0 || (is_prerelease && n > 1 && digits == n && *s == '0'))
			return NULL;
		s += n;
		if (*s != '.')
			return strchr(end, *s) ? s : NULL; /* finds the final NUL, too */
	}
}

/* SemVer 2.0.0: MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD] */
static bool is_semver(const char *s)
{
	for (int i = 0; i < 3; i++) {
		if (i > 0 && *s++ != '.')
			return false;
		s = skip_number(s);
		if (!s)
			return false;
	}
	if (*s == '-')
		s = skip_identifiers(s + 1, "+", true);
	if (s && *s == '+')
		s = skip_identifiers(s + 1, "", false);
	return s && *s == '\0';
}

static const struct oci_rule rule_semver = { .what = "must be a version such as " OCI_VERSION,
	                                     .is_ok = is_semver };

static int check_spec(const void *obj, const struct oci_at *at, struct error *err)
{
	const struct oci_spec *spec = obj;

	if (!str_starts(spec->oci_version, "1.")) {
		auto_free char *version = oci_quote(spec->oci_version);

		return oci_fail(at, "ociVersion", err, "%s is not supported (1.x is)", version);
	}
	return oci_check_names(spec, at, err);
}

static const struct oci_field oci_spec_fields[] = {
	F_STR(oci_spec, oci_version, "ociVersion", .required = true, .rule = &rule_semver),
	F_OBJ(oci_spec, process, "process", oci_process),
	F_OBJ(oci_spec, root, "root", oci_root, .required = true),
	F_STR(oci_spec, hostname, "hostname"),
	F_STR(oci_spec, domainname, "domainname"),
	F_ARRAY(oci_spec, mounts, "mounts", oci_mount),
	F_OBJ(oci_spec, hooks, "hooks", oci_hooks),
	F_MAP(oci_spec, annotations, "annotations", .rule = &oci_rule_not_empty),
	F_OBJ(oci_spec, linux_, "linux", oci_linux),
	F_OBJ(oci_spec, vm, "vm", oci_vm),
};
OCI_TYPE(oci_spec, .check = check_spec);

/* In the order in which "state" prints them. */
static const struct oci_field oci_state_fields[] = {
	F_STR(oci_state, oci_version, "ociVersion", .required = true, .rule = &rule_semver),
	F_STR(oci_state, id, "id", .required = true, .rule = &oci_rule_not_empty),
	F_PLAIN_I64(oci_state, pid, "pid"),
	F_STR(oci_state, status, "status", .required = true, .rule = &rule_status),
	F_STR(oci_state, bundle, "bundle", .required = true),
	F_STR(oci_state, rootfs, "rootfs"),
	F_STR(oci_state, created, "created"),
	F_MAP(oci_state, annotations, "annotations", .omit_empty = true),
	F_STR(oci_state, owner, "owner"),
};
OCI_TYPE(oci_state);
