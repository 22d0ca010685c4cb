#!/usr/bin/env bats
# Debian's Docker with vcrt as its runtime: health checks, restarts, and what happens when a program
# of the chain between the client and the container is killed or started anew.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers
load clients
load docker

setup_file() {
	docker_setup_file
}

teardown_file() {
	client_teardown_file
}

# A program that ends at once when it is told to, with 4.
PROGRAM=(sh -c 'trap "exit 4" TERM; echo up; while :; do sleep 0.2; done')

nothing_runs() {
	[ -z "$(pids_recorded)" ] && [ -z "$(files_left)" ]
}

# The container "c-c" has ended with this status, and what it consisted of is gone.
has_ended() { # STATUS
	wait_until 30 is_now '{{.State.Status}} {{.State.ExitCode}}' "exited $1"
	wait_until 10 nothing_runs
}

said_up() { # TIMES
	[ "$(docker logs c-c | grep -cx up)" = "$1" ]
}

restarted() { # COUNT
	wait_until 60 is_now '{{.State.Status}} {{.RestartCount}}' "running $1"
}

# --- Lives ---------------------------------------------------------------------------------------

@test "docker: a health check, stop and start; the log goes on" {
	up --health-cmd 'test -e /healthy' --health-interval 1s --health-retries 1 --health-timeout 20s -- \
		"${PROGRAM[@]}"
	wait_until 60 is_now '{{.State.Health.Status}}' unhealthy
	docker exec c-c touch /healthy
	wait_until 60 is_now '{{.State.Health.Status}}' healthy
	docker stop -t 30 c-c >/dev/null
	is_now '{{.State.ExitCode}}' 4
	docker start c-c >/dev/null
	wait_until 30 said_up 2
	docker kill c-c >/dev/null
	is_now '{{.State.ExitCode}}' 137
	run ! docker kill c-c
	[[ $output == *'is not running'* ]]
	docker stop c-c >/dev/null
}

@test "docker: a paused container is stopped, killed and removed" {
	up -- "${PROGRAM[@]}"
	wait_until 30 said_up 1
	docker pause c-c >/dev/null
	docker stop -t 30 c-c >/dev/null
	is_now '{{.State.Status}} {{.State.ExitCode}}' 'exited 4'
	docker start c-c >/dev/null
	docker pause c-c >/dev/null
	docker kill c-c >/dev/null
	is_now '{{.State.Status}} {{.State.ExitCode}}' 'exited 137'
	docker start c-c >/dev/null
	docker pause c-c >/dev/null
	docker rm -f c-c >/dev/null
}

@test "docker: restart policies: so often on failure, and again after a violent end" {
	up --restart on-failure:2 -- sh -c 'echo once; exit 5'
	wait_until 60 is_now '{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}' 'exited 5 2'
	[ "$(docker logs c-c | grep -cx once)" = 3 ]
	docker rm c-c >/dev/null

	up --restart unless-stopped -- "${PROGRAM[@]}"
	wait_until 30 said_up 1
	kill -9 "$(inspect '{{.State.Pid}}')"
	restarted 1
	docker exec c-c true
	wait_until 30 said_up 2
	docker stop -t 30 c-c >/dev/null
	is_now '{{.State.Status}} {{.State.ExitCode}}' 'exited 4'
}

@test "docker: twenty restarts, one after the other" {
	local i

	up -- sh -c 'echo up; sleep 1000'
	for i in {1..20}; do
		wait_until 30 said_up "$i"
		docker restart -t 0 c-c >/dev/null
	done
	wait_until 30 said_up 21
	is_now '{{.State.Running}}' true
}

@test "docker: rm -f right after run, and before run has ended" {
	local -a command
	local i

	for i in 1 2 3; do
		up -- sleep 1000
		docker rm -f c-c >/dev/null
	done
	docker_command run --name c-c --network none busybox:test sleep 1000
	for i in 1 2; do
		background "${command[@]}" >/dev/null 2>&1
		wait_until 30 docker inspect c-c >/dev/null 2>&1
		# Docker may refuse it as long as the container is being made.
		wait_until 60 docker rm -f c-c >/dev/null 2>&1
		wait_until 60 is_gone "$!"
		wait_until 10 nothing_left
	done
}

# --- Violence ------------------------------------------------------------------------------------

@test "docker: kill -9 of the stand-in, the monitor or the VMM is an exit with 137" {
	local which

	up -- sleep 1000
	record_processes
	kill -9 "$(inspect '{{.State.Pid}}')"
	[ "$(docker wait c-c)" = 137 ]
	has_ended 137
	run ! grep -q 'cannot delete running task' "$T/dockerd.log"
	for which in monitor vmm; do
		docker start c-c >/dev/null
		docker exec c-c true
		record_processes
		kill -9 "$(process_of "$which")"
		has_ended 137
	done
}

@test "docker: kill -9 of containerd's shim ends the container, and it starts again" {
	local pid

	up -- sleep 1000
	pid=$(parent_of "$(inspect '{{.State.Pid}}')")
	[ "$(cat "/proc/$pid/comm")" = containerd-shim ]
	record_processes
	kill -9 "$pid"
	has_ended 137
	docker start c-c >/dev/null
	docker exec c-c true
}

# --- Engines that are started anew ---------------------------------------------------------------

@test "docker: a container survives the restart of the daemon, and the death of containerd" {
	local pid containerd

	up -- "${PROGRAM[@]}"
	pid=$(inspect '{{.State.Pid}}')
	restart_docker
	is_now '{{.State.Pid}} {{.State.Running}}' "$pid true"
	docker exec c-c true

	containerd=$(cat "$T/exec/containerd/containerd.pid")
	kill -9 "$containerd"
	wait_until 30 is_gone "$containerd"
	# The daemon starts another, by and by.
	wait_until 60 docker exec c-c true
	remember_engine
	is_now '{{.State.Pid}} {{.State.Running}}' "$pid true"
	docker stop -t 30 c-c >/dev/null
	has_ended 4
}

@test "docker: without live-restore the daemon stops containers, and starts those that shall always run" {
	docker_configure live-restore false
	restart_docker
	up --restart always -- "${PROGRAM[@]}"
	docker run -d --name c-plain --network none busybox:test "${PROGRAM[@]}" >/dev/null
	docker run -d --name c-stopped --restart unless-stopped --network none busybox:test \
		"${PROGRAM[@]}" >/dev/null
	wait_until 30 logs_have up c-stopped
	docker stop -t 30 c-stopped >/dev/null
	wait_until 30 logs_have up
	wait_until 30 logs_have up c-plain
	record_processes
	stop_daemon dockerd
	wait_until 10 nothing_runs
	docker_configure live-restore true
	start_docker
	remember_engine
	wait_until 60 is_now '{{.State.Running}}' true
	docker exec c-c true
	is_now '{{.State.Status}} {{.State.ExitCode}}' 'exited 4' c-plain
	is_now '{{.State.Status}} {{.State.ExitCode}}' 'exited 4' c-stopped
}
