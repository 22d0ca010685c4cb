/* linux.seccomp, compiled by libseccomp in the agent and loaded by each process itself. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#define DEFAULT_ERRNO EPERM /* what the specification says for a missing errnoRet */

static const struct {
	const char *name;
	uint32_t action;
} actions[] = {
	{ "SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD },
	{ "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD },
	{ "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS },
	{ "SCMP_ACT_TRAP", SCMP_ACT_TRAP },
	{ "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW },
	{ "SCMP_ACT_LOG", SCMP_ACT_LOG },
};

static int parse_action(const char *name, uint32_t data, uint32_t *out, struct error *err)
{
	if (str_eq(name, "SCMP_ACT_NOTIFY"))
		return error_set(err, ENOTSUP,
		                 "linux.seccomp: the action SCMP_ACT_NOTIFY is not supported in "
		                 "a VM");
	if (str_eq(name, "SCMP_ACT_ERRNO")) {
		*out = SCMP_ACT_ERRNO(data);
		return 0;
	}
	if (str_eq(name, "SCMP_ACT_TRACE")) {
		*out = SCMP_ACT_TRACE(data);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (str_eq(name, actions[i].name)) {
			*out = actions[i].action;
			return 0;
		}
	return error_set(err, EINVAL, "linux.seccomp: unknown action '%s'", name ? name : "");
}

static int parse_op(const char *name, enum scmp_compare *out, struct error *err)
{
	static const struct {
		const char *name;
		enum scmp_compare op;
	} ops[] = {
		{ "SCMP_CMP_NE", SCMP_CMP_NE },
		{ "SCMP_CMP_LT", SCMP_CMP_LT },
		{ "SCMP_CMP_LE", SCMP_CMP_LE },
		{ "SCMP_CMP_EQ", SCMP_CMP_EQ },
		{ "SCMP_CMP_GE", SCMP_CMP_GE },
		{ "SCMP_CMP_GT", SCMP_CMP_GT },
		{ "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		if (str_eq(name, ops[i].name)) {
			*out = ops[i].op;
			return 0;
		}
	return error_set(err, EINVAL, "linux.seccomp: unknown operator '%s'", name ? name : "");
}

static int parse_flags(char *const *flags, unsigned *out, struct error *err)
{
	static const struct {
		const char *name;
		unsigned flag;
	} known[] = {
		{ "SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC },
		{ "SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG },
		{ "SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW },
		{ "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
		  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV },
	};

	for (size_t i = 0; flags && flags[i]; i++) {
		size_t k = 0;

		while (k < ARRAY_SIZE(known) && !str_eq(flags[i], known[k].name))
			k++;
		if (k == ARRAY_SIZE(known))
			return error_set(err, EINVAL, "linux.seccomp.flags: unknown flag '%s'",
			                 flags[i]);
		*out |= known[k].flag;
	}
	return 0;
}

/* "SCMP_ARCH_X86_64" is "x86_64" to libseccomp. */
static int add_archs(scmp_filter_ctx ctx, char *const *archs, struct error *err)
{
	for (size_t i = 0; archs && archs[i]; i++) {
		const char *prefix = "SCMP_ARCH_";
		auto_free char *name = NULL;
		uint32_t token;
		int ret;

		if (str_starts(archs[i], prefix))
			name = str_dup(archs[i] + strlen(prefix));
		for (char *c = name; c && *c; c++)
			if (*c >= 'A' && *c <= 'Z')
				*c = (char)(*c - 'A' + 'a');
		token = name ? seccomp_arch_resolve_name(name) : 0;
		if (!token)
			return error_set(err, EINVAL,
			                 "linux.seccomp.architectures: unknown architecture '%s'",
			                 archs[i]);
		ret = seccomp_arch_add(ctx, token);
		if (ret < 0 && ret != -EEXIST)
			return error_set(err, -ret, "linux.seccomp.architectures: add '%s': %s",
			                 archs[i], strerror(-ret));
	}
	return 0;
}

static int add_rule(scmp_filter_ctx ctx, uint32_t action, const char *name, unsigned n,
                    const struct scmp_arg_cmp *cmp, struct error *err)
{
	int nr = seccomp_syscall_resolve_name(name);
	int ret;

	if (nr == __NR_SCMP_ERROR) {
		log_debug("linux.seccomp: system call '%s' is unknown", name);
		return 0;
	}
	ret = seccomp_rule_add_array(ctx, action, nr, n, cmp);
	if (ret < 0)
		return error_set(err, -ret, "linux.seccomp: rule for '%s': %s", name,
		                 strerror(-ret));
	return 0;
}

/* Conditions on different arguments must all hold; several on one argument are alternatives, as
 * libseccomp cannot express that in one rule and other runtimes do it so. */
static int add_conditions(scmp_filter_ctx ctx, uint32_t action,
                          const struct oci_seccomp_syscall *call, const char *name,
                          struct error *err)
{
	struct scmp_arg_cmp cmp[6];
	unsigned seen[6] = { 0 };
	bool alternatives = false;

	if (call->n_args > ARRAY_SIZE(cmp))
		return error_set(err, EINVAL, "linux.seccomp: too many args for '%s'", name);
	for (size_t i = 0; i < call->n_args; i++) {
		const struct oci_seccomp_arg *a = &call->args[i];
		enum scmp_compare op = SCMP_CMP_EQ;

		if (a->index > 5)
			return error_set(err, EINVAL, "linux.seccomp: argument index %u of '%s'",
			                 a->index, name);
		if (parse_op(a->op, &op, err) < 0)
			return -err->code;
		alternatives |= seen[a->index]++ > 0;
		cmp[i] = (struct scmp_arg_cmp){ a->index, op, a->value, a->value_two };
	}
	if (!alternatives)
		return add_rule(ctx, action, name, (unsigned)call->n_args, cmp, err);
	for (size_t i = 0; i < call->n_args; i++)
		if (add_rule(ctx, action, name, 1, &cmp[i], err) < 0)
			return -err->code;
	return 0;
}

static int add_rules(scmp_filter_ctx ctx, const struct oci_seccomp *sc, uint32_t dflt,
                     struct error *err)
{
	for (size_t i = 0; i < sc->n_syscalls; i++) {
		const struct oci_seccomp_syscall *call = &sc->syscalls[i];
		uint32_t action;

		if (parse_action(call->action,
		                 call->has_errno_ret ? call->errno_ret : DEFAULT_ERRNO, &action,
		                 err) < 0)
			return -err->code;
		if (action == dflt)
			continue;
		for (size_t k = 0; call->names && call->names[k]; k++)
			if (add_conditions(ctx, action, call, call->names[k], err) < 0)
				return -err->code;
	}
	return 0;
}

static int export(scmp_filter_ctx ctx, struct seccomp_filter *out, struct error *err)
{
	auto_close int fd = memfd_create("seccomp", MFD_CLOEXEC);
	struct stat st;
	int ret;

	if (fd < 0)
		return error_sys(err, "create a memory file");
	ret = seccomp_export_bpf(ctx, fd);
	if (ret < 0)
		return error_set(err, -ret, "linux.seccomp: compile: %s", strerror(-ret));
	if (fstat(fd, &st) < 0)
		return error_sys(err, "examine the seccomp filter");
	if ((size_t)st.st_size / sizeof(*out->code) > BPF_MAXINSNS)
		return error_set(err, E2BIG, "linux.seccomp: the filter has too many rules");
	out->code = xmalloc((size_t)st.st_size + 1);
	if (pread(fd, out->code, (size_t)st.st_size, 0) != st.st_size)
		return error_sys(err, "read the seccomp filter");
	out->n = (size_t)st.st_size / sizeof(*out->code);
	return 0;
}

int seccomp_compile(const struct oci_seccomp *sc, struct seccomp_filter *out, struct error *err)
{
	scmp_filter_ctx ctx;
	uint32_t dflt;
	int ret;

	*out = (struct seccomp_filter){ 0 };
	if (!sc)
		return 0;
	if (sc->listener_path)
		return error_set(err, ENOTSUP, "linux.seccomp.listenerPath: not supported in a VM");
	if (parse_flags(sc->flags, &out->flags, err) < 0 ||
	    parse_action(sc->default_action,
	                 sc->has_default_errno_ret ? sc->default_errno_ret : DEFAULT_ERRNO, &dflt,
	                 err) < 0)
		return -err->code;
	ctx = seccomp_init(dflt);
	if (!ctx)
		return error_set(err, EINVAL, "linux.seccomp: cannot start a filter");
	/* No rule for an architecture that is not listed: the kernel applies the default there. */
	ret = add_archs(ctx, sc->architectures, err);
	if (ret == 0)
		ret = add_rules(ctx, sc, dflt, err);
	if (ret == 0)
		ret = export(ctx, out, err);
	seccomp_release(ctx);
	return ret;
}

int seccomp_apply(const struct seccomp_filter *f, struct error *err)
{
	struct sock_fprog prog = { .len = (unsigned short)f->n, .filter = f->code };

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, f->flags, &prog) < 0)
		return error_sys(err, "linux.seccomp: load the filter");
	return 0;
}

void seccomp_filter_done(struct seccomp_filter *f)
{
	free(f->code);
	*f = (struct seccomp_filter){ 0 };
}
