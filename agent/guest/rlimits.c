/* process.rlimits, set from outside: raising a limit takes the agent's privileges. */
#include <errno.h>
#include <sys/resource.h>

#include "agent/guest/engine-internal.h"
#include "oci/oci.h"

static rlim_t value(uint64_t v)
{
	return v == UINT64_MAX ? RLIM_INFINITY : (rlim_t)v;
}

int rlimits_apply(pid_t pid, const struct oci_process *process, struct error *err)
{
	for (size_t i = 0; i < process->n_rlimits; i++) {
		const struct oci_rlimit *r = &process->rlimits[i];
		struct rlimit limit = { .rlim_cur = value(r->soft), .rlim_max = value(r->hard) };
		int number = oci_rlimit_number(r->type);

		if (number < 0)
			return error_set(err, EINVAL,
			                 "process.rlimits[%zu].type: unknown limit '%s'", i,
			                 r->type);
		if (prlimit(pid, (enum __rlimit_resource)number, &limit, NULL) < 0)
			return error_sys(err, "process.rlimits[%zu]: set %s", i, r->type);
	}
	return 0;
}
