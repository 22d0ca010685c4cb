/* What this runtime implements, in the form of the runtime specification (features.md). Only what
 * the guest's agent really does belongs here. */
#include "cmd/cmd.h"

#include "lib/base/json.h"
#include "oci/oci.h"

/* What libseccomp (2.5) can put into one filter with its own, little-endian one. */
static const char *const seccomp_archs[] = {
	"SCMP_ARCH_X86",
	"SCMP_ARCH_X86_64",
	"SCMP_ARCH_X32",
	"SCMP_ARCH_ARM",
	"SCMP_ARCH_AARCH64",
	"SCMP_ARCH_MIPSEL",
	"SCMP_ARCH_MIPSEL64",
	"SCMP_ARCH_MIPSEL64N32",
	"SCMP_ARCH_PPC64LE",
	"SCMP_ARCH_RISCV64",
	NULL,
};

static struct json *names(const char *const *v)
{
	return json_new_strv((char *const *)v);
}

static struct json *enabled(bool b)
{
	struct json *j = json_new_object();

	json_set(j, "enabled", json_new_bool(b));
	return j;
}

static struct json *cgroup_features(void)
{
	struct json *j = json_new_object();

	json_set(j, "v1", json_new_bool(true));
	json_set(j, "v2", json_new_bool(true));
	json_set(j, "systemd", json_new_bool(true));
	json_set(j, "systemdUser", json_new_bool(false));
	json_set(j, "rdma", json_new_bool(false));
	return j;
}

/* A notification listener is a socket on the host, where the filtered process is not. */
static bool is_supported_action(const char *name)
{
	return !str_eq(name, "SCMP_ACT_NOTIFY");
}

/* This flag is about such a listener, too: the kernel refuses it without. */
static bool is_supported_flag(const char *name)
{
	return !str_eq(name, "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV");
}

static struct json *names_if(const char *const *v, bool (*accept)(const char *))
{
	struct json *j = json_new_array();

	for (; *v; v++) {
		if (accept(*v))
			json_add(j, json_new_string(*v));
	}
	return j;
}

static struct json *seccomp_features(void)
{
	struct json *j = enabled(true);

	json_set(j, "actions", names_if(oci_seccomp_actions, is_supported_action));
	json_set(j, "operators", names(oci_seccomp_operators));
	json_set(j, "archs", names(seccomp_archs));
	json_set(j, "knownFlags", names(oci_seccomp_flags));
	json_set(j, "supportedFlags", names_if(oci_seccomp_flags, is_supported_flag));
	return j;
}

static struct json *linux_features(void)
{
	struct json *j = json_new_object(), *mount = json_new_object(), *policy = json_new_object();

	json_set(j, "namespaces", names(oci_namespace_types));
	json_set(j, "capabilities", names(oci_cap_names));
	json_set(j, "cgroup", cgroup_features());
	json_set(j, "seccomp", seccomp_features());
	json_set(j, "apparmor", enabled(false));
	json_set(j, "selinux", enabled(false));
	json_set(j, "intelRdt", enabled(false));
	json_set(policy, "modes", names(oci_policy_modes));
	json_set(policy, "flags", names(oci_policy_flags));
	json_set(j, "memoryPolicy", policy);
	json_set(mount, "idmap", enabled(false));
	json_set(j, "mountExtensions", mount);
	json_set(j, "netDevices", enabled(false));
	return j;
}

static struct json *features(void)
{
	struct json *j = json_new_object(), *annotations = json_new_object();
	static const char *const unsafe[] = { "io.vcrt.", NULL };

	json_set(j, "ociVersionMin", json_new_string("1.0.0"));
	json_set(j, "ociVersionMax", json_new_string(OCI_VERSION));
	json_set(j, "hooks", names(oci_hook_names));
	json_set(j, "mountOptions", names(oci_mount_options));
	json_set(j, "linux", linux_features());
	json_set(annotations, "io.vcrt.version", json_new_string(cmd_version));
	json_set(annotations, "io.vcrt.commit", json_new_string(cmd_commit));
	json_set(j, "annotations", annotations);
	json_set(j, "potentiallyUnsafeConfigAnnotations", names(unsafe));
	return j;
}

static int features_run(const struct globals *g, const void *values, int argc, char **argv,
                        struct error *err)
{
	auto_json struct json *j = features();
	auto_free char *text = json_print(j, true);

	(void)g;
	(void)values;
	(void)argc;
	(void)argv;
	(void)err;
	puts(text);
	return 0;
}

const struct command cmd_features = {
	.name = "features",
	.help = "print what this runtime implements as JSON",
	.description = "The form is that of features.md in the runtime specification.",
	.run = features_run,
};
