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

static void check_accel(const struct config *c, struct findings *f)
{
	auto_error struct error err = { 0 };
	auto_free char *why = NULL;
	enum hv_accel wanted, accel;

	if (hv_accel_parse(c->accel, &wanted) < 0)
		add(f, VCRT_FINDING_FAILED, "acceleration", "unknown value '%s'", c->accel);
	else if (hv_probe_accel(wanted, KVM_DEVICE, NULL, &accel, &why, &err) < 0)
		add(f, VCRT_FINDING_FAILED, "acceleration", "%s", err.msg);
	else if (why)
		add(f, VCRT_FINDING_WARNING, "acceleration", "%s", why);
	else
		add(f, accel == HV_ACCEL_KVM ? VCRT_FINDING_OK : VCRT_FINDING_WARNING,
		    "acceleration", "%s", hv_accel_name(accel));
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

int verb_check(struct vcrt *v, struct vcrt_finding **out, struct error *err)
{
	struct findings f = { 0 };

	(void)err;
	check_host(v, &f);
	check_files(v->config, &f);
	check_accel(v->config, &f);
	check_network(&f);
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
	check_host(v, &f);
	check_files(v->config, &f);
	check_accel(v->config, &f);
	check_network(&f);
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
