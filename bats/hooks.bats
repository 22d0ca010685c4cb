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

# One that runs in the container; it can do without jq.
hook_in_container() { # NAME
	cat >"$B/rootfs/bin/hook" <<-'END'
		#!/bin/sh
		cat >"$1.state"
		echo "$2 $(pwd) $(id -u) $HOOK_ENV" >>"$1"
	END
	chmod +x "$B/rootfs/bin/hook"
	edit --arg name "$1" '.hooks.startContainer += [{path: "/bin/hook", args: ["hook", "/log", $name],
		env: ["HOOK_ENV=inside", "PATH=/bin"]}]'
}

@test "hooks: all six run in their order, with the state, in their places" {
	setup_hook
	mkdir "$B/rootfs/work"
	: >"$B/rootfs/log"
	chmod 666 "$B/rootfs/log"
	: >"$B/rootfs/log.state"
	chmod 666 "$B/rootfs/log.state"
	ln -s "$B/rootfs/log" "$T/log"
	ln -s "$B/rootfs/log.state" "$T/log.state"
	hook prestart prestart-1
	hook prestart prestart-2
	hook createRuntime createRuntime
	hook createContainer createContainer-1
	hook createContainer createContainer-2
	hook poststart poststart
	hook poststop poststop
	hook_in_container startContainer-1
	hook_in_container startContainer-2
	edit '.annotations = {"some.key": "value"} | .process.cwd = "/work" |
		.process.user = {uid: 1000, gid: 1000}'
	args sh -c 'echo program >>/log; exec sleep 1000'
	create_container "$ID"
	[ "$(cut -d ' ' -f 1 "$T/log" | tr '\n' ' ')" = \
		'prestart-1 prestart-2 createRuntime createContainer-1 createContainer-2 ' ]
	net=$(readlink "/proc/$(pid_of shim "$ID")/ns/net")
	[ "$(sed -n 3p "$T/log")" = "createRuntime creating $ID $B $B set $net" ]
	# Process 1 of the namespace that it is in; runs in the root file system.
	[[ $(sed -n 4p "$T/log") == "createContainer-1 creating $ID $B $B/rootfs set "* ]]
	jq -e --arg id "$ID" --arg b "$B" '. == {ociVersion: .ociVersion, id: $id, status: "creating", pid: 1,
		bundle: $b, annotations: {"some.key": "value"}} and .ociVersion' "$T/log.state"
	vcrt start "$ID"
	wait_until 10 has_line "$T/log" program
	[ "$(cut -d ' ' -f 1 "$T/log" | sed -n '6,7p' | tr '\n' ' ')" = 'startContainer-1 startContainer-2 ' ]
	[ "$(sed -n 6p "$T/log")" = 'startContainer-1 /work 1000 inside' ]
	has_line "$T/log" "poststart running $ID $B $B set $net"
	vcrt delete --force "$ID"
	[[ $(tail -n 1 "$T/log") == "poststop stopped $ID $B $B set "* ]]
	jq -e 'has("pid") | not' "$T/log.state"
	[ "$(wc -l <"$T/log")" -eq 10 ]
	assert_nothing_left
}

@test "hooks: createContainer can change what the container sees, and nothing on the host" {
	mkdir "$T/files" "$B/rootfs/place"
	echo bound >"$T/files/file"
	edit --arg t "$T" --arg path "$PATH" '.hooks = {createContainer: [{path: "/bin/sh", args: ["sh", "-c",
		"mount --bind " + $t + "/files ./place && readlink /proc/self/ns/net >" + $t + "/net &&
		 readlink /proc/self/ns/mnt >" + $t + "/mnt"], env: ["PATH=" + $path]}]}'
	args sh -c 'cat /place/file; sleep 1000'
	start_container "$ID" sh -c 'cat /place/file; exec sleep 1000'
	wait_until 20 has_line "$T/$ID.out" bound
	[ "$(cat "$T/net")" = "$(readlink "/proc/$(pid_of shim "$ID")/ns/net")" ]
	[ "$(cat "$T/mnt")" = "$(readlink "/proc/$(pid_of shim "$ID")/ns/mnt")" ]
	[ -z "$(ls -A "$B/rootfs/place")" ]
	vcrt delete --force "$ID"

	# Without an environment of its own, that of the process, as in runc.
	edit --arg t "$T" '.process.env = ["PATH=/bin", "MINE=x"] | .hooks = {createContainer: [{path: "/usr/bin/env",
		args: ["env", "sh", "-c", "env >" + $t + "/env"]}]}'
	run_container -- true
	[ "$code" -eq 0 ]
	[ "$(grep -v -e ^PWD= -e ^SHLVL= -e ^OLDPWD= -e ^_= "$T/env" | sort)" = $'MINE=x\nPATH=/bin' ]
}

@test "hooks: createContainer runs in the guest when only the container has its program" {
	mkdir "$B/rootfs/hooks"
	printf '#!/bin/sh\ncat >/state; { pwd; uname -r; echo $MINE; } >/seen; ls -A /proc/1/root >/ls; exit ${FAIL:-0}\n' \
		>"$B/rootfs/hooks/in-guest"
	chmod +x "$B/rootfs/hooks/in-guest"
	edit '.process.env = ["PATH=/bin", "MINE=x"] | .hooks = {createContainer: [{path: "/hooks/in-guest"}]}'
	run_container -- cat /seen
	[ "$code" -eq 0 ]
	[ "$(head -n 1 "$T/out")" = / ]
	[ "$(sed -n 2p "$T/out")" != "$(uname -r)" ]
	[ "$(sed -n 3p "$T/out")" = x ]
	jq -e --arg id "$ID" '.id == $id and .status == "creating" and .pid == 1 and (has("rootfs") | not)' "$B/rootfs/state"
	# It sees nothing of the agent, not even by way of the process that it prepares.
	has_line "$B/rootfs/ls" hooks
	diff "$B/rootfs/ls" <(ls -A "$B/rootfs")

	edit '.hooks.createContainer[0].env = ["PATH=/bin", "FAIL=4"]'
	run_container -- true
	[ "$code" -eq 1 ]
	grep -qF 'unable to start container process: error during container init: error running hook #0: error running hook: exit status 4' "$T/err"
	assert_nothing_left
}

@test "hooks: a failure before the program runs destroys the container, and poststop hooks run" {
	local kind
	args echo ran
	for kind in prestart createRuntime createContainer startContainer; do
		edit --arg kind "$kind" --arg t "$T" '.hooks = {($kind): [{path: "/bin/true"}, {path: "/bin/sh",
			args: ["sh", "-c", "echo to-stdout; echo to-stderr >&2; exit 3"]}],
			poststop: [{path: "/bin/sh", args: ["sh", "-c", "cat >" + $t + "/stopped"]}]}'
		rm -f "$T/stopped"
		run_container
		[ "$code" -eq 1 ]
		[ ! -s "$T/out" ]
		grep -qF 'error running hook #1: error running hook: exit status 3, stdout: to-stdout' "$T/err"
		grep -qF 'stderr: to-stderr' "$T/err"
		[ "$kind" = startContainer ] ||
			grep -qF 'unable to start container process: error during container init: error running hook' "$T/err"
		[ "$(jq -r .status "$T/stopped")" = stopped ]
		assert_nothing_left
	done
	for kind in prestart createContainer startContainer; do
		edit --arg kind "$kind" '.hooks = {($kind): [{path: "/no/such/hook"}]}'
		run_container
		[ "$code" -eq 1 ]
		grep -qF 'error running hook #0: fork/exec /no/such/hook: no such file or directory' "$T/err"
		assert_nothing_left
	done
	for kind in '{"path": "bin/sh"}' '{"path": "/bin/sh", "timeout": 0}' '{"path": "/bin/sh", "timeout": -1}' '{}'; do
		edit --argjson hook "$kind" '.hooks = {poststop: [$hook]}'
		run_container
		[ "$code" -eq 1 ]
		grep -qF 'config.json: hooks.poststop[0].' "$T/err"
		assert_nothing_left
	done
}

@test "hooks: after a startContainer hook that failed, the container is stopped and can be deleted" {
	edit '.hooks = {startContainer: [{path: "/bin/false"}]}'
	args sleep 1000
	create_container "$ID"
	run vcrt start "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *'error running hook #0: error running hook: exit status 1, stdout: , stderr: '* ]]
	wait_until 10 is_status "$ID" stopped
	vcrt delete "$ID"
	assert_nothing_left
}

@test "hooks: one that takes too long is ended, with all that it has started" {
	local kind
	# What is left of the hook would hold the file system, or be a process of this test's.
	for kind in prestart createContainer startContainer; do
		edit --arg kind "$kind" '.hooks = {($kind): [{path: "/bin/sh", args: ["sh", "-c",
			"sleep 1000 & setsid sleep 1000 & (sleep 1000 &); sleep 1000"], timeout: 1}]}'
		run_container
		[ "$code" -eq 1 ]
		grep -qF 'error running hook #0: hook ran past specified timeout of 1.0s' "$T/err"
		assert_nothing_left
	done
}

@test "hooks: a run in the foreground can be interrupted in a createContainer hook" {
	edit --arg t "$T" '.hooks = {createContainer: [{path: "/bin/sh",
		args: ["sh", "-c", "echo here >" + $t + "/log; sleep 1000; true"]}]}'
	background "$VCRT" "${VCRT_ARGS[@]}" run --bundle "$B" "$ID" </dev/null >"$T/out" 2>"$T/err"
	wait_until 30 has_line "$T/log" here
	kill -TERM $!
	code=0
	wait_for 20 $! || code=$?
	[ "$code" -eq 1 ]
	grep -q interrupted "$T/err"
	assert_nothing_left
}

@test "hooks: a failure of poststart stops the container, one of poststop is a warning" {
	setup_hook
	edit '.hooks = {poststart: [{path: "/bin/true"}, {path: "/bin/false"}]}'
	hook poststart never
	hook poststop poststop
	run_container -- sleep 1000
	[ "$code" -eq 1 ]
	grep -qF 'error running hook #1: error running hook: exit status 1, stdout: , stderr: ' "$T/err"
	[ "$(cut -d ' ' -f 1,2 "$T/log")" = 'poststop stopped' ]
	assert_nothing_left

	args sleep 1000
	create_container "$ID"
	run vcrt start "$ID"
	[ "$status" -eq 1 ]
	[ "$(status_of "$ID")" = stopped ]
	vcrt delete "$ID"
	assert_nothing_left

	rm "$T/log"
	edit '.hooks = {poststop: [{path: "/bin/false"}]}'
	hook poststop poststop
	run_container -- sh -c 'echo ran; exit 5'
	[ "$code" -eq 5 ]
	[ "$(cat "$T/out")" = ran ]
	grep -qF 'level=warning msg="poststop hook: error running hook #0: error running hook: exit status 1' "$T/err"
	[ "$(cut -d ' ' -f 1 "$T/log")" = poststop ]
	assert_nothing_left
}

@test "hooks: startContainer runs with the program's rights, environment and filter" {
	edit '.process.env = ["PATH=/bin", "MINE=x"] | .process.user = {uid: 1000, gid: 1000} | .process.cwd = "/tmp" |
		.process.capabilities.ambient = [] | .process.noNewPrivileges = false |
		.hooks = {startContainer: [{path: "/bin/sh", args: ["sh", "-c", "{ cat; echo; id -u; pwd; echo $HOME $MINE
			grep -e CapEff -e CapPrm -e Seccomp: /proc/self/status; } >/tmp/seen"]}]} |
		.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [
			{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_KILL_PROCESS"}]}'
	run_container -- cat /tmp/seen
	[ "$code" -eq 0 ]
	jq -e --arg id "$ID" '.id == $id and .status == "created" and .pid == 1' <<<"$(head -n 1 "$T/out")"
	[ "$(sed 1d "$T/out" | tr -s '\t' ' ')" = $'1000\n/tmp\n/ x\nCapPrm: 0000000000000000\nCapEff: 0000000000000000\nSeccomp: 2' ]
	edit '.hooks.startContainer[0].args = ["sh", "-c", "exec mkdir /tmp/dir"]'
	run_container -- true
	[ "$code" -eq 1 ]
	grep -qF 'error running hook #0: error running hook: signal: bad system call' "$T/err"
	assert_nothing_left
}

@test "hooks: what config.json says after create does not count" {
	setup_hook
	hook poststart poststart
	hook poststop poststop
	edit '.annotations = {"first": "1"} | .process.env += ["WHICH=first"]'
	args sh -c 'echo $WHICH; exec sleep 1000'
	create_container "$ID"
	edit '.hooks = {poststart: [{path: "/bin/false"}]} | .annotations = {"second": "2"} |
		.process.env += ["WHICH=second"] | .process.args = ["false"]'
	vcrt start "$ID"
	wait_until 10 has_line "$T/$ID.out" first
	[ "$(vcrt exec "$ID" sh -c 'echo $WHICH')" = first ]
	[ "$(vcrt state "$ID" | jq -c .annotations)" = '{"first":"1"}' ]
	echo '{' >"$B/config.json"
	vcrt delete --force "$ID"
	[ "$(cut -d ' ' -f 1 "$T/log" | tr '\n' ' ')" = 'poststart poststop ' ]
	jq -e '.annotations == {"first": "1"}' "$T/log.state"
	assert_nothing_left
}
