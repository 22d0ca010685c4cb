#!/usr/bin/env bats
# create, start, state, kill, delete as separate commands; what the host sees of a container.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2094,SC2154 # the guest's shell expands; tests are subshells
load helpers

@test "lifecycle: the check for leftovers sees what there is" {
	start_container "$ID" sleep 1000
	mkdir "$T/mnt"
	mount -t tmpfs none "$T/mnt"
	run assert_nothing_left
	umount "$T/mnt"
	[ "$status" -eq 1 ]
	[[ $output == *"process $(pid_of shim "$ID"): "* ]]
	[[ $output == *"process $(pid_of monitor "$ID"): "* ]]
	[[ $output == *"process $(pid_of vmm "$ID"): "* ]]
	[[ $output == *"mount "*"$T/mnt "* ]]
	[[ $output == *"file $ROOT/$ID"* ]]
	[[ $output == *"file $RUN/"*.sock* ]]
	[[ $output == *"cgroup /sys/fs/cgroup/"*"/$ID"* ]]
}

@test "lifecycle: create, start, state, exec, kill and delete one after the other" {
	local pid
	args sh -c 'echo started; trap "exit 3" TERM; while :; do sleep 0.1; done'
	edit '.annotations = {b: "2", a: "1"}'
	vcrt create --bundle "$B" --pid-file "$T/pid" "$ID" </dev/null >"$T/out" 2>"$T/err"
	[ "$(status_of "$ID")" = created ]
	[ ! -s "$T/out" ]
	pid=$(cat "$T/pid")
	# Decimal digits and nothing else, not even a newline: clients parse the whole file.
	[[ $pid =~ ^[1-9][0-9]*$ ]]
	[ "$(stat -c %s "$T/pid")" -eq "${#pid}" ]
	[ "$(pid_of shim "$ID")" = "$pid" ]

	# In a created container one can already run programs.
	[ "$(vcrt exec "$ID" echo early)" = early ]
	[ ! -s "$T/out" ]

	[ -z "$(vcrt start "$ID")" ]
	wait_until 10 has_line "$T/out" started
	vcrt state "$ID" >"$T/state"
	[ "$(jq -c keys_unsorted "$T/state")" = \
		'["ociVersion","id","pid","status","bundle","rootfs","created","annotations","owner"]' ]
	jq -e --arg id "$ID" --argjson pid "$pid" --arg b "$B" '.id == $id and .pid == $pid and
		.status == "running" and .bundle == $b and .rootfs == $b + "/rootfs" and
		.annotations == {a: "1", b: "2"}' "$T/state"
	jq -e '.ociVersion | test("^1\\.[0-9]+\\.[0-9]+")' "$T/state"
	jq -e '.created | test("^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]+Z$")' "$T/state"
	# Two spaces of indentation, no newline at the end.
	[ "$(sed -n 3p "$T/state")" = "  \"id\": \"$ID\"," ]
	[ "$(tail -c 1 "$T/state")" = '}' ]

	run vcrt start "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *'cannot start an already running container'* ]]
	run vcrt delete "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *"cannot delete container $ID that is not stopped: running"* ]]

	[ -z "$(vcrt kill "$ID" TERM)" ]
	wait_until 10 is_status "$ID" stopped
	is_gone "$pid"
	[ "$(vcrt state "$ID" | jq .pid)" = 0 ]
	run vcrt start "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *'cannot start a container that has stopped'* ]]
	run vcrt exec "$ID" true
	[ "$status" -eq 255 ]
	[[ $output == *'cannot exec in a stopped container'* ]]
	run vcrt kill "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *'container not running'* ]]
	vcrt kill --all "$ID" 9
	[ -z "$(vcrt delete "$ID")" ]
	assert_nothing_left
}

@test "lifecycle: commands about a container that does not exist say so" {
	local verb
	for verb in state start kill delete ps; do
		run vcrt "$verb" "$ID"
		[ "$status" -eq 1 ]
		[[ $output == *'container does not exist'* ]]
	done
	run vcrt exec "$ID" true
	[ "$status" -eq 255 ]
	[[ $output == *'container does not exist'* ]]
	run vcrt delete --force "$ID"
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	assert_nothing_left
}

@test "lifecycle: two containers at once, each with a kernel of its own" {
	start_container "$ID-a" sh -c 'touch /here-is-a; exec sleep 1000'
	make_bundle "$T/other"
	B=$T/other
	start_container "$ID-b" sleep 1000
	[ "$(vcrt list -q)" = "$ID-a"$'\n'"$ID-b" ]
	[ "$(vcrt list -f json | jq -c 'map([.id, .status])')" = \
		"[[\"$ID-a\",\"running\"],[\"$ID-b\",\"running\"]]" ]
	vcrt exec "$ID-a" ls /here-is-a
	run vcrt exec "$ID-b" ls /here-is-a
	[ "$status" -eq 1 ]
	[ "$(vcrt exec "$ID-a" cat /proc/sys/kernel/random/boot_id)" != \
		"$(vcrt exec "$ID-b" cat /proc/sys/kernel/random/boot_id)" ]
	vcrt delete --force "$ID-a"
	[ "$(vcrt exec "$ID-b" echo alive)" = alive ]
	[ "$(vcrt list -q)" = "$ID-b" ]
	vcrt delete --force "$ID-b"
	[ "$(vcrt list -f json)" = null ]
	assert_nothing_left
}

@test "lifecycle: a signal is named in every way that clients use, and can be caught" {
	args sh -c 'trap "echo hup" HUP; trap "echo usr1" USR1; trap "echo term" TERM
		trap "echo winch" WINCH; echo ready; while :; do sleep 0.05; done'
	vcrt run -d --bundle "$B" "$ID" </dev/null >"$T/out" 2>"$T/err"
	wait_until 10 has_line "$T/out" ready
	vcrt kill "$ID" 1
	wait_until 5 has_line "$T/out" hup
	vcrt kill "$ID" SIGUSR1
	wait_until 5 has_line "$T/out" usr1
	vcrt kill "$ID"
	wait_until 5 has_line "$T/out" term
	vcrt kill --all "$ID" winch
	wait_until 5 has_line "$T/out" winch
	vcrt kill "$ID" 0
	run vcrt kill "$ID" BADSIG
	[ "$status" -eq 1 ]
	[[ $output == *'unknown signal \"BADSIG\"'* ]]
	[ "$(status_of "$ID")" = running ]

	# Straight to the stand-in, as clients do with kill(2).
	kill -USR1 "$(pid_of shim "$ID")"
	twice() { [ "$(grep -c '^usr1$' "$T/out")" -eq 2 ]; }
	wait_until 5 twice
	vcrt kill "$ID" KILL
	wait_until 5 is_status "$ID" stopped
}

@test "lifecycle: the shim is what clients expect of a container's process" {
	local pid ns
	edit '.process.oomScoreAdj = 7'
	mount_in bind "$T" /mnt/test rbind ro
	mkdir "$B/rootfs/mnt" "$B/rootfs/mnt/test"
	touch "$B/rootfs/mark"
	start_container "$ID" sleep 1000
	pid=$(vcrt state "$ID" | jq .pid)
	# Leader of a session and of a process group.
	[ "$(ps -o pgid= -p "$pid")" -eq "$pid" ]
	[ "$(ps -o sid= -p "$pid")" -eq "$pid" ]
	# What "docker top" shows.
	[ "$(tr '\0' ' ' <"/proc/$pid/cmdline" | sed 's/ *$//')" = 'sleep 1000' ]
	[ "$(cat "/proc/$pid/comm")" = sleep ]
	for ns in net ipc uts mnt pid; do
		[ "$(readlink "/proc/$pid/ns/$ns")" != "$(readlink "/proc/self/ns/$ns")" ]
	done
	# A client that enters it, to copy files, must not meet the host's.
	nsenter -m -t "$pid" ls / >"$T/ls"
	grep -qx mark "$T/ls"
	nsenter -m -t "$pid" ls /mnt/test >"$T/ls"
	grep -qx bundle "$T/ls"
	[ "$(nsenter -m -t "$pid" cat /proc/self/mountinfo | grep -c "$T/bundle/rootfs ")" -eq 0 ]
	# All of it in the container's cgroups.
	grep -q ":memory:/$ID$" "/proc/$pid/cgroup"
	grep -q ":memory:/$ID$" "/proc/$(pid_of vmm "$ID")/cgroup"
	grep -q ":memory:/$ID$" "/proc/$(pid_of monitor "$ID")/cgroup"
	# No privileges are left to a process that stands for an untrusted one.
	grep -q $'^CapEff:\t0000000000000000$' "/proc/$pid/status"
}

@test "lifecycle: the caller reaps the shim, whose status is the container's" {
	args sh -c 'exit 23'
	timeout 90 python3 - "$VCRT" "${VCRT_ARGS[@]}" <<-END
		import ctypes, os, subprocess, sys
		ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
		def vcrt(*args):
		    subprocess.run(sys.argv[1:] + list(args), check=True, stdin=subprocess.DEVNULL)
		vcrt('create', '--bundle', '$B', '--pid-file', '$T/pid', '$ID')
		pid = int(open('$T/pid').read())
		assert os.waitpid(pid, os.WNOHANG) == (0, 0)
		vcrt('start', '$ID')
		_, status = os.waitpid(pid, 0)
		assert os.WIFEXITED(status) and os.WEXITSTATUS(status) == 23, status
		vcrt('delete', '$ID')
		# What else was left to us has ended, too: a client that waits for all goes on.
		try:
		    while True:
		        os.waitpid(-1, 0)
		except ChildProcessError:
		    pass
	END
	assert_nothing_left
}

@test "lifecycle: delete --force of a running, a created, a stopped container" {
	start_container "$ID" sleep 1000
	run vcrt delete --force "$ID"
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	assert_nothing_left

	# A created one needs no force.
	create_container "$ID"
	vcrt delete "$ID"
	assert_nothing_left

	start_container "$ID" true
	wait_until 10 is_status "$ID" stopped
	vcrt delete --force "$ID"
	assert_nothing_left
	vcrt delete --force "$ID"
}

@test "lifecycle: an id is free again as soon as delete returns" {
	local i
	for i in 1 2 3; do
		start_container "$ID" sleep 1000
		vcrt delete --force "$ID"
	done
	assert_nothing_left
}

@test "lifecycle: pause stops every process of the container, resume goes on" {
	local before
	args sh -c 'i=0; while :; do i=$((i + 1)); echo $i >/count; sleep 0.05; done'
	vcrt run -d --bundle "$B" "$ID" </dev/null >"$T/out" 2>"$T/err"
	wait_until 5 test -s "$B/rootfs/count"
	vcrt pause "$ID"
	[ "$(status_of "$ID")" = paused ]
	before=$(cat "$B/rootfs/count")
	sleep 1
	[ "$(cat "$B/rootfs/count")" = "$before" ]
	run vcrt exec "$ID" true
	[ "$status" -eq 255 ]
	[[ $output == *'cannot exec in a paused container (use --ignore-paused to override)'* ]]
	vcrt resume "$ID"
	[ "$(status_of "$ID")" = running ]
	wait_until 5 sh -c "[ \"\$(cat '$B/rootfs/count')\" != '$before' ]"
	run vcrt resume "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *'container not paused'* ]]
	# A paused container dies of signal 9 all the same.
	vcrt pause "$ID"
	vcrt kill "$ID" 9
	wait_until 5 is_status "$ID" stopped
}

@test "lifecycle: ps shows the container's processes and their host pids" {
	start_container "$ID" sh -c 'sleep 1001 & exec sleep 1002'
	vcrt ps "$ID" >"$T/ps"
	grep -q 'PID' <(head -n 1 "$T/ps")
	grep -q 'sleep 1001' "$T/ps"
	grep -q 'sleep 1002' "$T/ps"
	[ "$(vcrt ps -f json "$ID" | jq -c "index($(pid_of shim "$ID")) != null")" = true ]
}
