#!/usr/bin/env bats
# Debian's containerd with ctr: vcrt behind each of its three shims.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers
load clients

setup_file() {
	needs containerd ctr containerd-shim containerd-shim-runc-v1 containerd-shim-runc-v2
	# The namespace, and with it vcrt's directory of states and the cgroup's, is named after the file.
	client_setup_file runc/unused
	ROOT=$T/runc/$ID
	export ROOT
	cat >"$T/containerd.toml" <<-END
		version = 2
		root = "$T/data"
		state = "$T/state"
		disabled_plugins = ["io.containerd.grpc.v1.cri"]
		[grpc]
		  address = "$T/containerd.sock"
		[plugins."io.containerd.runtime.v1.linux"]
		  shim = "containerd-shim"
		  runtime = "$RUNTIME"
	END
	# The second shim takes what is called runc.
	ln -s vcrt "$T/bin/runc"
	PATH=$T/bin:$PATH start_daemon containerd containerd -c "$T/containerd.toml" -- ctr_ version
	remember_engine
}

teardown_file() {
	client_teardown_file
}

# It passes the first signal on to the container: only the second ends it for certain.
ctr_() {
	timeout --foreground -k 5 "$CLIENT_LIMIT" ctr -a "$T/containerd.sock" -n "$ID" "$@"
}

remove_all() {
	local id

	for id in $(ctr_ container ls -q); do
		ctr_ task rm -f "$id" >/dev/null 2>&1 || true
		ctr_ container rm "$id" || return 1
	done
}

run_in() { # SHIM OPTION... ID COMMAND...
	local -a options=(--runtime "$1" --runc-root "$T/runc")

	[ "$1" != io.containerd.runc.v2 ] || options+=(--runc-binary "$RUNTIME")
	[ "$1" != io.containerd.runtime.v1.linux ] || options=(--runtime "$1")
	ctr_ run "${options[@]}" --cgroup "/$ID/c" --rootfs "${@:2}" </dev/null
}

container_works_with() { # SHIM
	local fs=$BATS_SUITE_TMPDIR/rootfs pid

	run run_in "$1" --rm "$fs" c /bin/sh -c 'echo out; exit 7'
	[ "$status" -eq 7 ]
	[ "${lines[0]}" = out ]
	run run_in "$1" --rm "$fs" c nosuch
	[ "$status" -ne 0 ]
	[[ $output == *'executable file not found in $PATH'* ]]
	ctr_ container rm c 2>/dev/null || true

	run_in "$1" -d "$fs" c /bin/sleep 1000
	run ctr_ task exec --exec-id e c /bin/sh -c 'echo exec; exit 5'
	[ "$status" -eq 5 ]
	[ "${lines[0]}" = exec ]
	ctr_ task ps c | grep -q '[0-9]'
	ctr_ task pause c
	ctr_ task ls | grep -q PAUSED
	ctr_ task resume c
	ctr_ task metrics c | grep -q memory
	ctr_ task kill -s KILL c
	wait_until 10 eval 'ctr_ task ls | grep -q STOPPED'
	run ctr_ task rm c
	[[ $output == *137* ]]
	ctr_ container rm c
}

@test "containerd: a container through io.containerd.runc.v2" {
	container_works_with io.containerd.runc.v2
}

@test "containerd: a container through io.containerd.runc.v1" {
	container_works_with io.containerd.runc.v1
}

@test "containerd: a container through io.containerd.runtime.v1.linux" {
	container_works_with io.containerd.runtime.v1.linux
}
