#!/usr/bin/env bats
# linux.namespaces, hostname, domainname and timeOffsets. The namespaces of a container are the
# guest's; the stand-in on the host has its own of net, ipc and uts where the container does, and of
# pid always.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers

said() { # NAME
	sed -n "s/^$1: //p" "$T/$ID.out"
}

# A container that waits, after what it prints.
start_saying() { # SCRIPT
	start_container "$ID" sh -c "$1; echo end; exec sleep 1000"
	wait_until 60 has_line "$T/$ID.out" end
}

refused() { # MESSAGE
	run_container -- true
	[ "$code" -eq 1 ]
	grep -qF -- "$1" "$T/err"
	assert_nothing_left
}

# Whether the stand-in and this process share a namespace.
is_shared() { # FILE
	[ "$(readlink "/proc/$(pid_of shim "$ID")/ns/$1")" = "$(readlink "/proc/self/ns/$1")" ]
}

@test "namespaces: new ones are the container's alone, inside and on the host" {
	namespaces pid network ipc uts mount cgroup time
	edit '.hostname = "its-name" | .domainname = "its.domain" |
		.linux.timeOffsets = {boottime: {secs: 1000000, nanosecs: 5}, monotonic: {secs: 2000000}}'
	start_saying 'echo "pid: $$"; echo "processes: $(ls -d /proc/[0-9]* | wc -l)"; echo "host: $(hostname)"
		echo "domain: $(cat /proc/sys/kernel/domainname)"; echo "cgroup: $(cat /proc/self/cgroup)"
		echo "uptime: $(cut -d . -f 1 /proc/uptime)"; echo "interfaces: $(ls /sys/class/net)"
		sed "s/  */ /g; s/^/offset: /" /proc/self/timens_offsets'
	[ "$(said pid)" = 1 ]
	[ "$(said processes)" -le 4 ]
	[ "$(said host)" = its-name ]
	[ "$(said domain)" = its.domain ]
	[ "$(said cgroup)" = 0::/ ]
	[ "$(said interfaces)" = lo ]
	[ "$(said offset)" = $'monotonic 2000000 0\nboottime 1000000 5' ]
	[ "$(said uptime)" -ge 1000000 ]
	[ "$(said uptime)" -lt 1100000 ]

	# What is exec'd is in the same ones.
	[ "$(vcrt exec "$ID" sh -c 'hostname; readlink /proc/self/ns/time /proc/self/ns/ipc')" = \
		"$(vcrt exec "$ID" sh -c 'hostname; readlink /proc/1/ns/time /proc/1/ns/ipc')" ]

	run ! is_shared net
	run ! is_shared ipc
	run ! is_shared uts
	run ! is_shared pid
	run ! is_shared mnt
	run ! is_shared cgroup
}

@test "namespaces: without an entry it is the virtual machine's, shared with the agent" {
	namespaces mount network
	edit '.process.capabilities |= map_values(. + ["CAP_SYS_PTRACE"]) | del(.hostname) | .linux.sysctl = {"kernel.domainname": "of.the.vm", "kernel.shmmni": "1234"}'
	start_saying 'echo "pid: $$"; echo "init: $(cat /proc/1/comm)"; echo "cgroup: $(cat /proc/self/cgroup)"
		for n in ipc uts pid cgroup time user; do
			[ "$(readlink /proc/1/ns/$n)" = "$(readlink /proc/self/ns/$n)" ] && echo "shared: $n"; done
		echo "domain: $(cat /proc/sys/kernel/domainname)"; echo "shmmni: $(cat /proc/sys/kernel/shmmni)"
		kill -9 1; echo "agent: $(cat /proc/1/comm)"'
	[ "$(said pid)" -gt 1 ]
	[ "$(said init)" != "$(cat /proc/1/comm)" ]
	[ "$(said agent)" = "$(said init)" ]
	[ "$(said cgroup)" != 0::/ ]
	[ "$(said shared)" = $'ipc\nuts\npid\ncgroup\ntime\nuser' ]
	[ "$(said domain)" = of.the.vm ]
	[ "$(said shmmni)" = 1234 ]

	is_shared ipc
	is_shared uts
	run ! is_shared pid # which would show the host's processes to who looks into it
	run ! is_shared net
	run ! is_shared mnt
	is_shared cgroup
}

@test "namespaces: the network namespace of a path is the stand-in's" {
	needs ip
	ip netns add "$ID"
	namespaces mount pid "network=/run/netns/$ID"
	edit 'del(.hostname)'
	start_saying 'ls /sys/class/net'
	[ "$(stat -L -c %i "/proc/$(pid_of shim "$ID")/ns/net")" = "$(stat -c %i "/run/netns/$ID")" ]
	vcrt delete --force "$ID"
	# It is the caller's, and still there.
	ip netns exec "$ID" true
	ip netns del "$ID"
	assert_nothing_left
}

@test "namespaces: the caller's own by its path is like no entry" {
	namespaces mount network "ipc=/proc/self/ns/ipc" "pid=/proc/self/ns/pid" "cgroup=/proc/self/ns/cgroup"
	edit 'del(.hostname)'
	start_saying 'echo "pid: $$"; echo "cgroup: $(cat /proc/self/cgroup)"'
	[ "$(said pid)" -gt 1 ]
	[ "$(said cgroup)" != 0::/ ]
	is_shared ipc
	run ! is_shared pid
	is_shared cgroup
}

@test "namespaces: what cannot be is refused, without a VM" {
	local type

	needs unshare
	edit 'del(.hostname)'
	namespaces mount "network=/proc/$$/ns/net"
	refused "the host's network cannot be used"
	namespaces mount pid
	refused "linux.namespaces: no network namespace: the host's network cannot be used"
	namespaces mount "network=/proc/self/ns/ipc"
	refused "linux.namespaces: '/proc/self/ns/ipc' is no network namespace"
	namespaces mount "ipc=/no/such/file"
	refused "linux.namespaces: open '/no/such/file': No such file or directory"
	mkfifo "$T/fifo"
	namespaces mount "ipc=$T/fifo"
	refused "linux.namespaces: '$T/fifo' is no ipc namespace"
	namespaces mount "ipc=relative"
	refused 'linux.namespaces[1].path: must be an absolute path, not'

	background unshare --ipc --uts --net sleep 100
	wait_until 10 is_elsewhere $!
	for type in ipc uts; do
		namespaces mount network "$type=/proc/$!/ns/$type"
		run_container -- true
		[ "$code" -eq 1 ]
		grep -qF "linux.namespaces: '/proc/$!/ns/$type' is no $type namespace of a sandbox" "$T/err"
	done
	kill $!
	wait_for 10 $! || true

	namespaces mount pid pid
	refused 'linux.namespaces[2].type: duplicate namespace'
	namespaces mount foo
	refused 'linux.namespaces[1].type: unknown namespace type'
	namespaces pid
	refused 'linux.namespaces: a container without a mount namespace of its own is not supported in a VM'
	namespaces mount
	edit '.linux.timeOffsets = {boottime: {secs: 1}}'
	refused 'linux.timeOffsets: needs a new time namespace'
	namespaces mount time
	edit '.linux.timeOffsets = {boottime: {secs: 1, nanosecs: 1000000000}}'
	refused 'linux.timeOffsets.boottime.nanosecs: 1000000000 is out of range'
	edit 'del(.linux.timeOffsets) | .hostname = "x"'
	refused 'unable to set hostname without a private UTS namespace'
	edit 'del(.hostname) | .domainname = "x"'
	refused 'unable to set domainname without a private UTS namespace'
	edit 'del(.linux)'
	refused 'a container without a mount namespace of its own'
}

is_elsewhere() { # PID
	[ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}

@test "namespaces: a name as long as it may be, and an offset the kernel refuses" {
	local long=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa

	namespaces mount network uts time
	edit --arg n "$long" '.hostname = $n'
	run_container -- hostname
	[ "$(cat "$T/out")" = "$long" ]
	edit --arg n "${long}b" '.hostname = $n'
	refused 'hostname: longer than 64 bytes'

	# Further back than the machine has been running.
	edit '.hostname = "" | .linux.timeOffsets = {boottime: {secs: -1000000}}'
	refused 'linux.timeOffsets'
}
