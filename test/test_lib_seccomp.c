/* The compiled filter is run by a small interpreter of classic BPF. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "agent/seccomp-filter.h"
#include "lib/seccomp-compile.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "oci/oci.h"
#include "test/scratch.h"

static struct seccomp_filter filter;
static struct error err;

static void teardown(void)
{
	seccomp_filter_done(&filter);
	error_clear(&err);
}

static size_t jump(const struct sock_filter *i, uint32_t a)
{
	bool yes = false;

	switch (BPF_OP(i->code)) {
	case BPF_JA:
		return i->k;
	case BPF_JEQ:
		yes = a == i->k;
		break;
	case BPF_JGT:
		yes = a > i->k;
		break;
	case BPF_JGE:
		yes = a >= i->k;
		break;
	case BPF_JSET:
		yes = (a & i->k) != 0;
		break;
	default:
		ck_abort_msg("jump %x", i->code);
	}
	return yes ? i->jt : i->jf;
}

static uint32_t run(const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < filter.n; pc++) {
		const struct sock_filter *i = &filter.code[pc];

		if (i->code == (BPF_LD | BPF_W | BPF_ABS))
			memcpy(&a, (const char *)data + i->k, sizeof(a));
		else if (BPF_CLASS(i->code) == BPF_JMP)
			pc += jump(i, a);
		else if (i->code == (BPF_ALU | BPF_AND | BPF_K))
			a &= i->k;
		else if (i->code == (BPF_RET | BPF_K))
			return i->k;
		else
			ck_abort_msg("instruction %x", i->code);
	}
	ck_abort_msg("the filter does not end");
	return 0;
}

static uint32_t verdict(int nr, uint64_t arg0, uint64_t arg1)
{
	struct seccomp_data data = {
		.nr = nr,
		.arch = AUDIT_ARCH_X86_64,
		.args = { arg0, arg1 },
	};

	return run(&data);
}

static void compile(const struct oci_seccomp *sc)
{
	ck_assert_msg(seccomp_compile(sc, &filter, &err) == 0, "%s", err.msg);
	ck_assert_ptr_nonnull(filter.code);
}

START_TEST(the_default_answers_what_no_rule_names)
{
	char *names[] = { "read", "no_such_call", NULL };
	struct oci_seccomp_syscall calls[] = { { .names = names, .action = "SCMP_ACT_ALLOW" } };
	struct oci_seccomp sc = { .default_action = "SCMP_ACT_ERRNO",
		                  .has_default_errno_ret = true,
		                  .default_errno_ret = 38,
		                  .syscalls = calls,
		                  .n_syscalls = 1 };

	compile(&sc);
	ck_assert_uint_eq(verdict(SYS_read, 0, 0), SECCOMP_RET_ALLOW);
	ck_assert_uint_eq(verdict(SYS_write, 0, 0), SECCOMP_RET_ERRNO | 38);
}
END_TEST

START_TEST(a_missing_errno_is_eperm)
{
	char *names[] = { "mkdir", NULL };
	struct oci_seccomp_syscall calls[] = { { .names = names, .action = "SCMP_ACT_ERRNO" } };
	struct oci_seccomp sc = { .default_action = "SCMP_ACT_ALLOW",
		                  .syscalls = calls,
		                  .n_syscalls = 1 };

	compile(&sc);
	ck_assert_uint_eq(verdict(SYS_mkdir, 0, 0), SECCOMP_RET_ERRNO | EPERM);
	ck_assert_uint_eq(verdict(SYS_read, 0, 0), SECCOMP_RET_ALLOW);
}
END_TEST

START_TEST(conditions_on_two_arguments_must_both_hold)
{
	char *names[] = { "socket", NULL };
	struct oci_seccomp_arg args[] = {
		{ .index = 0, .value = 16, .op = "SCMP_CMP_EQ" },
		{ .index = 1, .value = 0xf, .value_two = 3, .op = "SCMP_CMP_MASKED_EQ" },
	};
	struct oci_seccomp_syscall calls[] = {
		{ .names = names, .action = "SCMP_ACT_KILL_PROCESS", .args = args, .n_args = 2 }
	};
	struct oci_seccomp sc = { .default_action = "SCMP_ACT_ALLOW",
		                  .syscalls = calls,
		                  .n_syscalls = 1 };

	compile(&sc);
	ck_assert_uint_eq(verdict(SYS_socket, 16, 0x13), SECCOMP_RET_KILL_PROCESS);
	ck_assert_uint_eq(verdict(SYS_socket, 16, 2), SECCOMP_RET_ALLOW);
	ck_assert_uint_eq(verdict(SYS_socket, 15, 3), SECCOMP_RET_ALLOW);
}
END_TEST

START_TEST(conditions_on_one_argument_are_alternatives)
{
	char *names[] = { "personality", NULL };
	struct oci_seccomp_arg args[] = {
		{ .index = 0, .value = 0, .op = "SCMP_CMP_EQ" },
		{ .index = 0, .value = 8, .op = "SCMP_CMP_EQ" },
	};
	struct oci_seccomp_syscall calls[] = {
		{ .names = names, .action = "SCMP_ACT_ALLOW", .args = args, .n_args = 2 }
	};
	struct oci_seccomp sc = { .default_action = "SCMP_ACT_ERRNO",
		                  .syscalls = calls,
		                  .n_syscalls = 1 };

	compile(&sc);
	ck_assert_uint_eq(verdict(SYS_personality, 0, 0), SECCOMP_RET_ALLOW);
	ck_assert_uint_eq(verdict(SYS_personality, 8, 0), SECCOMP_RET_ALLOW);
	ck_assert_uint_eq(verdict(SYS_personality, 9, 0), SECCOMP_RET_ERRNO | EPERM);
}
END_TEST

START_TEST(architectures_that_are_not_listed_are_killed_and_listed_ones_are_filtered)
{
	char *names[] = { "getpid", NULL };
	char *archs[] = { "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", NULL };
	struct oci_seccomp_syscall calls[] = { { .names = names, .action = "SCMP_ACT_LOG" } };
	struct oci_seccomp sc = { .default_action = "SCMP_ACT_ALLOW",
		                  .architectures = archs,
		                  .syscalls = calls,
		                  .n_syscalls = 1 };
	struct seccomp_data i386 = { .nr = 20, .arch = AUDIT_ARCH_I386 };
	struct seccomp_data arm = { .nr = 20, .arch = AUDIT_ARCH_ARM };

	compile(&sc);
	ck_assert_uint_eq(verdict(SYS_getpid, 0, 0), SECCOMP_RET_LOG);
	ck_assert_uint_eq(run(&i386), SECCOMP_RET_LOG);
	ck_assert_uint_eq(run(&arm), SECCOMP_RET_KILL_THREAD);
}
END_TEST

START_TEST(flags_are_passed_on)
{
	char *flags[] = { "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", NULL };
	struct oci_seccomp sc = { .default_action = "SCMP_ACT_ALLOW", .flags = flags };

	compile(&sc);
	ck_assert_uint_eq(filter.flags, SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW);
}
END_TEST

START_TEST(what_cannot_be_done_is_refused_by_name)
{
	char *bad[] = { "SCMP_ARCH_Z80", NULL };
	struct oci_seccomp notify = { .default_action = "SCMP_ACT_NOTIFY" };
	struct oci_seccomp listener = { .default_action = "SCMP_ACT_ALLOW", .listener_path = "/s" };
	struct oci_seccomp arch = { .default_action = "SCMP_ACT_ALLOW", .architectures = bad };

	ck_assert_int_eq(seccomp_compile(&notify, &filter, &err), -ENOTSUP);
	ck_assert_str_eq(err.msg, "linux.seccomp: the action SCMP_ACT_NOTIFY is not supported in "
	                          "a VM");
	ck_assert_int_eq(seccomp_compile(&listener, &filter, &err), -ENOTSUP);
	ck_assert_str_eq(err.msg, "linux.seccomp.listenerPath: not supported in a VM");
	ck_assert_int_eq(seccomp_compile(&arch, &filter, &err), -EINVAL);
	ck_assert_str_eq(err.msg, "linux.seccomp.architectures: unknown architecture "
	                          "'SCMP_ARCH_Z80'");
}
END_TEST

/* Else a configuration could keep a create busy for minutes. */
START_TEST(more_rules_than_any_filter_holds_are_refused_at_once)
{
	struct oci_seccomp_syscall call = { .action = "SCMP_ACT_KILL" };
	struct oci_seccomp sc = { .default_action = "SCMP_ACT_ALLOW",
		                  .syscalls = &call,
		                  .n_syscalls = 1 };

	call.names = xcalloc(300001, sizeof(*call.names));
	for (int i = 0; i < 300000; i++)
		call.names[i] = "read";
	ck_assert_int_eq(seccomp_compile(&sc, &filter, &err), -E2BIG);
	ck_assert_str_eq(err.msg, "linux.seccomp: the filter has too many rules");
	error_clear(&err);
	call.names[500] = NULL;
	ck_assert_int_eq(seccomp_compile(&sc, &filter, &err), 0);
	free(call.names);
}
END_TEST

/* As runc does it, so that programs fall back to what was there before. */
START_TEST(calls_newer_than_all_that_are_named_do_not_exist)
{
	char *names[] = { "getpid", "mkdir", NULL };
	char *archs[] = { "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", NULL };
	struct oci_seccomp_syscall calls[] = { { .names = names, .action = "SCMP_ACT_ALLOW" } };
	struct oci_seccomp sc = { .default_action = "SCMP_ACT_ERRNO",
		                  .architectures = archs,
		                  .syscalls = calls,
		                  .n_syscalls = 1 };
	struct seccomp_data i386 = { .nr = 20, .arch = AUDIT_ARCH_I386 };
	const uint32_t enosys = SECCOMP_RET_ERRNO | ENOSYS, eperm = SECCOMP_RET_ERRNO | EPERM;

	compile(&sc);
	ck_assert_uint_eq(verdict(SYS_mkdir, 0, 0), SECCOMP_RET_ALLOW);
	ck_assert_uint_eq(verdict(SYS_mkdir - 1, 0, 0), eperm);
	ck_assert_uint_eq(verdict(SYS_mkdir + 1, 0, 0), enosys);
	ck_assert_uint_eq(verdict(0x40000000 | SYS_mkdir, 0, 0), SECCOMP_RET_ALLOW);
	ck_assert_uint_eq(verdict(0x40000000 | (SYS_mkdir - 1), 0, 0), eperm);
	ck_assert_uint_eq(verdict(0x40000000 | (SYS_mkdir + 1), 0, 0), enosys);
	ck_assert_uint_eq(run(&i386), SECCOMP_RET_ALLOW);
	i386.nr = 39; /* mkdir */
	ck_assert_uint_eq(run(&i386), SECCOMP_RET_ALLOW);
	i386.nr = 40;
	ck_assert_uint_eq(run(&i386), enosys);
	i386.nr = 21;
	ck_assert_uint_eq(run(&i386), eperm);
	seccomp_filter_done(&filter);

	archs[1] = NULL; /* the others are killed by number or by architecture */
	compile(&sc);
	ck_assert_uint_eq(verdict(SYS_mkdir + 1, 0, 0), enosys);
	ck_assert_uint_eq(verdict(0x40000000 | (SYS_mkdir + 1), 0, 0), SECCOMP_RET_KILL_THREAD);
	ck_assert_uint_eq(run(&i386), SECCOMP_RET_KILL_THREAD);
	seccomp_filter_done(&filter);

	sc.architectures = NULL;
	compile(&sc);
	ck_assert_uint_eq(verdict(SYS_mkdir + 1, 0, 0), eperm);
	seccomp_filter_done(&filter);

	sc.architectures = archs;
	sc.default_action = "SCMP_ACT_LOG";
	compile(&sc);
	ck_assert_uint_eq(verdict(SYS_mkdir + 1, 0, 0), SECCOMP_RET_LOG);
}
END_TEST

START_TEST(a_filter_survives_the_way_to_the_guest)
{
	struct oci_seccomp sc = { .default_action = "SCMP_ACT_ALLOW" };
	auto_seccomp_filter struct seccomp_filter there = { 0 };
	auto_json struct json *j = NULL;

	compile(&sc);
	filter.flags = 5;
	j = seccomp_filter_to_json(&filter);
	ck_assert_int_eq(seccomp_filter_from_json(j, &there, &err), 0);
	ck_assert_uint_eq(there.n, filter.n);
	ck_assert_uint_eq(there.flags, 5);
	ck_assert_mem_eq(there.code, filter.code, filter.n * sizeof(*filter.code));
	json_set(j, "code", json_new_string("00"));
	seccomp_filter_done(&there);
	ck_assert_int_eq(seccomp_filter_from_json(j, &there, &err), -EINVAL);
	json_set(j, "code", json_new_string("000000000000000g"));
	ck_assert_int_eq(seccomp_filter_from_json(j, &there, &err), -EINVAL);
	ck_assert_ptr_null(there.code);
	ck_assert_int_eq(seccomp_filter_from_json(NULL, &there, &err), 0);
	ck_assert_ptr_null(there.code);
}
END_TEST

START_TEST(no_seccomp_is_no_filter)
{
	ck_assert_int_eq(seccomp_compile(NULL, &filter, &err), 0);
	ck_assert_ptr_null(filter.code);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("seccomp");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, the_default_answers_what_no_rule_names);
	tcase_add_test(tc, a_missing_errno_is_eperm);
	tcase_add_test(tc, conditions_on_two_arguments_must_both_hold);
	tcase_add_test(tc, conditions_on_one_argument_are_alternatives);
	tcase_add_test(tc,
	               architectures_that_are_not_listed_are_killed_and_listed_ones_are_filtered);
	tcase_add_test(tc, flags_are_passed_on);
	tcase_add_test(tc, what_cannot_be_done_is_refused_by_name);
	tcase_add_test(tc, more_rules_than_any_filter_holds_are_refused_at_once);
	tcase_add_test(tc, calls_newer_than_all_that_are_named_do_not_exist);
	tcase_add_test(tc, a_filter_survives_the_way_to_the_guest);
	tcase_add_test(tc, no_seccomp_is_no_filter);
	return scratch_run(tc);
}
