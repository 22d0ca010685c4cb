#!/usr/bin/env bats
# vcrt run: output, input, exit status.
# shellcheck disable=SC2016 # the guest's shell expands
# shellcheck disable=SC2030,SC2031 # every test is a subshell
load helpers

@test "run: the container has a kernel of its own" {
	run_container -- uname -r
	[ "$code" -eq 0 ]
	[ -n "$(cat "$T/out")" ]
	[ "$(cat "$T/out")" != "$(uname -r)" ]
	[ ! -s "$T/err" ]
	assert_nothing_left
}

@test "run: passes on the exit statuses 0, 7 and 42" {
	local n
	for n in 0 7 42; do
		run_container -- sh -c "exit $n"
		[ "$code" -eq "$n" ]
	done
	assert_nothing_left
}

@test "run: a program killed by signal 9 or 11 gives 137 or 139" {
	# The first process of a pid namespace is immune to its own signals: it is without one.
	edit '.linux.namespaces |= map(select(.type != "pid"))'
	run_container -- sh -c 'kill -9 $$'
	[ "$code" -eq 137 ]
	run_container -- sh -c 'kill -11 $$'
	[ "$code" -eq 139 ]
	assert_nothing_left
}

@test "run: a program that is not there is reported as by runc" {
	run_container -- no-such-program
	[ "$code" -eq 1 ]
	[ ! -s "$T/out" ]
	grep -qF 'unable to start container process: exec: \"no-such-program\": executable file not found in $PATH' "$T/err"
	assert_nothing_left

	run_container -- /no/such/program
	[ "$code" -eq 1 ]
	grep -qF 'exec: \"/no/such/program\": stat /no/such/program: no such file or directory' "$T/err"
	assert_nothing_left
}

@test "run: a program that cannot be executed is reported as by runc" {
	run_container -- /etc/passwd
	[ "$code" -eq 1 ]
	grep -qF 'unable to start container process: exec: \"/etc/passwd\": permission denied' "$T/err"
	assert_nothing_left

	run_container -- /etc
	[ "$code" -eq 1 ]
	# runc 1.1 says "permission denied" here, later ones "is a directory".
	grep -qE 'unable to start container process: exec: \\"/etc\\": (permission denied|is a directory)' "$T/err"
	assert_nothing_left
}

@test "run: 10 MiB of random bytes come out as they are" {
	head -c 10485760 /dev/urandom >"$B/rootfs/data"
	run_container -- cat /data 2>/dev/null
	[ "$code" -eq 0 ]
	cmp "$B/rootfs/data" "$T/out"
	# Through a pipe with a slow start, too.
	vcrt run --bundle "$B" "$ID" | (
		sleep 4
		cmp "$B/rootfs/data" -
	)
}

@test "run: standard output and error stay apart" {
	run_container -- sh -c 'echo one; echo two >&2; echo three; echo four >&2'
	[ "$code" -eq 0 ]
	[ "$(cat "$T/out")" = $'one\nthree' ]
	[ "$(cat "$T/err")" = $'two\nfour' ]
}

@test "run: standard input goes through, and its end is passed on" {
	head -c 3000000 /dev/urandom >"$T/in"
	args cat
	vcrt run --bundle "$B" "$ID" <"$T/in" >"$T/out"
	cmp "$T/in" "$T/out"

	# A pipe that is filled in two steps, and closed while the container runs.
	args sh -c 'read -r a; read -r b; read -r c || echo "$a-$b-end"'
	(
		echo first
		sleep 3
		echo second
	) | vcrt run --bundle "$B" "$ID" >"$T/out"
	[ "$(cat "$T/out")" = first-second-end ]
}

@test "run: without standard input there is nothing to read" {
	args sh -c 'cat | wc -c'
	[ "$(vcrt run --bundle "$B" "$ID" </dev/null)" = 0 ]
}

@test "run: a program whose output nobody reads any more gets SIGPIPE" {
	args sh -c 'yes vcrt; echo "status $?" >&2'
	vcrt run --bundle "$B" "$ID" 2>"$T/err" | head -c 1 >"$T/out"
	[ "$(cat "$T/out")" = v ]
	[ "$(cat "$T/err")" = 'status 141' ]
	assert_nothing_left
}

@test "run: signals that it gets are the container's" {
	args sh -c 'trap "echo got; exit 5" TERM; echo ready; while :; do sleep 0.1; done'
	background "$VCRT" "${VCRT_ARGS[@]}" run --bundle "$B" "$ID" </dev/null >"$T/out" 2>"$T/err"
	wait_until 60 has_line "$T/out" ready
	kill -TERM $!
	code=0
	wait_for 10 $! || code=$?
	[ "$code" -eq 5 ]
	[ "$(cat "$T/out")" = $'ready\ngot' ]
	assert_nothing_left
}

@test "run: --keep keeps the stopped container, --pid-file names the shim" {
	run_container --keep --pid-file "$T/pid" -- true
	[ "$code" -eq 0 ]
	[[ $(cat "$T/pid") =~ ^[0-9]+$ ]]
	[ "$(status_of "$ID")" = stopped ]
	[ "$(vcrt state "$ID" | jq .pid)" = 0 ]
	vcrt delete "$ID"
	assert_nothing_left
}
