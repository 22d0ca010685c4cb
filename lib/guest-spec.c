#include <stdlib.h>

#include "lib/hooks.h"
#include "lib/namespaces.h"
#include "lib/resources.h"
#include "lib/verbs.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "oci/oci.h"

static void strip_host_parts(struct oci_spec *guest)
{
	static const struct oci_hooks no_hooks;
	struct oci_hooks *h = guest->hooks;

	oci_vm_freep(&guest->vm);
	while (guest->linux_ && guest->linux_->n_net_devices > 0)
		oci_spec_del_net_device(guest, guest->linux_->n_net_devices - 1);
	if (guest->linux_)
		auto_freep(&guest->linux_->net_devices);
	if (guest->linux_) /* the guest gets it compiled */
		oci_seccomp_freep(&guest->linux_->seccomp);
	if (!h)
		return;
	/* What runs on the host (hooks.h). */
	for (size_t i = h->n_create_container; i-- > 0;)
		if (hook_is_on_host(&h->create_container[i]))
			oci_hooks_del_create_container(h, i);
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

	namespaces_localise(guest);
	strip_host_parts(guest);
	resources_for_guest(oci_resources_of(guest), place->cpus);
	if (guest_mounts(guest, place, mounts, err) < 0)
		return NULL;
	if (guest->linux_) { /* the agent is in the root of the guest's only hierarchy */
		free(guest->linux_->cgroups_path);
		guest->linux_->cgroups_path =
			str_fmt("%s%s", *place->cgroup == '/' ? "" : "/", place->cgroup);
	}
	return oci_spec_to_json(guest);
}
