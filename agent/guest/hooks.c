/* The hooks that run in the guest: startContainer, and createContainer where the program is in the
 * container's root file system only. */
#include <errno.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "oci/hooks.h"
#include "oci/oci.h"

/* The state as the container sees it: with the pid that it has in its own namespace. */
static struct oci_state state_of(const struct launch *l, char *status)
{
	return (struct oci_state){
		.oci_version = l->spec->oci_version,
		.id = l->ct->id,
		.pid = getpid(),
		.status = status,
		.bundle = l->ct->bundle,
		.annotations = l->spec->annotations,
		.n_annotations = l->spec->n_annotations,
	};
}

int hooks_create_container(struct launch *l, struct error *err)
{
	const struct oci_hooks *h = l->spec->hooks;
	const struct oci_state state = state_of(l, "creating");
	const struct oci_hook_place place = { .env = l->process->env };

	return h ? oci_hooks_run(h->create_container, h->n_create_container, &state, &place, err)
	         : 0;
}

/* The process has its user already; of its rights the hook has no more than the program will. */
static int restrict_hook(void *arg, struct error *err)
{
	return process_lock_down(arg, err);
}

int hooks_start_container(struct launch *l, struct error *err)
{
	const struct oci_hooks *h = l->spec->hooks;
	const struct oci_state state = state_of(l, "created");
	const struct oci_hook_place place = {
		.env = l->env,
		.prepare = restrict_hook,
		.arg = l,
	};

	return h ? oci_hooks_run(h->start_container, h->n_start_container, &state, &place, err) : 0;
}
