/* linux.resources.devices as a program for BPF_PROG_TYPE_CGROUP_DEVICE: version 2 has no list.
 *
 * The last rule that covers an access decides, as in version 1's list. The program walks the rules
 * from the last to the first with the accesses that are not decided yet (r1): a matching "allow"
 * takes its bits away and grants when none is left; a matching "deny" that shares a bit refuses. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/bpf.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define MAX_RULES 512
#define INSNS_PER_RULE 7
#define MAX_LOADED 8 /* programs kept for the next containers */
#define ALL_ACCESS (BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE)

struct rule {
	bool allow;
	unsigned type;        /* BPF_DEVCG_DEV_*, 0: both */
	int64_t major, minor; /* -1: all */
	unsigned access;
};

/* What every container may use, whatever the configuration says (as runc). */
static const struct rule defaults[] = {
	{ true, BPF_DEVCG_DEV_CHAR, -1, -1, BPF_DEVCG_ACC_MKNOD },
	{ true, BPF_DEVCG_DEV_BLOCK, -1, -1, BPF_DEVCG_ACC_MKNOD },
	{ true, BPF_DEVCG_DEV_CHAR, 1, 3, ALL_ACCESS },    /* null */
	{ true, BPF_DEVCG_DEV_CHAR, 1, 5, ALL_ACCESS },    /* zero */
	{ true, BPF_DEVCG_DEV_CHAR, 1, 7, ALL_ACCESS },    /* full */
	{ true, BPF_DEVCG_DEV_CHAR, 1, 8, ALL_ACCESS },    /* random */
	{ true, BPF_DEVCG_DEV_CHAR, 1, 9, ALL_ACCESS },    /* urandom */
	{ true, BPF_DEVCG_DEV_CHAR, 5, 0, ALL_ACCESS },    /* tty */
	{ true, BPF_DEVCG_DEV_CHAR, 5, 2, ALL_ACCESS },    /* ptmx */
	{ true, BPF_DEVCG_DEV_CHAR, 136, -1, ALL_ACCESS }, /* pts */
};

struct program {
	struct bpf_insn *insns;
	size_t n;
};

static void emit(struct program *p, uint8_t code, uint8_t dst, uint8_t src, int16_t off,
                 int32_t imm)
{
	p->insns[p->n++] = (struct bpf_insn){
		.code = code, .dst_reg = dst & 0xf, .src_reg = src & 0xf, .off = off, .imm = imm
	};
}

static void emit_return(struct program *p, bool allow)
{
	emit(p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, allow);
	emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* r1: accesses not decided yet, r2: type, r4: major, r5: minor */
static void emit_prologue(struct program *p)
{
	const uint8_t load = BPF_LDX | BPF_W | BPF_MEM;

	emit(p, load, BPF_REG_2, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, access_type), 0);
	emit(p, load, BPF_REG_4, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, major), 0);
	emit(p, load, BPF_REG_5, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, minor), 0);
	emit(p, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_2, 0, 0);
	emit(p, BPF_ALU | BPF_RSH | BPF_K, BPF_REG_1, 0, 0, 16);
	emit(p, BPF_ALU | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0xffff);
}

static void emit_rule(struct program *p, const struct rule *r)
{
	const uint8_t differs = BPF_JMP | BPF_JNE | BPF_K;
	size_t start = p->n, jumps;

	if (r->type)
		emit(p, differs, BPF_REG_2, 0, 0, (int32_t)r->type);
	if (r->major >= 0)
		emit(p, differs, BPF_REG_4, 0, 0, (int32_t)r->major);
	if (r->minor >= 0)
		emit(p, differs, BPF_REG_5, 0, 0, (int32_t)r->minor);
	jumps = p->n;
	if (r->allow) {
		emit(p, BPF_ALU | BPF_AND | BPF_K, BPF_REG_1, 0, 0,
		     (int32_t)(~r->access & ALL_ACCESS));
		emit(p, differs, BPF_REG_1, 0, 2, 0);
		emit_return(p, true);
	} else {
		emit(p, BPF_JMP | BPF_JSET | BPF_K, BPF_REG_1, 0, 1, (int32_t)r->access);
		emit(p, BPF_JMP | BPF_JA, 0, 0, 2, 0);
		emit_return(p, false);
	}
	for (size_t i = start; i < jumps; i++) /* to the next rule */
		p->insns[i].off = (int16_t)(p->n - i - 1);
}

static int parse_access(const char *access, unsigned *out)
{
	*out = 0;
	if (!access || !access[0])
		*out = ALL_ACCESS;
	for (; access && *access; access++) {
		if (*access == 'r')
			*out |= BPF_DEVCG_ACC_READ;
		else if (*access == 'w')
			*out |= BPF_DEVCG_ACC_WRITE;
		else if (*access == 'm')
			*out |= BPF_DEVCG_ACC_MKNOD;
		else if (*access != 'a') /* no access of its own, as with runc */
			return -EINVAL;
	}
	return 0;
}

static int parse_rule(const struct oci_device_cgroup *d, struct rule *r, struct error *err)
{
	r->allow = d->allow;
	r->major = d->has_major && d->major >= 0 ? d->major : -1;
	r->minor = d->has_minor && d->minor >= 0 ? d->minor : -1;
	if (str_eq(d->type, "c"))
		r->type = BPF_DEVCG_DEV_CHAR;
	else if (str_eq(d->type, "b"))
		r->type = BPF_DEVCG_DEV_BLOCK;
	else if (!d->type || !d->type[0] || str_eq(d->type, "a"))
		r->type = 0;
	else
		return error_set(err, EINVAL, "unknown type '%s'", d->type);
	if (r->major > INT32_MAX || r->minor > INT32_MAX)
		return error_set(err, EINVAL, "device number out of range");
	if (parse_access(d->access, &r->access) < 0)
		return error_set(err, EINVAL, "unknown access '%s'", d->access);
	return 0;
}

/* Every access of b is one of a. */
static bool covers(const struct rule *a, const struct rule *b)
{
	return (!a->type || a->type == b->type) && (a->major < 0 || a->major == b->major) &&
	       (a->minor < 0 || a->minor == b->minor) && (b->access & ~a->access) == 0;
}

static bool overlap(const struct rule *a, const struct rule *b)
{
	return (!a->type || !b->type || a->type == b->type) &&
	       (a->major < 0 || b->major < 0 || a->major == b->major) &&
	       (a->minor < 0 || b->minor < 0 || a->minor == b->minor) && (a->access & b->access);
}

/* What a default rule, which comes later, allows anyway, and what would be refused in the end
 * without being denied. before: the rules that count so far. */
static bool changes_nothing(const struct rule *r, const struct rule *before, size_t n)
{
	for (size_t i = 0; r->allow && i < ARRAY_SIZE(defaults); i++)
		if (covers(&defaults[i], r))
			return true;
	for (size_t i = 0; i < n; i++)
		if (before[i].allow && overlap(&before[i], r))
			return false;
	return !r->allow;
}

/* The rules that count, owned by the caller. The lists of the usual clients come down to the same
 * few, so that their program is loaded once. */
static struct rule *parse_rules(const struct oci_device_cgroup *rules, size_t *n, struct error *err)
{
	auto_free struct rule *list = xcalloc(*n + 1, sizeof(*list));
	size_t kept = 0;

	for (size_t i = 0; i < *n; i++) {
		if (parse_rule(&rules[i], &list[kept], err) < 0) {
			error_wrap(err, "linux.resources.devices[%zu]", i);
			return NULL;
		}
		if (!changes_nothing(&list[kept], list, kept))
			kept++;
	}
	*n = kept;
	return steal_ptr(&list);
}

struct bpf_insn *device_program(const struct oci_device_cgroup *rules, size_t n, size_t *len,
                                struct error *err)
{
	auto_free struct rule *list = NULL;
	struct program p = { 0 };

	if (n > MAX_RULES) {
		error_set(err, E2BIG, "linux.resources.devices: more than %d rules", MAX_RULES);
		return NULL;
	}
	list = parse_rules(rules, &n, err);
	if (!list)
		return NULL;
	p.insns = xcalloc((n + ARRAY_SIZE(defaults)) * INSNS_PER_RULE + 16, sizeof(*p.insns));
	emit_prologue(&p);
	for (size_t i = ARRAY_SIZE(defaults); i > 0; i--)
		emit_rule(&p, &defaults[i - 1]);
	for (size_t i = n; i > 0; i--)
		emit_rule(&p, &list[i - 1]);
	emit_return(&p, false);
	*len = p.n;
	return p.insns;
}

/* ---- loaded programs ---- */

/* The kernel takes a while to verify and compile one, and most containers have the same. */
struct loaded {
	struct bpf_insn *insns;
	size_t n;
	int fd;
};

static void forget(struct loaded *l)
{
	free(l->insns);
	close_fd(&l->fd);
}

void device_programs_done(struct guest *g)
{
	while (g->n_device_programs > 0)
		forget(&g->device_programs[--g->n_device_programs]);
	free(g->device_programs);
	g->device_programs = NULL;
}

/* The descriptor stays the cache's. The last place is that of the latest program that no other
 * container had. */
static int find_or_load(struct guest *g, const struct oci_resources *r, struct error *err)
{
	size_t n;
	auto_free struct bpf_insn *insns =
		device_program(r ? r->devices : NULL, r ? r->n_devices : 0, &n, err);
	int fd;

	if (!insns)
		return -err->code;
	for (size_t i = 0; i < g->n_device_programs; i++) {
		const struct loaded *l = &g->device_programs[i];

		if (l->n == n && memcmp(l->insns, insns, n * sizeof(*insns)) == 0)
			return l->fd;
	}
	fd = bpf_load(BPF_PROG_TYPE_CGROUP_DEVICE, BPF_CGROUP_DEVICE, insns, n);
	if (fd < 0)
		return error_sys(err, "linux.resources.devices: load the BPF program");
	if (!g->device_programs)
		g->device_programs = xcalloc(MAX_LOADED, sizeof(*g->device_programs));
	if (g->n_device_programs == MAX_LOADED)
		forget(&g->device_programs[--g->n_device_programs]);
	g->device_programs[g->n_device_programs++] =
		(struct loaded){ .insns = steal_ptr(&insns), .n = n, .fd = fd };
	return fd;
}

int device_programs_warm(struct guest *g, struct error *err)
{
	struct oci_device_cgroup console = { .allow = true,
		                             .type = (char *)"c",
		                             .has_major = true,
		                             .major = 5,
		                             .has_minor = true,
		                             .minor = 1 };
	const struct oci_resources usual[] = {
		{ .n_devices = 0 },                      /* "spec", Podman */
		{ .devices = &console, .n_devices = 1 }, /* Docker, containerd */
	};

	for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
		if (find_or_load(g, &usual[i], err) < 0)
			return -err->code;
	return 0;
}

int cgroup_limit_devices(struct guest *g, struct cgroup *cg, const struct oci_resources *r,
                         struct error *err)
{
	int prog = find_or_load(g, r, err);
	union bpf_attr attr;

	if (prog < 0 || prog == cg->devices)
		return prog < 0 ? prog : 0;
	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (uint32_t)cg->fd;
	attr.attach_bpf_fd = (uint32_t)prog;
	attr.attach_type = BPF_CGROUP_DEVICE;
	attr.attach_flags = BPF_F_ALLOW_MULTI;
	if (cg->devices > 0) {
		attr.attach_flags |= BPF_F_REPLACE;
		attr.replace_bpf_fd = (uint32_t)cg->devices;
	}
	if (bpf_call(BPF_PROG_ATTACH, &attr) < 0)
		return error_sys(err, "linux.resources.devices: attach the BPF program");
	cg->devices = prog;
	return 0;
}
