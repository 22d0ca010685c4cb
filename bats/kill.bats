#!/usr/bin/env bats
# vcrt kill: signals by name and number, to one process or to all.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers

@test "kill: a signal is named in every way that clients use, and can be caught" {
	args sh -c 'trap "echo hup" HUP; trap "echo usr1" USR1; trap "echo term" TERM
		trap "echo winch" WINCH; echo ready; while :; do sleep 0.05; done'
	vcrt run -d --bundle "$B" "$ID" </dev/null >"$T/out" 2>"$T/err"
	wait_until 10 has_line "$T/out" ready
	vcrt kill "$ID" 1
	wait_until 20 has_line "$T/out" hup
	vcrt kill "$ID" SIGUSR1
	wait_until 20 has_line "$T/out" usr1
	vcrt kill "$ID"
	wait_until 20 has_line "$T/out" term
	vcrt kill --all "$ID" winch
	wait_until 20 has_line "$T/out" winch
	vcrt kill "$ID" 0
	run vcrt kill "$ID" BADSIG
	[ "$status" -eq 1 ]
	[[ $output == *'unknown signal \"BADSIG\"'* ]]
	[ "$(status_of "$ID")" = running ]

	# Straight to the stand-in, as clients do with kill(2).
	kill -USR1 "$(pid_of shim "$ID")"
	twice() { [ "$(grep -c '^usr1$' "$T/out")" -eq 2 ]; }
	wait_until 20 twice
	vcrt kill "$ID" KILL
	wait_until 20 is_status "$ID" stopped
}

@test "kill: --all reaches every process, without it only the first does" {
	local mark='trap "echo $0 >>/got" USR1; echo >/ready.$0; while :; do sleep 0.1; done'
	args sh -c "sh -c '$mark' child & exec sh -c '$mark' first"
	start_container "$ID" sh -c "sh -c '$mark' child & exec sh -c '$mark' first"
	two_run() { [ "$(vcrt ps "$ID" | grep -c 'trap')" -eq 2 ]; }
	wait_until 20 two_run
	wait_until 20 test -e "$B/rootfs/ready.child"
	wait_until 20 test -e "$B/rootfs/ready.first"
	vcrt kill "$ID" USR1
	wait_until 10 has_line "$B/rootfs/got" first
	sleep 0.5
	[ "$(cat "$B/rootfs/got")" = first ]
	vcrt kill --all "$ID" USR1
	wait_until 10 has_line "$B/rootfs/got" child
	vcrt kill -a "$ID" 9
	wait_until 10 is_status "$ID" stopped
	run vcrt kill "$ID" 9
	[ "$status" -eq 1 ]
	[[ $output == *'container not running'* ]]
	run vcrt kill --all "$ID" 9
	[ "$status" -eq 0 ]
}
