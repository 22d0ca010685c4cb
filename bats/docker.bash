# shellcheck shell=bash
# What the tests of Debian's Docker share. Each file has a daemon of its own, in a network namespace
# of its own: its bridges and filters are nobody else's. After clients.bash; of the file are
#   setup_file     docker_setup_file
#   teardown_file  client_teardown_file
# A container of a test that needs only one is called "c-c".
# shellcheck disable=SC2034,SC2154 # the files use them

DOCKERD=(--bridge none)

docker_setup_file() { # [NAME VALUE]...: more for daemon.json
	needs /usr/sbin/dockerd /usr/bin/docker unshare nsenter ip
	client_setup_file exec/runtime-runc/moby
	jq -n --arg path "$RUNTIME" \
		'{runtimes: {vcrt: {path: $path}}, "default-runtime": "vcrt", "live-restore": true}' \
		>"$T/daemon.json"
	docker_configure "$@"
	# Where the kernel cannot translate addresses, the proxy alone publishes ports.
	unshare --net iptables -t nat -L >/dev/null 2>&1 || docker_configure iptables false
	touch "$T/net"
	unshare --net="$T/net" ip link set lo up
	start_docker
	rootfs_tar | docker import - busybox:test >/dev/null
	remember_engine
}

# The image has traffic.c from now on, as has "traffic".
docker_import_traffic() {
	needs cc
	mkdir -p "$T/more/bin"
	cc -D_GNU_SOURCE -O -static -o "$T/more/bin/traffic" "$BATS_TEST_DIRNAME/traffic.c"
	tar -C "$BATS_SUITE_TMPDIR/rootfs" -c . -C "$T/more" bin/traffic |
		docker import - busybox:test >/dev/null
}

docker_configure() { # [NAME VALUE]...: for the next start
	while [ $# -gt 0 ]; do
		jq --arg k "$1" --argjson v "$2" '.[$k] = $v' "$T/daemon.json" >"$T/daemon.new"
		mv "$T/daemon.new" "$T/daemon.json"
		shift 2
	done
}

start_docker() {
	# The machine may have another client, of another version, first in PATH.
	start_daemon dockerd nsenter --net="$T/net" /usr/sbin/dockerd --config-file "$T/daemon.json" \
		-H "unix://$T/docker.sock" --data-root "$T/data" --exec-root "$T/exec" \
		--pidfile "$T/docker.pid" --cgroup-parent "/$ID" "${DOCKERD[@]}" -- docker version
}

# In the network of the daemon, which is the host of its containers.
in_net() { # COMMAND...
	nsenter --net="$T/net" "$@"
}

# On that host, with the containers' addresses.
traffic() {
	in_net timeout -k 5 "$CLIENT_LIMIT" "$T/more/bin/traffic" "$@"
}

# The host's ends of what leads to containers.
wires() {
	in_net ip -o link show type veth
}

restart_docker() {
	stop_daemon dockerd
	start_docker
	remember_engine
}

docker() {
	timeout --foreground -k 5 "$CLIENT_LIMIT" /usr/bin/docker -H "unix://$T/docker.sock" "$@"
}

# For those who start programs themselves.
docker_command() { # ARGUMENT...: in the array "command"
	command=(timeout -k 5 "$CLIENT_LIMIT" /usr/bin/docker -H "unix://$T/docker.sock" "$@")
}

at_terminal() { # ROWSxCOLS ACTION... -- ARGUMENT...: the client on a terminal of its own
	local -a actions=() command

	while [ "$1" != -- ]; do
		actions+=("$1")
		shift
	done
	docker_command "${@:2}"
	python3 "$BATS_TEST_DIRNAME/terminal.py" run "${actions[@]}" -- "${command[@]}"
}

remove_all() {
	local -a ids

	mapfile -t ids < <(docker ps -aq)
	[ "${#ids[@]}" -eq 0 ] || docker rm -f -v "${ids[@]}" >/dev/null
}

NETWORK=none # of containers, unless it is said otherwise

docker_run() { # OPTION... IMAGE COMMAND...
	docker run --rm --network "$NETWORK" "$@"
}

up() { # OPTION... -- COMMAND...: a container "c-c" that goes on
	local -a options=()

	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	docker run -d --name c-c --network "$NETWORK" "${options[@]}" busybox:test "${@:2}" >/dev/null
}

inspect() { # FORMAT [CONTAINER]
	docker inspect -f "$1" "${2:-c-c}"
}

is_now() { # FORMAT VALUE [CONTAINER]
	[ "$(inspect "$1" "${3:-c-c}")" = "$2" ]
}

logs_have() { # LINE [CONTAINER]
	docker logs "${2:-c-c}" 2>&1 | grep -qxF -- "$1"
}

process_of() { # shim|monitor|vmm [CONTAINER]: its pid
	pid_of "$1" "$(inspect '{{.Id}}' "${2:-c-c}")"
}

parent_of() { # PID
	sed -n 's/^PPid:\t//p' "/proc/$1/status"
}

guest_has() { # TEXT: in the list of processes
	[[ $(docker exec c-c ps -o args) == *"$1"* ]]
}

guest_lacks() { # TEXT
	local list

	list=$(docker exec c-c ps -o args) && [[ $list != *"$1"* ]]
}
