/* Can this host run VMs, and what would be used? */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/agent.h"
#include "hypervisor/hypervisor.h"
#include "lib/config.h"
#include "lib/template.h"
#include "lib/verbs.h"
#include "lib/vm-config.h"
#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "netns/netns.h"
#include "oci/oci.h"

#define KVM_DEVICE "/dev/kvm"
#define MIN_KERNEL "5.12" /* open_tree, move_mount, mount_setattr, pidfd */

struct findings {
	struct vcrt_finding *list;
	size_t n;
};

static void __attribute__((format(printf, 4, 5)))
add(struct findings *f, enum vcrt_finding_level level, const char *what, const char *fmt, ...)
{
	va_list ap;

	f->list = xreallocarray(f->list, f->n + 1, sizeof(*f->list));
	va_start(ap, fmt);
	f->list[f->n++] = (struct vcrt_finding){ .level = level,
		                                 .what = str_dup(what),
		                                 .text = str_vfmt(fmt, ap) };
	va_end(ap);
}

static char *vmm_version(const char *path)
{
	char *argv[] = { "vmm", "--version", NULL };
	struct child_opts opts = { .path = path, .argv = argv };
	auto_error struct error err = { 0 };
	char *out = NULL;
	int status = 0;

	if (child_run(&opts, NULL, 4096, 10000, &status, &out, NULL, &err) < 0 || status) {
		free(out);
		return str_dup("unknown version");
	}
	*strchrnul(out, '\n') = '\0';
	return out;
}

static void check_files(const struct config *c, struct findings *f)
{
	auto_error struct error err = { 0 };
	auto_free char *version = NULL;
	const struct hv_ops *ops;
	struct hv_config cfg;

	ops = vm_config(c, &cfg, &err);
	if (!ops || hv_check(ops, &cfg, &err) < 0) {
		add(f, VCRT_FINDING_FAILED, "virtual machine", "%s", err.msg);
		return;
	}
	version = vmm_version(c->vmm_path);
	add(f, VCRT_FINDING_OK, "hypervisor", "%s, %s", c->vmm_path, version);
	add(f, VCRT_FINDING_OK, "guest", "kernel %s, initrd %s, %u MiB, %u CPU%s", c->kernel,
	    c->initrd, c->memory_mib, c->cpus, c->cpus == 1 ? "" : "s");
}

/* What VMs are run with, or HV_ACCEL_AUTO if there is nothing. */
static enum hv_accel check_accel(const struct config *c, struct findings *f)
{
	auto_error struct error err = { 0 };
	auto_free char *why = NULL;
	enum hv_accel wanted, accel = HV_ACCEL_AUTO;

	if (hv_accel_parse(c->accel, &wanted) < 0)
		add(f, VCRT_FINDING_FAILED, "acceleration", "unknown value '%s'", c->accel);
	else if (hv_probe_accel(wanted, KVM_DEVICE, NULL, &accel, &why, &err) < 0)
		add(f, VCRT_FINDING_FAILED, "acceleration", "%s", err.msg);
	else if (why)
		add(f, VCRT_FINDING_WARNING, "acceleration", "%s", why);
	else
		add(f, accel == HV_ACCEL_KVM ? VCRT_FINDING_OK : VCRT_FINDING_WARNING,
		    "acceleration", "%s", hv_accel_name(accel));
	return accel;
}

/* What there is, in words; *bad: one is set aside. */
static char *describe_templates(const struct config *c, const char *identity, bool *bad)
{
	auto_free char *key = template_key(identity), *problem = NULL;
	auto_error struct error err = { 0 };
	unsigned ready = 0, stale = 0;
	bool is_there = false;
	struct template *list;
	int n = template_list(c->template_dir, &list, &err);

	for (int i = 0; i < n; i++) {
		const struct template *t = &list[i];
		bool is_stale = template_is_stale(t);

		stale += is_stale;
		ready += !is_stale && !t->problem;
		if (!str_eq(t->key, key))
			continue;
		is_there = !t->problem;
		problem = str_dup(t->problem);
	}
	if (n >= 0)
		template_list_free(list, (size_t)n);
	*bad = problem || n < 0;
	return str_fmt("%s, in '%s', at most %u MiB: %u ready, %u stale; for this configuration %s",
	               c->template, c->template_dir, c->template_max_mib, ready, stale,
	               n < 0      ? err.msg
	               : is_there ? "there is one"
	               : problem  ? problem
	                          : "there is none yet");
}

/* Can the one of this configuration be made? Owned by the caller; NULL: nothing speaks against it.
 */
static char *find_obstacle(const struct config *c, const char *identity)
{
	auto_free char *failure = template_last_failure(c, identity);
	auto_error struct error err = { 0 };

	if (failure)
		return str_fmt("one could not be made some minutes ago: %s", failure);
	if (template_check_limits(c, &err) < 0)
		return str_fmt("none is made: %s", err.msg);
	if (!fs_is_in_memory(c->template_dir))
		return str_fmt("'%s' does not lie in memory", c->template_dir);
	return NULL;
}

static void check_templates(const struct config *given, enum hv_accel accel, struct findings *f)
{
	auto_config struct config *c = config_copy(given);
	auto_free char *identity = NULL, *obstacle = NULL, *text = NULL;
	auto_error struct error err = { 0 };
	bool is_bad;

	if (str_eq(c->template, CONFIG_TEMPLATE_OFF)) {
		add(f, VCRT_FINDING_OK, "templates", "off, each virtual machine boots");
		return;
	}
	free(c->accel);
	c->accel = str_dup(hv_accel_name(accel));
	identity = vm_identity(c, &err);
	if (err.code) /* told above */
		return;
	if (!identity || !fs_exists(c->vmm_preload)) {
		add(f, VCRT_FINDING_WARNING, "templates", "each virtual machine boots: %s%s",
		    identity ? "there is no " : "its files are served by virtiofsd",
		    identity ? c->vmm_preload : "");
		return;
	}
	text = describe_templates(c, identity, &is_bad);
	obstacle = find_obstacle(c, identity);
	add(f, is_bad || obstacle ? VCRT_FINDING_WARNING : VCRT_FINDING_OK, "templates", "%s%s%s",
	    text, obstacle ? "; " : "", obstacle ? obstacle : "");
}

static void check_network(struct findings *f)
{
	auto_error struct error err = { 0 };

	if (netns_load(&err) < 0)
		add(f, VCRT_FINDING_WARNING, "network", "no interfaces of containers: %s", err.msg);
	else
		add(f, VCRT_FINDING_OK, "network", "libnl");
}

static void check_host(const struct vcrt *v, struct findings *f)
{
	unsigned major = 0, minor = 0;
	struct utsname u;

	uname(&u);
	if (sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
	    (major > 5 || (major == 5 && minor >= 12)))
		add(f, VCRT_FINDING_OK, "host kernel", "%s", u.release);
	else
		add(f, VCRT_FINDING_FAILED, "host kernel", "%s, " MIN_KERNEL " or later is needed",
		    u.release);
	if (geteuid() == 0)
		add(f, VCRT_FINDING_OK, "privileges", "root");
	else
		add(f, VCRT_FINDING_FAILED, "privileges", "not root");
	add(f, VCRT_FINDING_OK, "configuration", "%s, state in %s",
	    v->config->file ? v->config->file : "built-in defaults", v->root);
}

static void check_all(const struct vcrt *v, struct findings *f)
{
	enum hv_accel accel;

	check_host(v, f);
	check_files(v->config, f);
	accel = check_accel(v->config, f);
	check_templates(v->config, accel, f);
	check_network(f);
}

int verb_check(struct vcrt *v, struct vcrt_finding **out, struct error *err)
{
	struct findings f = { 0 };

	(void)err;
	check_all(v, &f);
	*out = f.list;
	return (int)f.n;
}

int verb_env(struct vcrt *v, char **json, struct error *err)
{
	auto_json struct json *j = json_new_object();
	struct json *config = config_to_json(v->config), *runtime = json_new_object();
	auto_free char *version = vmm_version(v->config->vmm_path);
	struct findings f = { 0 };
	struct json *list = json_new_array();

	(void)err;
	json_set(runtime, "version", json_new_string(VCRT_VERSION));
	json_set(runtime, "binary", json_new_string(v->binary));
	json_set(runtime, "root", json_new_string(v->root));
	json_set(runtime, "ociVersion", json_new_string(OCI_VERSION));
	json_set(runtime, "configFile", json_new_string(v->config->file));
	json_set(runtime, "vmmVersion", json_new_string(version));
	json_set(j, "runtime", runtime);
	json_set(j, "config", config);
	check_all(v, &f);
	for (size_t i = 0; i < f.n; i++) {
		static const char *const levels[] = { "ok", "warning", "failed" };
		struct json *e = json_new_object();

		json_set(e, "level", json_new_string(levels[f.list[i].level]));
		json_set(e, "what", json_new_string(f.list[i].what));
		json_set(e, "text", json_new_string(f.list[i].text));
		json_add(list, e);
	}
	json_set(j, "findings", list);
	vcrt_findings_free(f.list, f.n);
	*json = json_print(j, true);
	return 0;
}
