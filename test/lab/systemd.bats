#!/usr/bin/env bats
# --systemd-cgroup, with systemd as PID 1: in its own hierarchy (cgroup version 2), or in those of
# version 1.
bats_require_minimum_version 1.5.0
load mock

if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	cgroups=/sys/fs/cgroup
	memory=/sys/fs/cgroup
	memory_limit=MemoryMax
	weight='CPUWeight=20'
	weight_files=(cpu.weight=20 'cpu.max=50000 100000' memory.low=52428800)
	memory_file=memory.max
else
	cgroups=/sys/fs/cgroup/pids
	memory=/sys/fs/cgroup/memory
	memory_limit=MemoryLimit
	weight='CPUShares=512'
	weight_files=()
	memory_file=memory.limit_in_bytes
fi

assert_properties() { # UNIT NAME=VALUE...
	local names

	printf -v names '%s,' "${@/%=*/}"
	diff <(systemctl show -p "${names#*,}" "$1" | sort) <(printf '%s\n' "${@:2}" | sort)
}

is_unloaded() { # UNIT
	[ "$(systemctl show -p LoadState --value "$1")" = not-found ]
}

@test "systemd: a container is in a scope with its limits, which update changes and delete removes" {
	local unit=x-$ID.scope dir=lab.slice/lab-sub.slice/x-$ID.scope

	annotations='"org.systemd.property.TimeoutStopSec": "7", "org.systemd.property.KillSignal": "10"' \
		create_in "$ID" "lab-sub.slice:x:$ID" "$LIMITS" --systemd-cgroup
	assert_processes "$cgroups/$dir" "$ID"
	assert_processes "$memory/$dir" "$ID"
	assert_properties "$unit" ActiveState=active Slice=lab-sub.slice "ControlGroup=/$dir" Delegate=yes \
		DefaultDependencies=no "Description=vcrt container $ID" TasksMax=306 "$weight" \
		CPUQuotaPerSecUSec=500ms CPUQuotaPeriodUSec=100ms AllowedCPUs=0 TimeoutStopUSec=7s KillSignal=10 \
		MemoryAccounting=yes "$memory_limit=$(cat "$memory/$dir/$memory_file")"
	assert_files "$cgroups/$dir" pids.max=306 "${weight_files[@]}"
	[ "$(cat "$memory/$dir/$memory_file")" -gt $((512 << 20)) ]

	vcrt start "$ID"
	vcrt update --pids-limit 70 --cpu-quota 70000 "$ID"
	assert_properties "$unit" TasksMax=326 CPUQuotaPerSecUSec=700ms CPUQuotaPeriodUSec=100ms "$weight"
	# From here on systemd writes what it knows.
	systemctl daemon-reload
	systemctl set-property --runtime "$unit" MemoryAccounting=yes
	assert_files "$cgroups/$dir" pids.max=326

	vcrt delete --force "$ID"
	is_unloaded "$unit"
	assert_nothing_left
}

@test "systemd: without a path the scope has the id in system.slice; its end is the container's" {
	local unit=vcrt-$ID.scope

	create_in "$ID" '' '' --systemd-cgroup
	assert_processes "$cgroups/system.slice/$unit" "$ID"
	systemctl stop "$unit"
	[ "$(status_of "$ID")" = stopped ]
	vcrt delete "$ID"
	is_unloaded "$unit"
	assert_nothing_left
}

@test "systemd: a scope that is in use is refused and left alone, what a failed one left is replaced" {
	local unit=x-$ID.scope shim

	create_in "$ID" "lab.slice:x:$ID" '' --systemd-cgroup
	shim=$(pid_of shim "$ID")
	run -1 create_in "$ID-2" "lab.slice:x:$ID" '' --systemd-cgroup
	[[ $output == *"unable to apply cgroup configuration: start the unit '$unit': Unit $unit "* ]]
	[ ! -e "$ROOT/$ID-2" ]
	[ "$(status_of "$ID")" = created ]
	is_gone "$shim" && fail 'the first one has ended'
	vcrt delete "$ID"
	assert_nothing_left

	systemd-run --quiet --scope --unit="$unit" -p RuntimeMaxSec=1 sleep 1000 || true
	wait_until 60 assert_properties "$unit" ActiveState=failed
	create_in "$ID" "lab.slice:x:$ID" '' --systemd-cgroup
	assert_properties "$unit" ActiveState=active
	vcrt delete "$ID"
	is_unloaded "$unit"
	assert_nothing_left
}

@test "systemd: a property that it refuses, and a create that fails later, leave nothing" {
	run -1 create_in "$ID" "lab.slice:x:$ID" '"cpu": {"mems": "7"}' --systemd-cgroup
	[[ $output == *'linux.resources.cpu.mems'* ]]
	is_unloaded "x-$ID.scope"
	assert_nothing_left
	annotations='"org.systemd.property.NoSuchThing": "true"' run -1 create_in "$ID" "lab.slice:x:$ID" '' --systemd-cgroup
	[[ $output == *"unable to apply cgroup configuration: start the unit 'x-$ID.scope': "*NoSuchThing* ]]
	hooks='"prestart": [{"path": "/bin/false"}]' run -1 create_in "$ID" "lab.slice:x:$ID" '' --systemd-cgroup
	[[ $output == *hook* ]]
	is_unloaded "x-$ID.scope"
	assert_nothing_left
}

@test "systemd: a container whose monitor was killed is deleted with its scope" {
	create_in "$ID" "lab.slice:x:$ID" '' --systemd-cgroup
	kill -9 "$(pid_of monitor "$ID")"
	vcrt delete --force "$ID"
	is_unloaded "x-$ID.scope"
	assert_nothing_left
}

@test "systemd: each container of a pod has a scope; the VM goes on in that of the other" {
	local type=io.kubernetes.cri.container-type

	annotations="\"$type\": \"sandbox\", \"io.kubernetes.cri.sandbox-id\": \"$ID\"" \
		create_in "$ID" "lab.slice:x:$ID" '' --systemd-cgroup
	annotations="\"$type\": \"container\", \"io.kubernetes.cri.sandbox-id\": \"$ID\"" \
		create_in "$ID-2" "lab.slice:x:$ID-2" '' --systemd-cgroup
	assert_processes "$cgroups/lab.slice/x-$ID.scope" "$ID"
	[ "$(<"$cgroups/lab.slice/x-$ID-2.scope/cgroup.procs")" = "$(pid_of shim "$ID-2")" ]
	vcrt delete --force "$ID"
	is_unloaded "x-$ID.scope"
	assert_processes "$cgroups/lab.slice/x-$ID-2.scope" "$ID-2"
	vcrt delete --force "$ID-2"
	is_unloaded "x-$ID-2.scope"
	assert_nothing_left
}
