#!/usr/bin/env bats
# libvcrt from a program of its own: test/example/run-container.c, compiled against the installed
# header and library.
load helpers

# Of the build that the program under test comes from, or as the system has it installed.
compile_example() {
	local source=$BATS_TEST_DIRNAME/../test/example build

	needs cc pkg-config
	build=$(dirname "$(dirname "$VCRT")")
	if [ -f "$build/build.ninja" ]; then
		mkdir "$T/example"
		"$source/check.sh" "$build" "$source/run-container.c" "$T/example"
		EXAMPLE=$T/example/run-container
		LIBRARY=$(cat "$T/example/libdir")
	else
		EXAMPLE=$T/run-container
		LIBRARY=
		# shellcheck disable=SC2046 # flags are words
		cc -o "$EXAMPLE" "$source/run-container.c" $(pkg-config --cflags --libs libvcrt)
	fi
}

run_example() { # ID BUNDLE
	code=0
	LD_LIBRARY_PATH=$LIBRARY timeout --foreground -k 5 "$LIMIT" \
		"$EXAMPLE" "$1" "$2" "$T/config.json" "$ROOT" "$VCRT" \
		</dev/null >"$T/out" 2>"$T/err" || code=$?
	cat "$T/out" "$T/err" >&2
}

@test "library: the example runs a container to its end" {
	compile_example
	args sh -c 'uname -r; echo "to stderr" >&2; exit 7'
	run_example "$ID" "$B"
	[ "$code" -eq 7 ]
	[ -s "$T/out" ]
	[ "$(cat "$T/out")" != "$(uname -r)" ]
	grep -q "^$ID is created in sandbox .*, process [1-9][0-9]*\$" "$T/err"
	grep -qx 'to stderr' "$T/err"
	grep -q "^$ID is stopped in sandbox [^,]*\$" "$T/err"
	assert_nothing_left
}

@test "library: the example says what went wrong" {
	compile_example
	run_example "$ID" /no/such
	[ "$code" -eq 125 ]
	[ ! -s "$T/out" ]
	[ "$(cat "$T/err")" = 'run-container: create: vcrt create failed: chdir /no/such: no such file or directory' ]
	args /no/such/program
	run_example "$ID" "$B"
	[ "$code" -eq 125 ]
	grep -qF '/no/such/program: no such file or directory' "$T/err"
	assert_nothing_left
}
