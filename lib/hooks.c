#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/hooks.h"
#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define MAX_OUTPUT (64u << 10)       /* kept of a hook's output, for the error message */
#define MAX_TIMEOUT (INT_MAX / 1000) /* seconds: the longest wait there is */

/* As Go has it: "killed". */
static char *signal_text(int signo)
{
	char *text = str_dup(strsignal(signo));

	*text = (char)tolower((unsigned char)*text);
	return text;
}

static int report(size_t index, int status, const char *out, const char *errout, struct error *err)
{
	auto_free char *signal = WIFSIGNALED(status) ? signal_text(WTERMSIG(status)) : NULL;
	auto_free char *how = signal ? str_fmt("signal: %s", signal)
	                             : str_fmt("exit status %d", WEXITSTATUS(status));

	if (!status)
		return 0;
	return error_set(err, EIO,
	                 "error running hook #%zu: error running hook: %s, stdout: %s, stderr: %s",
	                 index, how, out, errout);
}

static int run_one(const struct oci_hook *hook, size_t index, const char *input, const char *bundle,
                   struct error *err)
{
	char *no_args[] = { hook->path, NULL }, *no_env[] = { NULL };
	struct child_opts opts = {
		.path = hook->path,
		.argv = hook->args && *hook->args ? hook->args : no_args,
		.envp = hook->env ? (*hook->env ? hook->env : no_env) : NULL,
		.cwd = bundle,
	};
	int64_t limit = hook->timeout < MAX_TIMEOUT ? hook->timeout : MAX_TIMEOUT;
	unsigned timeout = hook->has_timeout ? (unsigned)limit * 1000 : 0;
	auto_free char *out = NULL, *errout = NULL, *text = NULL;
	int status = 0, r;

	r = child_run(&opts, input, MAX_OUTPUT, timeout, &status, &out, &errout, err);
	if (r == 0)
		return report(index, status, out, errout, err);
	if (r == -ETIMEDOUT)
		return error_set(
			err, ETIMEDOUT,
			"error running hook #%zu: hook ran past specified timeout of %.1fs", index,
			(double)hook->timeout);
	log_debug("hook '%s': %s", hook->path, err->msg);
	text = error_text(-r);
	return error_set(err, -r, "error running hook #%zu: fork/exec %s: %s", index, hook->path,
	                 text);
}

static char *state_text(const struct oci_state *state)
{
	auto_json struct json *j = oci_state_to_json(state);

	json_del(j, "owner");
	json_del(j, "created");
	json_del(j, "rootfs");
	if (!state->pid)
		json_del(j, "pid");
	return json_print(j, false);
}

int hooks_run(const struct oci_hook *hooks, size_t n, const struct oci_state *state,
              struct error *err)
{
	auto_free char *input = n ? state_text(state) : NULL;

	for (size_t i = 0; i < n; i++)
		if (run_one(&hooks[i], i, input, state->bundle, err) < 0)
			return -err->code;
	return 0;
}

void hooks_run_all(const struct oci_hook *hooks, size_t n, const char *kind,
                   const struct oci_state *state)
{
	auto_free char *input = n ? state_text(state) : NULL;

	for (size_t i = 0; i < n; i++) {
		auto_error struct error err = { 0 };

		if (run_one(&hooks[i], i, input, state->bundle, &err) < 0)
			log_warn("%s: %s, ignoring", kind, err.msg);
	}
}

void hooks_run_poststop(const struct oci_hooks *hooks, const struct oci_state *state)
{
	auto_oci_state struct oci_state *stopped = NULL;

	if (!hooks || !hooks->n_poststop)
		return;
	stopped = oci_state_copy(state);
	stopped->pid = 0;
	free(stopped->status);
	stopped->status = str_dup("stopped");
	hooks_run_all(hooks->poststop, hooks->n_poststop, "poststop hook", stopped);
}
