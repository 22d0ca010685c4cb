#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "agent/protocol.h"
#include "lib/resources.h"
#include "lib/verbs.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define SHM "/dev/shm"
#define MAX_HOOK_SECONDS 86400u /* of hooks without a timeout, or with a longer one */

bool mount_is_bind(const struct oci_mount *m)
{
	return str_eq(m->type, "bind") || strv_has(m->options, "bind") ||
	       strv_has(m->options, "rbind");
}

char *mount_source(const struct oci_mount *m, const char *bundle)
{
	const char *s = m->source ? m->source : "";

	return *s == '/' ? str_dup(s) : str_fmt("%s/%s", bundle, s);
}

static void set(char **member, char *value)
{
	free(*member);
	*member = value;
}

/* ---- mounts ---- */

/* Shared memory must be mapped by several processes of the guest, which the share cannot offer: it
 * is the guest's own, as large as the caller made it. */
static void localise_shm(struct oci_mount *m, const char *source)
{
	struct statfs fs;
	unsigned long long size = 64ull << 20;

	if (statfs(source, &fs) == 0 && fs.f_blocks)
		size = (unsigned long long)fs.f_blocks * (unsigned long long)fs.f_bsize;
	set(&m->type, str_dup("tmpfs"));
	set(&m->source, str_dup("shm"));
	strv_free(m->options);
	m->options = NULL;
	strv_push(&m->options, "nosuid");
	strv_push(&m->options, "noexec");
	strv_push(&m->options, "nodev");
	strv_push(&m->options, "mode=1777");
	strv_pushf(&m->options, "size=%llu", size);
}

/* Of two options that undo each other the last one counts. */
static bool option_is_on(const struct oci_mount *m, const char *on, const char *off)
{
	bool is_on = false;

	for (char **o = m->options; o && *o; o++) {
		if (str_eq(*o, on))
			is_on = true;
		else if (str_eq(*o, off))
			is_on = false;
	}
	return is_on;
}

/* What the stand-in has to clone (shim.c); it goes to the guest under the same name. */
static struct json *bind_of(const struct oci_mount *m, const char *name, const char *source)
{
	struct json *j = json_new_object();

	json_set(j, "type", json_new_string("bind"));
	json_set(j, "dest", json_new_string(m->destination));
	json_set(j, "name", json_new_string(name));
	json_set(j, "path", json_new_string(source));
	json_set(j, "recursive", json_new_bool(!option_is_on(m, "bind", "rbind")));
	json_set(j, "readonly", json_new_bool(option_is_on(m, "ro", "rw")));
	json_set(j, "all_readonly", json_new_bool(option_is_on(m, "rro", "rrw")));
	return j;
}

static struct json *other_of(const struct oci_mount *m)
{
	struct json *j = json_new_object();

	json_set(j, "type", json_new_string(m->type));
	json_set(j, "dest", json_new_string(m->destination));
	return j;
}

/* Sources of binds become paths in the share. */
static void share_mounts(struct oci_spec *guest, const char *bundle, const char *key,
                         struct json *mounts)
{
	for (size_t i = 0; i < guest->n_mounts; i++) {
		struct oci_mount *m = &guest->mounts[i];
		auto_free char *source = mount_source(m, bundle);
		auto_free char *name = str_fmt("m%zu", i);

		if (!mount_is_bind(m)) {
			if (str_eq(m->type, "proc") || str_eq(m->type, "tmpfs"))
				json_add(mounts, other_of(m));
			continue;
		}
		if (str_eq(m->destination, SHM)) {
			localise_shm(m, source);
			json_add(mounts, other_of(m));
			continue;
		}
		json_add(mounts, bind_of(m, name, source));
		set(&m->source, str_fmt("%s/%s/%s", PROTOCOL_SHARE, key, name));
		set(&m->type, str_dup("bind"));
	}
}

/* ---- the document ---- */

/* The guest has one network namespace, the sandbox's; the host's part of it is the stand-in's. */
static int localise_namespaces(struct oci_spec *guest, struct error *err)
{
	for (size_t i = guest->linux_ ? guest->linux_->n_namespaces : 0; i-- > 0;) {
		const struct oci_namespace *ns = &guest->linux_->namespaces[i];

		if (str_eq(ns->type, "network"))
			oci_spec_del_namespace(guest, i);
		else if (ns->path && *ns->path)
			return error_set(err, ENOTSUP,
			                 "linux.namespaces: '%s' is no %s namespace of a sandbox",
			                 ns->path, ns->type);
	}
	return 0;
}

static unsigned hook_seconds(const struct oci_hook *hooks, size_t n)
{
	unsigned sum = 0;

	for (size_t i = 0; i < n; i++) {
		bool is_limited = hooks[i].has_timeout && hooks[i].timeout < MAX_HOOK_SECONDS;

		sum += is_limited ? (unsigned)hooks[i].timeout : MAX_HOOK_SECONDS;
	}
	return sum < MAX_HOOK_SECONDS ? sum : MAX_HOOK_SECONDS;
}

unsigned guest_hook_seconds(const struct oci_spec *spec)
{
	const struct oci_hooks *h = spec->hooks;

	return h ? hook_seconds(h->create_container, h->n_create_container) +
	                       hook_seconds(h->start_container, h->n_start_container)
	         : 0;
}

static void strip_host_parts(struct oci_spec *guest)
{
	static const struct oci_hooks no_hooks;
	struct oci_hooks *h = guest->hooks;

	oci_vm_freep(&guest->vm);
	if (!h)
		return;
	/* What runs on the host: everything but createContainer and startContainer. */
	struct oci_hooks *keep = xmemdup(&no_hooks, sizeof(no_hooks));
	keep->create_container = steal_ptr(&h->create_container);
	keep->n_create_container = h->n_create_container;
	keep->start_container = steal_ptr(&h->start_container);
	keep->n_start_container = h->n_start_container;
	h->n_create_container = h->n_start_container = 0;
	oci_hooks_freep(&guest->hooks);
	guest->hooks = keep;
}

struct json *guest_spec(const struct oci_spec *spec, const struct guest_place *place,
                        struct json *mounts, struct error *err)
{
	auto_oci_spec struct oci_spec *guest = oci_spec_copy(spec);

	if (localise_namespaces(guest, err) < 0)
		return NULL;
	strip_host_parts(guest);
	resources_for_guest(oci_resources_of(guest), place->cpus);
	share_mounts(guest, place->bundle, place->key, mounts);
	if (guest->linux_) /* the agent is in the root of the guest's only hierarchy */
		set(&guest->linux_->cgroups_path,
		    str_fmt("%s%s", *place->cgroup == '/' ? "" : "/", place->cgroup));
	set(&guest->root->path, str_fmt("%s/%s/rootfs", PROTOCOL_SHARE, place->key));
	return oci_spec_to_json(guest);
}
