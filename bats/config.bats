#!/usr/bin/env bats
# What config.json asks for is what the process in the guest has. A VM start is the expensive part:
# each test looks at several things in one.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers

# The value that the container printed under a name: "name: value".
said() { # NAME
	sed -n "s/^$1: //p" "$T/out"
}

@test "config: hostname, environment, directory, user, groups and umask" {
	edit '.hostname = "guest-name" | .domainname = "guest.domain" | .process.cwd = "/usr/bin" |
		.process.env = ["PATH=/bin", "PLAIN=a b", "EMPTY=", "EQUALS=x=y=z", "UTF=ä€"] |
		.process.user = {uid: 1234, gid: 567, additionalGids: [8, 9], umask: 23}'
	run_container -- sh -c 'echo "host: $(hostname)"; echo "domain: $(cat /proc/sys/kernel/domainname)"
		echo "cwd: $(pwd)"; echo "uid: $(id -u)"; echo "gid: $(id -g)"; echo "groups: $(id -G)"
		echo "umask: $(umask)"; env | sort | sed "s/^/env: /"; echo "args: $# $0 $1"' zero 'o n e'
	[ "$code" -eq 0 ]
	[ "$(said host)" = guest-name ]
	[ "$(said domain)" = guest.domain ]
	[ "$(said cwd)" = /usr/bin ]
	[ "$(said uid)" = 1234 ]
	[ "$(said gid)" = 567 ]
	[ "$(said groups)" = '567 8 9' ]
	[ "$(said umask)" = 0027 ]
	[ "$(said env | grep -v -e '^PWD=' -e '^SHLVL=' -e '^HOME=')" = \
		$'EMPTY=\nEQUALS=x=y=z\nPATH=/bin\nPLAIN=a b\nUTF=ä€' ]
	[ "$(said args)" = '1 zero o n e' ]
}

@test "config: a working directory that is missing is made, a file in its place is an error" {
	edit '.process.cwd = "/new/work/dir"'
	run_container -- pwd
	[ "$(cat "$T/out")" = /new/work/dir ]
	edit '.process.cwd = "/etc/passwd"'
	run_container -- pwd
	[ "$code" -eq 1 ]
	grep -q '/etc/passwd' "$T/err"
	assert_nothing_left
}

@test "config: capabilities, no_new_privs, rlimits, oom score" {
	edit '.process.noNewPrivileges = true | .process.oomScoreAdj = 321 |
		.process.capabilities = {bounding: ["CAP_CHOWN", "CAP_KILL", "CAP_SYS_ADMIN"],
			permitted: ["CAP_CHOWN", "CAP_KILL"], effective: ["CAP_CHOWN"],
			inheritable: ["CAP_KILL"], ambient: ["CAP_KILL"]} |
		.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 123, hard: 456},
			{type: "RLIMIT_CORE", soft: 0, hard: 0}, {type: "RLIMIT_NPROC", soft: 60, hard: 61},
			{type: "RLIMIT_STACK", soft: 1048576, hard: 2097152}]'
	run_container -- sh -c 'sed "s/:[ \t]*/: /" /proc/self/status; echo "oom: $(cat /proc/self/oom_score_adj)"
		sed "s/^/limit: /; s/  */ /g" /proc/self/limits'
	[ "$code" -eq 0 ]
	[ "$(said CapBnd)" = "$(printf %016x $((1 << 0 | 1 << 5 | 1 << 21)))" ]
	[ "$(said NoNewPrivs)" = 1 ]
	[ "$(said oom)" = 321 ]
	said limit | grep -q '^Max open files 123 456 '
	said limit | grep -q '^Max core file size 0 0 '
	said limit | grep -q '^Max processes 60 61 '
	said limit | grep -q '^Max stack size 1048576 2097152 '

	# For another user than root execve keeps no more than the ambient ones.
	edit '.process.user = {uid: 1000, gid: 1000}'
	run_container -- sh -c 'sed "s/:[ \t]*/: /" /proc/self/status'
	[ "$(said CapEff)" = "$(printf %016x $((1 << 5)))" ]
	[ "$(said CapPrm)" = "$(printf %016x $((1 << 5)))" ]
	[ "$(said CapAmb)" = "$(printf %016x $((1 << 5)))" ]
	[ "$(said CapInh)" = "$(printf %016x $((1 << 5)))" ]
}

@test "config: masked and read-only paths" {
	mkdir "$B/rootfs/hidden"
	echo secret >"$B/rootfs/hidden/file"
	echo secret >"$B/rootfs/hidden-file"
	echo fixed >"$B/rootfs/fixed"
	edit '.linux.maskedPaths += ["/hidden", "/hidden-file", "/not-there"] |
		.linux.readonlyPaths += ["/fixed", "/etc", "/not-there-either"]'
	run_container -- sh -c 'echo "dir: $(ls -A /hidden | wc -l)"; echo "file: $(wc -c </hidden-file)"
		echo "kcore: $(wc -c </proc/kcore 2>&1)"; echo changed >/fixed; echo changed >/etc/passwd
		echo "fixed: $(cat /fixed)"; echo 1 >/proc/sysrq-trigger; echo x >/proc/sys/kernel/domainname
		touch /hidden/x'
	[ "$(said dir)" = 0 ]
	[ "$(said file)" = 0 ]
	[ "$(said kcore)" = 0 ]
	[ "$(said fixed)" = fixed ]
	[ "$(grep -c 'Read-only file system' "$T/err")" -eq 5 ]
	[ "$(cat "$B/rootfs/fixed")" = fixed ]
	[ ! -e "$B/rootfs/hidden/x" ]
}

@test "config: seccomp refuses the system calls it is told to" {
	edit '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW",
		architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
		syscalls: [{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 38},
			{names: ["sethostname"], action: "SCMP_ACT_KILL_PROCESS"},
			{names: ["kill"], action: "SCMP_ACT_ERRNO",
				args: [{index: 1, value: 10, op: "SCMP_CMP_EQ"}]}]} |
		.process.noNewPrivileges = false |
		.process.capabilities |= map_values(. + ["CAP_SYS_ADMIN"])'
	run_container -- sh -c 'mkdir /dir; kill -USR1 1; kill -USR2 1; hostname new; echo "hostname: $?"
		sed -n "s/^Seccomp:[ \t]*/mode: /p" /proc/self/status'
	grep -q "mkdir: can't create directory '/dir': Function not implemented" "$T/err"
	[ "$(grep -c "can't kill pid" "$T/err")" -eq 1 ]
	[ "$(said hostname)" = 159 ] # SIGSYS
	[ "$(said mode)" = 2 ]
}

@test "config: devices and tmpfs" {
	edit '.linux.devices = [{path: "/dev/mine", type: "c", major: 60, minor: 7, fileMode: 432, uid: 3, gid: 4}] |
		.linux.resources.devices = [{allow: false, access: "rwm"},
			{allow: true, type: "c", major: 60, minor: 7, access: "r"}] |
		.process.capabilities |= map_values(. + ["CAP_DAC_OVERRIDE", "CAP_MKNOD"])'
	mount_in tmpfs tmpfs /scratch nosuid nodev size=3m mode=1731 noexec
	run_container -- sh -c 'for d in null zero full random urandom tty; do test -c /dev/$d && echo "dev: $d"; done
		echo "mine: $(stat -c "%a %u %g %t:%T" /dev/mine)"; cat /dev/mine
		echo x >/dev/mine; echo "null: $(echo x >/dev/null && echo ok)"
		for l in fd stdin ptmx; do echo "link: $(readlink /dev/$l)"; done
		echo "scratch: $(stat -c %a /scratch)"; grep " /scratch " /proc/mounts | sed "s/^/mount: /"
		dd if=/dev/zero of=/scratch/big bs=1M count=9 2>/dev/null; echo "big: $(stat -c %s /scratch/big)"
		mknod /dev/sda b 8 0; cat /dev/sda; echo "shm: $(stat -f -c %T /dev/shm)"'
	[ "$(said dev)" = $'null\nzero\nfull\nrandom\nurandom\ntty' ]
	[ "$(said mine)" = '660 3 4 3c:7' ]
	[ "$(said null)" = ok ]
	[ "$(said link)" = $'/proc/self/fd\n/proc/self/fd/0\npts/ptmx' ]
	[ "$(said scratch)" = 1731 ]
	said mount | grep -q 'tmpfs rw,nosuid,nodev,noexec,.*size=3072k'
	[ "$(said big)" = 3145728 ]
	# No driver has it: what may be opened fails otherwise than what may not.
	grep -q "cat: can't open '/dev/mine': No such device or address" "$T/err"
	grep -q "can't create /dev/mine: Operation not permitted" "$T/err"
	grep -q "cat: can't open '/dev/sda': Operation not permitted" "$T/err"
	[ -z "$(ls -A "$B/rootfs/scratch" 2>/dev/null)" ]
}

@test "config: limits of resources are those of the guest's cgroup" {
	edit '.linux.resources = {memory: {limit: 33554432, reservation: 16777216},
		cpu: {quota: 90000, period: 100000, shares: 512}, pids: {limit: 33}} |
		.linux.namespaces |= map(select(.type != "cgroup")) + [{type: "cgroup"}]'
	run_container -- sh -c 'cd /sys/fs/cgroup; for f in memory.max memory.low cpu.max cpu.weight pids.max; do
			echo "$f: $(cat $f)"; done
		head -c 50000000 /dev/zero | tail >/dev/null; echo "tail: $?"
		grep -c "^oom_kill [1-9]" memory.events | sed "s/^/oom: /"'
	[ "$(said memory.max)" = 33554432 ]
	[ "$(said memory.low)" = 16777216 ]
	[ "$(said cpu.max)" = '90000 100000' ]
	[ "$(said pids.max)" = 33 ]
	[ "$(said cpu.weight)" -gt 0 ]
	[ "$(said cpu.weight)" -lt 100 ]
	[ "$(said tail)" = 137 ]
	[ "$(said oom)" = 1 ]
}

@test "config: the VM is as large as the configuration says" {
	configure memory 300 cpus 2
	run_container -- sh -c 'echo "cpus: $(nproc)"; sed -n "s/MemTotal: *\([0-9]*\) kB/memory: \1/p" /proc/meminfo'
	[ "$(said cpus)" = 2 ]
	[ "$(said memory)" -lt 307200 ]
	[ "$(said memory)" -gt 204800 ]
}

@test "config: keys that are unknown or wrong are named with their line" {
	configure no_such_key 1
	run vcrt run --bundle "$B" "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *no_such_key* && $output == *"line "* ]]
	configure memory '"much"'
	run vcrt run --bundle "$B" "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *memory* && $output == *'expected a number'* ]]
	VCRT_ARGS=(--config "$T/nothing" --root "$ROOT")
	run vcrt run --bundle "$B" "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *"$T/nothing"* ]]
	configure memory 512
}
