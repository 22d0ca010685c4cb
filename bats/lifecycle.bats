#!/usr/bin/env bats
# What the host sees of a container, and who reaps it. The verbs have files of their own.
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

@test "lifecycle: the shim is what clients expect of a container's process" {
	local pid ns role
	edit '.process.oomScoreAdj = 7'
	mount_in bind "$T" /mnt/test rbind ro
	mount_in bind "$T/bundle" /made/volume rbind
	mount_in tmpfs tmpfs /made/tmpfs
	mount_in bind "$T/config.json" /made/tmpfs/dir/file bind ro
	touch "$B/rootfs/mark"
	start_container "$ID" sh -c 'echo ready; exec sleep 1000'
	pid=$(vcrt state "$ID" | jq .pid)
	# Leader of a session and of a process group.
	[ "$(ps -o pgid= -p "$pid")" -eq "$pid" ]
	[ "$(ps -o sid= -p "$pid")" -eq "$pid" ]
	# What "docker top" shows.
	[ "$(ps -o args= -p "$pid")" = 'sh -c echo ready; exec sleep 1000' ]
	[ "$(tr '\0' '|' <"/proc/$pid/cmdline")" = 'sh -c echo ready; exec sleep 1000|' ]
	[ "$(cat "/proc/$pid/comm")" = sh ]
	for ns in net ipc uts mnt pid; do
		[ "$(readlink "/proc/$pid/ns/$ns")" != "$(readlink "/proc/self/ns/$ns")" ]
	done
	# A client that enters it, to copy files, must not meet the host's.
	nsenter -m -t "$pid" ls / >"$T/ls"
	grep -qx mark "$T/ls"
	nsenter -m -t "$pid" ls /mnt/test >"$T/ls"
	grep -qx bundle "$T/ls"
	# What it copies there is in the container; or the copy fails, where only the guest has the place.
	nsenter -m -t "$pid" sh -c 'echo new >/made/volume/new && cat /made/tmpfs/dir/file' >"$T/read"
	cmp "$T/read" "$T/config.json"
	[ "$(vcrt exec "$ID" cat /made/volume/new)" = new ]
	run ! nsenter -m -t "$pid" sh -c 'echo new >/made/tmpfs/new'
	[[ $output == *'Read-only file system'* ]]
	run ! nsenter -m -t "$pid" sh -c 'echo new >/mnt/test/new'
	[ "$(find "$B/rootfs/made" -type f)" = '' ]
	[ "$(cut -d ' ' -f 5 "/proc/$pid/mountinfo" | grep -c "$T")" -eq 0 ]
	# All of it in the container's cgroups.
	for role in shim vmm monitor; do
		grep -qE "(:memory:|^0::).*/$ID\$" "/proc/$(pid_of "$role" "$ID")/cgroup"
	done
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

@test "lifecycle: what outlives the caller keeps nothing of its environment but PATH" {
	local who kept
	args sleep 1000
	SECRET=token LISTEN_PID=1 create_container "$ID"
	for who in shim monitor; do
		tr '\0' '\n' <"/proc/$(pid_of "$who" "$ID")/environ" | grep -v '^VCRT_' >"$T/env"
		kept=$(cut -d = -f 1 "$T/env" | sort | tr '\n' ' ')
		[ "$kept" = 'PATH ' ]
	done
	# So that this check of ours finds them.
	grep -q -z "^VCRT_BATS_TEST=$T$" "/proc/$(pid_of monitor "$ID")/environ"
}
