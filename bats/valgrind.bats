#!/usr/bin/env bats
# vcrt run under valgrind: no invalid access, nothing lost. The monitor and the shim are programs of
# their own and have their own run of it.
# shellcheck disable=SC2034,SC2154 # the tests use it
load helpers

under_valgrind() { # ARGUMENT...
	timeout --foreground -k 5 200 valgrind -q --error-exitcode=99 --leak-check=full \
		--errors-for-leak-kinds=definite --num-callers=30 --trace-children=no \
		--child-silent-after-fork=yes --log-file="$T/valgrind.log" \
		"$VCRT" "${VCRT_ARGS[@]}" "$@"
}

# Remarks in "--PID--" are about system calls that valgrind does not know, and vcrt does without.
clean() {
	cat "$T/valgrind.log" >&2
	run -1 grep -v '^--[0-9]*-- ' "$T/valgrind.log"
}

@test "valgrind: run, and every other verb, are clean" {
	needs valgrind
	local code=0
	args sh -c 'cat; echo error >&2; exit 6'
	echo input | under_valgrind run --bundle "$B" "$ID" >"$T/out" 2>"$T/err" || code=$?
	cat "$T/err" >&2
	clean
	[ "$code" -eq 6 ]
	[ "$(cat "$T/out")" = input ]
	assert_nothing_left

	args sleep 1000
	under_valgrind create --bundle "$B" --pid-file "$T/pid" "$ID" </dev/null >"$T/out" 2>&1
	clean
	for verb in start state ps list; do
		if [ "$verb" = list ]; then
			under_valgrind list >"$T/out"
		else
			under_valgrind "$verb" "$ID" >"$T/out"
		fi
		clean
	done
	[ "$(under_valgrind exec "$ID" echo through)" = through ]
	clean
	under_valgrind kill "$ID" KILL
	clean
	under_valgrind delete --force "$ID"
	clean
	code=0
	under_valgrind run --bundle /no/such/bundle "$ID" 2>"$T/err" || code=$?
	clean
	[ "$code" -eq 1 ]
}
