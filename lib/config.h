/* The configuration file (DESIGN section 11): JSON with comments, unknown keys are errors. One
 * table in config.c names every key; cmd/config.json documents them. */
#pragma once

#include <stdbool.h>

#include "lib/base/mem.h"

struct error;
struct json;
struct oci_spec;

#define CONFIG_PATH "/etc/vcrt/config.json"

/* Values of "template". */
#define CONFIG_TEMPLATE_OFF "off"       /* each VM boots */
#define CONFIG_TEMPLATE_MANUAL "manual" /* what was made on demand is used */
#define CONFIG_TEMPLATE_AUTO "auto"     /* a VM that had to boot has one made for the next */

struct config {
	char *file; /* where it was read from, NULL: built-in defaults */
	char *hypervisor, *agent;
	char *vmm_path, *machine, *cpu_model, *accel;
	char *kernel, *initrd, *kernel_params;
	char *shared_fs, *virtiofsd_path;
	char *network_model;
	char *template, *template_dir, *vmm_preload;
	char *runtime_dir;
	char **enable_annotations, **allowed_paths;
	unsigned memory_mib, memory_max_mib, memory_overhead_mib, cpus, cpus_max;
	unsigned template_max_mib;
	unsigned boot_timeout, request_timeout; /* seconds */
	bool debug;
};
#define auto_config auto_(config_freep)

/* The host's memory in MiB, which bounds what is not configured. */
unsigned config_host_memory(void);

/* path NULL: CONFIG_PATH if it exists, else defaults. */
struct config *config_load(const char *path, struct error *err);
struct config *config_parse(const char *text, const char *name, struct error *err);
/* Apply annotations io.vcrt.KEY (only those that enable_annotations names; paths must match one of
 * allowed_paths, fnmatch patterns) and the specification's "vm" object (kernel, initrd, memory,
 * vcpus, under the same rules). */
int config_apply_spec(struct config *c, const struct oci_spec *spec, struct error *err);
struct json *config_to_json(const struct config *c);
struct config *config_copy(const struct config *c);
void config_free(struct config *c);
void config_freep(struct config **c);
