#!/usr/bin/env bats
# Debian's Docker with vcrt as its runtime: a daemon of its own for this file.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers
load clients

setup_file() {
	needs /usr/sbin/dockerd /usr/bin/docker
	client_setup_file exec/runtime-runc/moby
	jq -n --arg path "$RUNTIME" \
		'{runtimes: {vcrt: {path: $path}}, "default-runtime": "vcrt", "live-restore": true}' \
		>"$T/daemon.json"
	start_docker
	rootfs_tar | docker import - busybox:test >/dev/null
	remember_engine
}

start_docker() {
	# The machine may have another client, of another version, first in PATH.
	start_daemon dockerd /usr/sbin/dockerd --config-file "$T/daemon.json" -H "unix://$T/docker.sock" \
		--data-root "$T/data" --exec-root "$T/exec" --pidfile "$T/docker.pid" --bridge none \
		--iptables=false --ip-forward=false --ip-masq=false --userland-proxy=false \
		--cgroup-parent "/$ID" -- docker version
}

teardown_file() {
	client_teardown_file
}

docker() {
	timeout --foreground -k 5 "$CLIENT_LIMIT" /usr/bin/docker -H "unix://$T/docker.sock" "$@"
}

remove_all() {
	docker ps -aq | xargs -r timeout -k 5 "$CLIENT_LIMIT" \
		/usr/bin/docker -H "unix://$T/docker.sock" rm -f >/dev/null
}

docker_run() { # OPTION... COMMAND...
	docker run --rm --network none "$@"
}

up() { # OPTION... -- COMMAND...: a container "c" that goes on
	local -a options=()

	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	docker run -d --name c-c --network none "${options[@]}" busybox:test "${@:2}" >/dev/null
}

inspect() { # FORMAT
	docker inspect -f "$1" c-c
}

# --- Running -------------------------------------------------------------------------------------

@test "docker: exit codes, of the program and for one that cannot be run" {
	run docker_run busybox:test sh -c 'exit 7'
	[ "$status" -eq 7 ]
	run docker_run --init busybox:test sh -c 'kill -9 $$'
	[ "$status" -eq 137 ]
	run docker_run --init busybox:test sh -c 'kill -11 $$'
	[ "$status" -eq 139 ]
	run -127 docker_run busybox:test nosuch
	[[ $output == *'exec: "nosuch": executable file not found in $PATH'* ]]
	run docker_run busybox:test /etc/passwd
	[ "$status" -eq 126 ]
	[[ $output == *'permission denied'* ]]
	run docker_run busybox:test /bin
	[ "$status" -eq 126 ]
}

@test "docker: standard input ends, output is complete and apart from errors, a terminal has its size" {
	head -c 10000000 /dev/urandom >big
	docker_run -i busybox:test sh -c 'cat; echo err >&2' <big >out 2>err
	cmp big out
	[ "$(cat err)" = err ]
	# What is typed is echoed at once, even into the middle of a line: wait for the line's end.
	python3 "$BATS_TEST_DIRNAME/terminal.py" run 31x97 expect=$'ready\r\n' send='typed\n' \
		expect=$'got typed\r\n' resize=32x98 -- \
		timeout 60 /usr/bin/docker -H "unix://$T/docker.sock" run --rm -it --network none \
		busybox:test sh -c 'stty size; echo ready; read -r x; echo "got $x"
			until [ "$(stty size)" = "32 98" ]; do sleep 0.1; done; stty size' >out
	grep -qx $'31 97\r' out
	grep -qx $'ready\r' out
	grep -qx $'32 98\r' out
}

@test "docker: options of run reach the container" {
	mkdir -p host
	echo fromhost >host/file
	echo '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"],
		"action": "SCMP_ACT_ERRNO"}]}' >seccomp.json
	up --init --read-only --tmpfs /tmp:size=1m -v "$T/host:/mnt/host" -v volume:/mnt/volume \
		-v "$T/host/file:/mnt/file:ro" --device /dev/null:/dev/mynull --cap-drop ALL --cap-add NET_ADMIN \
		--ulimit nofile=123:456 --sysctl kernel.msgmax=12345 --hostname inside --shm-size 8m \
		--security-opt seccomp=seccomp.json -w /root --add-host other:1.2.3.4 --dns 9.9.9.9 \
		-e A=b -m 256m --pids-limit 77 --cpus 0.5 -- sh -c 'sleep 1000'
	docker exec c-c sh -c '
		cat /proc/1/comm /mnt/file /proc/sys/kernel/msgmax
		df -k /tmp /dev/shm | tr -s " " | cut -d " " -f 2
		grep CapEff /proc/self/status | cut -f 2; ulimit -n; ulimit -Hn; hostname; pwd; echo $A
		ls -l /dev/mynull | tr -s " " | cut -d " " -f 5-6; grep other /etc/hosts; cat /etc/resolv.conf
		cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max /sys/fs/cgroup/cpu.max' >out
	cat out >&2
	diff out - <<-END
		docker-init
		fromhost
		12345
		1K-blocks
		1024
		8192
		0000000000001000
		123
		456
		inside
		/root
		b
		1, 3
		1.2.3.4	other
		nameserver 9.9.9.9
		268435456
		77
		50000 100000
	END
	run docker exec c-c sh -c 'touch /x; echo no >/mnt/file; mkdir /tmp/x'
	[[ $output == *'/x: Read-only file system'*'/mnt/file: Read-only file system'*'not permitted'* ]]
	docker exec c-c sh -c 'echo made >/mnt/host/new; echo kept >/mnt/volume/new'
	[ "$(cat host/new)" = made ]
	docker rm -f c-c >/dev/null
	run docker_run -v volume:/v:ro -u 12:34 --group-add 56 busybox:test sh -c 'cat /v/new; id'
	[ "$output" = 'kept'$'\n''uid=12 gid=34 groups=34,56' ]
}

# --- While it runs -------------------------------------------------------------------------------

@test "docker: exec, logs, attach, top, stats, update, cp, pause and what they change" {
	up -m 256m -- sh -c 'echo out; echo err >&2; trap "echo usr1" USR1; while :; do sleep 0.2; done'
	wait_until 30 eval '[ "$(docker logs c-c 2>&1 | wc -l)" = 2 ]'
	[ "$(docker logs c-c 2>err)" = out ]
	[ "$(cat err)" = err ]

	run docker exec c-c sh -c 'exit 5'
	[ "$status" -eq 5 ]
	run docker exec c-c nosuch
	[ "$status" -eq 126 ]
	[[ $output == *'executable file not found in $PATH'* ]]
	[ "$(inspect '{{.State.Running}}')" = true ]
	[ "$(echo data | docker exec -i c-c cat)" = data ]
	run docker exec -u 1:2 -w /tmp -e A=b c-c sh -c 'id; pwd; echo $A'
	[ "$output" = $'uid=1 gid=2 groups=2\n/tmp\nb' ]
	docker exec -d c-c sh -c 'echo detached >/tmp/detached'
	wait_until 30 docker exec c-c grep -q detached /tmp/detached
	python3 "$BATS_TEST_DIRNAME/terminal.py" run 31x97 -- timeout 60 /usr/bin/docker \
		-H "unix://$T/docker.sock" exec -it c-c \
		sh -c 'until stty size | grep 97; do sleep 0.1; done' >out # Docker sends it after the start
	grep -qx $'31 97\r' out

	docker kill -s USR1 c-c >/dev/null
	wait_until 30 eval 'docker logs c-c 2>&1 | grep -q usr1'
	docker top c-c | grep -q 'while :; do sleep 0.2; done'
	docker stats --no-stream --format '{{.MemUsage}} {{.PIDs}}' c-c | grep -v '^0B' | grep -qv ' 0$'
	docker update -m 300m --memory-swap 400m --cpus 0.7 c-c >/dev/null
	[ "$(docker exec c-c cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max)" = \
		$'314572800\n70000 100000' ]

	echo in >in
	docker cp in c-c:/root/in
	[ "$(docker exec c-c cat /root/in)" = in ]
	docker exec c-c sh -c 'echo inside >/root/inside'
	docker cp c-c:/root/inside outside
	[ "$(cat outside)" = inside ]

	docker pause c-c >/dev/null
	[ "$(inspect '{{.State.Status}}')" = paused ]
	run docker exec c-c true
	[ "$status" -ne 0 ]
	docker unpause c-c >/dev/null
	docker exec c-c true
	docker pause c-c >/dev/null
	docker rm -f c-c >/dev/null
}

@test "docker: attach, stop with a trap, a health check, restart, kill of what has ended" {
	up --health-cmd 'test -e /healthy' --health-interval 1s --health-retries 1 -- \
		sh -c 'trap "echo trapped; exit 3" TERM; echo up; while :; do sleep 0.2; done'
	wait_until 30 eval '[ "$(inspect "{{.State.Health.Status}}")" = unhealthy ]'
	docker exec c-c touch /healthy
	wait_until 30 eval '[ "$(inspect "{{.State.Health.Status}}")" = healthy ]'
	background timeout 60 /usr/bin/docker -H "unix://$T/docker.sock" attach --no-stdin c-c >attached
	sleep 1
	docker stop -t 30 c-c >/dev/null
	[ "$(inspect '{{.State.ExitCode}}')" = 3 ]
	wait_until 30 grep -q trapped attached
	docker start c-c >/dev/null
	wait_until 30 eval '[ "$(docker logs c-c | grep -c up)" = 2 ]'
	docker restart -t 30 c-c >/dev/null
	wait_until 30 eval '[ "$(docker logs c-c | grep -c up)" = 3 ]'
	docker kill c-c >/dev/null
	[ "$(inspect '{{.State.ExitCode}}')" = 137 ]
	run docker kill c-c
	[ "$status" -eq 1 ]
	[[ $output == *'is not running'* ]]
}

# --- Violence ------------------------------------------------------------------------------------

@test "docker: kill -9 of the stand-in is an exit with 137, and the same container starts again" {
	up -- sleep 1000
	local pid

	pid=$(inspect '{{.State.Pid}}')
	record_processes
	kill -9 "$pid"
	[ "$(docker wait c-c)" = 137 ]
	wait_until 10 eval '[ -z "$(pids_recorded)" ]'
	wait_until 10 eval '[ -z "$(files_left)" ]'
	run ! grep -q 'cannot delete running task' "$T/dockerd.log"
	docker start c-c >/dev/null
	docker exec c-c true
	docker rm -f c-c >/dev/null
	up -- sleep 1000
	docker rm -f c-c >/dev/null
}

@test "docker: a container survives the daemon's restart, and goes on with exec and its exit code" {
	local pid

	up -- sh -c 'trap "exit 4" TERM; while :; do sleep 0.2; done'
	pid=$(inspect '{{.State.Pid}}')
	stop_daemon dockerd
	start_docker
	remember_engine
	[ "$(inspect '{{.State.Pid}} {{.State.Running}}')" = "$pid true" ]
	docker exec c-c true
	docker stop -t 30 c-c >/dev/null
	[ "$(inspect '{{.State.ExitCode}}')" = 4 ]
}

@test "docker: exactly one record is logged for a failure" {
	# Docker removes the log with the bundle: a program before ours keeps a copy.
	cp "$RUNTIME" vcrt.saved
	cat >"$RUNTIME.new" <<-END
		#!/bin/sh
		$T/vcrt.saved "\$@"
		status=\$?
		case "\$*" in *" create "*) cp "\$4" $T/copied.json ;; esac
		exit \$status
	END
	chmod 755 "$RUNTIME.new"
	mv "$RUNTIME.new" "$RUNTIME"
	run -127 docker_run busybox:test nosuch
	cp vcrt.saved "$RUNTIME.new"
	mv "$RUNTIME.new" "$RUNTIME"
	[ "$(wc -l <copied.json)" -eq 1 ]
	jq -e '.level == "error" and (.msg | contains("executable file not found"))
		and (.time | fromdateiso8601 > 0)' copied.json
}
