#!/usr/bin/env bats
# Debian's Podman with vcrt as its runtime, and storage of its own for this file.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers
load clients

setup_file() {
	needs podman conmon
	client_setup_file vcrt-root
	# Podman passes no --root.
	sed -i "s|^exec .*|exec $VCRT --config $T/config.json --root $ROOT \"\$@\"|" "$RUNTIME"
	cat >"$T/containers.conf" <<-END
		[containers]
		default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
		[engine]
		cgroup_manager = "cgroupfs"
		events_logger = "file"
		runtime = "vcrt"
		runtime_supports_json = ["vcrt"]
		[engine.runtimes]
		vcrt = ["$RUNTIME"]
	END
	echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$T/policy.json"
	rootfs_tar | podman import - busybox:test >/dev/null
	remember_engine
	# Podman binds this on itself when it first needs it, and leaves it.
	echo "$T/graph/overlay" >>"$T/mounts"
}

teardown_file() {
	umount "$T/graph/overlay" 2>/dev/null || true
	client_teardown_file
}

podman() {
	VCRT_BATS_TEST=$T CONTAINERS_CONF=$T/containers.conf timeout --foreground -k 5 "$CLIENT_LIMIT" \
		podman --root "$T/graph" --runroot "$T/runroot" --tmpdir "$T/tmp" "$@"
}

remove_all() {
	podman rm -a -f -t 0 >/dev/null
}

podman_run() { # OPTION... COMMAND...
	podman run --network none --cgroup-parent "/$ID" "$@"
}

@test "podman: exit codes and standard streams" {
	run -7 podman_run --rm busybox:test sh -c 'exit 7'
	[ "$(echo data | podman_run --rm -i busybox:test sh -c 'cat; echo err >&2' 2>err)" = data ]
	[ "$(cat err)" = err ]
	run -127 podman_run --rm busybox:test nosuch
	[[ $output == *'executable file not found in $PATH'* ]]
	run -126 podman_run --rm busybox:test /etc/passwd
	[[ $output == *'permission denied'* ]]
}

@test "podman: exec, cp, top, stats, pause, a health check, kill and stop" {
	podman_run -d --name c-c --health-cmd 'test -e /healthy' --health-interval disable busybox:test \
		sh -c 'trap "echo trapped; exit 3" TERM; echo up; while :; do sleep 0.2; done' >/dev/null
	run podman exec -u 1:2 -w /tmp -e A=b c-c sh -c 'id; pwd; echo $A; exit 5'
	[ "$status" -eq 5 ]
	[ "$output" = $'uid=1 gid=2\n/tmp\nb' ]
	[ "$(echo data | podman exec -i c-c cat)" = data ]
	echo in >in
	podman cp in c-c:/root/in
	[ "$(podman exec c-c cat /root/in)" = in ]
	[ ! -e /root/in ]
	podman cp c-c:/root/in outside
	[ "$(cat outside)" = in ]
	podman top c-c
	podman stats --no-stream --format '{{.PIDs}}' c-c | grep -q '^[1-9]'
	podman pause c-c >/dev/null
	podman unpause c-c >/dev/null
	run podman healthcheck run c-c
	[ "$status" -eq 1 ]
	podman exec c-c touch /healthy
	podman healthcheck run c-c
	podman stop -t 30 c-c >/dev/null
	[ "$(podman inspect -f '{{.State.ExitCode}}' c-c)" = 3 ]
	[ "$(podman logs c-c)" = $'up\ntrapped' ]
	podman rm c-c >/dev/null
}
