#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/config.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define MAX_CONFIG (1u << 20)
#define STORE_IN_RUN "/run/vcrt/templates"
#define STORE_IN_SHM "/dev/shm/vcrt-templates" /* where /run is on a disk */
#define MAX_STORE_MIB 1024
#define ANNOTATION_PREFIX "io.vcrt."

enum key_kind { KEY_STRING, KEY_PATH, KEY_UINT, KEY_BOOL, KEY_STRV };

struct key {
	const char *name;
	enum key_kind kind;
	size_t offset;
	const char *text;        /* default of a string */
	unsigned dflt, min, max; /* of a number */
	bool fixed;              /* never changed by an annotation */
};

#define STRING(n, m, d)                                                                            \
	{                                                                                          \
		.name = n, .kind = KEY_STRING, .offset = offsetof(struct config, m), .text = d     \
	}
#define PATH_(n, m, d)                                                                             \
	{                                                                                          \
		.name = n, .kind = KEY_PATH, .offset = offsetof(struct config, m), .text = d       \
	}

/* The default image paths come from the build (prefix). */
static const struct key keys[] = {
	{ .name = "hypervisor",
	  .kind = KEY_STRING,
	  .fixed = true,
	  .offset = offsetof(struct config, hypervisor),
	  .text = "qemu" },
	{ .name = "agent",
	  .kind = KEY_STRING,
	  .fixed = true,
	  .offset = offsetof(struct config, agent),
	  .text = "vcrt" },
	PATH_("vmm_path", vmm_path, "/usr/bin/qemu-system-x86_64"),
	STRING("machine", machine, "q35"),
	STRING("cpu_model", cpu_model, ""),
	STRING("accel", accel, "auto"),
	PATH_("kernel", kernel, VCRT_DATADIR "/vmlinux"),
	PATH_("initrd", initrd, VCRT_DATADIR "/initrd.img"),
	STRING("kernel_params", kernel_params, ""),
	{ .name = "memory",
	  .kind = KEY_UINT,
	  .offset = offsetof(struct config, memory_mib),
	  .dflt = 512,
	  .min = 1,
	  .max = 4u << 20 },
	{ .name = "memory_max",
	  .kind = KEY_UINT,
	  .offset = offsetof(struct config, memory_max_mib),
	  .max = 4u << 20 },
	{ .name = "memory_overhead",
	  .kind = KEY_UINT,
	  .offset = offsetof(struct config, memory_overhead_mib),
	  .dflt = 256,
	  .min = 64,
	  .max = 4u << 20 },
	{ .name = "cpus",
	  .kind = KEY_UINT,
	  .offset = offsetof(struct config, cpus),
	  .dflt = 1,
	  .min = 1,
	  .max = 255 },
	{ .name = "cpus_max",
	  .kind = KEY_UINT,
	  .offset = offsetof(struct config, cpus_max),
	  .max = 255 },
	STRING("shared_fs", shared_fs, "9p"),
	PATH_("virtiofsd_path", virtiofsd_path, "/usr/lib/qemu/virtiofsd"),
	STRING("network_model", network_model, "tcfilter"),
	{ .name = "runtime_dir",
	  .kind = KEY_PATH,
	  .fixed = true,
	  .offset = offsetof(struct config, runtime_dir),
	  .text = "/run/vcrt/sandboxes" },
	{ .name = "template",
	  .kind = KEY_STRING,
	  .fixed = true,
	  .offset = offsetof(struct config, template),
	  .text = CONFIG_TEMPLATE_AUTO },
	{ .name = "template_dir",
	  .kind = KEY_PATH,
	  .fixed = true,
	  .offset = offsetof(struct config, template_dir),
	  .text = "" },
	{ .name = "template_max",
	  .kind = KEY_UINT,
	  .fixed = true,
	  .offset = offsetof(struct config, template_max_mib),
	  .max = 4u << 20 },
	{ .name = "vmm_preload",
	  .kind = KEY_PATH,
	  .fixed = true,
	  .offset = offsetof(struct config, vmm_preload),
	  .text = VCRT_LIBDIR "/vcrt-private-file.so" },
	{ .name = "boot_timeout",
	  .kind = KEY_UINT,
	  .offset = offsetof(struct config, boot_timeout),
	  .dflt = 60,
	  .min = 1,
	  .max = 3600 },
	{ .name = "request_timeout",
	  .kind = KEY_UINT,
	  .offset = offsetof(struct config, request_timeout),
	  .dflt = 30,
	  .min = 1,
	  .max = 3600 },
	{ .name = "debug", .kind = KEY_BOOL, .offset = offsetof(struct config, debug) },
	{ .name = "enable_annotations",
	  .kind = KEY_STRV,
	  .fixed = true,
	  .offset = offsetof(struct config, enable_annotations) },
	{ .name = "allowed_paths",
	  .kind = KEY_STRV,
	  .fixed = true,
	  .offset = offsetof(struct config, allowed_paths) },
};

static void *member(const struct config *c, const struct key *k)
{
	return (char *)c + k->offset;
}

static const struct key *find_key(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (str_eq(keys[i].name, name))
			return &keys[i];
	return NULL;
}

static void set_string(struct config *c, const struct key *k, const char *s)
{
	char **to = member(c, k);

	free(*to);
	*to = str_dup(s);
}

static struct config *config_defaults(void)
{
	struct config *c = xzalloc(sizeof(*c));

	for (const struct key *k = keys; k < keys + ARRAY_SIZE(keys); k++) {
		if (k->kind == KEY_STRING || k->kind == KEY_PATH)
			set_string(c, k, k->text);
		else if (k->kind == KEY_UINT)
			*(unsigned *)member(c, k) = k->dflt;
	}
	return c;
}

unsigned config_host_memory(void)
{
	return (unsigned)((uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) >>
	                  20);
}

/* Templates lie in memory, and are a small part of it. */
static void choose_store(struct config *c)
{
	unsigned eighth = config_host_memory() / 8;
	bool in_run = fs_is_in_memory(STORE_IN_RUN) || !fs_is_in_memory(STORE_IN_SHM);

	if (!*c->template_dir) {
		free(c->template_dir);
		c->template_dir = str_dup(in_run ? STORE_IN_RUN : STORE_IN_SHM);
	}
	if (!c->template_max_mib)
		c->template_max_mib = eighth < MAX_STORE_MIB ? eighth : MAX_STORE_MIB;
}

/* ---- reading ---- */

static int set_uint(struct config *c, const struct key *k, const struct json *v, struct error *err)
{
	uint64_t n;

	if (json_type(v) != JSON_NUMBER || json_to_u64(v, &n) < 0 || n < k->min || n > k->max)
		return error_set(err, EINVAL, "expected a number from %u to %u", k->min, k->max);
	*(unsigned *)member(c, k) = (unsigned)n;
	return 0;
}

static int set_strv(struct config *c, const struct key *k, const struct json *v, struct error *err)
{
	char ***to = member(c, k);

	if (json_type(v) != JSON_ARRAY)
		return error_set(err, EINVAL, "expected an array of strings");
	for (size_t i = 0; i < json_len(v); i++)
		if (json_type(json_at(v, i)) != JSON_STRING)
			return error_set(err, EINVAL, "expected an array of strings");
	strv_free(*to);
	*to = NULL;
	for (size_t i = 0; i < json_len(v); i++)
		strv_push(to, json_string(json_at(v, i)));
	return 0;
}

static int set_key(struct config *c, const struct key *k, const struct json *v, struct error *err)
{
	switch (k->kind) {
	case KEY_UINT:
		return set_uint(c, k, v, err);
	case KEY_STRV:
		return set_strv(c, k, v, err);
	case KEY_BOOL:
		if (json_type(v) != JSON_BOOL)
			return error_set(err, EINVAL, "expected true or false");
		*(bool *)member(c, k) = json_bool(v);
		return 0;
	case KEY_PATH:
	case KEY_STRING:
		if (json_type(v) != JSON_STRING)
			return error_set(err, EINVAL, "expected a string");
		if (k->kind == KEY_PATH && json_string(v)[0] != '/' &&
		    !str_eq(json_string(v), k->text))
			return error_set(err, EINVAL, "expected an absolute path");
		set_string(c, k, json_string(v));
		return 0;
	}
	return error_set(err, EINVAL, "unknown kind of key");
}

struct config *config_parse(const char *text, const char *name, struct error *err)
{
	auto_config struct config *c = config_defaults();
	auto_json struct json *j = json_parse(text, strlen(text), true, err);

	if (!j) {
		error_wrap(err, "configuration '%s'", name);
		return NULL;
	}
	if (json_type(j) != JSON_OBJECT) {
		error_set(err, EINVAL, "configuration '%s': expected an object", name);
		return NULL;
	}
	for (size_t i = 0; i < json_len(j); i++) {
		const struct json *v = json_value_at(j, i);
		const struct key *k = find_key(json_key_at(j, i));

		if (!k)
			error_set(err, EINVAL, "unknown key");
		if (!k || set_key(c, k, v, err) < 0) {
			error_wrap(err, "configuration '%s', line %u, \"%s\"", name, json_line(v),
			           json_key_at(j, i));
			return NULL;
		}
	}
	choose_store(c);
	c->file = str_dup(name);
	return steal_ptr(&c);
}

struct config *config_load(const char *path, struct error *err)
{
	auto_free char *text = NULL;
	size_t len;

	if (!path && !fs_exists(CONFIG_PATH)) {
		struct config *c = config_defaults();

		choose_store(c);
		return c;
	}
	path = path ? path : CONFIG_PATH;
	if (fs_read(path, MAX_CONFIG, &text, &len, err) < 0) {
		error_wrap(err, "configuration");
		return NULL;
	}
	if (strlen(text) != len) {
		error_set(err, EINVAL, "configuration '%s': there is a NUL byte in it", path);
		return NULL;
	}
	return config_parse(text, path, err);
}

/* ---- overrides by the container ---- */

static bool path_is_allowed(const struct config *c, const char *path)
{
	for (char **p = c->allowed_paths; p && *p; p++)
		if (fnmatch(*p, path, FNM_PATHNAME) == 0 && !strstr(path, "/../") &&
		    !str_ends(path, "/.."))
			return true;
	return false;
}

/* An annotation is always a string: read it as what the key wants. */
static int apply(struct config *c, const char *name, const char *value, struct error *err)
{
	const struct key *k = find_key(name);
	auto_json struct json *v = NULL;

	if (!k || k->fixed)
		return error_set(err, EINVAL, "no such setting of a container");
	if (!strv_has(c->enable_annotations, name))
		return error_set(err, EPERM, "not named in enable_annotations");
	/* In a list of the VMM's options a comma begins the next one. */
	if ((str_eq(name, "machine") || str_eq(name, "cpu_model")) && strchr(value, ','))
		return error_set(err, EINVAL, "no comma is allowed here");
	if (k->kind == KEY_PATH && !path_is_allowed(c, value))
		return error_set(err, EPERM, "'%s' matches none of allowed_paths", value);
	if (k->kind == KEY_UINT || k->kind == KEY_BOOL)
		v = json_parse(value, strlen(value), false, err);
	else
		v = json_new_string(value);
	return v ? set_key(c, k, v, err) : -err->code;
}

static int apply_vm(struct config *c, const struct oci_vm *vm, struct error *err)
{
	const struct oci_vm_hw_config *hw = vm->hw_config;
	const struct oci_vm_kernel *kernel = vm->kernel;
	auto_free char *number = NULL;

	if (vm->image)
		return error_set(err, ENOTSUP, "vm.image: root images are not supported");
	if (vm->hypervisor && vm->hypervisor->path && *vm->hypervisor->path &&
	    apply(c, "vmm_path", vm->hypervisor->path, err) < 0)
		return error_wrap(err, "vm.hypervisor.path");
	if (vm->hypervisor && strv_len(vm->hypervisor->parameters))
		return error_set(err, ENOTSUP, "vm.hypervisor.parameters: not supported");
	if (kernel && kernel->path && *kernel->path && apply(c, "kernel", kernel->path, err) < 0)
		return error_wrap(err, "vm.kernel.path");
	if (kernel && kernel->initrd && *kernel->initrd &&
	    apply(c, "initrd", kernel->initrd, err) < 0)
		return error_wrap(err, "vm.kernel.initrd");
	if (kernel && strv_len(kernel->parameters)) {
		auto_free char *params = strv_join(kernel->parameters, " ");

		if (apply(c, "kernel_params", params, err) < 0)
			return error_wrap(err, "vm.kernel.parameters");
	}
	if (!hw)
		return 0;
	if (hw->device_tree || hw->n_iomems || hw->n_irqs || strv_len(hw->dtdevs))
		return error_set(err, ENOTSUP, "vm.hwConfig: only vcpus and memory are supported");
	if (hw->has_vcpus) {
		number = str_fmt("%u", hw->vcpus);
		if (apply(c, "cpus", number, err) < 0)
			return error_wrap(err, "vm.hwConfig.vcpus");
	}
	if (hw->has_memory) {
		free(number);
		number = str_fmt("%llu", (unsigned long long)(hw->memory >> 20));
		if (apply(c, "memory", number, err) < 0)
			return error_wrap(err, "vm.hwConfig.memory");
	}
	return 0;
}

int config_apply_spec(struct config *c, const struct oci_spec *spec, struct error *err)
{
	for (size_t i = 0; i < spec->n_annotations; i++) {
		const struct oci_pair *a = &spec->annotations[i];

		if (str_starts(a->key, ANNOTATION_PREFIX) &&
		    apply(c, a->key + strlen(ANNOTATION_PREFIX), a->value, err) < 0)
			return error_wrap(err, "annotation '%s'", a->key);
	}
	return spec->vm ? apply_vm(c, spec->vm, err) : 0;
}

/* ---- writing, copying, freeing ---- */

struct json *config_to_json(const struct config *c)
{
	struct json *j = json_new_object();

	for (const struct key *k = keys; k < keys + ARRAY_SIZE(keys); k++) {
		void *m = member(c, k);

		switch (k->kind) {
		case KEY_PATH:
		case KEY_STRING:
			json_set(j, k->name, json_new_string(*(char **)m));
			break;
		case KEY_UINT:
			json_set(j, k->name, json_new_u64(*(unsigned *)m));
			break;
		case KEY_BOOL:
			json_set(j, k->name, json_new_bool(*(bool *)m));
			break;
		case KEY_STRV:
			json_set(j, k->name, json_new_strv(*(char ***)m));
			break;
		}
	}
	return j;
}

struct config *config_copy(const struct config *c)
{
	struct config *n = xmemdup(c, sizeof(*c));

	n->file = str_dup(c->file);
	for (const struct key *k = keys; k < keys + ARRAY_SIZE(keys); k++) {
		if (k->kind == KEY_PATH || k->kind == KEY_STRING)
			*(char **)member(n, k) = str_dup(*(char **)member(c, k));
		else if (k->kind == KEY_STRV)
			*(char ***)member(n, k) = strv_dup(*(char ***)member(c, k));
	}
	return n;
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (const struct key *k = keys; k < keys + ARRAY_SIZE(keys); k++) {
		if (k->kind == KEY_PATH || k->kind == KEY_STRING)
			free(*(char **)member(c, k));
		else if (k->kind == KEY_STRV)
			strv_free(*(char ***)member(c, k));
	}
	free(c->file);
	free(c);
}

void config_freep(struct config **c)
{
	config_free(*c);
	*c = NULL;
}
