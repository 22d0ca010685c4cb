#!/usr/bin/env bats
# What CRI-O does with a runtime of type "oci": each call of the runtime is made here as CRI-O makes
# it, with the real conmon; CRI-O itself is not in Debian. Its pods have no first container of their
# own: their namespaces are files, which each container gets by path.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # the guest's shell expands; tests are subshells
load helpers

eval "make_default_$(declare -f setup)"
setup() {
	make_default_setup || return 1
	needs conmon ip unshare
	mkdir -p "$T"/{exits,attach,logs,persist}
	# No option is passed but --root.
	RUNTIME=$T/vcrt
	printf '#!/bin/sh\nexec %s --config %s/config.json "$@"\n' "$VCRT" "$T" >"$RUNTIME"
	chmod 755 "$RUNTIME"
	pin_namespaces
}

# The pod's namespaces, which bind mounts keep alive.
pin_namespaces() {
	local type

	mkdir "$T/pod"
	mount --bind --make-private "$T/pod" "$T/pod"
	HOST_MOUNTS+=("$T/pod")
	for type in net ipc uts; do
		touch "$T/pod/$type"
	done
	unshare --net="$T/pod/net" --ipc="$T/pod/ipc" --uts="$T/pod/uts" \
		sh -c 'ip link set lo up; hostname crio-pod'
	HOST_MOUNTS+=("$T"/pod/{net,ipc,uts})
}

# The bundle of a container of the pod.
pod_bundle() { # ID COMMANDS
	local dir=$T/bundles/$1

	mkdir -p "$T/bundles"
	cp -a "$B" "$dir"
	edit_in "$dir" --arg id "$1" --arg pod "$ID-pod" --arg dir "$T/pod" --arg commands "$2" --arg cgroup "/crio-$1" '
		.process.args = ["sh", "-c", $commands] | .linux.cgroupsPath = $cgroup | del(.hostname) |
		.linux.namespaces = [{type: "pid"}, {type: "mount"}, {type: "network", path: "\($dir)/net"},
			{type: "ipc", path: "\($dir)/ipc"}, {type: "uts", path: "\($dir)/uts"}] |
		.annotations = {"io.kubernetes.cri-o.ContainerType": "container", "io.kubernetes.cri-o.SandboxID": $pod,
			"io.kubernetes.cri-o.SandboxName": "k8s_pod", "io.kubernetes.cri-o.ContainerName": $id,
			"io.kubernetes.cri-o.ContainerID": $id, "io.kubernetes.cri-o.TTY": "false",
			"io.kubernetes.cri-o.Stdin": "false", "io.kubernetes.cri-o.Created": "2026-11-22T12:00:00Z"}'
}

# conmon, which answers on a pipe when the runtime has answered. It goes on in the background.
with_conmon() { # OPTION...
	local answer pipe

	rm -f "$T/sync"
	mkfifo "$T/sync"
	exec {pipe}<>"$T/sync"
	CRI_O_EXTERNAL=1 _OCI_SYNCPIPE=$pipe timeout 60 conmon -r "$RUNTIME" --runtime-arg "--root=$ROOT" \
		--socket-dir-path "$T/attach" --log-level info "$@" </dev/null >/dev/null 2>"$T/conmon.err" 3>&- ||
		true
	read -r -t "$LIMIT" -u "$pipe" answer || return 1
	exec {pipe}>&-
	echo "$answer"
}

crio_create() { # ID
	with_conmon -b "$T/bundles/$1" -c "$1" -u "$1" -n "k8s_$1" --exit-dir "$T/exits" -l "$T/logs/$1" \
		-p "$T/bundles/$1/pidfile" -P "$T/$1.conmon" --persist-dir "$T/persist"
}

# A probe: its exit code is in the answer.
crio_exec_sync() { # ID SECONDS ARGUMENT...
	process "$1" "${@:3}" >"$T/process.json"
	with_conmon -c "$1" -u "$1" -n "k8s_$1" -e -l "$T/logs/exec" -p "$T/exec.pid" -T "$2" \
		--exec-process-spec "$T/process.json"
}

process() { # ID ARGUMENT...
	jq '.process | .args = $ARGS.positional' "$T/bundles/$1/config.json" --args -- "${@:2}"
}

crio() { # VERB...
	timeout -k 5 "$LIMIT" "$RUNTIME" --root "$ROOT" "$@" </dev/null
}

has_exited() { # ID CODE
	[ "$(cat "$T/exits/$1" 2>/dev/null)" = "$2" ]
}

@test "crio: containers of a pod without a first container, by conmon, from create to delete" {
	local answer one=$ID-one two=$ID-two pid

	pod_bundle "$one" 'echo out; echo err >&2; hostname; trap "exit 7" TERM; nc -ll -p 8080 -e echo served & while :; do sleep 0.1; done'
	pod_bundle "$two" 'trap "" TERM; while :; do sleep 0.1; done'
	answer=$(crio_create "$one")
	pid=$(jq .pid <<<"$answer")
	[ "$pid" = "$(cat "$T/bundles/$one/pidfile")" ]
	[ "$(stat -L -c %i "/proc/$pid/ns/net")" = "$(stat -L -c %i "$T/pod/net")" ]
	crio start "$one"
	crio state "$one" >"$T/state"
	jq -e --arg id "$one" --argjson pid "$pid" '.id == $id and .pid == $pid and .status == "running" and
		(.created | test("^2[0-9-]+T[0-9:.]+Z$")) and .annotations["io.kubernetes.cri-o.ContainerType"] == "container"' "$T/state"

	# The second joins the virtual machine of the first.
	crio_create "$two"
	crio start "$two"
	[ "$(find "$RUN" -mindepth 1 -maxdepth 1 -type d | wc -l)" -eq 1 ]
	answer=$(crio_exec_sync "$two" 60 sh -c 'until nc -w 5 127.0.0.1 8080 </dev/null; do sleep 0.2; done; hostname; exit 3')
	[ "$(jq .exit_code <<<"$answer")" = 3 ]
	[ "$(cut -d ' ' -f 2- "$T/logs/exec")" = $'stdout F served\nstdout F crio-pod' ]

	# A command in the foreground, and its end by SIGKILL: that of the command in the guest.
	process "$two" sh -c 'cat; echo "$0"; exit 5' works >"$T/process.json"
	run -5 timeout -k 5 "$LIMIT" "$RUNTIME" --root "$ROOT" exec --process "$T/process.json" "$two" <<<input
	[ "$output" = $'input\nworks' ]
	process "$two" sleep 1234 >"$T/process.json"
	background "$RUNTIME" --root "$ROOT" exec --process "$T/process.json" "$two" </dev/null
	wait_until 60 sleeps_in "$two"
	kill -KILL "$!"
	wait_until 60 sleeps_not_in "$two"

	# Stop: the signal is a number, then KILL again and again until the process is gone.
	crio kill "$one" 15
	wait_until 60 has_exited "$one" 7
	crio delete --force "$one"
	crio kill "$two" 15
	crio_exec_sync "$two" 60 true
	pid=$(cat "$T/bundles/$two/pidfile")
	until is_gone "$pid"; do
		crio kill "$two" KILL || wait_until 60 is_gone "$pid"
	done
	wait_until 60 has_exited "$two" 137
	crio delete --force "$two"
	run ! crio state "$two"
	[[ $output == *'does not exist'* ]]
	crio delete --force "$two"
	[ "$(cut -d ' ' -f 2- "$T/logs/$one" | sort)" = $'stderr F err\nstdout F crio-pod\nstdout F out' ]
	wait_until 30 is_gone "$(cat "$T/$one.conmon")"
	wait_until 30 is_gone "$(cat "$T/$two.conmon")"
}

sleeps_in() { # ID
	crio exec "$1" sh -c 'ps -o args | grep -qx "sleep 1234"'
}

sleeps_not_in() {
	! sleeps_in "$1"
}

@test "crio: a failed create is told through conmon; probes that take too long are ended" {
	local answer

	pod_bundle "$ID" 'exec sleep 1000'
	edit_in "$T/bundles/$ID" '.process.args = ["nosuch"]'
	answer=$(crio_create "$ID")
	[ "$(jq .pid <<<"$answer")" -lt 0 ]
	[[ $(jq -r .message <<<"$answer") == *'executable file not found in $PATH'* ]]
	crio delete --force "$ID"

	edit_in "$T/bundles/$ID" '.process.args = ["sleep", "1000"]'
	crio_create "$ID"
	crio start "$ID"
	answer=$(crio_exec_sync "$ID" 1 sleep 1234)
	[ "$(jq .exit_code <<<"$answer")" = -1 ]
	[[ $(jq -r .message <<<"$answer") == *'timed out'* ]]
	wait_until 60 sleeps_not_in "$ID"
	crio delete --force "$ID"
	wait_until 30 is_gone "$(cat "$T/$ID.conmon")"
}
