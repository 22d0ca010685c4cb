#!/usr/bin/env bats
# Pods of Debian's Podman: all containers of one are in one virtual machine.
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

make_pod() { # OPTION...
	podman pod create --name p-p --network none --cgroup-parent "/$ID" "$@" >/dev/null
}

join() { # NAME COMMAND...
	podman run -d --pod p-p --name "$1" busybox:test "${@:2}" >/dev/null
}

@test "podman pods: one virtual machine, one loopback, host name and shared memory; each its own processes and files" {
	make_pod --hostname inside
	join c-a sh -c 'touch /of-a /dev/shm/of-a; while :; do echo from a | nc -l -p 80; done'
	join c-b sh -c 'trap "exit 3" TERM; echo up; while :; do sleep 0.2; done'
	[ "$(vmms)" -eq 1 ]
	wait_until 20 eval '[ "$(podman exec c-b nc -w 5 127.0.0.1 80 </dev/null)" = "from a" ]'
	[ "$(podman exec c-b hostname)" = inside ]
	[ "$(podman exec c-b ls /dev/shm)" = of-a ]
	podman exec c-b sh -c '[ ! -e /of-a ]'
	[ "$(podman exec c-a cat /proc/1/cmdline | tr '\0' ' ' | cut -c 1-10)" = 'sh -c touc' ]
	run podman pod top p-p args
	[[ $output == *'sleep 1000 '* && $output == *'nc -l -p 80; done '* && $output == *'sleep 0.2; done '* ]]
	[ "${#lines[@]}" -eq 4 ]
	[ "$(podman pod stats --no-stream --format '{{.Name}} {{.PIDS}}' p-p | grep -c ' [1-9]')" -eq 3 ]

	# One may come and go while the others stay.
	podman stop -t 30 c-b >/dev/null
	[ "$(podman inspect -f '{{.State.ExitCode}}' c-b)" = 3 ]
	podman start c-b >/dev/null
	[ "$(podman exec c-b hostname)" = inside ]
	podman pod pause p-p >/dev/null
	podman pod unpause p-p >/dev/null
	podman kill -s KILL c-a >/dev/null
	[ "$(podman wait c-a)" = 137 ]
	podman rm c-a >/dev/null
	podman exec c-b true
	[ "$(vmms)" -eq 1 ]
}

@test "podman pods: stopped, started, restarted and killed as a whole; the first container may go first" {
	make_pod --exit-policy continue
	join c-a sh -c 'trap exit TERM; while :; do sleep 0.2; done'
	join c-b sh -c 'trap exit TERM; while :; do sleep 0.2; done'
	podman pod stop -t 1 p-p >/dev/null
	[ "$(podman ps -q | wc -l)" -eq 0 ]
	podman pod start p-p >/dev/null
	podman exec c-a true
	# The first container is made anew while the others are still in the machine of the last one.
	podman pod restart p-p >/dev/null
	podman exec c-b true
	[ "$(podman ps -q | wc -l)" -eq 3 ]
	[ "$(vmms)" -eq 1 ]
	record_processes
	podman pod kill p-p >/dev/null
	[ "$(podman wait c-a c-b | xargs)" = "137 137" ]
	wait_until 10 eval '[ -z "$(pids_recorded)" ]'
}

@test "podman pods: processes are shared where that is asked for, in a pod and by containers outside of one" {
	podman pod create --name p-p --network none --cgroup-parent "/$ID" --share net,ipc,uts,pid >/dev/null
	join c-a sleep 999
	[ "$(podman run --rm --pod p-p busybox:test ps -o args | grep -c '^sleep \(999\|1000\)$')" = 2 ]
	remove_pods

	up --shm-size 8m -- sh -c 'touch /dev/shm/mark; exec sleep 998'
	wait_until 20 podman exec c-c grep -q ^sleep /proc/1/cmdline
	run podman run --rm --network container:c-c --pid container:c-c --ipc container:c-c --cgroup-parent "/$ID" \
		busybox:test sh -c 'ps -o args | grep -x "sleep 998"; ls /dev/shm; df -k /dev/shm | tail -n 1 | tr -s " " | cut -d " " -f 2'
	[ "$output" = $'sleep 998\nmark\n8192' ]
	podman exec c-c true
}

@test "podman pods: what play kube makes of a pod's description" {
	cat >pod.yaml <<-END
		apiVersion: v1
		kind: Pod
		metadata:
		  name: p-k
		spec:
		  containers:
		  - name: one
		    image: localhost/busybox:test
		    command: ["sh", "-c", "echo hello >/shared/file; exec sleep 1000"]
		    volumeMounts: [{mountPath: /shared, name: shared}]
		  - name: two
		    image: localhost/busybox:test
		    command: ["sh", "-c", "until cat /shared/file; do sleep 0.2; done; exec sleep 1000"]
		    volumeMounts: [{mountPath: /shared, name: shared}]
		  volumes:
		  - name: shared
		    hostPath: {path: $T/shared, type: DirectoryOrCreate}
	END
	podman play kube --network none pod.yaml >/dev/null
	wait_until 20 eval 'podman logs p-k-two 2>/dev/null | grep -qx hello'
	[ "$(vmms)" -eq 1 ]
	podman play kube --down pod.yaml >/dev/null 2>&1 || true # see remove_pods
}
