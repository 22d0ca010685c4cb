#!/usr/bin/env bats
# The manual page: made from the tables of the program.
load helpers

# A text that belongs to the program that is tested: beside it, or where both are installed.
page() {
	local dir
	dir=$(dirname "$VCRT")
	if [ -e "$dir/man/vcrt.8" ]; then
		echo "$dir/man/vcrt.8"
	else
		echo "$dir/../share/man/man8/vcrt.8"
	fi
}

@test "manual: has a section for every command, and all options" {
	local page verb option
	page=$(page)
	for verb in $(vcrt --help | sed -n '/^COMMANDS/,/^$/s/^   \([a-z]*\) .*/\1/p'); do
		grep -qx "\.Ss $verb" "$page"
		for option in $(vcrt "$verb" --help | grep -o '^   --[a-z0-9-]*' | grep -v -- --help); do
			sed -n "/^\.Ss $verb\$/,/^\.S[sh] /p" "$page" | tr -d '\134' |
				grep -q -- "^\.It Sy $option\b"
		done
	done
}

@test "manual: the global options are in it, and no formatter complains" {
	local option
	for option in $(vcrt --help | grep -o '^   --[a-z0-9-]*' | grep -v -- --help); do
		tr -d '\134' <"$(page)" | grep -q -- "^\.It Sy $option\b"
	done
	needs man
	[ -z "$(MANWIDTH=100 man --warnings "$(page)" 2>&1 >"$T/text")" ]
	grep -q 'vcrt kill' "$T/text"
}
