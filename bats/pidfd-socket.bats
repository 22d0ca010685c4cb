#!/usr/bin/env bats
# --pidfd-socket of create, run and exec.
load helpers

# A receiver on $T/sock in the background. What it was sent is in $T/got-NAME: the text, how many
# descriptors, the pid behind the first; in $T/got-NAME.end, once $T/got-NAME.go is there, whether more came
# and whether the process ends within a minute.
receiver() { # NAME
	needs python3
	cat >"$T/receiver.py" <<-'EOF'
		import array, os, select, socket, sys, time
		path, out = sys.argv[1:]
		server = socket.socket(socket.AF_UNIX)
		server.bind(path + '.new')
		server.listen()
		os.rename(path + '.new', path)
		conn = server.accept()[0]
		text, rights, _, _ = conn.recvmsg(4096, 1024)
		fds = array.array('i')
		for _, _, data in rights:
		    fds.frombytes(data)
		file = open(out + '.new', 'w')
		fields = dict(line.split(':', 1) for line in open(f'/proc/self/fdinfo/{fds[0]}'))
		print(text.decode(), len(fds), fields['Pid'].strip(), file=file)
		file.close()
		os.rename(out + '.new', out)
		while not os.path.exists(out + '.go'):
		    time.sleep(0.02)
		more = conn.recv(1)
		ended = bool(select.select([fds[0]], [], [], 60)[0])
		print(len(more), 'ended' if ended else 'lives on', file=open(out + '.end', 'w'))
	EOF
	background timeout 120 python3 "$T/receiver.py" "$T/sock" "$T/got-$1"
	RECEIVER=$!
	wait_until 20 test -S "$T/sock"
}

received() { # NAME TEXT
	wait_until 20 has_line "$T/got-$1" "$2"
}

ends() { # NAME
	touch "$T/got-$1.go"
	wait_for 70 "$RECEIVER"
	[ "$(cat "$T/got-$1.end")" = '0 ended' ]
	rm "$T/sock"
}

@test "pidfd-socket: create sends the stand-in's pidfd before the pid file, exec those of its own" {
	args sleep 1000
	receiver create
	vcrt create --bundle "$B" --pid-file "$T/pid" --pidfd-socket "$T/sock" "$ID" </dev/null >/dev/null 2>"$T/err"
	received create "standard 1 $(pid_of shim "$ID")"
	[ "$(cat "$T/pid")" = "$(pid_of shim "$ID")" ]
	vcrt start "$ID"
	mv "$T/sock" "$T/first"
	created=$RECEIVER

	rm "$T/pid"
	receiver exec
	vcrt exec --pid-file "$T/pid" --pidfd-socket "$T/sock" "$ID" true
	received exec "setns 1 $(cat "$T/pid")"
	ends exec

	rm "$T/pid"
	receiver detached
	vcrt exec -d --pid-file "$T/pid" --pidfd-socket "$T/sock" "$ID" sleep 1000 </dev/null >/dev/null 2>&1
	received detached "setns 1 $(cat "$T/pid")"

	vcrt kill "$ID" KILL
	ends detached
	mv "$T/first" "$T/sock"
	RECEIVER=$created
	ends create
}

@test "pidfd-socket: run sends that of the container's stand-in" {
	receiver run
	vcrt run --bundle "$B" --pid-file "$T/pid" --pidfd-socket "$T/sock" "$ID" </dev/null
	received run "standard 1 $(cat "$T/pid")"
	ends run
}

@test "pidfd-socket: a socket that is not there is an error, and nothing is left" {
	for verb in create run; do
		run vcrt "$verb" --bundle "$B" --pidfd-socket "$T/none" --pid-file "$T/pid" "$ID"
		[ "$status" -eq 1 ]
		[[ $output == *"connect to the pidfd socket '$T/none': No such file or directory"* ]]
		[ ! -e "$T/pid" ]
		assert_nothing_left
	done
	start_container "$ID" sleep 1000
	run vcrt exec --pidfd-socket "$T/config.json" "$ID" true
	[ "$status" -eq 255 ]
	[[ $output == *"connect to the pidfd socket '$T/config.json': Connection refused"* ]]
	[ "$(vcrt ps -f json "$ID" | jq length)" -eq 1 ]
}
