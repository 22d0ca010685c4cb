#!/usr/bin/env bats
# Debian's Docker with vcrt as its runtime: networks of its own making.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers
load clients
load docker

# "Host" is the daemon's network namespace here: nobody else has these addresses.
HOST=172.30.0.1
DOCKERD=(--bip "$HOST/24" --default-address-pool "base=172.30.128.0/17,size=24")
NETWORK=bridge
PORT=5000

setup_file() {
	docker_setup_file
	docker_import_traffic
}

teardown_file() {
	client_teardown_file
}

start_echo() { # on the host
	background nsenter --net="$T/net" "$T/more/bin/traffic" echo "$PORT"
}

address_of() { # CONTAINER NETWORK
	inspect "{{(index .NetworkSettings.Networks \"$2\").IPAddress}}" "$1"
}

# In a container, once: each of these gives "intact".
talks_to() { # CONTAINER ADDRESS
	[ "$(docker exec "$1" traffic tcp "$2" "$PORT" 300000)" = intact ] &&
		[ "$(docker exec "$1" traffic udp "$2" "$PORT" 1000)" = intact ]
}

@test "docker: the default bridge: host and containers reach each other, and ports are published" {
	local address

	start_echo
	up -p 8080:$PORT -p 8081:$PORT/udp -- traffic echo "$PORT"
	address=$(inspect '{{.NetworkSettings.IPAddress}}')
	[[ $address == 172.30.0.* ]]
	[ "$(docker exec c-c cat /sys/class/net/eth0/address)" = "$(inspect '{{.NetworkSettings.MacAddress}}')" ]
	docker exec c-c ip route | grep -q "^default via $HOST dev eth0"
	docker exec c-c ping -c 1 -W 20 "$HOST"
	talks_to c-c "$HOST"
	wait_until 30 eval '[ "$(traffic tcp "$address" "$PORT" 10)" = intact ]'
	[ "$(traffic tcp "$address" "$PORT" 50000000)" = intact ]
	[ "$(traffic udp "$address" "$PORT" 1000)" = intact ]
	# By the proxy, and (where the kernel can) by translation.
	for address in 127.0.0.1 "$HOST"; do
		[ "$(traffic tcp "$address" 8080 300000)" = intact ]
		[ "$(traffic udp "$address" 8081 1000)" = intact ]
	done
	docker stats --no-stream --format '{{.NetIO}}' c-c >figures
	grep -Eq '^[0-9.]+MB / [0-9.]+MB$' figures || fail "$(cat figures)"

	address=$(inspect '{{.NetworkSettings.IPAddress}}')
	docker_run busybox:test sh -e -c "ping -c 1 -W 20 $address; traffic tcp $address $PORT 300000
		traffic udp $address $PORT 1000" >out
	[ "$(grep -cx intact out)" = 2 ]
	# The same again after a restart, of the container and of the daemon.
	docker restart -t 0 c-c >/dev/null
	restart_docker
	wait_until 30 eval '[ "$(traffic tcp "$(inspect "{{.NetworkSettings.IPAddress}}")" "$PORT" 10)" = intact ]'
	[ "$(traffic tcp 127.0.0.1 8080 300000)" = intact ]
	docker rm -f c-c >/dev/null
	[ -z "$(wires)" ]
}

@test "docker: networks of one's own: names, IPv6, MTUs, connect and disconnect while it runs" {
	local six=fd30:0:0:1

	docker network create -o com.docker.network.driver.mtu=1400 --ipv6 --subnet "$six::/64" small >/dev/null
	docker network create -o com.docker.network.driver.mtu=9000 large >/dev/null
	NETWORK=small
	up --network-alias other --ip6 "$six::77" -- traffic echo "$PORT"
	docker run -d --name c-two --network small busybox:test sleep 1000 >/dev/null
	# Docker's name server.
	docker exec c-two nslookup c-c | grep -qF "Address: $(address_of c-c small)"
	docker exec c-two ping -c 1 -W 20 other
	docker exec c-c ping -c 1 -W 20 c-two
	talks_to c-two "$(address_of c-c small)"
	talks_to c-two "$six::77"
	[ "$(docker exec c-two cat /sys/class/net/eth0/mtu)" = 1400 ]
	docker exec c-two test ! -e /sys/class/net/eth1

	for container in c-c c-two; do
		docker network connect large "$container"
		wait_until 30 docker exec "$container" grep -qx 9000 /sys/class/net/eth1/mtu
		wait_until 30 eval 'docker exec "$container" ip addr show dev eth1 |
			grep -qF "inet $(address_of "$container" large)/24"'
	done
	talks_to c-two "$(address_of c-c large)"
	docker exec c-two ping -c 1 -W 20 -s 8972 "$(address_of c-c large)"
	docker network disconnect small c-two
	wait_until 30 docker exec c-two test ! -e /sys/class/net/eth0
	talks_to c-two "$(address_of c-c large)"
	run ! docker exec c-two ping -c 1 -W 1 "$six::77"
	docker network disconnect large c-two
	wait_until 30 docker exec c-two test ! -e /sys/class/net/eth1
	docker network connect large c-two
	wait_until 30 talks_to c-two "$(address_of c-c large)"
	docker exec c-two ping -c 1 -W 20 c-c

	docker rm -f c-c c-two >/dev/null
	[ -z "$(wires)" ]
	docker network rm small large >/dev/null
}

@test "docker: the network of another container is shared in one VM, if vcrt runs that one; none is none" {
	up --ipc shareable -- traffic echo "$PORT"
	docker run -d --name c-two --network container:c-c busybox:test sleep 1000 >/dev/null
	docker run -d --name c-three --network none --ipc container:c-c --pid container:c-c busybox:test \
		sleep 1000 >/dev/null
	for container in c-two c-three; do
		[ "$(process_of monitor "$container")" = "$(process_of monitor)" ]
	done
	[ "$(docker exec c-two traffic tcp 127.0.0.1 "$PORT" 300000)" = intact ]
	[ "$(docker exec c-two cat /sys/class/net/eth0/address)" = "$(inspect '{{.NetworkSettings.MacAddress}}')" ]
	[[ $(docker exec c-two ps) != *"traffic echo"* ]]
	[ "$(docker exec c-three ls /sys/class/net)" = lo ]
	[[ $(docker exec c-three ps) == *"traffic echo $PORT"* ]]
	docker exec c-c sh -c 'echo shared >/dev/shm/file'
	[ "$(docker exec c-three cat /dev/shm/file)" = shared ]
	[ "$(docker exec c-two ls /dev/shm)" = '' ]

	# Who was first goes first; with it goes the first process of the third.
	docker kill c-c >/dev/null
	wait_until 30 is_now '{{.State.ExitCode}} {{.State.Running}}' '137 false' c-three
	docker exec c-two true
	docker rm -f c-c c-three >/dev/null
	docker exec c-two true
	docker rm -f c-two >/dev/null

	docker run -d --name c-foreign --runtime runc --network bridge busybox:test sleep 1000 >/dev/null
	run -125 docker run --rm --network container:c-foreign busybox:test true
	[[ $output == *"is no network namespace of a sandbox"* ]]
	docker exec c-foreign ping -c 1 -W 20 "$HOST"
	docker rm -f c-foreign >/dev/null
	[ -z "$(wires)" ]
	[ "$(docker run --rm --network none busybox:test ls /sys/class/net)" = lo ]
}
