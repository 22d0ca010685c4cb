#!/usr/bin/env bats
# Terminals: the caller's own, and those handed over through a console socket.
# shellcheck disable=SC2016 # the guest's shell expands
load helpers

setup_file() {
	PATH=$BATS_TEST_DIRNAME:$PATH
}

# A shell that says its size at the start and whenever that changes, until it reads "quit".
terminal_bundle() {
	edit '.process.terminal = true'
	args sh -c 'trap "echo size \$(stty size)" WINCH; tty; echo start $(stty size)
		until [ "$line" = quit ]; do line=; read -r line && echo "read $line"; done; exit 6'
}

@test "tty: run has the caller's terminal, with its size, and follows it" {
	local code=0
	terminal_bundle
	timeout 100 terminal.py run 33x101 expect='start 33 101' resize=40x120 expect=$'size 40 120\r\n' \
		send='hello\n' expect=$'read hello\r\n' send='quit\n' -- \
		"$VCRT" "${VCRT_ARGS[@]}" run --bundle "$B" "$ID" >"$T/out" || code=$?
	cat -A "$T/out" >&2
	[ "$code" -eq 6 ]
	# Line ends are translated once, what is typed is echoed once.
	grep -q $'^/dev/pts/0\r$' "$T/out" || grep -q $'^/dev/console\r$' "$T/out"
	[ "$(grep -c $'^hello\r$' "$T/out")" -eq 1 ]
	[ "$(grep -c $'^read hello\r$' "$T/out")" -eq 1 ]
	[ "$(grep -c $'\r\r' "$T/out")" -eq 0 ]
	assert_nothing_left
}

@test "tty: ^C is a signal for the container's process, not for vcrt" {
	local code=0
	edit '.process.terminal = true'
	args sh -c 'trap "echo interrupted; exit 9" INT; echo ready; while :; do sleep 0.1; done'
	timeout 100 terminal.py run 24x80 expect=ready send='\x03' expect=interrupted -- \
		"$VCRT" "${VCRT_ARGS[@]}" run --bundle "$B" "$ID" >"$T/out" || code=$?
	[ "$code" -eq 9 ]
}

@test "tty: what run and exec read and write may be redirected, the terminal has the size" {
	edit '.process.terminal = true'
	# What is typed is echoed at once, even into the middle of a line: nothing is said before that.
	args sh -c 'test -t 0 && test -t 1 && size=$(stty size) && read -r line && echo "$size" && echo "read $line"'
	timeout 100 terminal.py run 31x99 -- sh -c 'out=$1; shift; echo typed | "$@" >"$out" 2>&1' - \
		"$T/out" "$VCRT" "${VCRT_ARGS[@]}" run --bundle "$B" "$ID"
	cat -A "$T/out" >&2
	grep -q $'^31 99\r$' "$T/out"
	grep -q $'^read typed\r$' "$T/out"
	# An end of input is none of the terminal.
	edit '.process.terminal = false'
	start_container "$ID" sleep 1000
	timeout 60 terminal.py run 32x98 -- sh -c 'out=$1; shift; "$@" </dev/null >"$out" 2>&1' - \
		"$T/out" "$VCRT" "${VCRT_ARGS[@]}" exec -t "$ID" sh -c 'sleep 1; tty; stty size'
	cat -A "$T/out" >&2
	grep -q $'^32 98\r$' "$T/out"
}

@test "tty: create sends exactly one terminal to the console socket" {
	terminal_bundle
	edit '.process.consoleSize = {height: 21, width: 77}'
	background timeout 100 "$BATS_TEST_DIRNAME/terminal.py" listen "$T/console" \
		expect='start 21 77' resize=50x90 expect=$'size 50 90\r\n' \
		send='hello\n' expect=$'read hello\r\n' send='quit\n' -- \
		"$VCRT" "${VCRT_ARGS[@]}" create --bundle "$B" --console-socket "$T/console" \
		--pid-file "$T/pid" "$ID" >"$T/out" 2>"$T/err"
	wait_until 60 has_line "$T/out" 'console received'
	[ "$(status_of "$ID")" = created ]
	# The pty is the shim's controlling terminal.
	[ "$(cut -d ' ' -f 7 "/proc/$(cat "$T/pid")/stat")" -ne 0 ]
	vcrt start "$ID"
	# It ends when the terminal does: nobody holds it any more.
	wait_for 20 "${BACKGROUND[0]}"
	cat -A "$T/out" "$T/err" >&2
	grep -q $'^read hello\r$' "$T/out"
	[ "$(grep -c $'\r\r' "$T/out")" -eq 0 ]
	wait_until 10 is_status "$ID" stopped
}

@test "tty: a terminal and a console socket must fit together" {
	edit '.process.terminal = true'
	run vcrt create --bundle "$B" "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *'cannot allocate tty if runc will detach without setting console socket'* ]]
	run vcrt run --detach --bundle "$B" "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *'cannot allocate tty if runc will detach without setting console socket'* ]]
	edit '.process.terminal = false'
	run vcrt create --bundle "$B" --console-socket "$T/console" "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *'cannot use console socket if runc will not detach or allocate tty'* ]]
	# A socket that nobody listens on.
	edit '.process.terminal = true'
	run vcrt create --bundle "$B" --console-socket "$T/console" "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *"$T/console"* ]]
	assert_nothing_left
}

@test "tty: exec has a terminal of its own" {
	local code=0
	start_container "$ID" sleep 1000
	timeout 60 terminal.py run 11x44 expect='start 11 44' resize=12x45 expect='size 12 45' \
		send='x\n' -- "$VCRT" "${VCRT_ARGS[@]}" exec -t "$ID" \
		sh -c 'trap "echo size \$(stty size)" WINCH; echo start $(stty size)
			until [ "$line" = x ]; do line=; read -r line; done; exit 4' \
		>"$T/out" || code=$?
	cat -A "$T/out" >&2
	[ "$code" -eq 4 ]
	[ "$(grep -c $'\r\r' "$T/out")" -eq 0 ]

	# Detached, through a console socket.
	timeout 60 terminal.py listen "$T/console" expect=prompt: send='typed\n' expect='got typed' -- \
		"$VCRT" "${VCRT_ARGS[@]}" exec -t -d --console-socket "$T/console" "$ID" \
		sh -c 'printf prompt:; read -r a; echo "got $a"' >"$T/out"
	[ "$(grep -c $'^got typed\r$' "$T/out")" -eq 1 ]

	run vcrt exec -t -d "$ID" true
	[ "$status" -eq 255 ]
	[[ $output == *'cannot allocate tty if runc will detach without setting console socket'* ]]
}

@test "tty: a start that takes long is told at the terminal, and the line goes away again" {
	local code=0
	printf '#!/bin/sh\nsleep 10\nexit 1\n' >"$T/slow-vmm"
	chmod +x "$T/slow-vmm"
	configure vmm_path "\"$T/slow-vmm\""
	timeout 60 terminal.py run 24x80 expect='waiting for the virtual machine to start' \
		expect=$'\x1b[K' expect='virtual machine has ended' -- \
		"$VCRT" "${VCRT_ARGS[@]}" run --bundle "$B" "$ID" >"$T/out" || code=$?
	cat -A "$T/out" >&2
	[ "$code" -eq 1 ]
	assert_nothing_left
}

@test "tty: ^C ends a start that takes long" {
	local code=0
	printf '#!/bin/sh\nexec sleep 60\n' >"$T/slow-vmm"
	chmod +x "$T/slow-vmm"
	configure vmm_path "\"$T/slow-vmm\""
	timeout 60 terminal.py run 24x80 expect='waiting for the virtual machine' send='\x03' \
		expect=interrupted -- \
		"$VCRT" "${VCRT_ARGS[@]}" run --bundle "$B" "$ID" >"$T/out" || code=$?
	cat -A "$T/out" >&2
	[ "$code" -eq 1 ]
	assert_nothing_left
}
