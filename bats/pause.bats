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

two_processes() {
	[ "$(vcrt events --stats "$ID" | jq .data.pids.current)" -eq 2 ]
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

@test "pause: exec --ignore-paused waits for the resume, and nobody waits for it" {
	local start foreground detached killed shim code=0
	start_container "$ID" sleep 1000
	vcrt pause "$ID"
	echo early >"$T/in" # (what runs in the background has no input by itself)
	background bash -c 'exec "$@" <"$0"' "$T/in" "$VCRT" "${VCRT_ARGS[@]}" exec --ignore-paused \
		"$ID" sh -c 'cat; echo ran; exit 7' >"$T/out" 2>"$T/err"
	foreground=$!
	background "$VCRT" "${VCRT_ARGS[@]}" exec -d --ignore-paused --pid-file "$T/pid" "$ID" \
		sh -c 'echo ran >/detached' </dev/null >/dev/null 2>&1
	detached=$!
	background "$VCRT" "${VCRT_ARGS[@]}" exec --ignore-paused "$ID" touch /never </dev/null \
		>/dev/null 2>&1
	killed=$!
	three_wait() {
		vcrt ps -f json "$ID" >"$T/ps" && [ "$(jq length "$T/ps")" -ge 1 ] &&
			[ "$(vcrt events --stats "$ID" | jq .data.pids.current)" -eq 4 ]
	}
	wait_until 20 three_wait
	start=$SECONDS
	[ "$(status_of "$ID")" = paused ]
	vcrt kill "$ID" 0
	vcrt ps "$ID" | grep -q sleep
	kill -9 "$killed"
	two_wait() {
		[ "$(vcrt events --stats "$ID" | jq .data.pids.current)" -eq 3 ]
	}
	wait_until 10 two_wait
	[ $((SECONDS - start)) -lt 20 ]
	kill -0 "$foreground" "$detached"
	[ ! -s "$T/out" ]
	[ ! -e "$T/pid" ]
	# A verb that is gone leaves no stand-in either, nor something to run after the resume.
	background "$VCRT" "${VCRT_ARGS[@]}" exec -d --ignore-paused "$ID" touch /never </dev/null >/dev/null 2>&1
	killed=$!
	wait_until 20 three_wait
	shim=$(pgrep -P "$killed")
	kill -9 "$killed"
	wait_until 10 two_wait
	wait_until 10 is_gone "$shim"
	# Who waits in the foreground can give up.
	background "$VCRT" "${VCRT_ARGS[@]}" exec --ignore-paused "$ID" touch /never </dev/null \
		>/dev/null 2>"$T/err"
	killed=$!
	wait_until 20 three_wait
	kill -INT "$killed"
	wait_for 10 "$killed" || code=$?
	[ "$code" -eq 255 ]
	grep -q 'exec failed: interrupted' "$T/err"
	code=0
	wait_until 10 two_wait

	vcrt resume "$ID"
	wait_for 20 "$foreground" || code=$?
	[ "$code" -eq 7 ]
	[ "$(cat "$T/out")" = early$'\n'ran ]
	wait_for 20 "$detached"
	[ -s "$T/pid" ]
	wait_until 10 test -e "$B/rootfs/detached"
	[ ! -e "$B/rootfs/never" ]

	# What still waits ends with the container.
	vcrt pause "$ID"
	background "$VCRT" "${VCRT_ARGS[@]}" exec --ignore-paused "$ID" true </dev/null >/dev/null \
		2>"$T/err"
	foreground=$!
	wait_until 20 two_processes
	vcrt kill "$ID" KILL
	wait_until 10 is_status "$ID" stopped
	code=0
	wait_for 20 "$foreground" || code=$?
	[ "$code" -eq 255 ]
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

@test "pause: what was exec'd stands still as well; ps, update and statistics go on; signals wait" {
	local before
	start_container "$ID" sh -c 'trap "echo term >/got; exit 9" TERM; while :; do sleep 0.1; done'
	vcrt exec -d "$ID" sh -c 'while :; do echo tick >>/ticks; sleep 0.1; done' </dev/null >/dev/null 2>&1
	wait_until 20 test -s "$B/rootfs/ticks"
	vcrt pause "$ID"
	before=$(ticks)
	vcrt ps "$ID" >"$T/ps"
	grep -q 'trap "echo term' "$T/ps"
	grep -q 'echo tick' "$T/ps"
	vcrt events --stats "$ID" | jq -e '.data.pids.current >= 2'
	vcrt update --pids-limit 30 "$ID"
	vcrt events --stats "$ID" | jq -e '.data.pids.limit == 30'
	vcrt kill "$ID" TERM
	sleep 1
	[ "$(ticks)" -eq "$before" ]
	[ ! -e "$B/rootfs/got" ]
	[ "$(status_of "$ID")" = paused ]
	run vcrt delete "$ID"
	[ "$status" -eq 1 ]
	vcrt resume "$ID"
	wait_until 20 is_status "$ID" stopped
	[ "$(cat "$B/rootfs/got")" = term ]
	vcrt delete "$ID"

	start_container "$ID" sleep 1000
	vcrt pause "$ID"
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
