#include "lib/hooks.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/hooks.h"
#include "oci/oci.h"

#define MAX_HOOK_SECONDS 86400u /* of hooks without a timeout, or with a longer one */

int hooks_run(const struct oci_hook *hooks, size_t n, const struct oci_state *state,
              struct error *err)
{
	const struct oci_hook_place place = { .cwd = state->bundle };

	return oci_hooks_run(hooks, n, state, &place, err);
}

void hooks_run_poststop(const struct oci_hooks *hooks, const struct oci_state *state)
{
	const struct oci_hook_place place = { .cwd = state->bundle };
	auto_oci_state struct oci_state *stopped = NULL;
	auto_free char *input = NULL;

	if (!hooks || !hooks->n_poststop)
		return;
	stopped = oci_state_copy(state);
	stopped->pid = 0;
	free(stopped->status);
	stopped->status = str_dup("stopped");
	input = oci_hook_input(stopped);
	for (size_t i = 0; i < hooks->n_poststop; i++) {
		auto_error struct error err = { 0 };

		if (oci_hook_run(&hooks->poststop[i], i, input, &place, &err) < 0)
			log_warn("poststop hook: %s, ignoring", err.msg);
	}
}

/* ---- createContainer ---- */

bool hook_is_on_host(const struct oci_hook *hook)
{
	return access(hook->path, F_OK) == 0;
}

/* {spec: what of config.json they need, state} */
struct json *hooks_of_standin(const struct oci_spec *spec, const struct oci_state *state)
{
	const struct oci_hooks *h = spec->hooks;
	struct oci_process process = { .env = spec->process->env };
	struct oci_hooks hooks = { 0 };
	struct oci_spec told = { .process = &process, .hooks = &hooks };
	auto_free struct oci_hook *list = NULL;
	struct json *j;

	list = hooks.create_container = xcalloc(h ? h->n_create_container : 0, sizeof(*list));
	for (size_t i = 0; h && i < h->n_create_container; i++)
		if (hook_is_on_host(&h->create_container[i]))
			list[hooks.n_create_container++] = h->create_container[i];
	if (!hooks.n_create_container)
		return NULL;
	j = json_new_object();
	json_set(j, "spec", oci_spec_to_json(&told));
	json_set(j, "state", oci_state_to_json(state));
	return j;
}

int hooks_run_in_standin(const struct json *told, const char *rootfs, struct error *err)
{
	auto_oci_spec struct oci_spec *spec = NULL;
	auto_oci_state struct oci_state *state = NULL;
	struct oci_hook_place place = { .cwd = rootfs };

	spec = oci_spec_from_json(json_get_object(told, "spec"), err);
	state = spec ? oci_state_from_json(json_get_object(told, "state"), err) : NULL;
	if (!state)
		return error_wrap(err, "the hooks for the shim");
	state->pid = getpid();
	place.env = spec->process->env;
	if (oci_hooks_run(spec->hooks->create_container, spec->hooks->n_create_container, state,
	                  &place, err) < 0)
		return error_wrap(err, "unable to start container process: error during container "
		                       "init");
	return 0;
}

/* ---- time ---- */

static unsigned seconds_of(const struct oci_hook *hook)
{
	bool is_limited = hook->has_timeout && hook->timeout < MAX_HOOK_SECONDS;

	return is_limited ? (unsigned)hook->timeout : MAX_HOOK_SECONDS;
}

static unsigned create_seconds(const struct oci_hooks *h, bool on_host)
{
	unsigned sum = 0;

	for (size_t i = 0; h && i < h->n_create_container && sum < MAX_HOOK_SECONDS; i++)
		if (hook_is_on_host(&h->create_container[i]) == on_host)
			sum += seconds_of(&h->create_container[i]);
	return sum < MAX_HOOK_SECONDS ? sum : MAX_HOOK_SECONDS;
}

unsigned hooks_standin_seconds(const struct oci_spec *spec)
{
	return create_seconds(spec->hooks, true);
}

unsigned hooks_guest_seconds(const struct oci_spec *spec)
{
	const struct oci_hooks *h = spec->hooks;
	unsigned sum = create_seconds(h, false);

	for (size_t i = 0; h && i < h->n_start_container && sum < MAX_HOOK_SECONDS; i++)
		sum += seconds_of(&h->start_container[i]);
	return sum < MAX_HOOK_SECONDS ? sum : MAX_HOOK_SECONDS;
}
