#!/usr/bin/env bats
# linux.cgroupsPath and the cgroup namespace: which cgroup it is on the host, and which in the guest.
# shellcheck disable=SC2016,SC2030,SC2031 # the guest's shell expands; every test is a subshell
load helpers

# A container that says which cgroup it is in, without and with a cgroup namespace of its own.
start_in() { # CGROUPSPATH [NAMESPACE]
	edit --arg p "$1" --arg n "${2:-}" '.linux.cgroupsPath = $p | .linux.namespaces |=
		map(select(.type != "cgroup")) + (if $n == "" then [] else [{type: $n}] end)'
	start_container "$ID" sh -c 'cat /proc/self/cgroup; ls -A /sys/fs/cgroup | sed "s/^/file: /"
		echo end; sleep 1000'
	wait_until 60 has_line "$T/$ID.out" end
}

# Every process of the container on the host is at these paths, and nowhere else.
assert_cgroups() { # LINES-OF-/proc/PID/cgroup
	local name

	for name in shim monitor vmm; do
		diff <(echo "$1") "/proc/$(pid_of "$name" "$ID")/cgroup" >&2 ||
			fail "the $name is elsewhere" || return 1
	done
}

# What /proc/PID/cgroup says of a cgroup below our own: of version 2 alone, beside our own.
below_own() { # PATH
	if [ "$(wc -l </proc/self/cgroup)" = 1 ]; then
		sed "s|/[^/]*\$|/$1|" /proc/self/cgroup
	else
		sed "s|:/\$|:|; s|\$|/$1|" /proc/self/cgroup
	fi
}

@test "cgroups: an absolute path is below the root of each hierarchy, on the host and in the guest" {
	start_in "/$ID-parent/./x//leaf"
	assert_cgroups "$(sed "s|:[^:]*\$|:/$ID-parent/x/leaf|" /proc/self/cgroup)"
	[ "$(head -n 1 "$T/$ID.out")" = "0::/$ID-parent/x/leaf" ]

	# So is what is exec'd.
	[ "$(vcrt exec "$ID" cat /proc/self/cgroup)" = "0::/$ID-parent/x/leaf" ]
	vcrt delete --force "$ID"
	assert_nothing_left
}

@test "cgroups: a relative path is below the caller's own cgroup, one with dots does not lead out" {
	start_in "../../$ID-parent/y/../leaf"
	assert_cgroups "$(below_own "$ID-parent/leaf")"
	[ "$(head -n 1 "$T/$ID.out")" = "0::/$ID-parent/leaf" ]
	vcrt delete --force "$ID"
	assert_nothing_left
}

@test "cgroups: without a path the id is the name; a namespace hides it and shows its own files" {
	start_in '' cgroup
	assert_cgroups "$(below_own "$ID")"
	[ "$(head -n 1 "$T/$ID.out")" = 0::/ ]
	has_line "$T/$ID.out" 'file: memory.max' # the root of a hierarchy has none
	[ "$(vcrt exec "$ID" cat /proc/self/cgroup)" = 0::/ ]
	vcrt delete --force "$ID"
	assert_nothing_left
}

@test "cgroups: a container does not go into a frozen cgroup, and is warned of one with processes" {
	local dir=/sys/fs/cgroup file=cgroup.freeze value=1 back=0

	if [ -e /sys/fs/cgroup/freezer ]; then
		dir=/sys/fs/cgroup/freezer file=freezer.state value=FROZEN back=THAWED
	fi
	mkdir "$dir/$ID-parent"
	echo "$value" >"$dir/$ID-parent/$file"
	edit --arg p "/$ID-parent/leaf" '.linux.cgroupsPath = $p'
	run -1 vcrt run --bundle "$B" "$ID"
	echo "$back" >"$dir/$ID-parent/$file"
	rmdir "$dir/$ID-parent"
	[[ $output == *"container's cgroup unexpectedly frozen"* ]]
	assert_nothing_left

	start_container "$ID" sleep 1000
	# A rule with a letter that is no access, as callers have them.
	edit '.linux.resources.devices = [{allow: true, access: "rwm"},
		{allow: false, type: "c", major: 1, minor: 11, access: "rwa"}]'
	edit '.linux.devices = [{path: "/dev/kmsg", type: "c", major: 1, minor: 11}]'
	args sh -c '! echo x >/dev/kmsg'
	run -0 vcrt run --bundle "$B" "$ID-2"
	[[ $output == *"'a' is none of r, w and m, ignoring"* ]]
	[[ $output == *'/dev/kmsg: Operation not permitted'* ]]
	[[ $output == *'level=warning'*"container's cgroup is not empty: 3 process(es) found"* ]]
	vcrt delete --force "$ID"
	assert_nothing_left
}

@test "cgroups: one that is mounted writable belongs to the user of the program, who can divide it" {
	edit '.linux.namespaces |= map(select(.type != "cgroup")) + [{type: "cgroup"}] |
		(.mounts[] | select(.type == "cgroup")).options -= ["ro"] |
		.process.user = {uid: 1000, gid: 1000} | .linux.resources.memory.limit = 67108864'
	start_container "$ID" sh -c 'cd /sys/fs/cgroup; stat -c "%u %n" . cgroup.procs memory.max
		mkdir sub && echo $$ >sub/cgroup.procs && echo +pids >cgroup.subtree_control
		echo 7 >sub/pids.max && cat sub/pids.max /proc/self/cgroup; echo max >memory.max || echo kept
		echo end; exec sleep 1000'
	wait_until 60 has_line "$T/$ID.out" end
	[ "$(cat "$T/$ID.out")" = $'1000 .\n1000 cgroup.procs\n0 memory.max\n7\n0::/sub\nkept\nend' ]
	[ "$(vcrt exec "$ID" cat /proc/self/cgroup)" = 0::/sub ]
	vcrt delete --force "$ID"
	assert_nothing_left

	# Root of a user namespace; read-only the cgroup stays the agent's.
	edit '.linux.uidMappings = [{containerID: 0, hostID: 100000, size: 2000}] |
		.linux.gidMappings = .linux.uidMappings | .linux.namespaces += [{type: "user"}] | .process.user.uid = 0'
	run_container -- stat -c %u /sys/fs/cgroup /sys/fs/cgroup/memory.max
	[ "$(cat "$T/out")" = $'0\n65534' ]
	edit '(.mounts[] | select(.type == "cgroup")).options += ["ro"]'
	run_container -- stat -c %u /sys/fs/cgroup
	[ "$(cat "$T/out")" = 65534 ]
}

# With a systemd: test/lab.
@test "cgroups: without systemd its cgroups are refused, and nothing is left" {
	edit --arg p "$ID-sub.slice:x:$ID" '.linux.cgroupsPath = $p |
		.linux.namespaces |= map(select(.type != "cgroup"))'
	if [ ! -d /run/systemd/system ]; then
		run -1 vcrt --systemd-cgroup run --bundle "$B" "$ID"
		[[ $output == *'systemd not running on this host, cannot use systemd cgroups manager'* ]]
		assert_nothing_left
	fi

	# A systemd whose bus is gone.
	run_beside_systemd() {
		unshare --mount sh -c 'mount -t tmpfs none /run && mkdir -p /run/systemd/system && exec "$@"' \
			sh "$VCRT" "${VCRT_ARGS[@]}" --systemd-cgroup run --bundle "$B" "$ID" </dev/null
	}
	run -1 run_beside_systemd
	[[ $output == *'unable to apply cgroup configuration: connect to the system bus: no such file or directory'* ]]
	assert_nothing_left

	edit --arg p "$ID" '.linux.cgroupsPath = $p'
	run -1 run_beside_systemd
	[[ $output == *"expected cgroupsPath to be of format"*"slice:prefix:name"*"$ID"* ]]
	assert_nothing_left
}
