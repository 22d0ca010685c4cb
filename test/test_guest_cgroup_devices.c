/* The program is run by a small interpreter: what counts is which accesses it lets through. */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/bpf_common.h>
#include <string.h>

#include "agent/guest/engine-internal.h"
#include "oci/oci.h"
#include "test/scratch.h"

#define R BPF_DEVCG_ACC_READ
#define W BPF_DEVCG_ACC_WRITE
#define M BPF_DEVCG_ACC_MKNOD
#define CHR BPF_DEVCG_DEV_CHAR
#define BLK BPF_DEVCG_DEV_BLOCK

static uint64_t operand(const struct bpf_insn *i, const uint64_t *reg)
{
	return BPF_SRC(i->code) == BPF_X ? reg[i->src_reg] : (uint64_t)(int64_t)i->imm;
}

static void alu(const struct bpf_insn *i, uint64_t *reg)
{
	uint64_t v = operand(i, reg), *d = &reg[i->dst_reg];

	switch (BPF_OP(i->code)) {
	case BPF_MOV:
		*d = v;
		break;
	case BPF_AND:
		*d &= v;
		break;
	case BPF_RSH:
		*d = (uint32_t)*d >> v;
		break;
	default:
		ck_abort_msg("operation %x", i->code);
	}
	if (BPF_CLASS(i->code) == BPF_ALU)
		*d = (uint32_t)*d;
}

static bool jumps(const struct bpf_insn *i, const uint64_t *reg)
{
	switch (BPF_OP(i->code)) {
	case BPF_JA:
		return true;
	case BPF_JNE:
		return reg[i->dst_reg] != operand(i, reg);
	case BPF_JSET:
		return (reg[i->dst_reg] & operand(i, reg)) != 0;
	default:
		ck_abort_msg("jump %x", i->code);
	}
	return false;
}

static int run(const struct bpf_insn *prog, size_t n, const struct bpf_cgroup_dev_ctx *ctx)
{
	uint64_t reg[11] = { 0 };

	for (size_t pc = 0; pc < n; pc++) {
		const struct bpf_insn *i = &prog[pc];
		uint32_t word;

		if (i->code == (BPF_LDX | BPF_W | BPF_MEM)) {
			memcpy(&word, (const char *)ctx + i->off, sizeof(word));
			reg[i->dst_reg] = word;
		} else if (i->code == (BPF_JMP | BPF_EXIT)) {
			return (int)reg[0];
		} else if (BPF_CLASS(i->code) == BPF_JMP) {
			pc += jumps(i, reg) ? (size_t)i->off : 0;
		} else {
			alu(i, reg);
		}
	}
	ck_abort_msg("the program does not end");
	return -1;
}

static int allows(const struct oci_device_cgroup *rules, size_t n, unsigned type, unsigned major,
                  unsigned minor, unsigned access)
{
	auto_error struct error err = { 0 };
	struct bpf_cgroup_dev_ctx ctx = { access << 16 | type, major, minor };
	auto_free struct bpf_insn *prog = NULL;
	size_t len;

	prog = device_program(rules, n, &len, &err);
	ck_assert_msg(prog != NULL, "%s", err.msg);
	return run(prog, len, &ctx);
}

static struct oci_device_cgroup rule(bool allow, char *type, int64_t major, int64_t minor,
                                     char *access)
{
	return (struct oci_device_cgroup){
		.has_allow = true,
		.allow = allow,
		.type = type,
		.has_major = major >= 0,
		.major = major,
		.has_minor = minor >= 0,
		.minor = minor,
		.access = access,
	};
}

START_TEST(without_rules_only_the_default_devices_are_allowed)
{
	ck_assert_int_eq(allows(NULL, 0, CHR, 1, 3, R | W), 1);
	ck_assert_int_eq(allows(NULL, 0, CHR, 136, 7, R | W), 1);
	ck_assert_int_eq(allows(NULL, 0, CHR, 1, 1, R), 0);
	ck_assert_int_eq(allows(NULL, 0, BLK, 1, 3, R), 0);
	ck_assert_int_eq(allows(NULL, 0, BLK, 8, 0, M), 1);
	ck_assert_int_eq(allows(NULL, 0, BLK, 8, 0, M | R), 0);
}
END_TEST

START_TEST(a_rule_for_everything_allows_everything)
{
	struct oci_device_cgroup r[] = { rule(true, "a", -1, -1, "rwm") };

	ck_assert_int_eq(allows(r, 1, BLK, 8, 0, R | W | M), 1);
	ck_assert_int_eq(allows(r, 1, CHR, 10, 229, R | W), 1);
}
END_TEST

START_TEST(the_last_rule_wins)
{
	struct oci_device_cgroup r[] = {
		rule(true, "a", -1, -1, "rwm"),
		rule(false, "c", 10, 229, "rwm"),
		rule(true, "c", 10, 229, "r"),
	};

	ck_assert_int_eq(allows(r, 2, CHR, 10, 229, R), 0);
	ck_assert_int_eq(allows(r, 2, CHR, 10, 228, R), 1);
	ck_assert_int_eq(allows(r, 3, CHR, 10, 229, R), 1);
	ck_assert_int_eq(allows(r, 3, CHR, 10, 229, R | W), 0);
}
END_TEST

START_TEST(a_partial_denial_refuses_the_whole_access)
{
	struct oci_device_cgroup r[] = {
		rule(true, "b", 8, -1, "rw"),
		rule(false, "b", 8, 1, "w"),
	};

	ck_assert_int_eq(allows(r, 2, BLK, 8, 1, R), 1);
	ck_assert_int_eq(allows(r, 2, BLK, 8, 1, R | W), 0);
	ck_assert_int_eq(allows(r, 2, BLK, 8, 2, R | W), 1);
}
END_TEST

START_TEST(accesses_may_be_granted_by_several_rules)
{
	struct oci_device_cgroup r[] = {
		rule(true, "c", 4, 64, "w"),
		rule(true, "c", 4, -1, "r"),
	};

	ck_assert_int_eq(allows(r, 2, CHR, 4, 64, R | W), 1);
	ck_assert_int_eq(allows(r, 2, CHR, 4, 65, R | W), 0);
}
END_TEST

START_TEST(default_devices_stay_allowed_after_a_denial_of_everything)
{
	struct oci_device_cgroup r[] = { rule(false, NULL, -1, -1, "rwm") };

	ck_assert_int_eq(allows(r, 1, CHR, 1, 9, R), 1);
	ck_assert_int_eq(allows(r, 1, CHR, 1, 10, R), 0);
}
END_TEST

START_TEST(the_letter_a_adds_no_access)
{
	struct oci_device_cgroup r[] = {
		rule(true, "c", 1, -1, "rwm"),
		rule(false, "c", 1, 11, "rwa"),
		rule(true, "c", 5, 1, "a"),
	};

	ck_assert_int_eq(allows(r, 3, CHR, 1, 11, R), 0);
	ck_assert_int_eq(allows(r, 3, CHR, 1, 11, M), 1);
	ck_assert_int_eq(allows(r, 3, CHR, 5, 9, R), 0);
}
END_TEST

START_TEST(what_changes_nothing_does_not_make_another_program)
{
	struct oci_device_cgroup docker[] = {
		rule(false, NULL, -1, -1, "rwm"), rule(true, "c", 1, 5, "rwm"),
		rule(true, "c", -1, -1, "m"),     rule(true, "c", 136, -1, "rwm"),
		rule(true, "c", 5, 1, "rwm"),     rule(false, "c", 10, 229, "rwm"),
	};
	struct oci_device_cgroup console = rule(true, "c", 5, 1, "rwm");
	auto_error struct error err = { 0 };
	size_t len_docker, len_console;
	auto_free struct bpf_insn *all = device_program(docker, 6, &len_docker, &err);
	auto_free struct bpf_insn *one = device_program(&console, 1, &len_console, &err);

	ck_assert_uint_eq(len_docker, len_console);
	ck_assert_mem_eq(all, one, len_docker * sizeof(*all));
}
END_TEST

START_TEST(a_denial_that_takes_back_a_part_of_an_earlier_rule_counts)
{
	struct oci_device_cgroup r[] = {
		rule(true, "c", 10, -1, "rw"),
		rule(false, NULL, -1, 229, "w"),
		rule(false, "b", 10, -1, "rwm"),
	};

	ck_assert_int_eq(allows(r, 3, CHR, 10, 229, R), 1);
	ck_assert_int_eq(allows(r, 3, CHR, 10, 229, W), 0);
	ck_assert_int_eq(allows(r, 3, CHR, 10, 228, W), 1);
	ck_assert_int_eq(allows(r, 3, BLK, 10, 228, R), 0);
}
END_TEST

START_TEST(an_unknown_type_is_refused_with_its_place)
{
	struct oci_device_cgroup r[] = {
		rule(true, "c", 1, 1, "r"),
		rule(true, "x", 1, 1, "r"),
	};
	auto_error struct error err = { 0 };
	size_t len;

	ck_assert_ptr_null(device_program(r, 2, &len, &err));
	ck_assert_str_eq(err.msg, "linux.resources.devices[1]: unknown type 'x'");
}
END_TEST

START_TEST(an_unknown_access_is_refused)
{
	struct oci_device_cgroup r[] = { rule(true, "c", 1, 1, "rx") };
	auto_error struct error err = { 0 };
	size_t len;

	ck_assert_ptr_null(device_program(r, 1, &len, &err));
	ck_assert_str_eq(err.msg, "linux.resources.devices[0]: unknown access 'rx'");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("cgroup_devices");

	tcase_add_test(tc, without_rules_only_the_default_devices_are_allowed);
	tcase_add_test(tc, a_rule_for_everything_allows_everything);
	tcase_add_test(tc, the_last_rule_wins);
	tcase_add_test(tc, a_partial_denial_refuses_the_whole_access);
	tcase_add_test(tc, accesses_may_be_granted_by_several_rules);
	tcase_add_test(tc, default_devices_stay_allowed_after_a_denial_of_everything);
	tcase_add_test(tc, what_changes_nothing_does_not_make_another_program);
	tcase_add_test(tc, a_denial_that_takes_back_a_part_of_an_earlier_rule_counts);
	tcase_add_test(tc, an_unknown_type_is_refused_with_its_place);
	tcase_add_test(tc, the_letter_a_adds_no_access);
	tcase_add_test(tc, an_unknown_access_is_refused);
	return scratch_run(tc);
}
