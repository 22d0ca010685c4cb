#!/usr/bin/env bats
# vcrt delete: nothing is left.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers

@test "delete: --force works on a running, a created, a stopped container" {
	start_container "$ID" sleep 1000
	run vcrt delete --force "$ID"
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	assert_nothing_left

	# A created one needs no force.
	create_container "$ID"
	vcrt delete "$ID"
	assert_nothing_left

	start_container "$ID" true
	wait_until 10 is_status "$ID" stopped
	vcrt delete --force "$ID"
	assert_nothing_left
	vcrt delete --force "$ID"
}

@test "delete: an id is free again as soon as delete returns" {
	local i
	for i in 1 2 3; do
		start_container "$ID" sleep 1000
		vcrt delete --force "$ID"
	done
	assert_nothing_left
}

@test "delete: only a stopped container goes without force" {
	start_container "$ID" sleep 1000
	run vcrt delete "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *"cannot delete container $ID that is not stopped: running"* ]]
	vcrt pause "$ID"
	run vcrt delete "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *"cannot delete container $ID that is not stopped: paused"* ]]
	# A paused container dies of signal 9 all the same, and with force it goes as it is.
	run vcrt delete -f "$ID"
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	assert_nothing_left
}
