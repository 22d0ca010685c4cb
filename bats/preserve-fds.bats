#!/usr/bin/env bats
# --preserve-fds and LISTEN_FDS: what the caller has as 3, 4, ... the container's program has, too.
# The caller is descriptors.py, whose argument is the scenario; what the program does with its
# sockets is in descriptors.c.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers

# The caller's part in $T/report, standard error in $T/err.
caller() { # SCENARIO VERB...
	needs python3
	T=$T STATE=$ROOT/$ID/state.json timeout 90 python3 "$BATS_TEST_DIRNAME/descriptors.py" "$1" \
		"$VCRT" "${VCRT_ARGS[@]}" "${@:2}" </dev/null >"$T/report" 2>"$T/err" || true
	cat "$T/report" "$T/err" >&2
}

reports() { # LINE...
	[ "$(cat "$T/report")" = "$(printf '%s\n' "$@")" ]
}

@test "preserve-fds: a pipe to read and one to write, with their directions and their ends" {
	args sh -c 'echo x 2>/dev/null >&3 || echo "3 is to read" >&4; cat <&3 >&4
		exec 4>&-; sleep 5; echo last'
	caller pipes run --preserve-fds 2 --bundle "$B" "$ID"
	reports '3 is to read' input last 'exit 0'
}

@test "preserve-fds: ten megabytes through a socket and back are the same, and so are its ends" {
	args sh -c 'cat <&3 >&3'
	caller echo run --preserve-fds 1 --bundle "$B" "$ID"
	reports intact 'exit 0'
}

@test "preserve-fds: a reader that stops makes the program wait, and nothing is lost" {
	with_program
	args descriptors progress 3 320
	caller stalled run --preserve-fds 2 --bundle "$B" "$ID"
	reports waits '10485760 bytes' 'exit 0'
}

@test "preserve-fds: either side shuts down one direction of a socket, the other goes on" {
	with_program
	args descriptors half 3
	caller half run --preserve-fds 2 --bundle "$B" "$ID"
	reports '100000 bytes' first '200000 bytes' 'exit 0'
}

@test "preserve-fds: the program learns that nobody reads" {
	with_program
	args sh -c 'descriptors pour 3; descriptors pour 4'
	caller broken run --preserve-fds 2 --bundle "$B" "$ID"
	reports 'Broken pipe' 'Broken pipe' 'exit 0'
}

@test "preserve-fds: sockets of messages keep their boundaries" {
	with_program
	start_container "$ID" sleep 1000
	for kind in seqpacket dgram; do
		caller "$kind" exec --preserve-fds 1 "$ID" descriptors records 3 5
		sort -o "$T/report" "$T/report"
		reports 1 17 200000 5 70000 'exit 0' intact
	done
}

@test "preserve-fds: connections to a listening unix socket reach the program, with their users" {
	with_program
	args descriptors accept 3 5
	caller unix run --preserve-fds 1 --bundle "$B" "$ID"
	[ "$(grep uid "$T/report")" = $'uid 0 intact\nuid 0 intact\nuid 0 intact\nuid 1234 intact\nuid 0 intact' ]
	grep -qx 'all served' "$T/report"
	[ "$(tail -n 1 "$T/report")" = 'exit 0' ]
}

@test "preserve-fds: LISTEN_FDS hands a TCP socket over and tells the program" {
	with_program
	args sh -c 'echo "$LISTEN_FDS $LISTEN_PID $$"; descriptors kind 3; descriptors accept 3 5'
	caller tcp run --bundle "$B" "$ID"
	port=$(sed -n 's/^port //p' "$T/report")
	printf '%s\n' "port $port" '1 1 1' "2 1 1 $port" 'all served' 'exit 0' | sort >"$T/wanted"
	grep -v uid "$T/report" | sort | diff "$T/wanted" -
	[ "$(grep -c 'uid .* intact' "$T/report")" -eq 5 ]
}

@test "preserve-fds: LISTEN_FDS for another process is not for the container" {
	args sh -c 'echo "${LISTEN_FDS-none}"; ls /proc/self/fd'
	LISTEN_FDS=1 LISTEN_PID=1 vcrt run --bundle "$B" "$ID" 3</dev/null >"$T/out"
	[ "$(sed -n 1p "$T/out")" = none ]
	run ! grep -qx 4 "$T/out"
	# Nor does runc's exec look at it.
	start_container "$ID" sleep 1000
	run timeout 60 sh -c 'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@" 3</dev/null' - \
		"$VCRT" "${VCRT_ARGS[@]}" exec "$ID" sh -c 'echo "${LISTEN_FDS-none}"'
	[ "$output" = none ]
}

@test "preserve-fds: each kind of socket is one of that kind" {
	with_program
	args sh -c 'for i in 3 4 5 6 7; do descriptors kind $i; done'
	caller kinds run --preserve-fds 5 --bundle "$B" "$ID"
	read -r _ four six <<<"$(grep ^ports "$T/report")"
	reports "ports $four $six" '1 1 1 0' "2 1 1 $four" "10 1 1 $six" '1 5 1 0' '1 2 0 0' 'exit 0'
}

@test "preserve-fds: devices are those of the guest" {
	args sh -c 'readlink /proc/self/fd/3; readlink /proc/self/fd/4; head -c 3 <&4 | wc -c; echo x >&3 && echo written'
	run_container --preserve-fds 2 3>/dev/null 4</dev/zero
	[ "$code" -eq 0 ]
	[ "$(cat "$T/out")" = $'/dev/null\n/dev/zero\n3\nwritten' ]
}

@test "preserve-fds: create hands them over, start lets them be used" {
	args sh -c 'cat <&3 >&4; sleep 1000'
	mkfifo "$T/in" "$T/out"
	timeout 60 cat "$T/out" >"$T/read" 3>&- &
	reader=$!
	exec {both}<>"$T/in" # without a writer, opening it to read would wait, and reading it end
	vcrt create --preserve-fds 2 --bundle "$B" "$ID" 3<"$T/in" 4>"$T/out" {both}>&- </dev/null >/dev/null 2>&1
	echo through >&"$both"
	exec {both}>&-
	[ ! -s "$T/read" ]
	vcrt start "$ID"
	wait_until 20 grep -qx through "$T/read"
	vcrt delete --force "$ID"
	wait_for 10 "$reader" # the last one to hold the pipe was the container
}

@test "preserve-fds: a detached container holds them until it ends, and nobody else does" {
	args sh -c 'trap "exit 0" TERM; echo ready >&3; while :; do sleep 0.1; done'
	caller held run -d --preserve-fds 2 --bundle "$B" "$ID"
	reports 'exit 0' ready 'shim holds 0' 'monitor holds 2' 'vmm holds 0' ended
}

@test "preserve-fds: exec, detached and not" {
	start_container "$ID" sleep 1000
	caller pipes exec --preserve-fds 2 "$ID" sh -c 'cat <&3 >&4; exec 4>&-; exit 7'
	reports input 'exit 7'
	vcrt exec -d --preserve-fds 1 "$ID" sh -c 'sleep 1; echo later >&3' 3>"$T/fifo" 2>"$T/err" </dev/null && false
	grep -q 'a regular file cannot be handed to a container' "$T/err"
	vcrt exec -d --preserve-fds 1 "$ID" sh -c 'sleep 1; echo later >&3' </dev/null 2>&1 3>&1 >/dev/null |
		timeout 60 cat >"$T/out"
	[ "$(cat "$T/out")" = later ]
}

@test "preserve-fds: what is not open, or of no use in a guest, is refused by name" {
	for verb in create run; do
		run vcrt "$verb" --preserve-fds 2 --bundle "$B" "$ID" 3</dev/null 4>&-
		[ "$status" -eq 1 ]
		[[ $output == *"unable to stat preserved-fd 1 (of 2): stat /proc/self/fd/4: no such file or directory"* ]]
	done
	run vcrt run --preserve-fds 200 --bundle "$B" "$ID" 3</dev/null
	[ "$status" -eq 1 ]
	caller refused run --preserve-fds 1 --bundle "$B" "$ID"
	[ "$(grep -c 'preserved-fd 0 (of 1), descriptor 3: ' "$T/err")" -eq 8 ]
	[ "$(grep -c 'exit 1' "$T/report")" -eq 8 ]
	for what in 'a directory' 'O_PATH' 'a regular file' 'both reading and writing' 'a terminal' \
		'a socket that is not connected' 'an eventfd'; do
		grep -q "descriptor 3: .*$what" "$T/err"
	done
	assert_nothing_left
}
