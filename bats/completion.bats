#!/usr/bin/env bats
# The completion for bash: made from the tables of the program.
load helpers

# A text that belongs to the program that is tested: beside it, or where both are installed.
completion() {
	local dir
	dir=$(dirname "$VCRT")
	if [ -e "$dir/completion/vcrt" ]; then
		echo "$dir/completion/vcrt"
	else
		echo "$dir/../share/bash-completion/completions/vcrt"
	fi
}

# What bash offers for the last word.
complete_line() { # WORD...
	COMP_WORDS=("$@")
	COMP_CWORD=$(($# - 1))
	COMPREPLY=()
	_vcrt
	echo "${COMPREPLY[*]}"
}

@test "completion: knows commands, their options and values" {
	# shellcheck disable=SC1090
	source "$(completion)"
	[ "$(complete_line vcrt sta)" = "start state" ]
	[ "$(complete_line vcrt --root /r --debug res)" = "resume" ]
	[ "$(complete_line vcrt --sys)" = "--systemd-cgroup" ]
	[ "$(complete_line vcrt --log-format j)" = "json" ]
	[ "$(complete_line vcrt --root /r kill --a)" = "--all" ]
	[ "$(complete_line vcrt list -f t)" = "table" ]
	[ "$(complete_line vcrt create --pidfd)" = "--pidfd-socket" ]
	[ "$(complete_line vcrt create --pidfd-socket-)" = "" ]
	[ "$(complete_line vcrt help fea)" = "features" ]
	# Bash takes "--root=/r" for three words.
	[ "$(complete_line vcrt --root = /r kill --a)" = "--all" ]
	[ "$(complete_line vcrt --log-format = j)" = "json" ]
	[ "$(complete_line vcrt --log-format =)" = "text json" ]
}

@test "completion: offers every option of every command" {
	local verb option offered
	# shellcheck disable=SC1090
	source "$(completion)"
	for option in $(vcrt --help | grep -o '^   --[a-z0-9-]*'); do
		[[ " $(complete_line vcrt --) " == *" ${option#   } "* ]]
	done
	for verb in $(vcrt --help | sed -n '/^COMMANDS/,/^$/s/^   \([a-z]*\) .*/\1/p'); do
		offered=" $(complete_line vcrt "$verb" -) "
		for option in $(vcrt "$verb" --help | sed -nE 's/^   (--[a-z0-9-]+)( value)?(, (-[a-z]).*)?.*/\1 \4/p'); do
			[[ $offered == *" $option "* ]]
		done
	done
}

@test "completion: offers the ids of containers, also in an interactive bash" {
	local verb
	create_container "$ID"
	# shellcheck disable=SC1090
	source "$(completion)"
	for verb in start exec kill delete state ps pause resume update events; do
		[ "$(complete_line "$VCRT" --config "$T/config.json" --root "$ROOT" "$verb" t)" = "$ID" ]
	done
	cat >"$T/bashrc" <<-END
		source $(completion)
		PATH=$(dirname "$VCRT"):\$PATH
		PS1='ready> '
	END
	timeout 60 "$BATS_TEST_DIRNAME/terminal.py" run 24x200 expect='ready> ' \
		send="vcrt --root $ROOT --config $T/config.json sta\\t\\t" expect='state' \
		send='te t\t' expect="state $ID" send='\n' expect='"status": "created"' \
		send='exit\n' -- bash --noprofile --rcfile "$T/bashrc" -i >"$T/out"
}
