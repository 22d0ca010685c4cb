#!/usr/bin/env bats
# help, --help and --version: what people read, and what Docker parses.
load helpers

@test "help: without a command it shows the help" {
	run vcrt
	[ "$status" -eq 0 ]
	[ "$output" = "$(vcrt --help)" ]
	[ "$output" = "$(vcrt help)" ]
	[ "$output" = "$(vcrt h)" ]
	[[ $output == *"COMMANDS:"* && $output == *"GLOBAL OPTIONS:"* ]]
}

@test "help: every command in the help has a help of its own" {
	local verbs verb
	verbs=$(vcrt --help | sed -n '/^COMMANDS/,/^$/s/^   \([a-z]*\) .*/\1/p')
	for verb in create start run exec kill delete state list ps pause resume update events spec features \
		check env; do
		[[ $verbs == *"$verb"* ]]
	done
	for verb in $verbs; do
		run vcrt "$verb" --help
		[ "$status" -eq 0 ]
		[[ $output == "NAME:"*"vcrt $verb - "*"USAGE:"*"OPTIONS:"*"--help, -h"* ]]
		[ "$output" = "$(vcrt help "$verb")" ]
		[ "$output" = "$(vcrt "$verb" -h)" ]
	done
}

@test "help: what serves only the program itself is not in the help" {
	run vcrt --help
	[[ $output != *monitor* && $output != *shim* && $output != *checkpoint* ]]
}

@test "help: all of runc's options are in the help" {
	local verb option
	for verb in create start run exec kill delete state list ps pause resume update events \
		spec; do
		for option in $(runc "$verb" --help | grep -o '^   --[a-z0-9-]*'); do
			vcrt "$verb" --help | grep -q -- "^   $option\b"
		done
	done
	for option in $(runc --help | grep -o '^   --[a-z0-9-]*'); do
		vcrt --help | grep -q -- "^   $option\b"
	done
}

@test "version: the version has the form that Docker parses" {
	run vcrt --version
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 3 ]
	[[ ${lines[0]} =~ ^'vcrt version '[0-9]+\.[0-9]+\.[0-9]+$ ]]
	[[ ${lines[1]} =~ ^'commit: '[0-9a-z]+$ ]]
	[ "${lines[2]}" = "spec: 1.3.0" ]
	[ "$output" = "$(vcrt -v)" ]
	[ "$output" = "$(vcrt -version --root x)" ]
}
