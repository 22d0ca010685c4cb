#!/usr/bin/env bats
# vcrt start: the program runs.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers

@test "start: runs the program, once, and says nothing" {
	args sh -c 'echo started; trap "exit 3" TERM; while :; do sleep 0.1; done'
	vcrt create --bundle "$B" "$ID" </dev/null >"$T/out" 2>"$T/err"
	run vcrt start "$ID"
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	wait_until 10 has_line "$T/out" started
	[ "$(status_of "$ID")" = running ]
	run vcrt start "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *'cannot start an already running container'* ]]
	vcrt kill "$ID" TERM
	wait_until 10 is_status "$ID" stopped
	run vcrt start "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *'cannot start a container that has stopped'* ]]
	[ "$(grep -c started "$T/out")" -eq 1 ]
}

@test "start: a program that ends at once is no failure, and its status is kept" {
	args sh -c 'exit 7'
	create_container "$ID"
	vcrt start "$ID"
	wait_until 10 is_status "$ID" stopped
	[ "$(jq .vcrt.exitCode "$ROOT/$ID/state.json")" -eq 7 ]
	vcrt delete "$ID"
	assert_nothing_left
}
