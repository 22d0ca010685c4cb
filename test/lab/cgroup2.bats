#!/usr/bin/env bats
# A host with cgroup version 2 alone.
bats_require_minimum_version 1.5.0
load mock

@test "cgroup2: limits are those of the whole sandbox, update changes them, delete removes all" {
	local dir=/sys/fs/cgroup/$ID-parent/leaf

	mkdir "/sys/fs/cgroup/$ID-parent" # without controllers, as its own parent
	create_in "$ID" "/$ID-parent/leaf" "$LIMITS"
	assert_processes "$dir" "$ID"
	assert_files "$dir" pids.max=306 cpu.weight=20 'cpu.max=50000 100000' cpuset.cpus=0 \
		memory.low=52428800
	[ "$(cat "$dir/memory.max")" -gt $((512 << 20)) ]
	[ "$(cat "$dir/memory.current")" -gt 0 ]

	vcrt start "$ID"
	vcrt update --pids-limit 70 --cpu-quota 70000 "$ID"
	assert_files "$dir" pids.max=326 'cpu.max=70000 100000' cpu.weight=20
	vcrt delete --force "$ID"
	[ ! -e "$dir" ]
	rmdir "/sys/fs/cgroup/$ID-parent"
	assert_nothing_left
}

# No cgroup with processes may have children with controllers.
@test "cgroup2: a relative path is beside the caller's own cgroup, and has its limits" {
	mkdir -p "/sys/fs/cgroup/$ID-outer/caller"
	(
		echo "$BASHPID" >"/sys/fs/cgroup/$ID-outer/caller/cgroup.procs"
		create_in "$ID" "$ID-leaf" "$LIMITS"
	)
	assert_processes "/sys/fs/cgroup/$ID-outer/$ID-leaf" "$ID"
	assert_files "/sys/fs/cgroup/$ID-outer/$ID-leaf" pids.max=306
	vcrt delete --force "$ID"
	rmdir "/sys/fs/cgroup/$ID-outer/caller" "/sys/fs/cgroup/$ID-outer"
	assert_nothing_left
}

@test "cgroup2: a cgroup that takes no processes, and a frozen one, are refused" {
	mkdir -p "/sys/fs/cgroup/$ID-inner/child"
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control
	echo +memory >"/sys/fs/cgroup/$ID-inner/cgroup.subtree_control"
	run -1 create_in "$ID" "/$ID-inner" ''
	[[ $output == *"join the cgroup '/sys/fs/cgroup/$ID-inner'"* ]]
	echo 1 >"/sys/fs/cgroup/$ID-inner/cgroup.freeze"
	run -1 create_in "$ID" "/$ID-inner/child/leaf" ''
	[[ $output == *"container's cgroup unexpectedly frozen"* ]]
	rmdir "/sys/fs/cgroup/$ID-inner/child" "/sys/fs/cgroup/$ID-inner"
	assert_nothing_left
}

@test "cgroup2: what unit tests say of cgroups holds" {
	local name

	for name in lib_cgroup lib_cgroup_limits; do
		"$(dirname "$VCRT")/../test/test_$name"
	done
}
