#!/usr/bin/env bats
# Processes of vcrt that are killed: within a second the container counts as stopped, and
# "delete --force" leaves nothing.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers

# A running container with an exec; its three processes in $shim, $monitor, $vmm.
running_container() {
	start_container "$ID" sleep 1000
	vcrt exec -d --pid-file "$T/exec" "$ID" sleep 1000 </dev/null >/dev/null 2>&1
	shim=$(pid_of shim "$ID") monitor=$(pid_of monitor "$ID") vmm=$(pid_of vmm "$ID")
}

# All is over within a second; delete --force (a second time, too) is content and thorough.
assert_stopped_and_deletable() {
	wait_until 1 is_status "$ID" stopped
	wait_until 1 is_gone "$shim"
	wait_until 1 is_gone "$vmm"
	wait_until 1 is_gone "$(cat "$T/exec")"
	[ "$(vcrt state "$ID" | jq .pid)" = 0 ]
	run vcrt kill "$ID" 0
	[ "$status" -eq 1 ]
	[[ $output == *'container not running'* ]]
	run vcrt delete --force "$ID"
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	assert_nothing_left
	run vcrt delete --force "$ID"
	[ "$status" -eq 0 ]
}

@test "crash: kill -9 of the shim" {
	running_container
	kill -9 "$shim"
	assert_stopped_and_deletable
}

@test "crash: kill -9 of the monitor" {
	running_container
	kill -9 "$monitor"
	assert_stopped_and_deletable
}

@test "crash: kill -9 of QEMU" {
	running_container
	kill -9 "$vmm"
	assert_stopped_and_deletable
}

@test "crash: kill -9 of all three at once" {
	running_container
	kill -9 "$shim" "$monitor" "$vmm"
	assert_stopped_and_deletable
}

@test "crash: delete without force is enough after a crash" {
	running_container
	kill -9 "$monitor"
	wait_until 1 is_status "$ID" stopped
	vcrt delete "$ID"
	assert_nothing_left
}

is_zombie_or_gone() { # PID
	! grep -s '^State:' "/proc/$1/status" | grep -vq Z
}

@test "crash: delete without force is enough as soon as the shim is gone" {
	running_container
	# The guest cannot end the container before its processors run again.
	kill -STOP "$vmm"
	kill -9 "$shim"
	wait_until 5 is_zombie_or_gone "$shim"
	[ "$(status_of "$ID")" = stopped ]
	run vcrt kill "$ID" 9
	[ "$status" -eq 1 ]
	[[ $output == *'container not running'* ]]
	vcrt delete "$ID"
	assert_nothing_left
}

@test "crash: run and exec in the foreground end with 137 when the VM dies" {
	local run exec code=0
	args sleep 1000
	background "$VCRT" "${VCRT_ARGS[@]}" run --bundle "$B" "$ID" </dev/null >"$T/out" 2>"$T/err"
	run=$!
	is_running() { [ "$(status_of "$ID" 2>/dev/null)" = running ]; }
	wait_until 30 is_running
	background "$VCRT" "${VCRT_ARGS[@]}" exec "$ID" sh -c 'touch /ready; sleep 1000' \
		</dev/null >/dev/null 2>&1
	exec=$!
	wait_until 10 test -e "$B/rootfs/ready"
	kill -9 "$(pid_of vmm "$ID")"
	wait_for 2 "$exec" || code=$?
	[ "$code" -eq 137 ]
	code=0
	wait_for 2 "$run" || code=$?
	[ "$code" -eq 137 ]
	assert_nothing_left
}

@test "crash: the guest's kernel panics" {
	edit '.linux.readonlyPaths = [] | .process.capabilities |= map_values(. + ["CAP_SYS_ADMIN"])'
	args sh -c 'echo c >/proc/sysrq-trigger; sleep 1000'
	create_container "$ID"
	ln "$RUN"/*/monitor.log "$T/log"
	vcrt start "$ID"
	wait_until 30 is_status "$ID" stopped
	grep -q 'the virtual machine has ended: the guest has stopped it, ending the sandbox' "$T/log"
	vcrt delete "$ID"
	LIMIT=30 run_container -- sh -c 'echo c >/proc/sysrq-trigger; sleep 1000'
	[ "$code" -eq 137 ]
	assert_nothing_left
}

# Kill "create" when a condition holds.
kill_create() { # CONDITION...
	background "$VCRT" "${VCRT_ARGS[@]}" create --bundle "$B" --pid-file "$T/pid" "$ID" \
		</dev/null >"$T/out" 2>"$T/err"
	wait_until 20 "$@"
	kill -9 $! 2>/dev/null || true
	wait $! 2>/dev/null || true
}

half_made_is_stopped() {
	local status
	# It may not have come far enough to be a container at all.
	[ -e "$ROOT/$ID/vcrt.journal" ] || return 0
	status=$(status_of "$ID") && [ "$status" = stopped ]
}

assert_half_made_goes_away() {
	record_processes
	wait_until 1 half_made_is_stopped
	run vcrt delete --force "$ID"
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	assert_nothing_left
}

@test "crash: kill -9 of create at many moments" {
	local ms code
	for ms in 0 2 5 10 20 40 80 160 320 640 1280; do
		background "$VCRT" "${VCRT_ARGS[@]}" create --bundle "$B" --pid-file "$T/pid" "$ID" \
			</dev/null >"$T/out" 2>"$T/err"
		sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
		kill -9 $! 2>/dev/null || true
		code=0
		wait $! 2>/dev/null || code=$?
		# A quick machine has made it by now.
		[ "$code" -ne 0 ] || break
		[ ! -e "$T/pid" ]
		echo "after $ms ms:"
		ls "$ROOT/$ID" 2>/dev/null || true
		assert_half_made_goes_away
	done
}

@test "crash: kill -9 of create when its directory, its monitor, its shim are there" {
	journal_has() { grep -q "\"$1\":{\"pid\":[1-9]" "$ROOT/$ID/vcrt.journal" 2>/dev/null; }
	kill_create test -d "$ROOT/$ID"
	assert_half_made_goes_away
	kill_create journal_has monitor
	assert_half_made_goes_away
	kill_create journal_has shim
	assert_half_made_goes_away
	kill_create test -e "$ROOT/$ID/state.json"
	assert_half_made_goes_away
}

@test "crash: kill -9 of the monitor, the shim or QEMU while create waits for them" {
	local name
	for name in monitor shim; do
		background "$VCRT" "${VCRT_ARGS[@]}" create --bundle "$B" "$ID" \
			</dev/null >"$T/out" 2>"$T/err"
		journal_has() { grep -q "\"$1\":{\"pid\":[1-9]" "$ROOT/$ID/vcrt.journal" 2>/dev/null; }
		wait_until 10 journal_has shim
		sleep 0.3
		kill -9 "$(jq -r ".vcrt.$name.pid? // empty" "$ROOT/$ID/vcrt.journal" | tail -n 1)"
		code=0
		wait_for 10 $! || code=$?
		[ "$code" -eq 1 ]
		[ -s "$T/err" ]
		assert_nothing_left
	done
	background "$VCRT" "${VCRT_ARGS[@]}" create --bundle "$B" "$ID" </dev/null >"$T/out" 2>"$T/err"
	vmm_of_test() { pgrep -P "$(jq -r '.vcrt.monitor.pid? // empty' "$ROOT/$ID/vcrt.journal" |
		tail -n 1)" >"$T/vmm"; }
	wait_until 10 journal_has monitor
	wait_until 10 vmm_of_test
	kill -9 "$(cat "$T/vmm")"
	code=0
	wait_for 10 $! || code=$?
	[ "$code" -eq 1 ]
	grep -q 'vcrt create failed' "$T/err"
	assert_nothing_left
}

@test "crash: what a killed run leaves goes away" {
	args sleep 1000
	background "$VCRT" "${VCRT_ARGS[@]}" run --bundle "$B" "$ID" </dev/null >/dev/null 2>&1
	is_running() { [ "$(status_of "$ID" 2>/dev/null)" = running ]; }
	wait_until 30 is_running
	kill -9 $!
	wait $! 2>/dev/null || true
	record_processes
	vcrt delete --force "$ID"
	assert_nothing_left
}
