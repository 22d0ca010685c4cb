#!/usr/bin/env bats
# Debian's Docker with vcrt as its runtime: many containers, one after the other, leave nothing.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers
load clients
load docker

DOCKERD=(--bip 172.30.0.1/24)
NETWORK=bridge

setup_file() {
	docker_setup_file
	configure memory 512
}

teardown_file() {
	client_teardown_file
}

# What the host has because of the containers that were there.
traces() {
	in_net ip -o link | cut -d ' ' -f 2 | cut -d @ -f 1
	grep -F " $T/" /proc/self/mountinfo | cut -d ' ' -f 5
	# Docker removes the files that namespaces were mounted on by and by.
	find "$T/exec" "$T/run" "$T/data/containers" "$T/data/overlay2" -mindepth 1 |
		grep -v "^$T/exec/netns/"
	find_cgroups -path "*/$ID*"
	# Those that listen: of connections the daemon closes some (attach) when it collects its garbage.
	in_net awk -v dir="$T/" '$4 == "00010000" && index($8, dir) { print $8 }' /proc/net/unix
	pids_of_test
}

# Of the daemon and of containerd.
descriptors() {
	local pid count=0

	for pid in $(engine_pids); do
		count=$((count + $(find "/proc/$pid/fd" -mindepth 1 | wc -l)))
	done
	echo "$count"
}

few_descriptors() { # as many as before, but for connections that an engine keeps for a while
	[ "$(descriptors)" -le $(($1 + 10)) ]
}

no_trace() {
	traces | sort -u | diff before - >difference
}

@test "docker: a hundred containers, one after the other, leave nothing on the host" {
	local i before

	for i in 1 2 3; do
		docker_run busybox:test true
	done
	wait_until 10 nothing_left
	traces | sort -u >before
	before=$(descriptors)
	for i in {1..100}; do
		[ "$(docker_run busybox:test echo "$i")" = "$i" ]
	done
	wait_until 10 no_trace || fail "$(cat difference)"
	wait_until 30 few_descriptors "$before" || fail "descriptors: $before before, $(descriptors) after"
}
