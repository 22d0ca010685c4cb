#!/usr/bin/env bats
# Debian's Docker with vcrt as its runtime: run, exec, attach, logs, cp and what is seen of them.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers
load clients
load docker

setup_file() {
	docker_setup_file experimental true
}

teardown_file() {
	client_teardown_file
}

@test "docker: exit codes, of the program and for one that cannot be run" {
	docker_run busybox:test true
	run -7 docker_run busybox:test sh -c 'exit 7'
	run -137 docker_run --init busybox:test sh -c 'kill -9 $$'
	run -139 docker_run --init busybox:test sh -c 'kill -11 $$'
	run -127 docker_run busybox:test nosuch
	[[ $output == *'exec: "nosuch": executable file not found in $PATH'* ]]
	run -126 docker_run busybox:test /etc/passwd
	[[ $output == *'permission denied'* ]]
	run -126 docker_run busybox:test /bin
}

@test "docker: standard input ends, output is complete and apart from errors, a terminal has its size" {
	head -c 10000000 /dev/urandom >big
	docker_run -i busybox:test sh -c 'cat; echo err >&2' <big >out 2>err
	cmp big out
	[ "$(cat err)" = err ]
	# Docker sends the size after the start. What is typed is echoed at once, even into the middle of
	# a line: wait for the line's end.
	at_terminal 31x97 expect=$'ready\r\n' send='typed\n' expect=$'got typed\r\n' resize=32x98 -- \
		run --rm -it --network none busybox:test sh -c '
			until [ "$(stty size)" = "31 97" ]; do sleep 0.1; done; echo ready; read -r x; echo "got $x"
			until [ "$(stty size)" = "32 98" ]; do sleep 0.1; done; echo end' >out
	grep -qx $'ready\r' out
	grep -qx $'end\r' out
}

@test "docker: exec with its status, input, user, place and terminal; its death is the program's" {
	local pid

	up -- sleep 1000
	run -5 docker exec c-c sh -c 'exit 5'
	run -126 docker exec c-c nosuch
	[[ $output == *'executable file not found in $PATH'* ]]
	is_now '{{.State.Running}}' true
	[ "$(echo data | docker exec -i c-c cat)" = data ]
	run docker exec -u 1:2 -w /tmp -e A=b c-c sh -c 'id; pwd; echo $A'
	[ "$output" = $'uid=1 gid=2 groups=2\n/tmp\nb' ]
	docker exec -d c-c sh -c 'echo detached >/tmp/detached'
	wait_until 30 docker exec c-c grep -q detached /tmp/detached

	# Docker sends the size after the start.
	at_terminal 31x97 expect=$'ready\r\n' send='typed\n' expect=$'got typed\r\n' -- exec -it c-c \
		sh -c 'until [ "$(stty size)" = "31 97" ]; do sleep 0.1; done; tty; echo ready
			read -r x; echo "got $x"; exit 0' >out
	grep -qx $'/dev/pts/[0-9]*\r' out

	docker exec -d c-c sleep 4321
	wait_until 30 guest_has 'sleep 4321'
	docker top c-c -o pid,args >listed
	grep -q 'sleep 1000$' listed
	pid=$(awk '/sleep 4321$/ { print $1 }' listed)
	kill -9 "$pid"
	wait_until 30 guest_lacks 'sleep 4321'
	docker exec c-c true
}

@test "docker: logs, signals, top, stats, update, pause, and nobody else's files in the VMM" {
	local pid other

	up -m 256m -- sh -c 'trap "echo usr1" USR1; echo out; echo err >&2; while :; do sleep 0.2; done'
	wait_until 30 logs_have out
	wait_until 30 logs_have err
	[ "$(docker logs c-c 2>err)" = out ]
	[ "$(cat err)" = err ]
	docker kill -s USR1 c-c >/dev/null
	wait_until 30 logs_have usr1

	docker top c-c | grep -q 'while :; do sleep 0.2; done'
	docker stats --no-stream --format '{{.CPUPerc}} {{.MemUsage}} {{.PIDs}}' c-c >figures
	awk '{ exit !($1 + 0 > 0 && $2 + 0 > 0 && $NF > 0) }' figures || fail "$(cat figures)"
	docker update -m 300m --memory-swap 400m --cpus 0.7 c-c >/dev/null
	[ "$(docker exec c-c cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max)" = \
		$'314572800\n70000 100000' ]

	# Pipes and sockets that the VMM shares with the engine would be leaks.
	pid=$(process_of vmm)
	for other in $(engine_pids) "$(parent_of "$(inspect '{{.State.Pid}}')")"; do
		readlink "/proc/$other/fd/"* || true
	done | grep -E '^(pipe|socket):' | sort -u >of-engine
	[ -s of-engine ]
	[ -n "$(readlink "/proc/$pid/fd/"*)" ]
	run ! grep -qxF -f of-engine <(readlink "/proc/$pid/fd/"*)
	# All of the sandbox is in the container's cgroup.
	[ "$(cat "/proc/$pid/cgroup")" = "$(cat "/proc/$(inspect '{{.State.Pid}}')/cgroup")" ]
	grep -q "/$ID/$(inspect '{{.Id}}')$" "/proc/$pid/cgroup"

	docker pause c-c >/dev/null
	is_now '{{.State.Status}}' paused
	run ! docker exec c-c true
	docker unpause c-c >/dev/null
	docker exec c-c true

	run ! docker checkpoint create c-c point
	[[ $output == *'checkpoint'* ]]
	is_now '{{.State.Running}}' true
	docker exec c-c true
}

@test "docker: cp of files and directories both ways, while it runs and after" {
	up -v volume:/volume -- sh -c 'mkdir -p /root/there/deep; echo inside >/root/there/deep/file
		ln -s /etc/passwd /root/there/link; echo made; sleep 1000'
	wait_until 30 logs_have made
	mkdir -p tree/sub
	echo "of $ID" >"tree/sub/$ID"
	docker cp tree c-c:/root/
	docker cp "tree/sub/$ID" c-c:/volume/
	[ "$(docker exec c-c cat "/root/tree/sub/$ID" "/volume/$ID")" = $"of $ID"$'\n'"of $ID" ]
	[ ! -e /root/tree ]
	[ ! -e "/volume" ]
	docker exec c-c sh -c 'echo more >>/root/tree/sub/more'
	docker cp c-c:/root/there back
	[ "$(cat back/deep/file)" = inside ]
	[ "$(readlink back/link)" = /etc/passwd ]
	docker cp c-c:/root/tree/sub/more - | tar -xOf - | grep -qx more
	run ! docker cp c-c:/root/nosuch .
	docker kill c-c >/dev/null
	docker cp c-c:/root/tree/sub/more .
	[ "$(cat more)" = more ]
	docker cp more c-c:/root/
	docker start c-c >/dev/null
	[ "$(docker exec c-c cat /root/more)" = more ]
}

@test "docker: build, diff and commit: what containers make becomes images" {
	mkdir context
	echo copied >context/file
	cat >context/Dockerfile <<-'END'
		FROM busybox:test
		RUN echo built >/built && chown 12:34 /built && touch /set && chmod 4755 /set && ln -s built /link && rm /bin/tac
		COPY file /copied
		USER 12
		RUN id -u >/tmp/id
		CMD cat /link /copied /tmp/id; ls /bin/tac 2>&1; stat -c %a:%u /built /set
	END
	docker build -q --network none -t built:test context
	run docker run --name c-c --network none built:test
	[ "$output" = $'built\ncopied\n12\nls: /bin/tac: No such file or directory\n644:12\n4755:0' ]
	docker rm c-c >/dev/null

	docker run --name c-c --network none busybox:test sh -c 'rm /etc/passwd; mkdir /new; echo x >/new/file
		mv /bin/tac /bin/moved; chown 5:6 /root'
	docker diff c-c | sort >changes
	diff changes - <<-'END'
		A /bin/moved
		A /new
		A /new/file
		C /bin
		C /etc
		C /root
		D /bin/tac
		D /etc/passwd
	END
	docker commit c-c committed:test >/dev/null
	[ "$(docker_run committed:test sh -c 'cat /new/file; ls /etc/passwd 2>&1; stat -c %u:%g /root')" = \
		$'x\nls: /etc/passwd: No such file or directory\n5:6' ]
}

@test "docker: attach, from a terminal, too, and stop with a trap" {
	local -a command

	up -it -- sh -c 'trap "echo trapped; exit 3" TERM; echo up
		while :; do read -r -t 1 x && echo "got $x"; done'
	wait_until 30 logs_have $'up\r'
	# With ctrl-p ctrl-q one leaves it running.
	run -1 at_terminal 30x90 send='typed\n' expect=$'got typed\r\n' send='\x10\x11' -- attach c-c
	[[ $output == *'read escape sequence'* ]]
	is_now '{{.State.Running}}' true
	docker_command attach --no-stdin --sig-proxy=false c-c
	background "${command[@]}" >attached
	docker stop -t 30 c-c >/dev/null
	is_now '{{.State.ExitCode}}' 3
	logs_have $'trapped\r'
	wait_until 30 is_gone "$!"
	docker rm c-c >/dev/null

	up -- sh -c 'trap "echo trapped; exit 3" TERM; while :; do echo tick; sleep 0.2; done'
	docker_command attach --no-stdin c-c
	background "${command[@]}" >attached
	wait_until 30 grep -qx tick attached
	docker stop -t 30 c-c >/dev/null
	is_now '{{.State.ExitCode}}' 3
	wait_until 30 grep -qx trapped attached
	run ! docker kill c-c
	[[ $output == *'is not running'* ]]
	docker stop c-c >/dev/null
}

@test "docker: exactly one record is logged for a failure, and none for what succeeds" {
	# Docker removes the log with the bundle: a program before ours keeps what each call has added.
	cp "$RUNTIME" vcrt.saved
	cat >"$RUNTIME.new" <<-END
		#!/bin/sh
		case "\$*" in
		*" create "*) verb=create ;;
		*" exec "*) verb=exec ;;
		*) exec $T/vcrt.saved "\$@" ;;
		esac
		log=\$4
		had=\$(cat "\$log" 2>/dev/null | wc -l)
		$T/vcrt.saved "\$@"
		status=\$?
		tail -n +\$((had + 1)) "\$log" >$T/\$verb.\$status.json
		exit \$status
	END
	chmod 755 "$RUNTIME.new"
	mv "$RUNTIME.new" "$RUNTIME"
	run -127 docker_run busybox:test nosuch
	up -- sleep 1000
	run -126 docker exec c-c nosuch
	docker exec c-c true
	cp vcrt.saved "$RUNTIME.new"
	mv "$RUNTIME.new" "$RUNTIME"
	for failure in create.1.json exec.255.json; do
		[ "$(wc -l <"$failure")" -eq 1 ]
		jq -e '.level == "error" and (.msg | contains("executable file not found"))
			and (.time | fromdateiso8601 > 0)' "$failure"
	done
	[ -f create.0.json ] && [ ! -s create.0.json ]
	[ -f exec.0.json ] && [ ! -s exec.0.json ]
}
