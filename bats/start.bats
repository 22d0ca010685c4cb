#!/usr/bin/env bats
# vcrt start: the program runs.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers

@test "start: runs the program, once, and says nothing" {
	args sh -c 'trap "exit 3" TERM; echo started; while :; do sleep 0.1; done'
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

@test "start: of a container that is being created waits for that, or fails with it" {
	# The hook keeps it in creation until the file is there.
	edit --arg f "$T/go" '.hooks.createRuntime = [{path: "/bin/sh",
		args: ["sh", "-c", "until [ -e $0 ]; do sleep 0.1; done; read -r ok <$0; $ok", $f]}]'
	args echo started
	for ok in true false; do
		background vcrt create --bundle "$B" "$ID" </dev/null >"$T/out" 2>&1
		wait_until 30 is_status "$ID" creating
		background vcrt start "$ID" >"$T/start.out" 2>&1
		sleep 1
		kill -0 "${BACKGROUND[-1]}"
		echo "$ok" >"$T/answer"
		mv "$T/answer" "$T/go"
		wait_for 60 "${BACKGROUND[-2]}" || [ "$ok" = false ]
		if "$ok"; then
			wait_for 60 "${BACKGROUND[-1]}"
			wait_until 20 has_line "$T/out" started
			vcrt delete --force "$ID"
		else
			wait_for 60 "${BACKGROUND[-1]}" && fail "started what was not created"
			grep 'container does not exist' "$T/start.out"
		fi
		rm "$T/go"
	done
	assert_nothing_left
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
