#!/usr/bin/env bats
# Debian's containerd with ctr: vcrt behind each of its three shims.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers
load clients
load containerd

setup_file() {
	containerd_setup_file
}

teardown_file() {
	containerd_teardown_file
}

# --- Results and standard streams ----------------------------------------------------------------

results_with() { # SHIM
	local input code

	[ -e big ] || head -c 10000000 /dev/urandom >big
	rm -f input
	mkfifo input
	# ctr loses an end of its input that comes before the task is there.
	INPUT=input background run_in "$1" --rm "$IMAGE" c \
		sh -c 'echo ready; cat; echo err >&2; sh -c "kill -SEGV \$\$"; exit $?' >out 2>err
	exec {input}>input
	wait_until 60 has_line out ready
	cat big >&"$input"
	exec {input}>&-
	code=0
	wait_for 60 $! || code=$?
	[ "$code" -eq 139 ]
	tail -c +7 out | cmp - big
	grep -qx err err

	# The same ID again, at once, and of directories that are not of containerd.
	run run_in "$1" --rm --rootfs --env PATH=/bin "$BATS_SUITE_TMPDIR/rootfs" c sh -c 'echo out; exit 7'
	[ "$status" -eq 7 ]
	[ "$output" = out ]
	run run_in "$1" --rm "$IMAGE" c nosuch
	[ "$status" -eq 1 ]
	[[ $output == *'OCI runtime create failed: '*'exec: "nosuch": executable file not found in $PATH'* ]]
}

@test "containerd: results and standard streams through io.containerd.runc.v2" {
	results_with "$V2"
}

@test "containerd: results and standard streams through io.containerd.runc.v1" {
	results_with "$V1"
}

@test "containerd: results and standard streams through io.containerd.runtime.v1.linux" {
	results_with "$LINUX"
}

# --- Terminals -----------------------------------------------------------------------------------

# ctr leaves its own terminal as it is for output: that adds a carriage return to that of the
# container's.
terminals_with() { # SHIM
	local -a options=(--runtime "$1" --fifo-dir "$T/fifo" --cgroup "/$ID/c")

	[ "$1" != "$V2" ] || options+=(--runc-binary "$RUNTIME")
	run -9 python3 "$BATS_TEST_DIRNAME/terminal.py" run 31x97 expect=$'ready\r\r\n' send='typed\n' \
		expect=$'got typed\r\r\n' resize=32x98 -- \
		timeout --foreground 60 ctr -a "$T/containerd.sock" -n "$ID" run "${options[@]}" --rm -t "$IMAGE" c \
		sh -c 'until [ "$(stty size)" = "31 97" ]; do sleep 0.1; done; echo ready; read -r x
			echo "got $x"; until [ "$(stty size)" = "32 98" ]; do sleep 0.1; done; exit 9'
}

@test "containerd: terminals through io.containerd.runc.v2" {
	terminals_with "$V2"
}

@test "containerd: terminals through io.containerd.runc.v1" {
	terminals_with "$V1"
}

@test "containerd: terminals through io.containerd.runtime.v1.linux" {
	terminals_with "$LINUX"
}

# --- While it runs -------------------------------------------------------------------------------

sockets_of() { # PID...
	printf '/proc/%s/fd\n' "$@" | xargs -I '{}' find '{}' -lname 'socket:*' -printf '%l\n' | sort -u
}

container_with() { # SHIM
	local log vmm pid

	rm -f c.log
	run_in "$1" -d --log-uri "file://$T/c.log" "$IMAGE" c \
		sh -c 'trap "echo usr1" USR1; echo up; while :; do sleep 0.2; done'
	wait_until 30 has_line c.log up
	log=$(echo "$T"/state/*/"$ID"/c/log.json)
	[ -f "$log" ]
	[ ! -s "$log" ]

	run exec_out c sh -c 'echo out; kill -9 $$'
	[ "$status" -eq 137 ]
	[ "$output" = out ]
	run exec_out --user 1:2 --cwd /tmp c sh -c 'id; pwd; echo $FROM; exit 5'
	[ "$status" -eq 5 ]
	[ "$output" = $'uid=1 gid=2 groups=2\n/tmp\nimage' ]
	run -6 python3 "$BATS_TEST_DIRNAME/terminal.py" run 31x97 expect=$'31 97\r\r\n' -- \
		timeout --foreground 60 ctr -a "$T/containerd.sock" -n "$ID" task exec --fifo-dir "$T/fifo" \
		--exec-id e -t c sh -c 'until [ "$(stty size)" = "31 97" ]; do sleep 0.1; done; stty size; exit 6'
	run exec_in c nosuch
	[ "$status" -eq 1 ]
	[[ $output == *'OCI runtime exec failed: '*'exec: "nosuch": executable file not found in $PATH'* ]]
	[ "$(wc -l <"$log")" -eq 1 ]
	run exec_in c /etc/passwd
	[ "$status" -eq 1 ]
	[[ $output == *'exec: "/etc/passwd": permission denied'* ]]
	[ "$(wc -l <"$log")" -eq 2 ]
	jq -e -s '(.[0].msg | contains("executable file not found")) and (.[1].msg | contains("denied"))
		and all(.level == "error" and (.time | fromdateiso8601 > 0))' "$log"
	is_task c RUNNING

	ctr_ task kill -s USR1 c
	wait_until 30 has_line c.log usr1
	ctr_ task ps c | grep -q "^$(task_pid c) "
	ctr_ task metrics c | awk '$1 ~ /^(memory.usage_in_bytes|memory.usage|cpuacct.usage|cpu.usage_usec)$/ && $2 > 0' |
		grep -c . | grep -qx 2
	ctr_ task pause c
	is_task c PAUSED
	ctr_ task resume c
	run ctr_ task checkpoint c
	[ "$status" -ne 0 ]
	[[ $output == *'checkpoint and restore are not supported'* ]]
	is_task c RUNNING
	run ctr_ task rm c
	[ "$status" -ne 0 ]

	# The VM's process has nothing of the client's, and what serves it no socket of the shim's.
	vmm=$(pid_of vmm c)
	[ -z "$(find "/proc/$vmm/fd" -lname 'pipe:*' -o -lname "$T/fifo/*")" ]
	sockets_of "$(shim_of c)" >shim
	sockets_of "$vmm" "$(pid_of monitor c)" >ours
	[ -s shim ]
	[ -s ours ]
	[ -z "$(comm -12 shim ours)" ]

	# The pid of what is exec'd stands for it.
	EXEC=detached exec_in -d c sleep 1234
	pid=$(ctr_ task ps c | grep -o '^[0-9]*' | grep -vx "$(task_pid c)")
	exec_in c sh -c 'ps | grep -q "sleep 123[4]"'
	kill -9 "$pid"
	wait_until 30 eval '! exec_in c sh -c "ps | grep -q \"sleep 123[4]\""'

	ctr_ task kill --all -s KILL c
	wait_until 30 is_task c STOPPED
	[ "$(exit_of c)" = 137 ]
	run ! grep -i busy "$T/containerd.log"
}

@test "containerd: a container while it runs, through io.containerd.runc.v2" {
	container_with "$V2"
}

@test "containerd: a container while it runs, through io.containerd.runc.v1" {
	container_with "$V1"
}

@test "containerd: a container while it runs, through io.containerd.runtime.v1.linux" {
	container_with "$LINUX"
}

# --- Violence ------------------------------------------------------------------------------------

violence_with() { # SHIM
	local shim

	run_in "$1" -d "$IMAGE" c sleep 1000
	EXEC=detached exec_in -d c sleep 1000
	record_processes
	kill -9 "$(task_pid c)"
	wait_until 10 eval '[ -z "$(pids_recorded)" ]'
	wait_until 30 is_task c STOPPED
	[ "$(exit_of c)" = 137 ]
	wait_until 10 nothing_left || assert_nothing_left

	# The same ID, at once.
	run_in "$1" -d "$IMAGE" c sleep 1000
	record_processes
	shim=$(shim_of c)
	ps -o comm= -p "$shim" | grep '^containerd-shim'
	kill -9 "$shim"
	wait_until 30 eval '[ -z "$(pids_recorded)" ]'
	# containerd takes a moment to forget the task.
	wait_until 30 ctr_ container rm c
	wait_until 10 nothing_left || assert_nothing_left
	run ! grep -i busy "$T/containerd.log"
}

@test "containerd: kill -9 of the stand-in, and of io.containerd.runc.v2" {
	violence_with "$V2"
}

@test "containerd: kill -9 of the stand-in, and of io.containerd.runc.v1" {
	violence_with "$V1"
}

@test "containerd: kill -9 of the stand-in, and of io.containerd.runtime.v1.linux" {
	violence_with "$LINUX"
}
