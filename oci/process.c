#include <inttypes.h>
#include <string.h>

#include "lib/base/str.h"
#include "oci/table-internal.h"

static const char *const io_classes[] = { "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE",
	                                  NULL };
static const char *const policies[] = { "SCHED_OTHER",    "SCHED_FIFO", "SCHED_RR",
	                                "SCHED_BATCH",    "SCHED_ISO",  "SCHED_IDLE",
	                                "SCHED_DEADLINE", NULL };
static const char *const scheduler_flags[] = {
	"SCHED_FLAG_RESET_ON_FORK",  "SCHED_FLAG_RECLAIM",
	"SCHED_FLAG_DL_OVERRUN",     "SCHED_FLAG_KEEP_POLICY",
	"SCHED_FLAG_KEEP_PARAMS",    "SCHED_FLAG_UTIL_CLAMP_MIN",
	"SCHED_FLAG_UTIL_CLAMP_MAX", NULL
};

static bool is_rlimit(const char *s)
{
	return oci_rlimit_number(s) >= 0;
}

/* (uid_t)-1 means "as it is" to the kernel; the limit is runc's. */
static int check_id(uint32_t id, const struct oci_at *at, const char *name, struct error *err)
{
	if (id > INT32_MAX)
		return oci_fail(at, name, err, "uids and gids must be in range 0-2147483647");
	return 0;
}

static int check_user(const void *obj, const struct oci_at *at, struct error *err)
{
	const struct oci_at groups = { .up = at, .name = "additionalGids" };
	const struct oci_user *u = obj;

	if (check_id(u->uid, at, "uid", err) < 0 || check_id(u->gid, at, "gid", err) < 0)
		return -err->code;
	for (size_t i = 0; i < u->n_additional_gids; i++) {
		const struct oci_at here = { .up = &groups, .index = i };

		if (check_id(u->additional_gids[i], &here, NULL, err) < 0)
			return -err->code;
	}
	return 0;
}

static const struct oci_rule rule_rlimit = { .what = "must be a known resource limit",
	                                     .is_ok = is_rlimit };
static const struct oci_rule rule_cpus = { .what = "must be a list of CPUs such as 0-3,7",
	                                   .is_ok = oci_is_list };
static const struct oci_rule rule_io_class = { .what = "I/O class", .names = io_classes };
static const struct oci_rule rule_policy = { .what = "scheduling policy", .names = policies };
static const struct oci_rule rule_flag = { .what = "scheduler flag", .names = scheduler_flags };

/* A terminal has 16 bits for each. */
static int check_console_size(const void *obj, const struct oci_at *at, struct error *err)
{
	const struct oci_console_size *size = obj;

	if (size->height > UINT16_MAX || size->width > UINT16_MAX)
		return oci_fail(at, size->height > UINT16_MAX ? "height" : "width", err,
		                "is out of range (0 to 65535)");
	return 0;
}

static const struct oci_field oci_console_size_fields[] = {
	F_U64(oci_console_size, height, "height", .required = true),
	F_U64(oci_console_size, width, "width", .required = true),
};
static OCI_TYPE(oci_console_size, .check = check_console_size);

static const struct oci_field oci_user_fields[] = {
	F_U32(oci_user, uid, "uid"),           F_U32(oci_user, gid, "gid"),
	F_U32(oci_user, umask, "umask"),       F_U32S(oci_user, additional_gids, "additionalGids"),
	F_STR(oci_user, username, "username"),
};
static OCI_TYPE(oci_user, .check = check_user);

/* Names are not checked: capabilities that the kernel does not have must not be an error, only a
 * warning of whoever applies them (config.md, "Linux Process"). */
static const struct oci_field oci_capabilities_fields[] = {
	F_STRV(oci_capabilities, bounding, "bounding"),
	F_STRV(oci_capabilities, effective, "effective"),
	F_STRV(oci_capabilities, inheritable, "inheritable"),
	F_STRV(oci_capabilities, permitted, "permitted"),
	F_STRV(oci_capabilities, ambient, "ambient"),
};
static OCI_TYPE(oci_capabilities);

static int check_rlimit(const void *obj, const struct oci_at *at, struct error *err)
{
	const struct oci_rlimit *r = obj;

	if (r->soft > r->hard)
		return oci_fail(at, "soft", err, "%" PRIu64 " is more than the hard limit %" PRIu64,
		                r->soft, r->hard);
	return 0;
}

static const struct oci_field oci_rlimit_fields[] = {
	F_STR(oci_rlimit, type, "type", .required = true, .rule = &rule_rlimit),
	F_U64(oci_rlimit, hard, "hard", .required = true),
	F_U64(oci_rlimit, soft, "soft", .required = true),
};
static OCI_TYPE(oci_rlimit, .check = check_rlimit);

static int check_io_priority(const void *obj, const struct oci_at *at, struct error *err)
{
	const struct oci_io_priority *io = obj;

	if (io->priority < 0 || io->priority > 7)
		return oci_fail(at, "priority", err, "%" PRId32 " is out of range (0 to 7)",
		                io->priority);
	return 0;
}

static const struct oci_field oci_io_priority_fields[] = {
	F_STR(oci_io_priority, class, "class", .required = true, .rule = &rule_io_class),
	F_I32(oci_io_priority, priority, "priority"),
};
static OCI_TYPE(oci_io_priority, .check = check_io_priority);

static int check_scheduler(const void *obj, const struct oci_at *at, struct error *err)
{
	const struct oci_scheduler *s = obj;

	if (s->nice < -20 || s->nice > 19)
		return oci_fail(at, "nice", err, "%" PRId32 " is out of range (-20 to 19)",
		                s->nice);
	if (s->priority < 0 || s->priority > 99)
		return oci_fail(at, "priority", err, "%" PRId32 " is out of range (0 to 99)",
		                s->priority);
	if (s->priority && !str_eq(s->policy, "SCHED_FIFO") && !str_eq(s->policy, "SCHED_RR"))
		return oci_fail(at, "priority", err,
		                "can only be specified for SCHED_FIFO or SCHED_RR");
	if ((s->runtime || s->deadline || s->period) && !str_eq(s->policy, "SCHED_DEADLINE"))
		return oci_fail(at, NULL, err,
		                "runtime, deadline and period can only be specified for "
		                "SCHED_DEADLINE");
	return 0;
}

static const struct oci_field oci_scheduler_fields[] = {
	F_STR(oci_scheduler, policy, "policy", .required = true, .rule = &rule_policy),
	F_I32(oci_scheduler, nice, "nice"),
	F_I32(oci_scheduler, priority, "priority"),
	F_STRV(oci_scheduler, flags, "flags", .rule = &rule_flag),
	F_U64(oci_scheduler, runtime, "runtime"),
	F_U64(oci_scheduler, deadline, "deadline"),
	F_U64(oci_scheduler, period, "period"),
};
static OCI_TYPE(oci_scheduler, .check = check_scheduler);

static const struct oci_field oci_exec_cpu_affinity_fields[] = {
	F_STR(oci_exec_cpu_affinity, initial, "initial", .rule = &rule_cpus),
	F_STR(oci_exec_cpu_affinity, final, "final", .rule = &rule_cpus),
};
static OCI_TYPE(oci_exec_cpu_affinity);

static int check_rlimits(const struct oci_process *p, const struct oci_at *at, struct error *err)
{
	const struct oci_at list = { .up = at, .name = "rlimits" };
	uint32_t seen = 0;

	for (size_t i = 0; i < p->n_rlimits; i++) {
		const struct oci_at here = { .up = &list, .index = i };
		uint32_t bit = UINT32_C(1) << oci_rlimit_number(p->rlimits[i].type);

		if (seen & bit)
			return oci_fail(&here, "type", err, "duplicate %s", p->rlimits[i].type);
		seen |= bit;
	}
	return 0;
}

/* IEEE Std 1003.1-2008: "name=value", where the name is not empty. */
static int check_env(char *const *env, const struct oci_at *at, struct error *err)
{
	const struct oci_at list = { .up = at, .name = "env" };

	for (size_t i = 0; env && env[i]; i++) {
		const struct oci_at here = { .up = &list, .index = i };
		auto_free char *text = NULL;

		if (env[i][0] != '=' && strchr(env[i], '='))
			continue;
		text = oci_quote(env[i]);
		return oci_fail(&here, NULL, err,
		                env[i][0] == '=' ? "environment variable name can't be empty: %s"
		                                 : "invalid environment variable: %s",
		                text);
	}
	return 0;
}

static int check_process(const void *obj, const struct oci_at *at, struct error *err)
{
	const struct oci_process *p = obj;

	if (!p->args[0])
		return oci_fail(at, "args", err, "must not be empty");
	if (p->oom_score_adj < -1000 || p->oom_score_adj > 1000)
		return oci_fail(at, "oomScoreAdj", err,
		                "%" PRId32 " is out of range (-1000 to 1000)", p->oom_score_adj);
	if (check_env(p->env, at, err) < 0)
		return -err->code;
	return check_rlimits(p, at, err);
}

static const struct oci_field oci_process_fields[] = {
	F_BOOL(oci_process, terminal, "terminal"),
	F_OBJ(oci_process, console_size, "consoleSize", oci_console_size),
	F_EMBED(oci_process, user, "user", oci_user),
	F_STRV(oci_process, args, "args", .required = true),
	F_STR(oci_process, command_line, "commandLine"),
	F_STRV(oci_process, env, "env"),
	F_STR(oci_process, cwd, "cwd", .required = true, .rule = &oci_rule_absolute),
	F_OBJ(oci_process, capabilities, "capabilities", oci_capabilities),
	F_ARRAY(oci_process, rlimits, "rlimits", oci_rlimit),
	F_BOOL(oci_process, no_new_privileges, "noNewPrivileges"),
	F_STR(oci_process, apparmor_profile, "apparmorProfile"),
	F_I32(oci_process, oom_score_adj, "oomScoreAdj"),
	F_OBJ(oci_process, scheduler, "scheduler", oci_scheduler),
	F_STR(oci_process, selinux_label, "selinuxLabel"),
	F_OBJ(oci_process, io_priority, "ioPriority", oci_io_priority),
	F_OBJ(oci_process, exec_cpu_affinity, "execCPUAffinity", oci_exec_cpu_affinity),
};
OCI_TYPE(oci_process, .check = check_process);
