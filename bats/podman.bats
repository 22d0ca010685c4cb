#!/usr/bin/env bats
# Debian's Podman with vcrt as its runtime, and storage of its own for this file.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers
load clients
load podman

setup_file() {
	podman_setup_file
}

teardown_file() {
	podman_teardown_file
}

# --- Running -------------------------------------------------------------------------------------

@test "podman: exit codes, of the program and for one that cannot be run" {
	run -7 podman_run --rm busybox:test sh -c 'exit 7'
	run -137 podman_run --rm --init busybox:test sh -c 'kill -9 $$'
	run -139 podman_run --rm --init busybox:test sh -c 'kill -11 $$'
	run -127 podman_run --rm busybox:test nosuch
	[[ $output == *'exec: "nosuch": executable file not found in $PATH'* ]]
	run -126 podman_run --rm busybox:test /etc/passwd
	[[ $output == *'permission denied'* ]]
	run -125 podman_run --rm --nosuch busybox:test true
	[ -z "$(files_left)" ]
}

@test "podman: what this machine or a VM cannot do is refused" {
	run -126 podman --cgroup-manager systemd run --rm --network none busybox:test true
	if [ ! -d /run/systemd/system ]; then
		[[ $output == *'systemd not running on this host, cannot use systemd cgroups manager'* ]]
	fi
	run -126 podman run --rm --network host --cgroup-parent "/$ID" busybox:test true
	[[ $output == *"the host's network"* ]]
	[ -z "$(files_left)" ]
}

@test "podman: standard input ends, output is complete and apart from errors, a terminal has its size" {
	head -c 10000000 /dev/urandom >big
	podman_run --rm -i busybox:test sh -c 'cat; echo err >&2' <big >out 2>err
	cmp big out
	[ "$(cat err)" = err ]
	# Podman sends the size while the container starts. What is typed is echoed at once, even into the
	# middle of a line: wait for the line's end.
	run -3 terminal 31x97 expect=$'ready\r\n' send='typed\n' expect=$'got typed\r\n' resize=32x98 -- \
		run --rm -it --network none --cgroup-parent "/$ID" busybox:test \
		sh -c 'until [ "$(stty size)" = "31 97" ]; do sleep 0.1; done
			stty size; tty; echo ready; read -r x; echo "got $x"
			until [ "$(stty size)" = "32 98" ]; do sleep 0.1; done; stty size; exit 3'
	grep -qx $'31 97\r' <<<"$output"
	grep -qx $'/dev/pts/0\r' <<<"$output"
	grep -qx $'32 98\r' <<<"$output"
}

@test "podman: options of run reach the container" {
	mkdir -p host
	echo fromhost >host/file
	echo sekrit | podman secret create "s$ID" - >/dev/null
	echo '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"],
		"action": "SCMP_ACT_ERRNO"}]}' >seccomp.json
	up --init --read-only --tmpfs /tmp:size=1m -v "$T/host:/mnt/host" -v volume:/mnt/volume \
		-v "$T/host/file:/mnt/file:ro" --device /dev/null:/dev/mynull --cap-drop ALL --cap-add NET_ADMIN \
		--ulimit nofile=123:456 --sysctl kernel.msgmax=12345 --hostname inside --shm-size 8m \
		--security-opt seccomp=seccomp.json -w /root --add-host other:1.2.3.4 -e A=b \
		--secret "s$ID,type=env,target=SECRET" -m 256m --pids-limit 77 --cpus 0.5 --oom-score-adj 100 \
		-- sh -c 'umask; sleep 1000'
	podman exec c-c sh -c '
		cat /proc/1/comm /mnt/file /proc/sys/kernel/msgmax /proc/self/oom_score_adj
		df -k /tmp /dev/shm | tr -s " " | cut -d " " -f 2
		grep CapEff /proc/self/status | cut -f 2; ulimit -n; ulimit -Hn; hostname; pwd; echo $A $SECRET
		ls -l /dev/mynull | tr -s " " | cut -d " " -f 5-6; grep other /etc/hosts
		cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max /sys/fs/cgroup/cpu.max' >out
	cat out >&2
	diff out - <<-END
		podman-init
		fromhost
		12345
		100
		1K-blocks
		1024
		8192
		0000000000001000
		123
		456
		inside
		/root
		b sekrit
		1, 3
		1.2.3.4	other
		268435456
		77
		50000 100000
	END
	run podman exec c-c sh -c 'touch /x; echo no >/mnt/file; mkdir /tmp/x'
	[[ $output == *'/x: Read-only file system'*'/mnt/file: Read-only file system'*'not permitted'* ]]
	podman exec c-c sh -c 'echo made >/mnt/host/new; echo kept >/mnt/volume/new'
	[ "$(cat host/new)" = made ]
	podman rm -f -t 0 c-c >/dev/null
	podman secret rm "s$ID" >/dev/null
}

@test "podman: volumes keep what is in them; users, IDs, umask and files of secrets are those asked for" {
	podman_run --rm -v volume:/v busybox:test sh -c 'echo kept >/v/new'
	echo sekrit | podman secret create "s$ID" - >/dev/null
	run podman_run --rm -v volume:/v:ro -u 12:34 --group-add 56 --umask 0027 --secret "s$ID" busybox:test \
		sh -c 'cat /v/new /run/secrets/*; id; umask; echo no >/v/new'
	podman secret rm "s$ID" >/dev/null
	[ "${lines[*]:0:4}" = "kept sekrit uid=12(12) gid=34(34) groups=34(34),56 0027" ]
	[[ ${lines[4]} == *'Read-only file system'* ]]
	run podman_run --rm --uidmap 0:100000:65536 -v "$T/policy.json:/policy" busybox:test \
		sh -c 'tr -s " " </proc/self/uid_map; touch /x; stat -c %u /x /policy'
	[ "$output" = $' 0 100000 65536\n0\n65534' ]
	# --pid host and the others are those of the VM: nothing of the host is there.
	run podman_run --rm --privileged --pid host --ipc host busybox:test sh -c 'readlink /proc/1/exe
		grep CapEff /proc/self/status | cut -f 2; ls /proc | grep -cx '"$$"
	[ "${lines[0]}" = /init ]
	((0x${lines[1]} >> 21 & 1)) # CAP_SYS_ADMIN
	[ "${lines[2]}" = 0 ]
}

@test "podman: a descriptor of the caller is handed on" {
	mkfifo fifo
	background cat fifo >got
	podman_run --rm --preserve-fds 1 busybox:test sh -c 'echo three >&3' 3>fifo
	wait_for 20 $!
	[ "$(cat got)" = three ]
}

# --- While it runs -------------------------------------------------------------------------------

@test "podman: exec, logs, top, stats, update, a health check, signals, pause and what they change" {
	up -m 256m --health-cmd 'test -e /healthy' --health-interval disable --health-retries 1 -- \
		sh -c 'trap "echo usr1" USR1; echo out; echo err >&2; while :; do sleep 0.2; done'
	wait_until 30 eval '[ "$(podman logs c-c 2>&1 | wc -l)" = 2 ]'
	[ "$(podman logs c-c 2>err)" = out ]
	[ "$(cat err)" = err ]

	run -5 podman exec c-c sh -c 'exit 5'
	run -137 podman exec c-c sh -c 'kill -9 $$'
	run -127 podman exec c-c nosuch
	[[ $output == *'executable file not found in $PATH'* ]]
	run -126 podman exec c-c /etc/passwd
	[ "$(inspect '{{.State.Running}}')" = true ]
	[ "$(echo data | podman exec -i c-c cat)" = data ]
	run podman exec -u 1:2 -w /tmp -e A=b c-c sh -c 'id; pwd; echo $A; echo err >&2' 2>err
	[ "$output" = $'uid=1 gid=2\n/tmp\nb' ] && [ "$(cat err)" = err ]
	podman exec -d c-c sh -c 'echo detached >/tmp/detached; exec sleep 1234'
	wait_until 30 podman exec c-c grep -q detached /tmp/detached
	run -6 terminal 31x97 -- exec -it c-c sh -c 'until stty size | grep 97; do sleep 0.1; done; exit 6'
	grep -qx $'31 97\r' <<<"$output"

	# Of the host's processes these are the container's: those that stand for its programs.
	run podman top c-c args
	[[ $output == *'while :; do sleep 0.2; done '*'sleep 1234 '* ]]
	[ "${#lines[@]}" -eq 3 ]
	run podman stats --no-stream --format '{{.MemUsage}} {{.PIDs}} {{.CPU}}' c-c
	[[ $output =~ ^[1-9][0-9.]*[kM]B\ /\ [1-9][0-9.]*MB\ [1-9][0-9]*\ [0-9.]*[1-9] ]]
	podman update -m 300m --memory-swap 400m --cpus 0.7 c-c >/dev/null
	[ "$(podman exec c-c cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max)" = \
		$'314572800\n70000 100000' ]

	run -1 podman healthcheck run c-c
	[ "$(inspect '{{.State.Health.Status}}')" = unhealthy ]
	podman exec c-c touch /healthy
	podman healthcheck run c-c
	[ "$(inspect '{{.State.Health.Status}}')" = healthy ]

	podman kill -s USR1 c-c >/dev/null
	wait_until 30 logged usr1
	podman pause c-c >/dev/null
	[ "$(inspect '{{.State.Status}}')" = paused ]
	run -255 podman exec c-c true
	podman unpause c-c >/dev/null
	podman exec c-c true
	run -125 podman container checkpoint c-c
	podman exec c-c true
	podman pause c-c >/dev/null
	podman rm -f -t 0 c-c >/dev/null
}

@test "podman: cp goes both ways while the container runs, and never touches the host's root" {
	mkdir -p host dir/sub
	up --tmpfs /fs -v "$T/host:/mnt/host" -v volume:/mnt/volume -v "$T/policy.json:/mnt/file:ro" -- \
		sleep 1000
	echo "in $ID" >"in-$ID"
	echo deep >dir/sub/file
	ln -s file dir/sub/link
	podman cp "in-$ID" c-c:/root/
	podman cp dir c-c:/root/
	podman cp "in-$ID" c-c:/mnt/host/
	podman cp "in-$ID" c-c:/mnt/volume/
	[ ! -e "/root/in-$ID" ]
	[ -e "host/in-$ID" ]
	podman exec c-c sh -c "cat /root/in-$ID /root/dir/sub/link /mnt/host/in-$ID /mnt/volume/in-$ID" >out
	[ "$(cat out)" = "in $ID"$'\ndeep\n'"in $ID"$'\n'"in $ID" ]

	podman exec c-c sh -c 'mkdir /out; head -c 3000000 /dev/urandom >/out/big; echo x >/mnt/volume/made
		ln -s /etc/passwd /out/link; chown 5:6 /out/big; chmod 640 /out/big; touch /fs/guest'
	podman cp c-c:/out out-dir
	[ "$(podman exec c-c md5sum /out/big | cut -d ' ' -f 1)" = "$(md5sum out-dir/big | cut -d ' ' -f 1)" ]
	[ "$(stat -c %a out-dir/big)" = 640 ]
	[ "$(readlink out-dir/link)" = /etc/passwd ]
	podman cp c-c:/mnt/volume/made made
	[ "$(cat made)" = x ]
	podman cp - c-c:/root < <(tar -C dir -c sub)
	podman cp c-c:/root/sub/file - | tar -xO | grep -qx deep

	# A link of the container leads to a place of the container.
	podman exec c-c sh -c "mkdir -p /tmp/$ID /root/$ID; ln -s ../../../../../../../../$T /root/$ID/up"
	run -125 podman cp "in-$ID" "c-c:/root/$ID/up/escaped"
	[ ! -e "$T/escaped" ]
	# What only the guest has cannot be reached: not a copy that gets lost.
	run -125 podman cp "in-$ID" c-c:/fs/file
	[[ $output == *'read-only file system'* ]]
	run -125 podman cp c-c:/fs/guest guest
	run -125 podman cp "in-$ID" c-c:/mnt/file
	podman rm -f -t 0 c-c >/dev/null
}

@test "podman: attach to a terminal and to streams, detach, stop with a trap, exit codes of attach" {
	# The echo is off before anybody types.
	up -i -t -- sh -c 'stty -echo; trap "echo trapped; exit 3" TERM; echo ready
		while sleep 0.2; do echo "size $(stty size </dev/tty)"; done & while read -r x; do echo "got $x"; done'
	wait_until 30 eval 'podman logs c-c | grep -q ready'
	# The keys to detach must come one by one.
	run -0 terminal 41x87 expect=$'size 41 87\r\n' send='typed\n' expect=$'got typed\r\n' send='\x10' \
		expect=$'size 41 87\r\n' send='\x11' -- attach c-c
	[ "$(inspect '{{.State.Status}}')" = running ]
	background podman attach --no-stdin c-c >attached
	wait_until 20 grep -q '^size 41 87' attached
	podman stop -t 30 c-c >/dev/null
	wait_for 30 $! || [ $? -eq 3 ]
	grep -q '^trapped' attached
	[ "$(inspect '{{.State.ExitCode}}')" = 3 ]
	podman rm c-c >/dev/null

	up -i -- sh -c 'while read -r x; do echo "out $x"; echo "err $x" >&2; done; exit 8'
	printf 'one\ntwo\n' | podman attach c-c >attached 2>errors
	[ "$(podman wait c-c)" = 8 ]
	[ "$(podman logs c-c 2>/dev/null)" = $'out one\nout two' ]
	run -8 podman start -a -i c-c <<<three
	[[ $output == *'out three'* ]]
}

# --- Again and again -----------------------------------------------------------------------------

@test "podman: a container is restarted again and again, killed, and has ended" {
	up --health-cmd true --health-interval disable -- \
		sh -c 'trap "exit 4" TERM; echo up; while :; do sleep 0.2; done'
	local i

	for i in 1 2 3 4 5; do
		wait_until 30 eval '[ "$(podman logs c-c | grep -c up)" = '"$i"' ]'
		[ "$i" = 5 ] || podman restart -t 30 c-c >/dev/null
	done
	podman kill c-c >/dev/null
	[ "$(podman wait c-c)" = 137 ]
	run -125 podman kill c-c
	[[ $output == *'can only kill running containers'* ]]
	run ! podman exec c-c true
	[ "$(podman container diff c-c | grep -c healthy)" = 0 ]
	podman rm c-c >/dev/null
}

# --- Violence ------------------------------------------------------------------------------------

@test "podman: kill -9 of the stand-in is an exit with 137, and the same container starts again" {
	local conmon pid

	up -- sleep 1000
	pid=$(inspect '{{.State.Pid}}') conmon=$(inspect '{{.State.ConmonPid}}')
	record_processes
	kill -9 "$pid"
	[ "$(podman wait c-c)" = 137 ]
	wait_until 10 eval '[ -z "$(pids_recorded)" ]'
	wait_until 10 eval '[ -z "$(files_left)" ]'
	wait_until 10 is_gone "$conmon"
	podman start c-c >/dev/null
	podman exec c-c true
	podman rm -f -t 0 c-c >/dev/null
}

@test "podman: a container goes on without conmon, and ends without it" {
	up -- sleep 1000
	record_processes
	kill -9 "$(inspect '{{.State.ConmonPid}}')"
	podman exec c-c true
	podman rm -f -t 0 c-c >/dev/null
	wait_until 10 eval '[ -z "$(pids_recorded)" ]'
	# Podman, with any runtime, now forgets to call it with "delete".
	"$RUNTIME" list -q | xargs -r -n 1 "$RUNTIME" delete
}

@test "podman: exactly one record is logged for a failure" {
	run -127 podman_run --name c-c busybox:test nosuch
	jq -s -e 'length == 1 and .[0].level == "error" and (.[0].msg | contains("executable file not found"))
		and (.[0].time | fromdateiso8601 > 0)' "$T/runroot/overlay-containers/$(inspect '{{.Id}}')/userdata/oci-log"
}
