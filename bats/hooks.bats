#!/usr/bin/env bats
# Hooks: when they run, what they are told, and what their failure means.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers

# A hook that appends a line to $T/log: its name, status and pid of the state, its namespace's inode,
# its directory and environment.
setup_hook() {
	cat >"$T/hook" <<-'END'
		#!/bin/sh
		state=$(cat)
		printf '%s' "$state" >"$1.state"
		pid=$(echo "$state" | jq .pid)
		echo "$2 $(echo "$state" | jq -r '.status, .id, .bundle' | tr '\n' ' ')$(pwd) $HOOK_ENV" \
			"$(readlink "/proc/$pid/ns/net")" >>"$1"
	END
	chmod +x "$T/hook"
}

hook() { # KIND NAME
	edit --arg kind "$1" --arg name "$2" --arg t "$T" --arg path "$PATH" '.hooks[$kind] += [{
		path: ($t + "/hook"), args: ["hook", ($t + "/log"), $name],
		env: ["HOOK_ENV=set", "PATH=" + $path]}]'
}

@test "hooks: they run in their order, with the state, and see the container's network" {
	setup_hook
	hook prestart prestart-1
	hook prestart prestart-2
	hook createRuntime createRuntime
	hook poststart poststart
	hook poststop poststop
	edit '.annotations = {"some.key": "value"}'
	args sleep 1000
	create_container "$ID"
	[ "$(cut -d ' ' -f 1 "$T/log" | tr '\n' ' ')" = 'prestart-1 prestart-2 createRuntime ' ]
	net=$(readlink "/proc/$(pid_of shim "$ID")/ns/net")
	[ "$(tail -n 1 "$T/log")" = "createRuntime creating $ID $B $B set $net" ]
	jq -e --arg id "$ID" --arg b "$B" '.ociVersion and .id == $id and .bundle == $b and .pid > 0 and
		.annotations["some.key"] == "value"' "$T/log.state"
	vcrt start "$ID"
	[[ $(tail -n 1 "$T/log") == "poststart "*" $ID $B $B set $net" ]]
	vcrt delete --force "$ID"
	[[ $(tail -n 1 "$T/log") == "poststop stopped $ID $B $B set "* ]]
	[ "$(wc -l <"$T/log")" -eq 5 ]
	assert_nothing_left
}

@test "hooks: a failure of prestart or createRuntime destroys the container" {
	local kind
	for kind in prestart createRuntime; do
		edit --arg kind "$kind" '.hooks = {($kind): [{path: "/bin/sh",
			args: ["sh", "-c", "echo to-stdout; echo to-stderr >&2; exit 3"]}]}'
		run_container
		[ "$code" -eq 1 ]
		[ ! -s "$T/out" ]
		grep -qF 'error during container init: error running hook #0: error running hook: exit status 3, stdout: to-stdout' "$T/err"
		grep -qF 'to-stderr' "$T/err"
		assert_nothing_left
	done
	edit '.hooks = {prestart: [{path: "/no/such/hook"}]}'
	run_container
	[ "$code" -eq 1 ]
	grep -qF 'error running hook #0' "$T/err"
	assert_nothing_left
}

@test "hooks: one that takes too long is ended" {
	edit '.hooks = {prestart: [{path: "/bin/sleep", args: ["sleep", "1000"], timeout: 1}]}'
	run_container
	[ "$code" -eq 1 ]
	grep -qF 'error running hook #0: hook ran past specified timeout of 1.0s' "$T/err"
	assert_nothing_left
}

@test "hooks: a failure of poststart or poststop is a warning, and all of them run" {
	setup_hook
	edit '.hooks = {poststart: [{path: "/bin/false"}], poststop: [{path: "/bin/false"}]}'
	hook poststart poststart
	hook poststop poststop
	run_container -- sh -c 'echo ran; exit 5'
	[ "$code" -eq 5 ]
	[ "$(cat "$T/out")" = ran ]
	[ "$(cut -d ' ' -f 1 "$T/log" | tr '\n' ' ')" = 'poststart poststop ' ]
	assert_nothing_left
}

@test "hooks: startContainer runs in the guest" {
	cat >"$B/rootfs/bin/hook" <<-'END'
		#!/bin/sh
		cat >/tmp/$1.state
		uname -r >/tmp/$1
	END
	chmod +x "$B/rootfs/bin/hook"
	edit '.hooks = {startContainer: [{path: "/bin/hook", args: ["hook", "start"], env: ["PATH=/bin"]}]}'
	run_container -- cat /tmp/start
	[ "$code" -eq 0 ]
	[ -n "$(cat "$T/out")" ]
	[ "$(cat "$T/out")" != "$(uname -r)" ]
	jq -e --arg id "$ID" '.id == $id and .status == "created"' "$B/rootfs/tmp/start.state"
	edit '.hooks = {startContainer: [{path: "/bin/false"}]}'
	run_container -- true
	[ "$code" -ne 0 ]
	assert_nothing_left
}
