#!/usr/bin/env bats
# Several containers in one virtual machine: who comes into which, what they share, and that each
# lives and ends by itself.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers

# A namespace of a container's stand-in, for namespaces().
ns_of() { # ID TYPE FILE
	echo "$2=/proc/$(pid_of shim "$1")/ns/$3"
}

# The next container shares what those of a pod do, by paths.
like_pod_of() { # ID [MORE...]
	namespaces pid mount "$(ns_of "$1" network net)" "$(ns_of "$1" ipc ipc)" "$(ns_of "$1" uts uts)" "${@:2}"
	edit 'del(.hostname)'
}

# The next container is one of the pod, as containerd or CRI-O says it.
annotate() { # cri|cri-o ID
	case $1 in
	cri) edit --arg id "$2" '.annotations = {"io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": $id}' ;;
	cri-o) edit --arg id "$2" '.annotations = {"io.kubernetes.cri-o.ContainerType": "container", "io.kubernetes.cri-o.SandboxID": $id}' ;;
	esac
}

same_vm() { # ID ID
	[ "$(pid_of vmm "$1")" = "$(pid_of vmm "$2")" ]
}

# How many virtual machines there are.
vms() {
	find "$RUN" -mindepth 1 -maxdepth 1 -type d | wc -l
}

inside_ns() { # ID TYPE
	vcrt exec "$1" sh -c "readlink /proc/self/ns/$2"
}

@test "pods: by namespace paths a container joins the virtual machine, network, IPC and UTS namespace" {
	local type
	needs unshare
	edit '.hostname = "the-pod"'
	start_container "$ID" sh -c 'echo of first >/mine; httpd -p 127.0.0.1:80 -h / || exit 1; exec sleep 1000'
	like_pod_of "$ID"
	cp -a "$B/rootfs" "$T/rootfs2"
	rm -f "$T/rootfs2/mine"
	edit --arg r "$T/rootfs2" '.root.path = $r'
	start_container "$ID-b" sh -c 'echo of second >/mine; exec sleep 1000'
	same_vm "$ID" "$ID-b"
	[ "$(vms)" = 1 ]
	for type in net ipc uts; do
		[ "$(inside_ns "$ID" "$type")" = "$(inside_ns "$ID-b" "$type")" ]
		[ "$(readlink "/proc/$(pid_of shim "$ID")/ns/$type")" = "$(readlink "/proc/$(pid_of shim "$ID-b")/ns/$type")" ]
	done
	for type in pid mnt cgroup; do
		[ "$(inside_ns "$ID" "$type")" != "$(inside_ns "$ID-b" "$type")" ]
		[ "$(readlink "/proc/$(pid_of shim "$ID")/ns/$type")" != "$(readlink "/proc/$(pid_of shim "$ID-b")/ns/$type")" ]
	done
	# Names, files and loopback.
	[ "$(vcrt exec "$ID-b" hostname)" = the-pod ]
	vcrt exec --cap CAP_SYS_ADMIN "$ID-b" hostname renamed
	[ "$(vcrt exec "$ID" hostname)" = renamed ]
	[ "$(vcrt exec "$ID" cat /mine)" = 'of first' ]
	[ "$(vcrt exec "$ID-b" cat /mine)" = 'of second' ]
	wait_until 20 vcrt exec "$ID-b" wget -q -O /got http://127.0.0.1/mine
	[ "$(vcrt exec "$ID-b" cat /got)" = 'of first' ]
	# Each has its processes, its cgroup, its exit code.
	[ "$(vcrt exec "$ID-b" sh -c 'ls -d /proc/[0-9]* | wc -l')" -le 4 ]
	[ "$(vcrt ps "$ID-b" | grep -c 'sleep 1000')" = 1 ]
	run ! grep -q "$ID-b" "/proc/$(pid_of vmm "$ID")/cgroup"
	grep -q "$ID-b" "/proc/$(pid_of shim "$ID-b")/cgroup"
	vcrt kill "$ID-b" KILL
	wait_until 20 is_status "$ID-b" stopped
	[ "$(status_of "$ID")" = running ]
	[ "$(jq .vcrt.exitCode "$ROOT/$ID-b/state.json")" = 137 ]
	vcrt delete "$ID-b"
	[ "$(vcrt exec "$ID" cat /mine)" = 'of first' ]
	[ "$(vms)" = 1 ]
}

@test "pods: by the annotations of containerd and of CRI-O, and the first may go first" {
	namespaces pid mount network ipc uts
	start_container "$ID" sleep 1000
	like_pod_of "$ID"
	annotate cri "$ID"
	start_container "$ID-b" sleep 1000
	annotate cri-o "$ID"
	start_container "$ID-c" sh -c 'trap "exit 7" TERM; echo up; while :; do sleep 0.1; done'
	# Without any path, too: a container of a pod has its network.
	namespaces pid mount network ipc uts
	start_container "$ID-d" sleep 1000
	wait_until 20 has_line "$T/$ID-c.out" up
	[ "$(vms)" = 1 ]
	same_vm "$ID" "$ID-d"
	[ "$(inside_ns "$ID" net)" = "$(inside_ns "$ID-d" net)" ]
	[ "$(readlink "/proc/$(pid_of shim "$ID")/ns/net")" = "$(readlink "/proc/$(pid_of shim "$ID-d")/ns/net")" ]
	[ "$(inside_ns "$ID" ipc)" != "$(inside_ns "$ID-d" ipc)" ]

	# Deleted first, the sandbox's own container does no harm, and leaves nothing.
	vcrt delete --force "$ID"
	[ ! -e "$ROOT/$ID" ]
	[ -z "$(find_cgroups -name "$ID")" ]
	[ "$(vcrt exec "$ID-b" echo well)" = well ]
	vcrt pause "$ID-b"
	[ "$(status_of "$ID-b")" = paused ]
	[ "$(status_of "$ID-c")" = running ]
	vcrt resume "$ID-b"
	vcrt events --stats "$ID-c" | jq -e .data.cpu.usage.total
	vcrt update --pids-limit 50 "$ID-c"
	[ "$(vcrt exec "$ID-c" cat /sys/fs/cgroup/pids.max)" = 50 ]
	[ "$(vcrt exec "$ID-b" cat /sys/fs/cgroup/pids.max)" != 50 ]
	vcrt kill "$ID-c" TERM
	wait_until 20 is_status "$ID-c" stopped
	[ "$(jq .vcrt.exitCode "$ROOT/$ID-c/state.json")" = 7 ]
	vcrt delete "$ID-c"
	[ "$(vms)" = 1 ]
	vcrt delete --force "$ID-d"
	vcrt delete --force "$ID-b"
	[ "$(vms)" = 0 ]
	assert_nothing_left
}

@test "pods: a PID namespace that is shared ends with its first process" {
	namespaces pid mount network
	edit 'del(.hostname)'
	start_container "$ID" sleep 1000
	namespaces mount "$(ns_of "$ID" pid pid)" "$(ns_of "$ID" network net)"
	start_container "$ID-b" sleep 2000
	[ "$(inside_ns "$ID" pid)" = "$(inside_ns "$ID-b" pid)" ]
	vcrt exec "$ID" ps | grep -q 'sleep 2000'
	vcrt exec "$ID-b" ps | grep -q '1 .*sleep 1000'
	[ "$(readlink "/proc/$(pid_of shim "$ID")/ns/pid")" = "$(readlink "/proc/$(pid_of shim "$ID-b")/ns/pid")" ]
	# Only what is its own is killed with all of it.
	start_container "$ID-c" sh -c 'sleep 3000 & exec sleep 4000'
	vcrt kill --all "$ID-c" KILL
	wait_until 20 is_status "$ID-c" stopped
	run ! grep -q 3000 <(vcrt exec "$ID" ps)
	[ "$(status_of "$ID-b")" = running ]
	vcrt kill "$ID" KILL
	wait_until 20 is_status "$ID" stopped
	wait_until 20 is_status "$ID-b" stopped
	[ "$(jq .vcrt.exitCode "$ROOT/$ID-b/state.json")" = 137 ]
	vcrt delete "$ID"
	vcrt delete "$ID-b"
	vcrt delete "$ID-c"
	assert_nothing_left
}

@test "pods: what belongs to no container of ours is refused; files of namespaces are used as given" {
	local pid type file
	needs unshare ip
	background unshare --ipc --uts --net sleep 1000
	pid=$!
	is_elsewhere() { [ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
	wait_until 10 is_elsewhere
	edit 'del(.hostname)'
	for type in network:net ipc:ipc uts:uts; do
		namespaces mount pid network "${type%:*}=/proc/$pid/ns/${type#*:}"
		[ "$type" != network:net ] || namespaces mount pid "network=/proc/$pid/ns/net"
		run_container -- true
		[ "$code" -eq 1 ]
		grep -qF "linux.namespaces: '/proc/$pid/ns/${type#*:}' is no ${type%:*} namespace of a sandbox" "$T/err"
	done
	kill "$pid"
	wait_for 10 "$pid" || true
	[ "$(vms)" = 0 ]

	# As CRI-O has it: no first container, SandboxID names nobody, all bring the same files.
	for file in net ipc uts; do
		touch "$T/$file"
	done
	unshare --net="$T/net" --ipc="$T/ipc" --uts="$T/uts" true
	HOST_MOUNTS+=("$T/net" "$T/ipc" "$T/uts")
	namespaces mount pid "network=$T/net" "ipc=$T/ipc" "uts=$T/uts"
	annotate cri-o nobody
	args sleep 1000
	for file in 1 2 3; do
		background "$VCRT" "${VCRT_ARGS[@]}" run -d --bundle "$B" "$ID-$file" </dev/null >"$T/out$file" 2>&1
	done
	for pid in "${BACKGROUND[@]:1}"; do
		wait_for 60 "$pid"
	done
	[ "$(vms)" = 1 ]
	same_vm "$ID-1" "$ID-2"
	same_vm "$ID-1" "$ID-3"
	[ "$(inside_ns "$ID-1" ipc)" = "$(inside_ns "$ID-3" ipc)" ]
	[ "$(inside_ns "$ID-1" uts)" = "$(inside_ns "$ID-2" uts)" ]
	[ "$(stat -c %i "$T/ipc")" = "$(stat -L -c %i "/proc/$(pid_of shim "$ID-2")/ns/ipc")" ]
	vcrt exec --cap CAP_SYS_ADMIN "$ID-1" hostname the-name
	vcrt delete --force "$ID-1"
	vcrt run -d --bundle "$B" "$ID-1" </dev/null >"$T/out1" 2>&1
	[ "$(vms)" = 1 ]
	[ "$(vcrt exec "$ID-1" hostname)" = the-name ]
	# When the last one has ended the next one has a new virtual machine.
	delete_all
	[ "$(vms)" = 0 ]
	vcrt run -d --bundle "$B" "$ID-1" </dev/null >"$T/out1" 2>&1
	[ "$(vcrt exec "$ID-1" hostname)" != the-name ]
	vcrt delete --force "$ID-1"
	assert_files_unmounted() { umount "$T/net" "$T/ipc" "$T/uts"; HOST_MOUNTS=(); }
	assert_files_unmounted
	assert_nothing_left
}

@test "pods: five at once, a kill of one create, of one stand-in and of the monitor" {
	local i pid shim monitor
	namespaces pid mount network ipc uts
	start_container "$ID" sleep 1000
	monitor=$(pid_of monitor "$ID")
	like_pod_of "$ID"
	annotate cri "$ID"
	args sleep 1000
	for i in {1..5}; do
		background "$VCRT" "${VCRT_ARGS[@]}" run -d --bundle "$B" "$ID-$i" </dev/null >"$T/out$i" 2>&1
	done
	for pid in "${BACKGROUND[@]}"; do
		wait_for 60 "$pid"
	done
	for i in {1..5}; do
		[ "$(status_of "$ID-$i")" = running ]
		same_vm "$ID" "$ID-$i"
	done
	[ "$(vms)" = 1 ]
	[ "$(vcrt list -q | wc -l)" = 6 ]

	# A message queue of one is seen by the others.
	vcrt exec "$ID-1" sh -c 'echo >/dev/mqueue/pods' || true
	[ "$(vcrt exec "$ID-2" ls /dev/mqueue)" = pods ]

	# The verb is killed while its hook runs, and while the guest is at work.
	edit --arg f "$T/hook" '.hooks.createRuntime = [{path: "/bin/sh", args: ["sh", "-c", "echo $$ >\($f); exec sleep 1000"]}]'
	background "$VCRT" "${VCRT_ARGS[@]}" create --bundle "$B" "$ID-6" </dev/null >"$T/out" 2>&1
	wait_until 20 test -s "$T/hook"
	kill -9 $!
	wait $! 2>/dev/null || true
	kill "$(cat "$T/hook")"
	wait_until 20 is_status "$ID-6" stopped
	record_processes
	vcrt delete --force "$ID-6"
	[ ! -e "$ROOT/$ID-6" ]
	edit 'del(.hooks)'
	for i in 10 40 80 120; do
		background "$VCRT" "${VCRT_ARGS[@]}" create --bundle "$B" "$ID-7" </dev/null >"$T/out" 2>&1
		sleep "0.$(printf '%03d' "$i")"
		kill -9 $! 2>/dev/null || true
		wait $! 2>/dev/null || true
		record_processes
		vcrt delete --force "$ID-7"
		[ ! -e "$ROOT/$ID-7" ]
		[ -z "$(find_cgroups -name "$ID-7")" ]
	done
	# In the foreground; the id is free again.
	background "$VCRT" "${VCRT_ARGS[@]}" run --bundle "$B" "$ID-7" </dev/null >"$T/out" 2>&1
	pid=$!
	is_running() { [ "$(status_of "$1" 2>/dev/null)" = running ]; }
	wait_until 30 is_running "$ID-7"
	vcrt kill "$ID-7" KILL
	i=0
	wait_for 30 "$pid" || i=$?
	[ "$i" -eq 137 ]
	[ ! -e "$ROOT/$ID-7" ]

	# One stand-in is one container.
	shim=$(pid_of shim "$ID-1")
	kill -9 "$shim"
	wait_until 20 is_status "$ID-1" stopped
	vcrt delete "$ID-1"
	[ "$(vcrt exec "$ID-2" echo well)" = well ]
	[ "$(pid_of monitor "$ID-2")" = "$monitor" ]

	# The monitor is all of them.
	kill -9 "$monitor"
	for i in "" -2 -3 -4 -5; do
		wait_until 20 is_status "$ID$i" stopped
	done
	for i in -3 "" -5 -2; do
		vcrt delete "$ID$i"
		[ "$(vms)" = 1 ]
	done
	run ! vcrt create --bundle "$B" "$ID-8"
	[[ $output == *"open '/proc/"*"No such file or directory"* ]]
	vcrt delete "$ID-4"
	[ "$(vms)" = 0 ]
	assert_nothing_left
}

@test "pods: twenty containers in a virtual machine, each made without a boot" {
	local i began took
	namespaces pid mount network ipc uts
	start_container "$ID" sleep 1000
	like_pod_of "$ID"
	annotate cri "$ID"
	args sh -c 'echo "$0 is up"; exec sleep 1000' it
	began=${EPOCHREALTIME/[.,]/}
	for i in {1..20}; do
		vcrt create --bundle "$B" "$ID-$i" </dev/null >"$T/out$i" 2>"$T/err$i"
	done
	took=$(((${EPOCHREALTIME/[.,]/} - began) / 20000))
	echo "create in a running virtual machine: $took ms" >&2
	[ "$took" -lt 3000 ]
	for i in {1..20}; do
		vcrt start "$ID-$i"
	done
	for i in {1..20}; do
		wait_until 20 has_line "$T/out$i" 'it is up'
		[ ! -s "$T/err$i" ]
	done
	[ "$(vms)" = 1 ]
	for i in {1..20}; do
		vcrt delete --force "$ID-$i"
	done
	[ "$(vcrt list -q)" = "$ID" ]
}
