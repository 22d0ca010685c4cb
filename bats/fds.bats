#!/usr/bin/env bats
# Descriptors of the caller: whoever waits for the end of a pipe must not wait for us.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers

# Run vcrt with pipes on 0-2 or with /dev/null, and with a pipe, two sockets and a file on 3, 4, 7
# and 9. Print what shim, monitor and VMM have in common with the caller.
run_with_descriptors() { # pipes|null VERB...
	timeout 90 python3 - "$T/held" "$ROOT/$ID/state.json" "$1" "$VCRT" "${VCRT_ARGS[@]}" "${@:2}" <<-'END'
		import json, os, socket, subprocess, sys
		held, state, stdio, command = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
		def name(fd):
		    return os.readlink(f'/proc/self/fd/{fd}')
		pipes = [os.pipe() for _ in range(3)]
		extra, pair = os.pipe(), socket.socketpair()
		listener = socket.socket(socket.AF_UNIX)
		listener.bind('\0' + held)
		listener.listen()
		file = os.open(held, os.O_CREAT | os.O_RDWR, 0o600)
		null = os.open('/dev/null', os.O_RDWR)
		theirs = {3: extra[1], 4: listener.fileno(), 7: pair[0].fileno(), 9: file}
		ours = [pipes[0][0], pipes[1][1], pipes[2][1]] if stdio == 'pipes' else [null] * 3
		secret = {name(fd) for fd in theirs.values()}
		streams = {name(fd) for fd in ours} if stdio == 'pipes' else set()
		# One may be closed meanwhile.
		def held_by(pid):
		    names = set()
		    for n in os.listdir(f'/proc/{pid}/fd'):
		        try:
		            names.add(os.readlink(f'/proc/{pid}/fd/{n}'))
		        except FileNotFoundError:
		            pass
		    return names
		def arrange():
		    wanted = dict(zip(range(3), ours)) | theirs
		    high = {to: os.dup2(fd, 100 + to) for to, fd in wanted.items()}
		    for to, fd in high.items():
		        os.dup2(fd, to)
		    os.closerange(10, 200)
		child = subprocess.Popen(command, preexec_fn=arrange, close_fds=False)
		assert child.wait(60) == 0, child.returncode
		for fd in (pipes[0][0], pipes[1][1], pipes[2][1]):
		    os.close(fd)
		data = json.load(open(state))['vcrt']
		for who in 'shim', 'monitor', 'vmm':
		    pid = data[who]['pid']
		    have = held_by(pid)
		    for target in have & secret:
		        print(who, 'holds', target)
		    # The monitor moves the container's bytes; nobody else has a use for them.
		    if who != 'monitor':
		        for target in have & streams:
		            print(who, 'holds standard stream', target)
		    print(who, 'was examined:', len(have) > 2)
		# The end of the output comes with the end of the container, not with that of the monitor.
		if stdio == 'pipes':
		    import select, signal, time
		    assert os.read(pipes[1][0], 6) == b'ready\n'
		    os.kill(data['shim']['pid'], signal.SIGTERM)
		    limit = time.monotonic() + 60
		    for fd in (pipes[1][0], pipes[2][0], extra[0]):
		        if fd == extra[0]:
		            os.close(extra[1])
		        while True:
		            assert select.select([fd], [], [], limit - time.monotonic())[0], 'no end of file'
		            if not os.read(fd, 65536):
		                break
		    print('end of file')
	END
}

examined=$'shim was examined: True\nmonitor was examined: True\nvmm was examined: True'

@test "fds: a container that runs detached holds no descriptor of the caller" {
	args sh -c 'trap "exit 0" TERM; echo ready; while :; do sleep 0.1; done'
	run_with_descriptors null run -d --bundle "$B" "$ID" >"$T/report"
	[ "$(cat "$T/report")" = "$examined" ]
}

@test "fds: with pipes on 0-2, their end comes right after the container's" {
	args sh -c 'trap "exit 0" TERM; echo ready; while :; do sleep 0.1; done'
	run_with_descriptors pipes run -d --bundle "$B" "$ID" >"$T/report"
	[ "$(cat "$T/report")" = "$examined"$'\nend of file' ]
}

@test "fds: a created container, started later" {
	args sh -c 'echo output; echo error >&2'
	(
		is_created() { [ "$(status_of "$ID" 2>/dev/null)" = created ]; }
		wait_until 60 is_created
		vcrt start "$ID" </dev/null
	) >"$T/start" 2>&1 3>&- &
	# cat ends when nobody has the pipe any more; the container is not deleted then.
	timeout 60 "$VCRT" "${VCRT_ARGS[@]}" create --bundle "$B" "$ID" </dev/null 2>&1 |
		timeout 90 cat >"$T/out"
	wait
	[ "$(sort "$T/out")" = $'error\noutput' ]
	wait_until 10 is_status "$ID" stopped
}

# Others may be closed while find(1) looks, of which it complains.
has_none_of() { # PID FILE
	[ -d "/proc/$1/fd" ] || return 1
	[ -z "$(find "/proc/$1/fd" -lname "$2" 2>/dev/null)" ]
}

@test "fds: a detached exec holds none either" {
	start_container "$ID" sleep 1000
	exec {extra}>"$T/extra"
	vcrt exec -d --pid-file "$T/pid" "$ID" sleep 1000 </dev/null >"$T/out" 2>&1
	exec {extra}>&-
	for pid in "$(cat "$T/pid")" "$(pid_of monitor "$ID")" "$(pid_of vmm "$ID")"; do
		has_none_of "$pid" "$T/extra"
	done
	has_none_of "$(cat "$T/pid")" "$T/out"
}

@test "fds: closed standard descriptors do no harm" {
	args sh -c 'echo out; echo err >&2; cat; true'
	vcrt run --bundle "$B" "$ID" <&- >"$T/out" 2>&1
	[ "$(sort "$T/out")" = $'err\nout' ]
	vcrt run --bundle "$B" "$ID" </dev/null >&- 2>"$T/err"
	grep -q err "$T/err"
	assert_nothing_left
}
