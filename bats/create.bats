#!/usr/bin/env bats
# vcrt create: a container that waits for its start; its pid file and console socket.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers

@test "create: the container is there, but its program does not run yet" {
	local pid
	args sh -c 'echo started >/started'
	vcrt create --bundle "$B" --pid-file "$T/pid" "$ID" </dev/null >"$T/out" 2>"$T/err"
	[ ! -s "$T/out" ] && [ ! -s "$T/err" ]
	[ "$(status_of "$ID")" = created ]
	pid=$(cat "$T/pid")
	# Decimal digits and nothing else, not even a newline: clients parse the whole file.
	[[ $pid =~ ^[1-9][0-9]*$ ]]
	[ "$(stat -c %s "$T/pid")" -eq "${#pid}" ]
	[ "$(stat -c %a "$T/pid")" = 644 ]
	[ "$(pid_of shim "$ID")" = "$pid" ]
	# In a created container one can already run programs.
	[ "$(vcrt exec "$ID" echo early)" = early ]
	[ ! -e "$B/rootfs/started" ]
	# Changes of the bundle have no effect any more.
	edit '.process.args = ["sh", "-c", "echo changed >/started"] | .hostname = "changed"'
	vcrt start "$ID"
	wait_until 10 test -s "$B/rootfs/started"
	[ "$(cat "$B/rootfs/started")" = started ]
	wait_until 10 is_status "$ID" stopped
}

@test "create: the pid file is replaced, and not written after a failure" {
	echo old >"$T/pid"
	ln "$T/pid" "$T/other"
	args /no/such/program
	run vcrt create --bundle "$B" --pid-file "$T/pid" "$ID"
	[ "$status" -eq 1 ]
	[ "$(cat "$T/pid")" = old ]
	assert_nothing_left
	args true
	vcrt create --bundle "$B" --pid-file pid "$ID" </dev/null
	[ "$(cat "$T/pid")" = "$(pid_of shim "$ID")" ]
	# Put in place by its name, so that nobody reads a half of it.
	[ "$(cat "$T/other")" = old ]
	[ "$(find "$T" -maxdepth 1 -name '*pid*')" = "$T/pid" ]
}

@test "create: a terminal needs a console socket, and the other way round" {
	edit '.process.terminal = true'
	run vcrt create --bundle "$B" "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *'cannot allocate tty if runc will detach without setting console socket'* ]]
	run vcrt run -d --bundle "$B" "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *'cannot allocate tty if runc will detach without setting console socket'* ]]
	run vcrt create --bundle "$B" --console-socket /no/such/socket "$ID"
	[ "$status" -eq 1 ]
	[[ $output == */no/such/socket*"No such file or directory"* ]]
	touch "$T/file"
	run vcrt create --bundle "$B" --console-socket "$T/file" "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *"$T/file"*"Connection refused"* ]]
	edit '.process.terminal = false'
	run vcrt create --bundle "$B" --console-socket "$T/file" "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *'cannot use console socket if runc will not detach or allocate tty'* ]]
	assert_nothing_left
}

@test "create: ids that hold files of the runtime itself cannot be taken" {
	ROOT=$T/run
	VCRT_ARGS=(--config "$T/config.json" --root "$ROOT")
	run vcrt create --bundle "$B" sandboxes
	[ "$status" -eq 1 ]
	[[ $output == *"container id 'sandboxes' is reserved"* ]]
	[ ! -e "$RUN" ]
	# The verdict about KVM is kept there, too; a container may have any name, though.
	vcrt run --bundle "$B" kvm-probe
	vcrt delete --force sandboxes
	[ -d "$RUN" ]
	[ "$(vcrt list -q)" = '' ]
	ROOT=$T/root
	VCRT_ARGS=(--config "$T/config.json" --root "$ROOT")
}

@test "create: --no-new-keyring leaves the container the session keyring of the machine" {
	edit 'del(.linux.maskedPaths)' # one of them is /proc/keys
	create_container "$ID"
	[ "$(vcrt exec "$ID" grep -c "_ses\.$ID" /proc/keys)" -eq 1 ]
	vcrt delete "$ID"
	create_container "$ID" --no-new-keyring
	[ -n "$(vcrt exec "$ID" cat /proc/keys)" ]
	run vcrt exec "$ID" grep "_ses\.$ID" /proc/keys
	[ "$status" -eq 1 ]
}

@test "create: --no-pivot changes the root all the same" {
	echo here >"$B/rootfs/mark"
	args cat /mark
	vcrt create --bundle "$B" --no-pivot "$ID" </dev/null >"$T/out" 2>"$T/err"
	vcrt start "$ID"
	wait_until 10 is_status "$ID" stopped
	[ "$(cat "$T/out")" = here ]
}
