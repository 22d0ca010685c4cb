#!/usr/bin/env bats
# NOTIFY_SOCKET in the caller's environment: the container's program says that it is ready, and who
# started it is told, as by runc.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # the guest's shell expands; tests are subshells
load helpers

# The service manager at this address, from here on in the environment; what it hears is in $T/heard.
manager() { # ADDRESS
	needs python3
	with_program
	background python3 "$BATS_TEST_DIRNAME/notify.py" "$1" "$T/heard"
	wait_until 20 test -e "$T/heard"
	export NOTIFY_SOCKET=$1
}

heard() { # LINE...
	[ "$(cat "$T/heard")" = "$(printf '%s\n' "$@")" ]
}

@test "notify: start waits until the program says READY=1, and passes on nothing else of it" {
	manager "$T/manager"
	args sh -c 'descriptors say STATUS=a READY=0 X=READY=1; touch /said; until [ -e /go ]; do sleep 0.1; done
		descriptors say "STATUS=b|READY=1|STATUS=c" READY=1 barrier; sleep 1000'
	create_container "$ID"
	background "$VCRT" "${VCRT_ARGS[@]}" start "$ID"
	wait_until 60 test -e "$B/rootfs/said"
	run ! wait_until 1 is_gone $!
	[ ! -s "$T/heard" ]
	touch "$B/rootfs/go"
	wait_for 60 $!
	heard 'READY=1| 0' "MAINPID=$(pid_of shim "$ID")| 0" 'BARRIER=1 1'
	is_status "$ID" running
	wait_until 20 has_line "$T/$ID.out" 'barrier 0'
}

@test "notify: what the container finds is what runc gives it" {
	manager "@$T/manager"
	chown -R 100000:100000 "$B/rootfs" # in a user namespace, too
	edit '.process.user = {uid: 1234, gid: 1234} | .process.env += ["NOTIFY_SOCKET=/mine"]
		| .linux.namespaces += [{type: "user"}]
		| .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}]
		| .linux.gidMappings = .linux.uidMappings'
	args sh -c 'env | grep NOTIFY; stat -c %A /run/notify/*; grep " /run/notify " /proc/mounts
		descriptors say READY=1; touch /run/notify/x; sleep 1000'
	vcrt run -d --bundle "$B" "$ID" </dev/null >"$T/out" 2>"$T/err"
	heard 'READY=1| 0' "MAINPID=$(pid_of shim "$ID")| 0" 'BARRIER=1 1'
	wait_until 20 grep -q 'Read-only file system' "$T/err"
	[ "$(head -n 2 "$T/out")" = $'NOTIFY_SOCKET=/run/notify/notify.sock\nsrwxrwxrwx' ]
	grep -q 'ro,nosuid,nodev,noexec' "$T/out"
}

@test "notify: in the foreground the caller is the main process, and the container goes on" {
	manager "$T/manager"
	args sh -c 'descriptors say READY=1; until [ -e /go ]; do sleep 0.1; done; exit 7'
	background "$VCRT" "${VCRT_ARGS[@]}" run --bundle "$B" "$ID"
	wait_until 60 has_line "$T/heard" "MAINPID=$!| 0"
	is_status "$ID" running
	touch "$B/rootfs/go"
	wait_for 60 $! || [ $? -eq 7 ]
	heard 'READY=1| 0' "MAINPID=$!| 0"
}

@test "notify: a container that ends is not waited for, one that is ready at its end was ready" {
	manager "$T/manager"
	run_container -- true
	[ "$code" -eq 0 ]
	start_container "$ID" true
	heard ''
	vcrt delete --force "$ID"
	start_container "$ID" descriptors say READY=1
	grep -qx 'READY=1| 0' "$T/heard"
	vcrt delete --force "$ID"
}

@test "notify: nobody to tell is an error of start, a warning of run" {
	with_program
	export NOTIFY_SOCKET=$T/none
	args sh -c 'descriptors say READY=1 && echo said; sleep 1000'
	create_container "$ID"
	run vcrt start "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *"connect to the NOTIFY_SOCKET '$T/none': No such file or directory"* ]]
	is_status "$ID" created
	# Without it, nobody waits, but the socket is there.
	NOTIFY_SOCKET='' vcrt start "$ID"
	wait_until 20 has_line "$T/$ID.out" said
	vcrt delete --force "$ID"
	run_container -- true
	[ "$code" -eq 0 ]
	grep -q "level=warning msg=\"connect to the NOTIFY_SOCKET '$T/none': No such file or directory, ignoring\"" "$T/err"
}

@test "notify: start with a socket of what was created without is refused" {
	args sh -c 'echo "${NOTIFY_SOCKET-none}"; sleep 1000'
	create_container "$ID"
	manager "$T/manager"
	run vcrt start "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *"NOTIFY_SOCKET is set, but was not when container '$ID' was created"* ]]
	is_status "$ID" created
	env -u NOTIFY_SOCKET "$VCRT" "${VCRT_ARGS[@]}" start "$ID"
	wait_until 20 has_line "$T/$ID.out" none
	heard ''
}
