#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/protocol.h"
#include "lib/ctl.h"
#include "lib/share.h"
#include "lib/verbs.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define SHM "/dev/shm"

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

static int clone_bind(const struct oci_mount *m, const char *source, bool *is_file,
                      struct error *err)
{
	int tree = share_clone(source, !strv_has(m->options, "bind"), strv_has(m->options, "ro"),
	                       is_file, err);

	if (tree < 0 && err->code == ENOENT)
		return error_set(
			err, ENOENT,
			"error mounting \"%s\" to rootfs at \"%s\": stat %s: no such file or "
			"directory",
			source, m->destination, source);
	return tree < 0 ? error_wrap(err, "mount '%s'", m->destination) : tree;
}

static int add_tree(struct ctl_out *request, struct json *trees, const char *name, int tree,
                    bool is_file, struct error *err)
{
	struct json *t = json_new_object();

	if (ctl_out_fd(request, t, "fd", tree, err) < 0) {
		json_free(t);
		close(tree);
		return -err->code;
	}
	json_set(t, "name", json_new_string(name));
	json_set(t, "file", json_new_bool(is_file));
	json_add(trees, t);
	return 0;
}

static int share_mounts(struct ctl_out *request, struct json *trees, struct oci_spec *guest,
                        const char *bundle, const char *key, struct error *err)
{
	for (size_t i = 0; i < guest->n_mounts; i++) {
		struct oci_mount *m = &guest->mounts[i];
		auto_free char *source = NULL, *name = str_fmt("m%zu", i);
		bool is_file = false;
		int tree;

		if (!mount_is_bind(m))
			continue;
		source = mount_source(m, bundle);
		if (str_eq(m->destination, SHM)) {
			localise_shm(m, source);
			continue;
		}
		tree = clone_bind(m, source, &is_file, err);
		if (tree < 0 || add_tree(request, trees, name, tree, is_file, err) < 0)
			return -err->code;
		set(&m->source, str_fmt("%s/%s/%s", PROTOCOL_SHARE, key, name));
		set(&m->type, str_dup("bind"));
	}
	return 0;
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

int guest_spec_add(struct ctl_out *request, const struct oci_spec *spec, const char *bundle,
                   const char *rootfs, const char *key, struct error *err)
{
	auto_oci_spec struct oci_spec *guest = oci_spec_copy(spec);
	struct json *trees = json_new_array();
	int tree;

	json_set(request->json, "trees", trees);
	if (localise_namespaces(guest, err) < 0)
		return -err->code;
	strip_host_parts(guest);
	tree = share_clone(rootfs, true, false, NULL, err);
	if (tree < 0)
		return error_wrap(err, "root file system");
	if (add_tree(request, trees, "rootfs", tree, false, err) < 0 ||
	    share_mounts(request, trees, guest, bundle, key, err) < 0)
		return -err->code;
	set(&guest->root->path, str_fmt("%s/%s/rootfs", PROTOCOL_SHARE, key));
	json_set(request->json, "spec", oci_spec_to_json(guest));
	return 0;
}

void guest_spec_close_trees(struct ctl_out *o, size_t first)
{
	for (size_t i = first; i < o->n_fds; i++)
		close_fd(&o->fds[i]);
	o->n_fds = first;
}

/* ---- the stand-in ---- */

int shim_setup_add(struct ctl_out *setup, const struct oci_spec *spec, const char *bundle,
                   const char *rootfs, struct error *err)
{
	struct json *mounts = json_new_array();
	int tree = share_clone(rootfs, true, false, NULL, err);

	json_set(setup->json, "mounts", mounts);
	json_set(setup->json, "rootfs", json_new_string(rootfs));
	json_set(setup->json, "readonly",
	         json_new_bool(spec->root->has_readonly && spec->root->readonly));
	if (tree < 0)
		return error_wrap(err, "root file system");
	if (ctl_out_fd(setup, NULL, "root", tree, err) < 0)
		return -err->code;
	for (size_t i = 0; i < spec->n_mounts; i++) {
		const struct oci_mount *m = &spec->mounts[i];
		struct json *j;

		if (!mount_is_bind(m) && !str_eq(m->type, "proc") && !str_eq(m->type, "tmpfs"))
			continue;
		j = json_new_object();
		json_set(j, "dest", json_new_string(m->destination));
		json_set(j, "type", json_new_string(mount_is_bind(m) ? "bind" : m->type));
		json_add(mounts, j);
		if (mount_is_bind(m)) {
			auto_free char *source = mount_source(m, bundle);

			tree = clone_bind(m, source, NULL, err);
			if (tree < 0 || ctl_out_fd(setup, j, "fd", tree, err) < 0)
				return -err->code;
		}
	}
	return 0;
}
