#include <inttypes.h>

#include "lib/base/str.h"
#include "oci/table-internal.h"

const char *const oci_seccomp_actions[] = {
	"SCMP_ACT_KILL",        "SCMP_ACT_KILL_PROCESS",
	"SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP",
	"SCMP_ACT_ERRNO",       "SCMP_ACT_TRACE",
	"SCMP_ACT_ALLOW",       "SCMP_ACT_LOG",
	"SCMP_ACT_NOTIFY",      NULL,
};
const char *const oci_seccomp_operators[] = {
	"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",        "SCMP_CMP_EQ",
	"SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ", NULL,
};
const char *const oci_seccomp_archs[] = {
	"SCMP_ARCH_X86",         "SCMP_ARCH_X86_64",      "SCMP_ARCH_X32",     "SCMP_ARCH_ARM",
	"SCMP_ARCH_AARCH64",     "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K",    "SCMP_ARCH_MIPS",
	"SCMP_ARCH_MIPS64",      "SCMP_ARCH_MIPS64N32",   "SCMP_ARCH_MIPSEL",  "SCMP_ARCH_MIPSEL64",
	"SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC",         "SCMP_ARCH_PPC64",   "SCMP_ARCH_PPC64LE",
	"SCMP_ARCH_S390",        "SCMP_ARCH_S390X",       "SCMP_ARCH_SH",      "SCMP_ARCH_SHEB",
	"SCMP_ARCH_PARISC",      "SCMP_ARCH_PARISC64",    "SCMP_ARCH_RISCV64", NULL,
};
const char *const oci_seccomp_flags[] = {
	"SECCOMP_FILTER_FLAG_TSYNC",
	"SECCOMP_FILTER_FLAG_LOG",
	"SECCOMP_FILTER_FLAG_SPEC_ALLOW",
	"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
	NULL,
};

static const struct oci_rule rule_action = { .what = "seccomp action",
	                                     .names = oci_seccomp_actions };
static const struct oci_rule rule_operator = { .what = "seccomp operator",
	                                       .names = oci_seccomp_operators };
static const struct oci_rule rule_arch = { .what = "seccomp architecture",
	                                   .names = oci_seccomp_archs };
static const struct oci_rule rule_flag = { .what = "seccomp flag", .names = oci_seccomp_flags };

static bool takes_errno(const char *action)
{
	return str_eq(action, "SCMP_ACT_ERRNO") || str_eq(action, "SCMP_ACT_TRACE");
}

static int check_arg(const void *obj, const struct oci_at *at, struct error *err)
{
	const struct oci_seccomp_arg *arg = obj;

	if (arg->index > 5) /* a system call has six arguments */
		return oci_fail(at, "index", err, "%" PRIu32 " is out of range (0 to 5)",
		                arg->index);
	return 0;
}

static const struct oci_field oci_seccomp_arg_fields[] = {
	F_U32(oci_seccomp_arg, index, "index", .required = true),
	F_U64(oci_seccomp_arg, value, "value", .required = true),
	F_U64(oci_seccomp_arg, value_two, "valueTwo"),
	F_STR(oci_seccomp_arg, op, "op", .required = true, .rule = &rule_operator),
};
static OCI_TYPE(oci_seccomp_arg, .check = check_arg);

static int check_syscall(const void *obj, const struct oci_at *at, struct error *err)
{
	const struct oci_seccomp_syscall *s = obj;

	if (!s->names[0])
		return oci_fail(at, "names", err, "must not be empty");
	if (s->has_errno_ret && !takes_errno(s->action))
		return oci_fail(at, "errnoRet", err, "not possible with action %s", s->action);
	return 0;
}

static const struct oci_field oci_seccomp_syscall_fields[] = {
	F_STRV(oci_seccomp_syscall, names, "names", .required = true, .rule = &oci_rule_not_empty),
	F_STR(oci_seccomp_syscall, action, "action", .required = true, .rule = &rule_action),
	F_U32(oci_seccomp_syscall, errno_ret, "errnoRet"),
	F_ARRAY(oci_seccomp_syscall, args, "args", oci_seccomp_arg),
};
static OCI_TYPE(oci_seccomp_syscall, .check = check_syscall);

static int check_seccomp(const void *obj, const struct oci_at *at, struct error *err)
{
	const struct oci_seccomp *s = obj;

	if (s->has_default_errno_ret && !takes_errno(s->default_action))
		return oci_fail(at, "defaultErrnoRet", err, "not possible with action %s",
		                s->default_action);
	if (s->listener_metadata && *s->listener_metadata &&
	    !(s->listener_path && *s->listener_path))
		return oci_fail(at, "listenerMetadata", err, "needs listenerPath");
	return 0;
}

static const struct oci_field oci_seccomp_fields[] = {
	F_STR(oci_seccomp, default_action, "defaultAction", .required = true, .rule = &rule_action),
	F_U32(oci_seccomp, default_errno_ret, "defaultErrnoRet"),
	F_STRV(oci_seccomp, architectures, "architectures", .rule = &rule_arch),
	F_STRV(oci_seccomp, flags, "flags", .rule = &rule_flag),
	F_STR(oci_seccomp, listener_path, "listenerPath"),
	F_STR(oci_seccomp, listener_metadata, "listenerMetadata"),
	F_ARRAY(oci_seccomp, syscalls, "syscalls", oci_seccomp_syscall),
};
OCI_TYPE(oci_seccomp, .check = check_seccomp);
