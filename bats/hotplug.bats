#!/usr/bin/env bats
# A virtual machine grows for its containers: from the size of the template, and while it runs.
# shellcheck disable=SC2030,SC2031,SC2154 # tests are subshells
load helpers

mib_of() { # ID
	vcrt exec "$1" awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo
}

# As published.
vm_of() { # ID: MiB and CPUs
	jq -r '"\(.vcrt.vmMemory / 1048576) \(.vcrt.vmCpus)"' "$ROOT/$1/state.json"
}

is_clone() { # ID
	tr '\0' '\n' <"/proc/$(pid_of vmm "$1")/cmdline" | grep -qx defer
}

# Unless all VMs of this run boot.
assert_is_clone() { # ID
	[ -z "${VCRT_TEMPLATE:-}" ] || is_clone "$1"
}

# Write so many MiB into a tmpfs, where they stay, and say how many arrived.
fill() { # ID MIB
	vcrt exec "$1" sh -c 'dd if=/dev/zero of=/big/file bs=1M count='"$2"' 2>/dev/null; du -m /big/file | cut -f 1'
}

host_memory_limit() { # ID
	local dir

	while read -r dir; do
		cat "$dir/memory.limit_in_bytes" "$dir/memory.max" 2>/dev/null || true
	done < <(jq -r '.vcrt.cgroupDirs[]' "$ROOT/$1/state.json")
}

# For a VM of so many MiB.
assert_room() { # ID MIB
	[ "$(host_memory_limit "$1")" -eq $((($2 + 256 + $2 / 256 + 256) << 20)) ] ||
		[ "$(host_memory_limit "$1")" -eq $((($2 + 256 + $2 / 256) << 20)) ]
}

# Two endless loops keep two processors busy, for half a second each.
assert_two_at_once() { # ID
	vcrt exec "$1" sh -c 'ticks() { awk "/^cpu$1 / { print \$2 }" /proc/stat; }
		a=$(ticks 0) b=$(ticks 1) i=0
		while :; do :; done & one=$!
		while :; do :; done & two=$!
		until [ $(($(ticks 0) - a)) -ge 50 ] && [ $(($(ticks 1) - b)) -ge 50 ] || [ $i -ge 60 ]; do
			sleep 1
			i=$((i + 1))
		done
		kill $one $two
		[ $i -lt 60 ]'
}

limits() { # MIB MICROSECONDS-OF-100000
	edit ".linux.resources = {memory: {limit: ($1 * 1048576)}, cpu: {quota: $2, period: 100000}}"
}

@test "hotplug: a container whose limits are larger than the template has all that they allow" {
	configure memory 512 cpus_max 2
	mount_in tmpfs tmpfs /big size=1000m
	limits 700 150000
	start_container "$ID" sleep 1000
	assert_is_clone "$ID"
	[ "$(vcrt exec "$ID" nproc)" -eq 2 ]
	# 700 + 11 + 128 MiB, in steps of 128
	[ "$(vm_of "$ID")" = '896 2' ]
	[ "$(mib_of "$ID")" -ge 800 ]
	[ "$(fill "$ID" 600)" -eq 600 ]
	assert_two_at_once "$ID"
	assert_room "$ID" 896
	# The limit holds, which is less than there is.
	run vcrt exec "$ID" dd if=/dev/zero of=/big/more bs=1M count=200
	[ "$status" -eq 137 ]
}

@test "hotplug: update lets a running machine grow, up to the maximum, with one warning" {
	configure memory 512 memory_max 1024 cpus_max 2
	mount_in tmpfs tmpfs /big size=1000m
	limits 100 50000
	start_container "$ID" sleep 1000
	[ "$(vm_of "$ID")" = '512 1' ]
	assert_room "$ID" 512
	[ "$(vcrt exec "$ID" nproc)" -eq 1 ]

	vcrt update --memory 700M --cpu-quota 200000 "$ID" 2>"$T/warnings"
	[ ! -s "$T/warnings" ]
	[ "$(vm_of "$ID")" = '896 2' ]
	assert_room "$ID" 896
	[ "$(vcrt exec "$ID" nproc)" -eq 2 ]
	[ "$(vcrt exec "$ID" cat /sys/fs/cgroup/memory.max)" -eq $((700 << 20)) ]
	[ "$(fill "$ID" 600)" -eq 600 ]
	vcrt exec "$ID" rm /big/file
	# It stays as large as it is.
	vcrt update --memory 64M "$ID"
	[ "$(vm_of "$ID")" = '896 2' ]

	vcrt update --memory 8192M "$ID" 2>"$T/warnings"
	[ "$(grep -c level=warning "$T/warnings")" -eq 1 ]
	grep -q 'memory.limit: 8192 MiB, but the virtual machine has only 1024 MiB, ignoring' "$T/warnings"
	[ "$(vm_of "$ID")" = '1024 2' ]
	[ "$(vcrt exec "$ID" cat /sys/fs/cgroup/memory.max)" -eq $((8192 << 20)) ]
	[ "$(mib_of "$ID")" -gt 900 ]
}

@test "hotplug: the limits of a pod's containers add up, and those that are gone do not count" {
	configure memory 512 memory_max 1152 cpus_max 2
	limits 300 60000
	start_container "$ID" sleep 1000
	[ "$(vm_of "$ID")" = '512 1' ]
	edit --arg id "$ID" '.annotations = {"io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": $id}'
	limits 300 60000
	start_container "$ID-b" sleep 1000
	# 600 + 10 + 128 MiB; 1.2 processors
	[ "$(vm_of "$ID-b")" = '768 2' ]
	[ "$(vm_of "$ID")" = '768 2' ]
	[ "$(mib_of "$ID")" -gt 700 ]
	[ "$(vcrt exec "$ID" nproc)" -eq 2 ]
	assert_room "$ID" 768
	assert_room "$ID-b" 768
	vcrt delete --force "$ID-b"
	start_container "$ID-c" sleep 1000
	[ "$(vm_of "$ID")" = '768 2' ]
	assert_room "$ID-c" 768
	# The next one does not fit; what it needs comes to all that there can be.
	limits 800 60000
	start_container "$ID-d" sleep 1000
	[ "$(vm_of "$ID")" = '1152 2' ]
	assert_room "$ID" 1152
	assert_room "$ID-d" 1152
	grep -h "containers' memory limits add up to 1400 MiB, but the virtual machine cannot have more than 1152 MiB" \
		"$T/$ID-d.err" "$RUN/$ID"-*/monitor.log
	# The first one may go: where the machine is charged to then, there is room.
	vcrt delete --force "$ID"
	[ "$(vcrt exec "$ID-d" nproc)" -eq 2 ]
}

@test "hotplug: what the host does not give is an error, and changes nothing" {
	local vmm size
	needs prlimit
	configure memory 512
	limits 100 50000
	start_container "$ID" sleep 1000
	vmm=$(pid_of vmm "$ID")
	size=$(awk '/^VmSize:/ { print $2 * 1024 }' "/proc/$vmm/status")
	prlimit --pid "$vmm" --as=$((size + 67108864)):unlimited
	run vcrt update --memory 700M "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *'let the virtual machine grow: add 384 MiB of memory to the VM: '*'Cannot allocate memory'* ]]
	[ "$(vm_of "$ID")" = '512 1' ]
	assert_room "$ID" 512
	[ "$(vcrt exec "$ID" cat /sys/fs/cgroup/memory.max)" -eq $((100 << 20)) ]

	edit --arg id "$ID" '.annotations = {"io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": $id}'
	limits 700 50000
	run vcrt run -d --bundle "$B" "$ID-b" </dev/null
	[ "$status" -eq 1 ]
	[[ $output == *'let the virtual machine grow: add 512 MiB of memory to the VM: '*'Cannot allocate memory'* ]]
	[ ! -e "$ROOT/$ID-b" ]
	[ "$(vm_of "$ID")" = '512 1' ]
	prlimit --pid "$vmm" --as=unlimited:unlimited
	vcrt update --memory 700M "$ID"
	[ "$(vm_of "$ID")" = '896 1' ]
	assert_room "$ID" 896
	[ "$(mib_of "$ID")" -gt 800 ]
}

@test "hotplug: what the guest does not take is an error, and changes nothing" {
	configure memory 512 cpus_max 2 kernel_params '"nr_cpus=1"'
	limits 100 50000
	start_container "$ID-1" sleep 1000
	run vcrt update --memory 700M --cpu-quota 200000 "$ID-1"
	[ "$status" -eq 1 ]
	[[ $output == *'let the virtual machine grow: the guest has '*' MiB of the '*' MiB that were added, and 1 of 2 CPUs, after 30 seconds'* ]]
	# The VMM has the memory now, though, and room for it.
	[ "$(vm_of "$ID-1")" = '896 2' ]
	assert_room "$ID-1" 896
	[ "$(vcrt exec "$ID-1" cat /sys/fs/cgroup/memory.max)" -eq $((100 << 20)) ]
	[ "$(status_of "$ID-1")" = running ]
	vcrt delete --force "$ID-1"
	assert_nothing_left
}
