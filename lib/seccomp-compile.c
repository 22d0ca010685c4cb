#include <dlfcn.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/seccomp-filter.h"
#include "lib/seccomp-compile.h"
#include "lib/base/error.h"
#include "lib/base/library.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#define DEFAULT_ERRNO EPERM /* what the specification says for a missing errnoRet */
#define MAX_NEWER 24        /* instructions of emit_newer() */
#define MAX_RULES                                                                                  \
	8192 /* libseccomp needs their square of time, and the kernel takes half as much */
#define X32_BIT 0x40000000u
#define API_LEVEL 4   /* of libseccomp: all of it that we use */
#define BINARY_TREE 2 /* of SCMP_FLTATR_CTL_OPTIMIZE */

#define LIBRARY "libseccomp.so.2"
#define FUNCTIONS(X)                                                                               \
	X(seccomp_api_set)                                                                         \
	X(seccomp_arch_add)                                                                        \
	X(seccomp_arch_resolve_name)                                                               \
	X(seccomp_attr_set)                                                                        \
	X(seccomp_export_bpf)                                                                      \
	X(seccomp_init)                                                                            \
	X(seccomp_release)                                                                         \
	X(seccomp_rule_add_array)                                                                  \
	X(seccomp_syscall_resolve_name)                                                            \
	X(seccomp_syscall_resolve_name_arch)

/* libseccomp, as far as it is used, and its filter. */
struct compiler {
	struct {
		FUNCTIONS(LIBRARY_FIELD)
	} f;
	void *library;
	scmp_filter_ctx ctx;
};

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

/* "SCMP_ARCH_X86_64" is "x86_64" to libseccomp. 0: unknown. */
static uint32_t arch_token(const struct compiler *c, const char *name)
{
	const char *prefix = "SCMP_ARCH_";
	auto_free char *lower = NULL;

	if (!str_starts(name, prefix))
		return 0;
	lower = str_dup(name + strlen(prefix));
	for (char *at = lower; *at; at++)
		if (*at >= 'A' && *at <= 'Z')
			*at = (char)(*at - 'A' + 'a');
	return c->f.seccomp_arch_resolve_name(lower);
}

static int add_archs(const struct compiler *c, char *const *archs, struct error *err)
{
	for (size_t i = 0; archs && archs[i]; i++) {
		uint32_t token = arch_token(c, archs[i]);
		int ret;

		if (!token)
			return error_set(err, EINVAL,
			                 "linux.seccomp.architectures: unknown architecture '%s'",
			                 archs[i]);
		ret = c->f.seccomp_arch_add(c->ctx, token);
		if (ret < 0 && ret != -EEXIST)
			return error_set(err, -ret, "linux.seccomp.architectures: add '%s': %s",
			                 archs[i], strerror(-ret));
	}
	return 0;
}

static int add_rule(const struct compiler *c, uint32_t action, const char *name, unsigned n,
                    const struct scmp_arg_cmp *cmp, struct error *err)
{
	int nr = c->f.seccomp_syscall_resolve_name(name);
	int ret;

	if (nr == __NR_SCMP_ERROR) {
		log_debug("linux.seccomp: system call '%s' is unknown", name);
		return 0;
	}
	ret = c->f.seccomp_rule_add_array(c->ctx, action, nr, n, cmp);
	if (ret < 0)
		return error_set(err, -ret, "linux.seccomp: rule for '%s': %s", name,
		                 strerror(-ret));
	return 0;
}

/* Conditions on different arguments must all hold; several on one argument are alternatives, as
 * libseccomp cannot express that in one rule and other runtimes do it so. */
static int add_conditions(const struct compiler *c, uint32_t action,
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
		return add_rule(c, action, name, (unsigned)call->n_args, cmp, err);
	for (size_t i = 0; i < call->n_args; i++)
		if (add_rule(c, action, name, 1, &cmp[i], err) < 0)
			return -err->code;
	return 0;
}

static int too_many(struct error *err)
{
	return error_set(err, E2BIG, "linux.seccomp: the filter has too many rules");
}

static int add_rules(const struct compiler *c, const struct oci_seccomp *sc, uint32_t dflt,
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
			if (add_conditions(c, action, call, call->names[k], err) < 0)
				return -err->code;
	}
	return 0;
}

static int check_length(const struct oci_seccomp *sc, struct error *err)
{
	size_t n = 0;

	for (size_t i = 0; i < sc->n_syscalls; i++) {
		const struct oci_seccomp_syscall *call = &sc->syscalls[i];

		n += strv_len(call->names) * (call->n_args ? call->n_args : 1);
	}
	return n > MAX_RULES ? too_many(err) : 0;
}

/* ---- system calls that nobody knew of when the rules were written ---- */

static const struct arch {
	uint32_t audit, token;
	uint32_t x32; /* the token of what shares audit and has X32_BIT, 0: nothing does */
} known_archs[] = {
	{ AUDIT_ARCH_X86_64, SCMP_ARCH_X86_64, SCMP_ARCH_X32 },
	{ AUDIT_ARCH_I386, SCMP_ARCH_X86, 0 },
};

/* The highest number of a call that the rules name, without X32_BIT; -1: there is none. */
static int last_call(const struct compiler *c, const struct oci_seccomp *sc, uint32_t token)
{
	int last = -1;

	for (size_t i = 0; i < sc->n_syscalls; i++)
		for (char *const *name = sc->syscalls[i].names; name && *name; name++) {
			int nr = c->f.seccomp_syscall_resolve_name_arch(token, *name);

			if (nr == __NR_SCMP_ERROR || nr < 0)
				continue;
			nr = (int)((unsigned)nr & ~X32_BIT);
			last = nr > last ? nr : last;
		}
	return last;
}

static void emit(struct seccomp_filter *f, unsigned code, unsigned jt, unsigned jf, uint32_t k)
{
	f->code[f->n++] = (struct sock_filter){ (uint16_t)code, (uint8_t)jt, (uint8_t)jf, k };
}

/* For one architecture: skip it when it is another; else numbers beyond the last ones end here, the
 * others with a jump over the rest, whose place is not known yet. */
static void emit_arch(struct seccomp_filter *f, const struct arch *a, int last, int x32_last)
{
	const unsigned above = BPF_JMP | BPF_JGT | BPF_K, enosys = SECCOMP_RET_ERRNO | ENOSYS;
	size_t start = f->n;

	emit(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, a->audit);
	emit(f, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
	if (a->x32)
		emit(f, BPF_JMP | BPF_JGE | BPF_K, 2, 0, X32_BIT);
	emit(f, above, 0, x32_last < 0 ? 1 : 3, (uint32_t)last);
	emit(f, BPF_RET | BPF_K, 0, 0, enosys);
	if (x32_last >= 0) {
		emit(f, above, 0, 1, X32_BIT | (uint32_t)x32_last);
		emit(f, BPF_RET | BPF_K, 0, 0, enosys);
	}
	emit(f, BPF_JMP | BPF_JA, 0, 0, 0);
	f->code[start].jf = (uint8_t)(f->n - start - 1);
}

static bool is_listed(const struct compiler *c, const struct oci_seccomp *sc, uint32_t token)
{
	for (char *const *name = sc->architectures; token && name && *name; name++)
		if (arch_token(c, *name) == token)
			return true;
	return false;
}

/* Makes the beginning of a filter, in front of what libseccomp makes; as with runc, only for
 * architectures that are listed. */
static void emit_newer(const struct compiler *c, const struct oci_seccomp *sc,
                       struct seccomp_filter *f)
{
	emit(f, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, arch));
	for (size_t i = 0; i < ARRAY_SIZE(known_archs); i++) {
		const struct arch *a = &known_archs[i];
		int last = is_listed(c, sc, a->token) ? last_call(c, sc, a->token) : -1;
		int x32_last = is_listed(c, sc, a->x32) ? last_call(c, sc, a->x32) : -1;

		if (last >= 0)
			emit_arch(f, a, last, x32_last);
	}
	for (size_t i = 0; i < f->n; i++)
		if (f->code[i].code == (BPF_JMP | BPF_JA))
			f->code[i].k = (uint32_t)(f->n - i - 1);
}

/* What is not allowed without a rule. */
static bool denies(const struct oci_seccomp *sc)
{
	if (str_eq(sc->default_action, "SCMP_ACT_ALLOW") ||
	    str_eq(sc->default_action, "SCMP_ACT_LOG"))
		return false;
	return !sc->has_default_errno_ret || sc->default_errno_ret != ENOSYS;
}

/* ---- the whole ---- */

static int export(const struct compiler *c, const struct oci_seccomp *sc,
                  struct seccomp_filter *out, struct error *err)
{
	auto_close int fd = memfd_create("seccomp", MFD_CLOEXEC);
	struct stat st;
	int ret;

	if (fd < 0)
		return error_sys(err, "create a memory file");
	ret = c->f.seccomp_export_bpf(c->ctx, fd);
	if (ret < 0)
		return error_set(err, -ret, "linux.seccomp: compile: %s", strerror(-ret));
	if (fstat(fd, &st) < 0)
		return error_sys(err, "examine the seccomp filter");
	out->code = xmalloc((size_t)st.st_size + MAX_NEWER * sizeof(*out->code));
	if (denies(sc))
		emit_newer(c, sc, out);
	if (pread(fd, out->code + out->n, (size_t)st.st_size, 0) != st.st_size)
		return error_sys(err, "read the seccomp filter");
	out->n += (size_t)st.st_size / sizeof(*out->code);
	return out->n > BPF_MAXINSNS ? too_many(err) : 0;
}

/* In place of what libseccomp would find out about this host's kernel. */
static int start(struct compiler *c, uint32_t dflt, struct error *err)
{
	static const char *const names[] = { FUNCTIONS(LIBRARY_NAME) NULL };

	c->library = library_load(LIBRARY, names, &c->f, err);
	if (!c->library)
		return error_wrap(err, "linux.seccomp");
	c->ctx = c->f.seccomp_api_set(API_LEVEL) < 0 ? NULL : c->f.seccomp_init(dflt);
	if (!c->ctx)
		return error_set(err, EINVAL, "linux.seccomp: cannot start a filter");
	/* Calls are found by halving; without it the filter is only slower. */
	c->f.seccomp_attr_set(c->ctx, SCMP_FLTATR_CTL_OPTIMIZE, BINARY_TREE);
	return 0;
}

static void end(struct compiler *c)
{
	if (c->ctx)
		c->f.seccomp_release(c->ctx);
	if (c->library)
		dlclose(c->library);
}

int seccomp_compile(const struct oci_seccomp *sc, struct seccomp_filter *out, struct error *err)
{
	struct compiler c = { 0 };
	uint32_t dflt;
	int ret;

	*out = (struct seccomp_filter){ 0 };
	if (!sc)
		return 0;
	if (sc->listener_path)
		return error_set(err, ENOTSUP, "linux.seccomp.listenerPath: not supported in a VM");
	if (check_length(sc, err) < 0 || parse_flags(sc->flags, &out->flags, err) < 0 ||
	    parse_action(sc->default_action,
	                 sc->has_default_errno_ret ? sc->default_errno_ret : DEFAULT_ERRNO, &dflt,
	                 err) < 0)
		return -err->code;
	ret = start(&c, dflt, err);
	/* A process of an architecture that is not listed is killed, as libseccomp has it. */
	if (ret == 0)
		ret = add_archs(&c, sc->architectures, err);
	if (ret == 0)
		ret = add_rules(&c, sc, dflt, err);
	if (ret == 0)
		ret = export(&c, sc, out, err);
	end(&c);
	if (ret < 0)
		seccomp_filter_done(out);
	return ret;
}
