#!/usr/bin/env bats
# pause and resume: the processes of one container stop and go on, and its state says so.
# shellcheck disable=SC2016 # the guest's shell expands
load helpers

ticks() {
	wc -l <"$B/rootfs/ticks"
}

has_ticked() { # COUNT-BEFORE
	[ "$(ticks)" -gt "$1" ]
}

@test "pause: a running container stands still, and goes on after resume" {
	local before
	start_container "$ID" sh -c 'while :; do echo tick >>/ticks; sleep 0.1; done'
	wait_until 20 test -s "$B/rootfs/ticks"
	vcrt pause "$ID"
	[ "$(status_of "$ID")" = paused ]
	before=$(ticks)
	sleep 1
	[ "$(ticks)" -eq "$before" ]

	run vcrt pause "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *"container not running"* ]]
	run vcrt exec "$ID" true
	[ "$status" -eq 255 ]
	[[ $output == *"cannot exec in a paused container (use --ignore-paused to override)"* ]]
	run vcrt exec --ignore-paused "$ID" true
	[ "$status" -eq 255 ]
	[[ $output == *"--ignore-paused is not supported"* ]]
	# A signal waits; SIGKILL does not.
	vcrt kill "$ID" 0
	vcrt resume "$ID"
	[ "$(status_of "$ID")" = running ]
	wait_until 20 has_ticked "$before"
	run vcrt resume "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *"container not paused"* ]]

	vcrt pause "$ID"
	vcrt kill "$ID" KILL
	wait_until 10 is_status "$ID" stopped
	run vcrt pause "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *"container not running"* ]]
	vcrt delete "$ID"
	assert_nothing_left
}

@test "pause: a created container can be paused and resumed, and started after that" {
	args sh -c 'echo started >/started; sleep 1000'
	create_container "$ID"
	vcrt pause "$ID"
	[ "$(status_of "$ID")" = paused ]
	run vcrt start "$ID"
	[ "$status" -eq 1 ]
	vcrt resume "$ID"
	[ "$(status_of "$ID")" = created ]
	[ ! -e "$B/rootfs/started" ]
	vcrt start "$ID"
	[ "$(status_of "$ID")" = running ]
	wait_until 20 test -e "$B/rootfs/started"
	vcrt delete --force "$ID"
	assert_nothing_left
}

@test "pause: an unknown container" {
	for verb in pause resume; do
		run vcrt "$verb" nobody
		[ "$status" -eq 1 ]
		[[ $output == *"container does not exist"* ]]
	done
}
