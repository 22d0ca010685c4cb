/* The hooks that belong into the container: createContainer and startContainer. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/child.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define HOOK_OUTPUT 4096

/* The state as the container sees it: its own PID namespace, its own paths. */
static char *state_text(const struct launch *l)
{
	struct oci_state state = {
		.oci_version = l->spec->oci_version,
		.id = l->ct->id,
		.pid = getpid(),
		.status = "created",
		.bundle = l->ct->bundle,
		.rootfs = l->spec->root->path,
		.annotations = l->spec->annotations,
		.n_annotations = l->spec->n_annotations,
	};
	auto_json struct json *j = oci_state_to_json(&state);

	return json_print(j, false);
}

static int drop_caps(void *arg, struct error *err)
{
	const struct launch *l = arg;

	/* Only the last hooks run after the process has become the container's user. */
	return l->program ? caps_finish(&l->caps, err) : 0;
}

static int run_one(const struct oci_hook *h, const char *state, const struct launch *l,
                   struct error *err)
{
	char *default_args[] = { h->path, NULL };
	struct child_opts opts = {
		.path = h->path,
		.argv = h->args && h->args[0] ? h->args : default_args,
		.envp = h->env,
		.prepare = drop_caps,
		.prepare_arg = (void *)l,
	};
	auto_free char *out = NULL, *errout = NULL;
	unsigned timeout = h->has_timeout ? (unsigned)h->timeout * 1000 : 0;
	int status = 0;

	if (child_run(&opts, state, HOOK_OUTPUT, timeout, &status, &out, &errout, err) < 0)
		return err->code == ETIMEDOUT
		               ? error_set(err, ETIMEDOUT,
		                           "hook ran past specified timeout of %lld.0s",
		                           (long long)h->timeout)
		               : -err->code;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	str_clean(out, strlen(out));
	str_clean(errout, strlen(errout));
	if (WIFEXITED(status))
		return error_set(err, ECANCELED, "exit status %d, stdout: %s, stderr: %s",
		                 WEXITSTATUS(status), out, errout);
	return error_set(err, ECANCELED, "killed by signal %d, stdout: %s, stderr: %s",
	                 WTERMSIG(status), out, errout);
}

int hooks_run(const char *field, const struct oci_hook *hooks, size_t n, const struct launch *l,
              struct error *err)
{
	auto_free char *state = n > 0 ? state_text(l) : NULL;

	for (size_t i = 0; i < n; i++)
		if (run_one(&hooks[i], state, l, err) < 0)
			return error_wrap(err, "%s: error running hook #%zu", field, i);
	return 0;
}
