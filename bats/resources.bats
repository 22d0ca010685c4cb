#!/usr/bin/env bats
# linux.resources: what a container sees of its limits, that they hold, and what the host adds.
# shellcheck disable=SC2016,SC2154 # the guest's shell expands; helpers set the variables
load helpers

resources() { # JQ-OBJECT
	edit ".linux.resources = $1"
}

# Files of the container's cgroup, a line each, as the container sees them.
limits() { # FILE...
	vcrt exec "$ID" sh -c 'cd /sys/fs/cgroup; for f; do echo "$f $(cat "$f")"; done' sh "$@"
}

# The first line of a file of the cgroup on the host, of whichever hierarchy has it; or fail.
host_limit() { # FILE...
	local dir file

	while read -r dir; do
		for file; do
			[ ! -f "$dir/$file" ] || head -n 1 "$dir/$file"
		done
	done < <(jq -r '.vcrt.cgroupDirs[]' "$ROOT/$ID/state.json")
}

# The MAJOR:MINOR of the disk that a path is on.
disk_of() { # PATH
	local device

	device=$(findmnt -n -o MAJ:MIN -T "$1") || return 1
	device=${device// /}
	[ ! -e "/sys/dev/block/$device/partition" ] || device=$(cat "/sys/dev/block/$device/../dev")
	[ -e "/sys/dev/block/$device" ] && echo "$device"
}

refuses() { # JQ-OBJECT MESSAGE
	resources "$1"
	run vcrt create --bundle "$B" "$ID" </dev/null
	[ "$status" -eq 1 ] || fail "taken: $1" || return 1
	[[ $output == *"$2"* ]] || fail "'$output' in place of '$2'"
}

@test "resources: the container sees what it was given, in the words of cgroup version 2" {
	resources '{memory: {limit: 67108864, swap: 100663296, reservation: 33554432, useHierarchy: true,
			checkBeforeUpdate: true},
		cpu: {shares: 512, quota: 40000, period: 80000, burst: 10000, cpus: "0", mems: "0"},
		pids: {limit: 42}, blockIO: {weight: 500},
		hugepageLimits: [{pageSize: "2MB", limit: 4194304}],
		unified: {"memory.high": "62914560", "cpu.weight.nice": "3"}}'
	start_container "$ID" sleep 1000
	diff - <(limits memory.max memory.swap.max memory.low memory.high cpu.max cpu.max.burst cpu.weight.nice \
		cpuset.cpus cpuset.mems pids.max io.weight hugetlb.2MB.max) <<-'END'
		memory.max 67108864
		memory.swap.max 33554432
		memory.low 33554432
		memory.high 62914560
		cpu.max 40000 80000
		cpu.max.burst 10000
		cpu.weight.nice 3
		cpuset.cpus 0
		cpuset.mems 0
		pids.max 42
		io.weight default 4950
		hugetlb.2MB.max 4194304
	END
	[ ! -s "$T/$ID.err" ]
	[ -z "$(warnings_of "$ID")" ]
	vcrt delete --force "$ID"

	resources '{cpu: {idle: 1, shares: 100}, memory: {limit: -1}, pids: {limit: -1}}'
	start_container "$ID" sleep 1000
	[ "$(limits cpu.idle memory.max pids.max)" = $'cpu.idle 1\nmemory.max max\npids.max max' ]
}

@test "resources: limits hold" {
	mount_in tmpfs tmpfs /big size=200m
	resources '{memory: {limit: 33554432, swap: 33554432}, pids: {limit: 8},
		cpu: {quota: 20000, period: 100000}}'
	start_container "$ID" sleep 1000
	# Within the limit; beyond it, the kernel kills what takes it.
	vcrt exec "$ID" dd if=/dev/zero of=/big/file bs=1M count=20
	run vcrt exec "$ID" dd if=/dev/zero of=/big/file bs=1M count=60
	[ "$status" -eq 137 ]
	vcrt exec "$ID" rm -f /big/file
	[ "$(limits memory.events | sed -n 's/^oom_kill //p')" -ge 1 ]
	# Nine more processes are too many.
	run vcrt exec "$ID" sh -c 'for i in 1 2 3 4 5 6 7 8 9; do sleep 100 & done'
	[[ $output == *"can't fork"* ]]
}

@test "resources: a container at its quota is held back" {
	resources '{cpu: {quota: 20000, period: 100000}}'
	start_container "$ID" sh -c 'while :; do :; done'
	is_held_back() {
		vcrt events --stats "$ID" >"$T/stats" &&
			jq -e '.data.cpu.throttling | .throttledPeriods >= 5 and .throttledTime > 0' "$T/stats"
	}
	wait_until 30 is_held_back
}

@test "resources: a device is opened only if a rule allows it" {
	# loop-control, tun and kmsg, which each kernel has; null may always be used, and any node be made.
	mount_in tmpfs tmpfs /nodes
	edit '.linux.devices = [{path: "/dev/k", type: "c", major: 10, minor: 237, fileMode: 438},
		{path: "/dev/p", type: "c", major: 10, minor: 200, fileMode: 438},
		{path: "/dev/x", type: "c", major: 1, minor: 11, fileMode: 438}]
		| (.process.capabilities | .bounding, .effective, .permitted) += ["CAP_MKNOD"]'
	resources '{devices: [{allow: false, access: "rwm"}, {allow: true, type: "c", major: 10, minor: 237, access: "r"},
		{allow: true, type: "c", major: 10, minor: 200, access: "rwm"}, {allow: false, type: "c", major: 10, minor: 200, access: "w"}]}'
	run_container -- sh -c 'mknod /nodes/y c 1 11; mknod /nodes/z c 1 5
		for d in /dev/k /dev/null /dev/p /dev/x /nodes/y /nodes/z; do
			(: <$d) && echo "$d read"
			(: >$d) && echo "$d write"
		done 2>/dev/null; true'
	diff "$T/out" - <<-'END'
		/dev/k read
		/dev/null read
		/dev/null write
		/dev/p read
		/nodes/z read
		/nodes/z write
	END
}

@test "resources: the host holds the sandbox to what it may cost" {
	local limit
	resources '{memory: {limit: 67108864, reservation: 33554432}, pids: {limit: 42},
		cpu: {shares: 512, quota: 40000, period: 80000, cpus: "1"}}'
	[ -d /sys/devices/system/cpu/cpu1 ] || edit '.linux.resources.cpu.cpus = "0"'
	start_container "$ID" sleep 1000
	# The VM's 512 MiB, and what the VMM needs: 256 + 512 / 256 MiB, 256 for emulation.
	limit=$(host_limit memory.limit_in_bytes memory.max)
	[ "$limit" -eq $(((512 + 256 + 2 + 256) << 20)) ] || [ "$limit" -eq $(((512 + 256 + 2) << 20)) ]
	[ "$(host_limit memory.soft_limit_in_bytes memory.low)" -eq 33554432 ]
	[ "$(host_limit pids.max)" -eq $((42 + 256)) ]
	[ "$(host_limit cpu.shares)" = 512 ] || [ "$(host_limit cpu.weight)" = 20 ]
	[ "$(host_limit cpu.cfs_quota_us)" = 40000 ] || [ "$(host_limit cpu.max)" = '40000 80000' ]
	[ "$(host_limit cpuset.cpus)" = "$(jq -r .linux.resources.cpu.cpus "$B/config.json")" ]
	# Of processors, the guest has one, whatever the host's is called.
	[ "$(limits cpuset.cpus)" = 'cpuset.cpus 0' ]
	# Shim, monitor and VMM are in it.
	[ "$(grep -c "/$ID\$" "/proc/$(pid_of vmm "$ID")/cgroup")" -gt 0 ]

	vcrt update --cpu-quota 60000 --pids-limit 50 --memory 800M --memory-swap -1 "$ID"
	# The VM has grown, by four times 128 MiB.
	[ "$(host_limit memory.limit_in_bytes memory.max)" -eq $((limit + (512 << 20) + (2 << 20))) ]
	[ "$(host_limit pids.max)" -eq 306 ]
	[ "$(host_limit cpu.cfs_quota_us)" = 60000 ] || [ "$(host_limit cpu.max)" = '60000 80000' ]
	# What the guest refuses, the host takes back.
	run vcrt update --pids-limit 60 --cpu-quota 70000 --cpu-rt-period 5 "$ID"
	[ "$status" -eq 1 ]
	[ "$(host_limit pids.max)" -eq 306 ]
	[ "$(host_limit cpu.cfs_quota_us)" = 60000 ] || [ "$(host_limit cpu.max)" = '60000 80000' ]
}

@test "resources: a container can use all of a limit that is larger than the configured VM" {
	mount_in tmpfs tmpfs /big size=1000m
	configure memory 256
	resources '{memory: {limit: 419430400}}'
	start_container "$ID" sleep 1000
	vcrt exec "$ID" dd if=/dev/zero of=/big/file bs=1M count=380
	run vcrt exec "$ID" dd if=/dev/zero of=/big/file2 bs=1M count=60
	[ "$status" -eq 137 ]
	# The container's limit ended it, not the want of memory in the VM.
	[ "$(limits memory.events | grep -c 'oom_kill 1$')" -eq 1 ]
	[ "$(status_of "$ID")" = running ]
	vcrt delete --force "$ID"

	configure memory 256 memory_max 384
	start_container "$ID" sh -c 'sed -n "s/^MemTotal: *\([0-9]*\) kB/\1/p" /proc/meminfo; sleep 1000'
	[[ $(warnings_of "$ID") == *'memory.limit: 400 MiB, but the virtual machine has only 384 MiB'* ]]
	wait_until 10 test -s "$T/$ID.out"
	[ "$(cat "$T/$ID.out")" -lt 393216 ]
	[ "$(cat "$T/$ID.out")" -gt 204800 ]
}

@test "resources: limits of a block device hold on the host, where it is" {
	local disk start
	disk=$(disk_of "$B") || cannot_test "the bundle is on no block device"
	disk_limit() { # KEY RATE
		jq -n --arg d "$disk" --arg k "$1" --argjson r "$2" \
			'{($k): [{major: ($d | split(":")[0] | tonumber), minor: ($d | split(":")[1] | tonumber), rate: $r}]}'
	}
	dd if=/dev/urandom of="$B/rootfs/data" bs=1M count=4 conv=fsync
	resources "{blockIO: ($(disk_limit throttleReadBpsDevice 1048576) + $(disk_limit throttleWriteIOPSDevice 5000))}"
	start_container "$ID" sleep 1000
	[[ $(host_limit blkio.throttle.read_bps_device io.max) == "$disk "*1048576* ]]
	# Four MiB at one a second, which are not in the host's memory.
	dd if="$B/rootfs/data" iflag=nocache count=0
	start=$EPOCHREALTIME
	[ "$(vcrt exec "$ID" sha256sum /data)" = "$(sha256sum <"$B/rootfs/data" | sed 's/-$/\/data/')" ]
	echo "4 MiB took from $start to $EPOCHREALTIME"
	[ $((${EPOCHREALTIME/[.,]/} - ${start/[.,]/})) -gt 2500000 ]
	vcrt update -r - "$ID" <<<"{\"blockIO\":$(disk_limit throttleReadBpsDevice 0)}"
	run host_limit blkio.throttle.read_bps_device
	[ -z "$output" ]
	vcrt delete --force "$ID"
	refuses '{blockIO: {throttleReadBpsDevice: [{major: 999, minor: 9, rate: 1}]}}' 'linux.resources.blockIO.throttleReadBpsDevice: '
	assert_nothing_left
}

@test "resources: what has no effect is told, what cannot be is refused" {
	args true
	resources '{memory: {limit: 67108864, kernel: 1000000, kernelTCP: 1000000, disableOOMKiller: true, useHierarchy: false}}'
	run_container
	[ "$code" -eq 0 ]
	grep -q 'Kernel memory settings are ignored' "$T/err"
	grep -q 'memory.disableOOMKiller: not possible with cgroup version 2, ignoring' "$T/err"
	grep -q 'memory.useHierarchy: cgroup version 2 always does, ignoring' "$T/err"

	refuses '{memory: {swap: 5000}}' 'memory.swap: cannot be set without memory.limit'
	refuses '{memory: {limit: 50000, swap: 5000}}' 'memory.swap: must not be less than memory.limit'
	refuses '{memory: {limit: 67108864, swappiness: 101}}' 'swappiness: 101 is out of range (0 to 100)'
	refuses '{cpu: {realtimeRuntime: 1000}}' 'realtimeRuntime, realtimePeriod: not supported with cgroup version 2'
	refuses '{cpu: {idle: 2}}' 'idle: 2 is neither 0 nor 1'
	refuses '{cpu: {cpus: "9999"}}' 'cpu.cpus'
	refuses '{network: {classID: 1048577}}' 'linux.resources.network: not supported with cgroup version 2'
	refuses '{network: {priorities: [{name: "eth0", priority: 5}]}}' 'linux.resources.network: not supported'
	refuses '{blockIO: {leafWeight: 50}}' 'blockIO.leafWeight: not supported'
	refuses '{hugepageLimits: [{pageSize: "3MB", limit: 1}]}' 'hugepageLimits: the guest kernel has no'
	refuses '{rdma: {mlx5_1: {hcaHandles: 3}}}' 'linux.resources.rdma: '
	refuses '{unified: {"memory.nothing": "1"}}' 'linux.resources.unified: '
	refuses '{unified: {"memory.max": "many"}}' 'linux.resources.unified: '
	refuses '{unified: {"../memory.max": "1"}}' 'must be the name of a cgroup file'
	refuses '{devices: [{allow: true, type: "c", access: "x"}]}' 'must consist of r, w and m'
	assert_nothing_left
}
