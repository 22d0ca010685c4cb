#!/usr/bin/env bats
# Many containers at the same time, and many one after the other.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers

@test "parallel: twenty runs at once, each with its own output and status" {
	# Twenty guests share the host's processors, so each may take its time.
	LIMIT=300
	configure boot_timeout 240 request_timeout 120 memory 256
	run_at_once 20
	[ "$(cat "$T"/err* | wc -c)" -eq 0 ]
	assert_nothing_left
}

# One of the two loops: containers NAME-1 to NAME-25.
create_and_delete() { # NAME
	local i

	for i in {1..25}; do
		vcrt create --bundle "$B" "$1-$i" </dev/null >"$T/$1.log" 2>&1 || return 1
		vcrt delete "$1-$i" </dev/null >>"$T/$1.log" 2>&1 || return 1
		[ ! -s "$T/$1.log" ] || return 1
	done
}

@test "parallel: fifty times create and delete, two at a time, leave nothing" {
	local a b before
	# Others mount and unmount on the same machine.
	mounts() { grep -c -e vcrt -e "$T" -e "$ID" /proc/self/mountinfo || true; }
	before=$(mounts)
	create_and_delete "$ID-a" 3>&- &
	a=$!
	create_and_delete "$ID-b" 3>&- &
	b=$!
	wait "$a"
	wait "$b"
	assert_nothing_left
	[ "$(mounts)" = "$before" ]
	[ -z "$(ls -A "$RUN")" ]
}
