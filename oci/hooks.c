#include "oci/hooks.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define MAX_OUTPUT (64u << 10)       /* kept of a hook's output, for the error message */
#define MAX_TIMEOUT (INT_MAX / 1000) /* seconds: the longest wait there is */

static int report(size_t index, int status, const char *out, const char *errout, struct error *err)
{
	auto_free char *signal =
		WIFSIGNALED(status) ? str_uncapital(strsignal(WTERMSIG(status))) : NULL;
	auto_free char *how = signal ? str_fmt("signal: %s", signal)
	                             : str_fmt("exit status %d", WEXITSTATUS(status));

	if (!status)
		return 0;
	return error_set(err, EIO,
	                 "error running hook #%zu: error running hook: %s, stdout: %s, stderr: %s",
	                 index, how, out, errout);
}

static int cannot_run(const struct oci_hook *hook, size_t index, int code, struct error *err)
{
	auto_free char *why = error_text(code);

	log_debug("hook '%s': %s", hook->path, err->msg);
	return error_set(err, code, "error running hook #%zu: fork/exec %s: %s", index, hook->path,
	                 why);
}

int oci_hook_run(const struct oci_hook *hook, size_t index, const char *input,
                 const struct oci_hook_place *place, struct error *err)
{
	char *no_args[] = { hook->path, NULL };
	struct child_opts opts = {
		.path = hook->path,
		.argv = hook->args && *hook->args ? hook->args : no_args,
		.envp = hook->env ? hook->env : place->env,
		.cwd = place->cwd,
		.keeps_orphans = true,
		.prepare = place->prepare,
		.prepare_arg = place->arg,
	};
	int64_t limit = hook->timeout < MAX_TIMEOUT ? hook->timeout : MAX_TIMEOUT;
	unsigned timeout = hook->has_timeout ? (unsigned)limit * 1000 : 0;
	auto_free char *out = NULL, *errout = NULL;
	int status = 0, r;

	r = child_run(&opts, input, MAX_OUTPUT, timeout, &status, &out, &errout, err);
	if (r == 0)
		return report(index, status, out, errout, err);
	if (r == -ETIMEDOUT)
		return error_set(
			err, ETIMEDOUT,
			"error running hook #%zu: hook ran past specified timeout of %.1fs", index,
			(double)hook->timeout);
	return cannot_run(hook, index, -r, err);
}

char *oci_hook_input(const struct oci_state *state)
{
	auto_json struct json *j = oci_state_to_json(state);

	json_del(j, "owner");
	json_del(j, "created");
	json_del(j, "rootfs");
	if (!state->pid)
		json_del(j, "pid");
	return json_print(j, false);
}

int oci_hooks_run(const struct oci_hook *hooks, size_t n, const struct oci_state *state,
                  const struct oci_hook_place *place, struct error *err)
{
	auto_free char *input = n ? oci_hook_input(state) : NULL;

	for (size_t i = 0; i < n; i++)
		if (oci_hook_run(&hooks[i], i, input, place, err) < 0)
			return -err->code;
	return 0;
}
