#!/usr/bin/env bats
# Debian's Docker with vcrt as its runtime: twenty containers at the same time, each with a network.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers
load clients
load docker

CLIENT_LIMIT=500
DOCKERD=(--bip 172.30.0.1/24)

setup_file() {
	docker_setup_file
	docker_import_traffic
	# Each VM has a tenth of a processor, or less.
	configure memory 256 boot_timeout 400 request_timeout 200
}

teardown_file() {
	client_teardown_file
}

@test "docker: twenty containers, started at the same time, each with its network" {
	local -a command pids=() ids=()
	local i

	for i in {1..20}; do
		docker_command run -d --name "c-$i" busybox:test traffic echo 5000
		background "${command[@]}" >"id-$i"
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i"
	done
	mapfile -t ids < <(docker ps -q)
	[ "${#ids[@]}" -eq 20 ]
	[ "$(docker inspect -f '{{.NetworkSettings.IPAddress}}' "${ids[@]}" | sort -u | tee addresses | wc -l)" -eq 20 ]
	while read -r i; do
		wait_until 60 eval '[ "$(traffic tcp "$i" 5000 10000)" = intact ]'
	done <addresses
	docker exec c-1 ping -c 1 -W 60 "$(inspect '{{.NetworkSettings.IPAddress}}' c-20)"
	docker kill "${ids[@]}" >/dev/null
	[ "$(docker inspect -f '{{.State.ExitCode}}' "${ids[@]}" | uniq)" = 137 ]
	docker rm "${ids[@]}" >/dev/null
	[ -z "$(wires)" ]
}
