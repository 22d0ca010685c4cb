#!/usr/bin/env bats
# A user namespace in the guest: linux.uidMappings and gidMappings.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # the guest's shell expands; tests are subshells
load helpers


said() { # NAME
	sed -n "s/^$1: //p" "$T/$ID.out"
}

# Map IDs: "CONTAINER HOST SIZE"..., for users and groups alike.
map_ids() { # RANGE...
	edit --argjson m "$(jq -n '[$ARGS.positional[] | split(" ") | map(tonumber) |
		{containerID: .[0], hostID: .[1], size: .[2]}]' --args -- "$@")" \
		'.linux.uidMappings = $m | .linux.gidMappings = $m |
		.linux.namespaces |= map(select(.type != "user")) + [{type: "user"}]'
}

refused() { # MESSAGE
	run_container -- true
	[ "$code" -eq 1 ]
	grep -qF -- "$1" "$T/err"
	assert_nothing_left
}

@test "userns: owners inside and on the host, devices, mounts and what is exec'd" {
	map_ids '0 100000 1000' '1000 300000 5000'
	chown -R 100000:100000 "$B/rootfs"
	mkdir "$B/rootfs/data"
	chown 300234:300234 "$B/rootfs/data"
	echo host >"$B/rootfs/foreign"
	edit '.hostname = "inside" | .process.capabilities |= map_values(. + ["CAP_SYS_ADMIN", "CAP_CHOWN",
			"CAP_SETUID", "CAP_SETGID", "CAP_DAC_OVERRIDE", "CAP_FOWNER"]) |
		.linux.sysctl = {"kernel.shmmni": "77", "vm.overcommit_memory": "1", "net.core.somaxconn": "99"} |
		.linux.devices = [{path: "/dev/mine", type: "c", major: 1, minor: 5, fileMode: 384, uid: 1234, gid: 1}]'
	mount_in tmpfs tmpfs /scratch mode=755
	start_container "$ID" sh -c 'sed "s/  */ /g; s/^/map:/" /proc/self/uid_map; echo "id: $(id -u):$(id -g)"
		echo "groups: $(cat /proc/self/gid_map | wc -l)"
		facts() { echo "$1: $(stat -c "%u:%g %a" "$2")"; }
		facts root /; facts data /data; facts foreign /foreign; facts proc /proc/$$; facts scratch /scratch
		facts null /dev/null; facts mine /dev/mine; echo "mine is: $(head -c 2 /dev/mine | tr "\0" z)"
		echo x >/dev/null && echo "null: written"
		touch /made /given; chown 1234:1234 /given; facts given /given
		echo changed >/foreign; echo "foreign is: $(cat /foreign)"
		mkdir /m && mount -t tmpfs none /m && echo "mount: made"; hostname other && echo "host: $(hostname)"
		for s in kernel/shmmni vm/overcommit_memory net/core/somaxconn; do echo "sysctl: $(cat /proc/sys/$s)"; done
		echo 0 >/proc/sys/vm/overcommit_memory; mknod /scratch/node c 1 3; chown 77777 /scratch
		echo end; exec sleep 1000'
	wait_until 60 has_line "$T/$ID.out" end
	# The last one of the other stream.
	wait_until 20 grep -q "chown: /scratch: Invalid argument" "$T/$ID.err"
	cat "$T/$ID.err" >&2
	[ "$(said map)" = $'0 100000 1000\n1000 300000 5000' ]
	[ "$(said id)" = 0:0 ]
	[ "$(said root)" = '0:0 755' ]
	[ "$(said data)" = '1234:1234 755' ]
	[ "$(said foreign)" = '65534:65534 644' ]
	[[ $(said proc) == '0:0 '* ]]
	[ "$(said scratch)" = '0:0 755' ]
	[ "$(said null)" = $'0:0 666\nwritten' ]
	[ "$(said mine)" = '1234:1 600' ]
	[ "$(said 'mine is')" = zz ]
	[ "$(said given)" = '1234:1234 644' ]
	[ "$(said 'foreign is')" = host ]
	[ "$(said mount)" = made ]
	[ "$(said host)" = other ]
	[ "$(said sysctl)" = $'77\n1\n99' ]
	# Not root of the virtual machine: its settings, devices and foreign owners are out of reach.
	grep -q "can't create /foreign: Permission denied" "$T/$ID.err"
	grep -q "can't create /proc/sys/vm/overcommit_memory: \(Read-only file system\|Permission denied\)" "$T/$ID.err"
	grep -q "mknod: /scratch/node: Operation not permitted" "$T/$ID.err"

	[ "$(vcrt exec --user 1234:1234 "$ID" sh -c 'id -u; touch /data/of-1234; readlink /proc/self/ns/user')" = \
		"1234"$'\n'"$(vcrt exec "$ID" readlink /proc/self/ns/user)" ]

	[ "$(stat -c %u:%g "$B/rootfs/made")" = 100000:100000 ]
	[ "$(stat -c %u:%g "$B/rootfs/given")" = 300234:300234 ]
	[ "$(stat -c %u:%g "$B/rootfs/data/of-1234")" = 300234:300234 ]
}

@test "userns: the program's user is one of the namespace, its terminal and streams are its own" {
	map_ids '0 100000 65536'
	edit '.process.user = {uid: 1000, gid: 1000, additionalGids: [5, 65535]}'
	run_container -- sh -c 'id -u; id -G; echo again >/dev/stdout; echo once >/proc/self/fd/1'
	[ "$code" -eq 0 ]
	[ "$(cat "$T/out")" = $'1000\n1000 5 65535\nagain\nonce' ]

	edit '.process.user = {uid: 65536, gid: 1000}'
	run_container -- true
	[ "$code" -eq 1 ]
	grep -q 'process.user.uid: become user 65536: Invalid argument' "$T/err"
	assert_nothing_left
}

@test "userns: mappings that cannot be are refused, without a VM" {
	edit '.linux.namespaces += [{type: "user"}]'
	refused 'linux.uidMappings: ID 0 of the container is not mapped'
	map_ids '1 100000 10'
	refused 'linux.uidMappings: ID 0 of the container is not mapped'
	map_ids '0 100000 0'
	refused 'linux.uidMappings[0].size: must not be 0'
	map_ids '0 100000 10' '5 200000 10'
	refused 'linux.uidMappings[1]: overlaps with [0]'
	map_ids '0 4294967290 10'
	refused 'linux.uidMappings[0].size: 10 leads beyond the last ID'
	map_ids '0 100000 10'
	edit '.linux.gidMappings[0].containerID = -1'
	refused 'linux.gidMappings[0].containerID'
	edit 'del(.linux.gidMappings)'
	refused 'linux.gidMappings: ID 0 of the container is not mapped'
	edit '.linux.namespaces |= map(select(.type != "user"))'
	refused 'linux.uidMappings: needs a new user namespace in namespaces'
}

@test "userns: a sysfs that is bound does not bring the cgroups of the VM along" {
	map_ids '0 0 65536'
	edit '.mounts |= map(select(.type != "cgroup"))'
	run_container -- sh -c 'ls /sys/class/mem; ls -A /sys/fs/cgroup
		echo $$ >/sys/fs/cgroup/cgroup.procs; touch /sys/kernel/x'
	grep -qx random "$T/out"
	! grep -q '^cgroup\.' "$T/out" || false
	grep -q "can't create /sys/fs/cgroup/cgroup.procs" "$T/err"
	grep -q '/sys/kernel/x: Read-only file system' "$T/err"
}

@test "userns: without a cgroup namespace the container sees its own cgroup below a sysfs" {
	map_ids '0 0 65536'
	edit '.linux.namespaces |= map(select(.type != "cgroup")) | .linux.resources.pids.limit = 77'
	run_container -- sh -c 'ls -d /sys/class/mem/random; cat /sys/fs/cgroup/pids.max'
	[ "$code" -eq 0 ]
	[ "$(cat "$T/out")" = '/sys/class/mem/random
77' ]
}

# As with Docker's remapped users and "--network container:OTHER".
@test "userns: one of its own beside the namespaces of another container" {
	local shim
	edit '.hostname = "first"'
	start_container "$ID" sleep 1000
	shim=$(pid_of shim "$ID")
	map_ids '0 100000 65536'
	chown -R 100000:100000 "$B/rootfs"
	namespaces mount pid ipc user "network=/proc/$shim/ns/net" "uts=/proc/$shim/ns/uts"
	edit 'del(.hostname)'
	start_container "$ID-b" sleep 1000
	[ "$(vcrt exec "$ID-b" sh -c 'sed "s/  */ /g; s/^ //" /proc/self/uid_map')" = '0 100000 65536' ]
	[ "$(vcrt exec "$ID-b" hostname)" = first ]
	[ "$(vcrt exec "$ID-b" readlink /proc/self/ns/net)" = "$(vcrt exec "$ID" readlink /proc/self/ns/net)" ]
	[ "$(vcrt exec "$ID-b" readlink /proc/self/ns/pid)" != "$(vcrt exec "$ID" readlink /proc/self/ns/pid)" ]
	# What is the other's belongs to nobody of its own, and the agent is where it was.
	run ! vcrt exec --cap CAP_SYS_ADMIN "$ID-b" hostname second
	vcrt delete --force "$ID-b"
	[ "$(vcrt exec "$ID" hostname)" = first ]
}
