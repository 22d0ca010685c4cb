#!/usr/bin/env bats
# seccomp: what a program in the container sees of each action, operator, architecture and flag.
# shellcheck disable=SC2016,SC2154 # the guest's shell expands; helpers set the variables
load helpers

# Numbers of system calls on x86_64 that no C library makes by itself.
PERSONALITY=135 SETPRIORITY=141 SYNC=162 SETHOSTNAME=170 GETCPU=309

setup_file() {
	cc -D_GNU_SOURCE -O -static -o "$BATS_FILE_TMPDIR/syscall" "$BATS_TEST_DIRNAME/syscall.c"
}

with_syscall() {
	cp "$BATS_FILE_TMPDIR/syscall" "$B/rootfs/bin/syscall"
}

seccomp() { # JQ-OBJECT
	edit ".linux.seccomp = $1"
}

rule() { # NAME ACTION [MORE]
	echo "{names: [\"$1\"], action: \"SCMP_ACT_$2\"${3:+, $3}}"
}

# The lines of the output.
expect_lines() { # LINE...
	[ "$(cat "$T/out")" = "$(printf '%s\n' "$@")" ] ||
		fail "'$(cat "$T/out")' in place of '$*'"
}

@test "seccomp: each action does its own to the system call" {
	with_syscall
	seccomp "{defaultAction: \"SCMP_ACT_ALLOW\", syscalls: [
		$(rule setpriority ERRNO), $(rule sync ERRNO 'errnoRet: 5'),
		$(rule getcpu LOG), $(rule sethostname TRAP), $(rule personality TRACE 'errnoRet: 7'),
		$(rule io_setup KILL), $(rule io_destroy KILL_THREAD), $(rule io_cancel KILL_PROCESS),
		$(rule no_such_call_at_all KILL)]}"
	# TRACE without a tracer is ENOSYS. getcpu fails only for its bad pointer.
	start_container "$ID" sleep 1000
	[ "$(vcrt exec "$ID" grep Seccomp: /proc/self/status)" = $'Seccomp:\t2' ]
	[ "$(vcrt exec "$ID" syscall $SETPRIORITY 9 / $SYNC / $GETCPU 1 / $PERSONALITY 0xffffffff)" = \
		$'EPERM\nEIO\nEFAULT\nENOSYS' ]
	[ "$(vcrt exec --env TRAP=1 "$ID" syscall $SETHOSTNAME)" = "SIGSYS $SETHOSTNAME" ]
	for call in $SETHOSTNAME 206 207 210; do # TRAP, io_setup, io_destroy, io_cancel
		run vcrt exec "$ID" syscall $SYNC / "$call"
		[ "$status" -eq 159 ]
		[ "$output" = EIO ]
	done
	[ "$(status_of "$ID")" = running ]
	vcrt delete --force "$ID"

	# The container's own process.
	run_container -- syscall 206
	[ "$code" -eq 159 ]
}

@test "seccomp: defaults apply to what no rule names" {
	with_syscall
	# What the program cannot do without, and the shell around it.
	local needed='["execve","exit_group","exit","brk","arch_prctl","set_tid_address","set_robust_list","rseq",
		"prlimit64","readlink","readlinkat","getrandom","mprotect","fstat","newfstatat","write","writev","ioctl","mmap","munmap",
		"rt_sigaction","rt_sigprocmask","uname","capset","sync","prctl","close"]'

	seccomp "{defaultAction: \"SCMP_ACT_ERRNO\", defaultErrnoRet: 13,
		architectures: [\"SCMP_ARCH_X86_64\"], syscalls: [
		{names: $needed, action: \"SCMP_ACT_ALLOW\"}, $(rule statx ALLOW)]}"
	run_container -- syscall $SYNC / $SETPRIORITY 9 / $GETCPU / 5000
	# As with runc, what is newer than all that is named (rseq is 334) does not exist.
	expect_lines ok EACCES EACCES ENOSYS
	edit 'del(.linux.seccomp.defaultErrnoRet)'
	run_container -- syscall $SETPRIORITY 9 / 335
	expect_lines EPERM ENOSYS
	# Without architectures it is denied like everything else.
	edit 'del(.linux.seccomp.architectures)'
	run_container -- syscall $SETPRIORITY 9 / 335
	expect_lines EPERM EPERM
	edit '.linux.seccomp.defaultAction = "SCMP_ACT_LOG"'
	run_container -- syscall $GETCPU 1 1
	expect_lines EFAULT
	edit '.linux.seccomp.defaultAction = "SCMP_ACT_KILL_PROCESS"'
	run_container -- syscall $SYNC / $GETCPU
	[ "$code" -eq 159 ]
	expect_lines ok
}

@test "seccomp: conditions compare arguments with each operator" {

	local -a rules=()
	with_syscall
	# The call tells by its error which rule was met: 10 and up, in this order.
	arg() { # INDEX OPERATOR VALUE [VALUE2]
		echo "{index: $1, op: \"SCMP_CMP_$2\", value: $3, valueTwo: ${4:-0}}"
	}
	rules+=("$(rule personality ERRNO "errnoRet: 1, args: [$(arg 0 EQ 10)]")")
	rules+=("$(rule setpriority ERRNO "errnoRet: 2, args: [$(arg 0 NE 5)]")")
	rules+=("$(rule getcpu ERRNO "errnoRet: 3, args: [$(arg 0 LT 100)]")")
	rules+=("$(rule sync ERRNO "errnoRet: 4, args: [$(arg 0 LE 100)]")")
	rules+=("$(rule io_setup ERRNO "errnoRet: 5, args: [$(arg 0 GT 4294967296)]")")
	rules+=("$(rule io_destroy ERRNO "errnoRet: 6, args: [$(arg 1 GE 4294967296)]")")
	rules+=("$(rule sethostname ERRNO "errnoRet: 7, args: [$(arg 0 MASKED_EQ 240 16)]")")
	# Two arguments must both fit; of one argument, either (as with runc).
	rules+=("$(rule io_submit ERRNO "errnoRet: 12, args: [$(arg 0 EQ 1), $(arg 2 EQ 3)]")")
	rules+=("$(rule io_cancel ERRNO "errnoRet: 13, args: [$(arg 0 EQ 1), $(arg 0 EQ 2)]")")
	seccomp "{defaultAction: \"SCMP_ACT_ALLOW\", syscalls: [$(IFS=,; echo "${rules[*]}")]}"
	run_container -- syscall $PERSONALITY 10 / $PERSONALITY 0xffffffff / \
		$SETPRIORITY 4 / $SETPRIORITY 5 / $GETCPU 99 / $GETCPU 100 1 / $SYNC 100 / $SYNC 101 / \
		206 0x100000001 / 206 0x100000000 1 / 207 0 0x100000000 / 207 0 0xffffffff / \
		$SETHOSTNAME 0x1f 0 / $SETHOSTNAME 0x2f 99 / 209 1 0 3 / 209 1 0 4 / 210 2 / 210 3
	expect_lines EPERM ok ENOENT EINVAL ESRCH EFAULT EINTR ok \
		EIO EFAULT ENXIO EINVAL E2BIG EPERM ENOMEM EINVAL EACCES EFAULT
}

@test "seccomp: rules hold for each architecture that is listed, and others are not possible" {
	with_syscall
	# 64 is getppid for i386; x32 has the numbers of x86_64 with one bit more.
	seccomp "{defaultAction: \"SCMP_ACT_ALLOW\", architectures: [\"SCMP_ARCH_X86_64\",
		\"SCMP_ARCH_X86\", \"SCMP_ARCH_X32\"], syscalls: [$(rule getppid ERRNO)]}"
	start_container "$ID" sleep 1000
	[ "$(vcrt exec "$ID" syscall 110)" = EPERM ]
	[ "$(vcrt exec "$ID" syscall i386 64 / 20)" = $'EPERM\nok' ]
	[ "$(vcrt exec "$ID" syscall x32 110 / 39)" = $'EPERM\nENOSYS' ]
	vcrt delete --force "$ID"

	edit '.linux.seccomp.architectures = ["SCMP_ARCH_X86_64"]'
	start_container "$ID" sleep 1000
	[ "$(vcrt exec "$ID" syscall 110)" = EPERM ]
	run vcrt exec "$ID" syscall i386 20
	[ "$status" -eq 159 ]
	run vcrt exec "$ID" syscall x32 39
	[ "$status" -eq 159 ]
}

@test "seccomp: every flag is taken, and a filter without new privileges as well" {
	with_syscall
	seccomp "{defaultAction: \"SCMP_ACT_ALLOW\", flags: [\"SECCOMP_FILTER_FLAG_TSYNC\",
		\"SECCOMP_FILTER_FLAG_LOG\", \"SECCOMP_FILTER_FLAG_SPEC_ALLOW\"],
		syscalls: [$(rule sync ERRNO)]}"
	run_container -- sh -c "syscall $SYNC; grep -E 'NoNewPrivs|Seccomp:' /proc/self/status;
		grep Speculation_Store_Bypass /proc/self/status"
	[ "$(head -n 3 "$T/out")" = $'EPERM\nNoNewPrivs:\t1\nSeccomp:\t2' ]
	# The flag allows speculation, which a filter forbids by itself where there is a choice.
	run ! grep -q 'force mitigated' "$T/out"
	edit '.process.noNewPrivileges = false | del(.process.capabilities) | .process.user = {uid: 5, gid: 5}'
	run_container -- sh -c "syscall $SYNC; grep NoNewPrivs /proc/self/status"
	expect_lines EPERM $'NoNewPrivs:\t0'
}

@test "seccomp: Docker's profile lets ordinary programs run, and no others" {
	with_syscall
	jq --slurpfile d "$BATS_TEST_DIRNAME/../test/data/oci/config/d-cfg-cgp.config.json" \
		'.linux.seccomp = $d[0].linux.seccomp' "$B/config.json" >"$T/new"
	mv "$T/new" "$B/config.json"
	# personality(0) is allowed, 1 is not; clone3 (435) does not exist; reboot is denied, what
	# nobody knew of (9999) does not exist.
	run_container -- sh -c "ls / | grep -c bin; echo x | tr x y; syscall $PERSONALITY 0 / $PERSONALITY 1 / \
		435 / 169 / 9999; mount -t tmpfs x /tmp || echo no mount; syscall i386 20 / 88"
	expect_lines 1 y ok EPERM ENOSYS EPERM ENOSYS 'no mount' ok EPERM
	[ "$code" -eq 0 ]
}

@test "seccomp: what cannot be is refused with its place" {
	refuses() { # JQ-OBJECT MESSAGE
		seccomp "$1"
		run vcrt create --bundle "$B" "$ID" </dev/null
		[ "$status" -eq 1 ] || fail "taken: $1" || return 1
		[[ $output == *"$2"* ]] || fail "'$output' in place of '$2'"
	}
	refuses '{defaultAction: "SCMP_ACT_MAYBE"}' "linux.seccomp.defaultAction: unknown seccomp action"
	refuses '{defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_Z80"]}' 'linux.seccomp.architectures'
	refuses '{defaultAction: "SCMP_ACT_ALLOW", flags: ["SECCOMP_FILTER_FLAG_X"]}' 'linux.seccomp.flags'
	refuses "{defaultAction: \"SCMP_ACT_ALLOW\", syscalls: [$(rule sync ERRNO 'args: [{index: 6, value: 1, op: "SCMP_CMP_EQ"}]')]}" \
		'index: 6 is out of range (0 to 5)'
	refuses "{defaultAction: \"SCMP_ACT_ALLOW\", syscalls: [$(rule sync ERRNO 'args: [{index: 0, value: 1, op: "SCMP_CMP_X"}]')]}" \
		'unknown seccomp operator'
	refuses "{defaultAction: \"SCMP_ACT_ALLOW\", syscalls: [$(rule sync KILL 'errnoRet: 1')]}" 'errnoRet: not possible with action'
	refuses "{defaultAction: \"SCMP_ACT_ALLOW\", syscalls: [$(rule sync NOTIFY)]}" \
		'linux.seccomp: the action SCMP_ACT_NOTIFY is not supported in a VM'
	refuses "{defaultAction: \"SCMP_ACT_ALLOW\", listenerPath: \"/run/seccomp.sock\", syscalls: [$(rule sync NOTIFY)]}" \
		'linux.seccomp.listenerPath: not supported in a VM'
	refuses '{defaultAction: "SCMP_ACT_ALLOW", listenerMetadata: "x"}' 'listenerMetadata: needs listenerPath'
	assert_nothing_left
}
