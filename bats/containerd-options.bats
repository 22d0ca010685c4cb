#!/usr/bin/env bats
# Debian's containerd with ctr: options of containers, file systems, many at a time, restarts.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers
load clients
load containerd

setup_file() {
	containerd_setup_file
}

teardown_file() {
	containerd_teardown_file
}

@test "containerd: options of a container reach it" {
	mkdir -p host
	echo fromhost >host/file
	echo '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"],
		"action": "SCMP_ACT_ERRNO"}]}' >seccomp.json
	echo B=file >variables
	run run_in "$V2" --rm --read-only --env A=b --env-file variables --cwd /root --pid-file pid \
		--mount "type=bind,src=$T/host,dst=/mnt,options=rbind:ro" \
		--mount type=tmpfs,src=tmpfs,dst=/scratch,options=size=1m \
		--mount type=cgroup,src=cgroup,dst=/sys/fs/cgroup,options=ro \
		--cap-add CAP_NET_ADMIN --cap-drop CAP_CHOWN --device /dev/fuse --memory-limit 104857600 \
		--cpus 0.5 --cpu-shares 2048 --seccomp --seccomp-profile seccomp.json --allow-new-privs \
		--rootfs-propagation shared "$IMAGE" c sh -c '
		echo $FROM $A $B; pwd; cat /mnt/file; df -k /scratch | awk "NR == 2 { print \$2 }"
		cd /sys/fs/cgroup; cat memory.max cpu.max cpu.weight
		grep -E "^(CapEff|NoNewPrivs|Seccomp):" /proc/self/status | cut -f 2; ulimit -n
		ls -l /dev/fuse | tr -s " " | cut -d " " -f 5-6
		awk "\$5 == \"/\" { print \$7 }" /proc/self/mountinfo | cut -d : -f 1
		touch /x; touch /mnt/x; mkdir /scratch/x; exit 3'
	echo "$output" >&2
	[ "$status" -eq 3 ]
	diff - <(echo "$output") <<-END
		image b file
		/root
		fromhost
		1024
		104857600
		50000 100000
		79
		00000000a80435fa
		0
		2
		1024
		10, 229
		shared
		touch: /x: Read-only file system
		touch: /mnt/x: Read-only file system
		mkdir: can't create directory '/scratch/x': Operation not permitted
	END
	grep -q '^[0-9][0-9]*$' pid
}

@test "containerd: a privileged container, one with ID mappings, one in directories of its own" {
	run run_in "$V2" --rm --privileged --runc-root "$T/root" "$IMAGE" c \
		sh -c 'grep CapEff /proc/self/status; [ -c /dev/kmsg ] && mount -t tmpfs none /tmp && ls /proc/acpi'
	echo "$output" >&2
	[ "$status" -eq 0 ]
	[ -d "$T/root/$ID" ]
	run -0 run_in "$V2" --rm --uidmap 0:100000:65536 --gidmap 0:100000:65536 \
		"$IMAGE" c cat /proc/self/uid_map
	[[ $output =~ ^\ +0\ +100000\ +65536$ ]]
	[ -z "$(ls "$T/root/$ID")" ]
}

@test "containerd: what cannot be is refused, by name" {
	run run_in "$V2" --rm --rdt-class x "$IMAGE" c true
	[ "$status" -eq 1 ]
	[[ $output == *'linux.intelRdt'* ]]
	run run_in "$V2" --rm --net-host "$IMAGE" c true
	echo "$output" >&2
	[ "$status" -eq 1 ]
	[[ $output == *"network"* ]]
	[ ! -d /run/systemd/system ] || return 0
	run run_in "$V2" --rm --runc-systemd-cgroup --cgroup "system.slice:$ID:c" "$IMAGE" c true
	[ "$status" -eq 1 ]
	[[ $output == *'systemd not running on this host, cannot use systemd cgroups manager'* ]]
}

@test "containerd: snapshots of overlayfs and native, and their files on the host" {
	local snapshotter rootfs

	ctr_ images import --snapshotter native "$T/image.tar" >/dev/null
	for snapshotter in overlayfs native; do
		run_in "$V2" -d --snapshotter "$snapshotter" "$IMAGE" c sh -c 'echo inside >/inside; exec sleep 1000'
		rootfs=$(echo "$T"/state/*/"$ID"/c/rootfs)
		wait_until 30 has_line "$rootfs/inside" inside
		echo outside >"$rootfs/outside"
		[ "$(exec_out c cat /outside)" = outside ]
		ctr_ task kill -s KILL c
		wait_until 30 is_task c STOPPED
		# The shim unmounts it.
		[ "$(exit_of c)" = 137 ]
		[ ! -e "$rootfs" ]
	done
	run ! grep -i busy "$T/containerd.log"
}

@test "containerd: ten containers at a time" {
	local i code
	local -a pids=()

	# The guests share the host's processors, so each may take its time.
	CLIENT_LIMIT=300
	configure boot_timeout 240 request_timeout 120 memory 512
	for i in {0..9}; do
		CGROUP=c$i background run_in "$V2" --rm "$IMAGE" "c$i" sh -c "echo $i; exit $i" >"out.$i"
		pids+=("$!")
	done
	for i in {0..9}; do
		code=0
		wait_for 300 "${pids[i]}" || code=$?
		[ "$code" -eq "$i" ]
		[ "$(cat "out.$i")" = "$i" ]
	done
	configure memory 512
}

@test "containerd: containers go on while it restarts, with each shim" {
	local shim

	for shim in "$V2" "$V1" "$LINUX"; do
		CGROUP=${shim##*.} run_in "$shim" -d "$IMAGE" "${shim##*.}" sh -c 'trap "exit 4" TERM
			while :; do sleep 0.2; done'
		ctr_ task ls | grep RUNNING | sort >before
	done
	stop_daemon containerd
	start_containerd
	engine_pids >"$T/engine"
	ctr_ task ls | grep RUNNING | sort | diff before -
	[ "$(wc -l <before)" -eq 3 ]
	for shim in v2 v1 linux; do
		run exec_out "$shim" sh -c 'echo out; exit 5'
		[ "$status" -eq 5 ]
		[ "$output" = out ]
		ctr_ task kill "$shim"
		wait_until 30 is_task "$shim" STOPPED
		[ "$(exit_of "$shim")" = 4 ]
	done
}

@test "containerd: several containers of one shim" {
	local i shim

	for i in 1 2; do
		CGROUP=c$i run_in "$V2" -d --annotation "io.containerd.runc.v2.group=$ID" "$IMAGE" "c$i" sleep 1000
	done
	shim=$(shim_of c1)
	[ "$(shim_of c2)" = "$shim" ]
	# The shim is named after the first container, which can go before the second.
	ctr_ task rm -f c1
	ctr_ container rm c1
	[ "$(exec_out c2 echo there)" = there ]
	CGROUP=c1 run_in "$V2" -d --annotation "io.containerd.runc.v2.group=$ID" "$IMAGE" c1 sleep 1000
	[ "$(shim_of c1)" = "$shim" ]
	ctr_ task rm -f c1 c2
	ctr_ container rm c1 c2
}
